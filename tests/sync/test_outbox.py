from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, OperationalError, connection, transaction
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from billing_console import states
from billing_console.errors import (
    Blocked,
    Busy,
    ClaimLost,
    ConfigError,
    ConsoleError,
    DuplicateRequest,
    Forbidden,
    IllegalTransition,
    Maintenance,
    OutcomeUnknown,
    Rejected,
    Throttled,
    Unauthorized,
    Unreachable,
)
from billing_console.states import RecordState
from sync import outbox, outcomes, waits
from sync.attention import try_again
from sync.claims import Claim, Handler, NeedsPerson, NotThere, Proof
from sync.clients.lacks import MachineExhausted
from sync.gate import may_write
from sync.models import RecordKind, RemoteRecord, Server, Transition, UpstreamGate
from sync.slots import Line
from sync.transitions import advance
from tests.outbound import claimed, expire_lease, fresh, make_due, states_of
from tests.people import make_user

pytestmark = pytest.mark.django_db
PROOF = Proof("there1", {"number": "0001", "rate": Decimal("95.10")})
Act = Callable[[RemoteRecord, "Server_"], None]


class Server_:
    """A handler over a server in memory: answers `outcome`, or raises it; counts what was asked of it."""

    def __init__(self, kind: str, outcome: Proof | ConsoleError = PROOF, looked_up: Proof | ConsoleError = PROOF):
        self.outcome, self.looked_up = outcome, looked_up
        self.writes = self.look_ups = 0
        self.in_the_middle: Callable[[], None] = lambda: None
        self.handler = Handler(RecordKind(kind), self.write, self.look_up)

    def write(self, claim: Claim) -> Proof:
        if not isinstance(self.outcome, Busy):  # who gets no slot wrote nothing
            claim.fence.about_to_write()
        self.writes += 1
        self.in_the_middle()
        return self._give(self.outcome)

    def look_up(self, record: RemoteRecord) -> Proof:
        self.look_ups += 1
        self.in_the_middle()
        return self._give(self.looked_up)

    @staticmethod
    def _give(outcome: Proof | ConsoleError) -> Proof:
        if isinstance(outcome, ConsoleError):
            raise outcome
        return outcome


def make_record(kind: str = "task", state: str = RecordState.PENDING, **columns: Any) -> RemoteRecord:
    server = Server.TAIGA if kind == RecordKind.STATUS else Server.NINJA
    if state == RecordState.IN_FLIGHT:
        columns = {"claim_id": "00000000-0000-0000-0000-000000000001", "lease_until": timezone.now()} | columns
    key = PROOF.remote_id if kind == RecordKind.STATUS else f"{kind}-key"  # a status is known there by our key
    return RemoteRecord.objects.create(server=server, kind=kind, our_key=key, state=state, **columns)


def failed(kind: type, **more: Any) -> ConsoleError:
    error: ConsoleError = kind("invoice_ninja", "POST", "/tasks", **more)
    return error


# --- every arrow of the map, for every kind -------------------------------------------------------------------------


def _write(outcome: Proof | ConsoleError) -> Act:
    def act(record: RemoteRecord, server: Server_) -> None:
        server.outcome = outcome
        RemoteRecord.objects.filter(pk=record.pk).update(state=RecordState.PENDING)
        outbox.write_one(claimed(record.kind), server.handler)

    return act


def _look_up(outcome: Proof | ConsoleError) -> Act:
    def act(record: RemoteRecord, server: Server_) -> None:
        server.looked_up = outcome
        make_due(record)
        assert outbox.look_up_doubtful(server.handler) == 1

    return act


def _move(to: str) -> Act:
    return lambda record, server: None if advance(record, to, why="asked") else pytest.fail("not moved")


def _try_again(record: RemoteRecord, server: Server_) -> None:
    try_again(record, user=make_user("clerk"))


def _prove_an_old_revision(record: RemoteRecord, server: Server_) -> None:
    RemoteRecord.objects.filter(pk=record.pk).update(state=RecordState.IN_DOUBT, revision=2)
    outcomes.prove(fresh(record), PROOF, 1)


ACTS: dict[tuple[str, str], Act] = {
    ("pending", "in_flight"): lambda record, server: None if claimed(record.kind) else None,
    ("pending", "dropped"): _move("dropped"),
    ("in_flight", "synced"): _write(PROOF),
    ("in_flight", "retry"): _write(failed(Unreachable)),
    ("in_flight", "in_doubt"): lambda record, server: None if outbox.expire_leases(record.kind) else None,
    ("in_flight", "attention"): _write(NeedsPerson("differs_there", "Look.")),
    ("synced", "pending"): _prove_an_old_revision,
    ("retry", "in_flight"): lambda record, server: None if claimed(record.kind) else None,
    ("retry", "pending"): _try_again,
    ("retry", "dropped"): _move("dropped"),
    ("in_doubt", "synced"): _look_up(PROOF),
    ("in_doubt", "pending"): _look_up(NotThere()),
    ("in_doubt", "attention"): _look_up(NeedsPerson("deleted_there", "Look.")),
    ("attention", "pending"): _try_again,
    ("attention", "synced"): lambda record, server: outcomes.prove(record, PROOF, record.revision),
    ("dropped", "pending"): _move("pending"),
}


def test_every_arrow_has_an_act() -> None:
    assert set(ACTS) == {(source, target) for source, targets in states.RECORD.items() for target in targets}


@pytest.mark.parametrize("kind", RecordKind.values)
@pytest.mark.parametrize("arrow", sorted(ACTS), ids="→".join)
def test_each_arrow_moves_each_kind_and_leaves_its_trail(kind: str, arrow: tuple[str, str]) -> None:
    record = make_record(kind, arrow[0])

    ACTS[arrow](record, Server_(kind))

    assert fresh(record).state == arrow[1]
    last = Transition.objects.filter(row_id=record.pk).latest("id")
    assert (last.from_state, last.to_state) == arrow
    assert last.why


@pytest.mark.parametrize("source", RecordState.values)
def test_no_other_arrow_is_possible(source: str) -> None:
    record = make_record(state=source)
    for target in set(RecordState.values) - set(states.RECORD[source]):
        with pytest.raises(IllegalTransition):
            advance(record, target, why="asked")
    assert Transition.objects.count() == 0


# --- claiming -------------------------------------------------------------------------------------------------------


def test_a_claim_is_fenced_with_a_lease_and_counted() -> None:
    record = make_record()

    claim = claimed("task")

    row = fresh(record)
    assert (row.state, row.claim_id, row.lease_until, row.attempts) == (
        "in_flight", claim.claim_id, claim.record.lease_until, 1,
    )  # fmt: skip
    assert timedelta(seconds=6) < row.lease_until - timezone.now() < timedelta(seconds=7.1)
    assert outbox.claim_next("task") is None


def test_the_oldest_that_is_due_comes_first_and_only_of_the_kind_asked_for() -> None:
    make_record("invoice")
    waits = RemoteRecord.objects.create(
        server="invoice_ninja", kind="task", our_key="a", not_before=timezone.now() + timedelta(hours=1)
    )
    second = RemoteRecord.objects.create(server="invoice_ninja", kind="task", our_key="b", state="retry")
    third = RemoteRecord.objects.create(server="invoice_ninja", kind="task", our_key="c")

    assert [claimed("task").record for _ in range(2)] == [second, third]
    assert outbox.claim_next("task") is None
    assert fresh(waits).state == "pending"


@pytest.mark.parametrize(
    "gate",
    [
        {"is_paused": True},
        {"open_since": timezone.now()},
        {"resume_at": timezone.now() + timedelta(hours=1)},
    ],
    ids=["paused", "broken", "asked to wait"],
)
def test_nothing_is_claimed_behind_a_closed_gate(gate: dict[str, Any]) -> None:
    record = make_record()
    UpstreamGate.objects.update_or_create(server="taiga", defaults=gate)  # the other server's, which is not asked
    UpstreamGate.objects.update_or_create(server="invoice_ninja", defaults=gate)

    assert outbox.claim_next("task") is None
    assert (fresh(record).state, fresh(record).attempts) == ("pending", 0)
    assert not may_write("invoice_ninja")  # which says the same to everybody else

    UpstreamGate.objects.filter(server="invoice_ninja").delete()
    assert claimed("task").record == record


@pytest.mark.parametrize("state", [state for state in RecordState.values if state != RecordState.IN_FLIGHT])
@pytest.mark.parametrize("wait", [None, timedelta(seconds=-1), timedelta(hours=1)])
def test_what_is_claimed_is_what_is_due(state: str, wait: timedelta | None) -> None:
    record = make_record(state=state, not_before=None if wait is None else timezone.now() + wait)
    is_due = outbox.due(RecordKind.TASK).filter(pk=record.pk).exists()

    claim = outbox.claim_next(RecordKind.TASK)

    assert (claim is not None) is is_due
    assert is_due is (state in ("pending", "retry") and (wait is None or wait < timedelta(0)))


def test_no_row_is_in_flight_without_a_fence() -> None:
    record = make_record()
    with pytest.raises(IntegrityError), transaction.atomic():
        RemoteRecord.objects.filter(pk=record.pk).update(state="in_flight")


def test_one_key_and_one_remote_thing_exist_once() -> None:
    make_record(remote_id="r1")
    with pytest.raises(IntegrityError), transaction.atomic():
        make_record()
    with pytest.raises(IntegrityError), transaction.atomic():
        RemoteRecord.objects.create(server="invoice_ninja", kind="task", our_key="other", remote_id="r1")
    # The same id of another kind is another thing: Invoice Ninja repeats them.
    RemoteRecord.objects.create(server="invoice_ninja", kind="invoice", our_key="other", remote_id="r1")


# --- outcomes -------------------------------------------------------------------------------------------------------


def test_a_proof_is_kept_exactly_and_ends_the_claim() -> None:
    record = make_record()
    outbox.drain(Server_("task").handler)

    row = fresh(record)
    assert (row.state, row.remote_id, row.synced_revision) == ("synced", "there1", 1)
    assert row.seen == {"number": "0001", "rate": Decimal("95.10")}
    assert (row.claim_id, row.lease_until, row.not_before, row.attempts) == (None, None, None, 0)


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (failed(Unreachable), "retry"),
        (failed(Throttled, status=429), "retry"),
        (failed(DuplicateRequest, status=429), "retry"),
        (Busy("invoice_ninja"), "retry"),  # nothing was called
        (failed(Maintenance, status=503), "retry"),
        (failed(Unauthorized, status=403), "retry"),
        (failed(Blocked, status=451), "retry"),
        (failed(Forbidden, status=403), "attention"),
        (ConfigError(), "retry"),
        (failed(OutcomeUnknown), "in_doubt"),
        (failed(Unreachable, is_read=True), "in_doubt"),  # the write before it was done
        (failed(Rejected, status=422, fields={"rate": ["is wrong"]}), "attention"),
        (NeedsPerson("differs_there", "Look."), "attention"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_what_a_failure_makes_of_a_claimed_record(error: ConsoleError, state: str) -> None:
    record = make_record()

    outbox.write_one(claimed("task"), Server_("task", error).handler)

    row = fresh(record)
    assert (row.state, row.claim_id, row.synced_revision) == (state, None, 0)
    assert row.sentence == error.sentence


def test_a_wait_for_a_slot_after_a_write_leaves_that_write_in_doubt() -> None:
    record = make_record()

    def write_and_wait(claim: Claim) -> Proof:
        claim.fence.about_to_write()
        raise Busy("invoice_ninja")

    outbox.write_one(claimed("task"), Handler(RecordKind.TASK, write_and_wait, _break))

    assert fresh(record).state == "in_doubt"


@pytest.mark.parametrize("attempts", [0, 1, 5, 100])
def test_what_was_taken_for_a_repetition_waits_more_than_its_second_and_not_long(attempts: int) -> None:
    pauses = [waits.wait_after(failed(DuplicateRequest, status=400), attempts) for _number in range(200)]
    assert timedelta(seconds=1.1) <= min(pauses) <= max(pauses) <= timedelta(seconds=1.1 + max(min(attempts, 10), 1))
    assert len(set(pauses)) > 150  # two that met do not meet again


@pytest.mark.parametrize("attempts", [0, 1, 5, 100])
def test_what_this_machine_lacked_is_tried_again_within_a_minute_however_often_it_failed(attempts: int) -> None:
    assert waits.wait_after(failed(MachineExhausted), attempts) <= timedelta(minutes=1)


ODD = ZeroDivisionError("nobody thought of this")


def _break(*args: Any) -> Any:
    raise ODD


def _write_and_break(claim: Claim) -> Proof:
    claim.fence.about_to_write()
    raise ODD


@pytest.mark.parametrize(
    ("handler", "state"),
    [
        (Handler(RecordKind.TASK, _break, _break), "retry"),
        (Handler(RecordKind.TASK, _write_and_break, _break), "in_doubt"),
        (Handler(RecordKind.TASK, lambda claim: PROOF, _break, after_sync=_break), "retry"),
        (Handler(RecordKind.TASK, lambda claim: PROOF, _break, lock_first=_break), "retry"),
    ],
    ids=["before the call", "after the call", "what follows the proof", "its locks"],
)
def test_a_fault_of_our_own_waits_with_a_sentence_and_keeps_nobody_back(
    handler: Handler, state: str, caplog: pytest.LogCaptureFixture, settings: Any
) -> None:
    settings.LOOK_UP_AFTER_SECONDS = settings.RETRY_BASE_SECONDS = 600
    first = make_record()
    second = RemoteRecord.objects.create(server=Server.NINJA, kind="task", our_key="second", state="pending")

    assert outbox.drain(handler) == 2

    for record in (first, second):
        row = fresh(record)
        assert (row.state, row.claim_id, row.remote_id, row.synced_revision) == (state, None, None, 0)
        assert row.sentence == "The console failed on this; its log says why. It is tried again by itself."
        assert row.attempts == 1
    assert sum("nobody thought" in str(record.exc_info) for record in caplog.records) == 2


@pytest.mark.parametrize("after_sync", [_break, lambda record: None], ids=["what follows", "look-up"])
def test_a_fault_of_our_own_in_a_look_up_leaves_it_in_doubt_and_the_queue_goes_on(
    after_sync: Any, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.LOOK_UP_AFTER_SECONDS = 600
    doubtful = make_record(state="in_doubt")
    make_due(doubtful)
    later = RemoteRecord.objects.create(server=Server.NINJA, kind="task", our_key="later", state="pending")
    find = _break if after_sync is not _break else (lambda record: PROOF)

    handler = Handler(RecordKind.TASK, lambda claim: PROOF, find, after_sync)
    outbox.drain(handler)

    row = fresh(doubtful)
    assert (row.state, row.sentence) == (
        "in_doubt",
        "The console failed on this; its log says why. It is tried again by itself.",
    )
    assert row.not_before > timezone.now() + timedelta(seconds=590)
    assert fresh(later).state == ("synced" if after_sync is not _break else "retry")
    assert any("nobody thought" in str(record.exc_info) for record in caplog.records)


def test_a_database_that_goes_away_is_no_records_fault() -> None:
    record = make_record()

    def go_away(claim: Claim) -> Proof:
        raise OperationalError("the connection is lost")

    with pytest.raises(OperationalError):
        outbox.drain(Handler(RecordKind.TASK, go_away, _break))

    row = fresh(record)
    assert (row.state, row.claim_id, row.lease_until) == ("retry", None, None)  # nothing was written, so none waits


def test_a_database_that_goes_away_after_a_write_leaves_it_to_the_look_up() -> None:
    record = make_record()

    def go_away(claim: Claim) -> Proof:
        claim.fence.about_to_write()
        raise OperationalError("the connection is lost")

    with pytest.raises(OperationalError):
        outbox.drain(Handler(RecordKind.TASK, go_away, _break))

    assert fresh(record).state == "in_flight"  # its lease runs out, then it is looked up


def test_a_claim_whose_answer_was_lost_is_given_back_at_once() -> None:
    record = make_record()

    def lose(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        answer = execute(sql, params, many, context)
        if "moved AS (" in sql and "lease_until" in sql:
            raise OperationalError("the connection is lost")
        return answer

    with connection.execute_wrapper(lose), pytest.raises(OperationalError):
        outbox.claim_next(RecordKind.TASK)

    row = fresh(record)
    assert (row.state, row.claim_id, row.attempts, states_of(record)) == ("retry", None, 1, ["in_flight", "retry"])


def test_the_server_says_how_long_to_wait() -> None:
    record = make_record()
    outbox.write_one(claimed("task"), Server_("task", failed(Throttled, status=429, wait_seconds=90)).handler)

    wait = fresh(record).not_before - timezone.now()
    assert timedelta(seconds=88) < wait <= timedelta(seconds=90)


@given(attempts=st.integers(0, 10_000))
def test_the_wait_doubles_up_to_six_hours(attempts: int) -> None:
    wait = waits.back_off(attempts).total_seconds()
    wanted = min(2.0 ** min(max(attempts - 1, 0), 20), 21_600.0)
    assert wanted * 0.8 - 0.001 <= wait <= min(wanted * 1.2, 21_600) + 0.001


def test_an_outcome_is_not_written_for_a_claim_that_is_no_longer_ours() -> None:
    record, server = make_record(), Server_("task")
    sleeper = claimed("task")
    expire_lease(record)
    outbox.expire_leases("task")
    make_due(record)
    outbox.look_up_doubtful(Server_("task", looked_up=NotThere()).handler)
    second = claimed("task")

    for outcome in (PROOF, failed(Unreachable), failed(OutcomeUnknown), NeedsPerson("x", "Look.")):
        server.outcome = outcome
        outbox.write_one(sleeper, server.handler)
        row = fresh(record)
        assert (row.state, row.claim_id, row.synced_revision, row.sentence) == (
            "in_flight", second.claim_id, 0, second.record.sentence,
        )  # fmt: skip


def test_what_follows_a_proof_is_undone_with_it() -> None:
    record = make_record()
    sleeper = claimed("task")
    expire_lease(record)
    outbox.expire_leases("task")
    done: list[int] = []
    handler = Handler(RecordKind.TASK, lambda claim: PROOF, lambda row: PROOF, lambda row: done.append(row.pk))

    outbox.write_one(sleeper, handler)

    assert done == []


def test_a_revision_that_came_in_the_middle_is_pending_again() -> None:
    record, server = make_record(), Server_("task")
    server.in_the_middle = lambda: RemoteRecord.objects.filter(pk=record.pk, revision=1).update(revision=2) and None

    outbox.drain(server.handler, limit=1)
    row = fresh(record)
    assert (row.state, row.synced_revision, row.revision) == ("pending", 1, 2)

    outbox.drain(server.handler)
    row = fresh(record)
    assert (row.state, row.synced_revision, server.writes) == ("synced", 2, 2)


# --- doubt ----------------------------------------------------------------------------------------------------------


def test_doubt_is_not_looked_at_before_the_server_must_be_done(settings: Any) -> None:
    settings.LOOK_UP_AFTER_SECONDS = 600
    record, server = make_record(), Server_("task", failed(OutcomeUnknown))

    outbox.drain(server.handler)
    outbox.drain(server.handler)

    assert (server.writes, server.look_ups) == (1, 0)
    assert timedelta(seconds=590) < fresh(record).not_before - timezone.now() < timedelta(seconds=601)


def test_a_look_up_that_fails_stays_in_doubt_with_its_sentence(settings: Any) -> None:
    settings.LOOK_UP_AFTER_SECONDS = 600
    record = make_record(state="in_doubt")
    make_due(record)
    down = failed(Unreachable, is_read=True)

    assert outbox.look_up_doubtful(Server_("task", looked_up=down).handler) == 0

    row = fresh(record)
    assert (row.state, row.sentence) == ("in_doubt", down.sentence)
    assert row.not_before > timezone.now() + timedelta(seconds=590)


@pytest.mark.parametrize("outcome", [PROOF, NotThere(), NeedsPerson("x", "Look."), failed(Unreachable)], ids=str)
def test_a_sleeping_look_up_settles_nothing_once_the_record_was_in_doubt_anew(outcome: Any) -> None:
    record, server = make_record(state="in_doubt"), Server_("task", looked_up=outcome)
    make_due(record)
    anew = timezone.now() + timedelta(seconds=333)
    # While it sleeps, others find nothing, write again, and are cut off: the new doubt has its own wait.
    server.in_the_middle = lambda: RemoteRecord.objects.filter(pk=record.pk).update(not_before=anew) and None

    assert outbox.look_up_doubtful(server.handler) == 0

    row = fresh(record)
    assert (row.state, row.not_before, row.synced_revision, row.sentence) == ("in_doubt", anew, 0, "")


def test_two_workers_do_not_look_at_the_same_record(settings: Any) -> None:
    settings.LOOK_UP_AFTER_SECONDS = 600
    record, second = make_record(state="in_doubt"), Server_("task")
    make_due(record)
    first = Server_("task")
    first.in_the_middle = lambda: outbox.look_up_doubtful(second.handler) and None

    assert outbox.look_up_doubtful(first.handler) == 1
    assert (first.look_ups, second.look_ups) == (1, 0)


def test_a_lease_that_is_not_over_stays() -> None:
    record = make_record()
    claimed("task")
    assert outbox.expire_leases("task") == 0
    assert fresh(record).state == "in_flight"
    assert states_of(record) == ["in_flight"]


def lock_count() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()")
        return int(cursor.fetchone()[0])


def test_a_claim_with_less_lease_than_a_call_may_take_starts_none(settings: Any) -> None:
    make_record()
    claim = claimed("task")
    line = Line(Server.NINJA, fence=claim.fence)
    settings.CALL_DEADLINE_SECONDS = 6  # of a lease of 7 s
    with line.limit():
        assert lock_count() == 1

    settings.CALL_DEADLINE_SECONDS = 8
    with pytest.raises(ClaimLost), line.limit():
        pass

    assert lock_count() == 0
    assert claim.wrote is False


@pytest.mark.parametrize("lost", ["over", "taken over", "given back"])
def test_a_claim_that_is_lost_takes_no_slot_and_lets_no_byte_leave(lost: str) -> None:
    record = make_record()
    claim = claimed("task")
    line = Line(Server.NINJA, fence=claim.fence)
    changes = {
        "over": {"lease_until": timezone.now() - timedelta(seconds=1)},
        "taken over": {"claim_id": "00000000-0000-0000-0000-000000000001"},
        "given back": {"claim_id": None, "lease_until": None, "state": "retry"},
    }
    RemoteRecord.objects.filter(pk=record.pk).update(**changes[lost])

    with pytest.raises(ClaimLost), line.limit():
        pass
    with pytest.raises(ClaimLost):
        line.before_write()

    assert (lock_count(), claim.wrote) == (0, False)


@pytest.mark.parametrize("hours", [-5, 5])
def test_no_clock_of_a_worker_has_a_say_in_a_lease(hours: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its clock is wrong, or stood still while its machine was paused: a lease is seven seconds of PostgreSQL's."""
    record = make_record()
    wrong = timezone.now() + timedelta(hours=hours)
    with monkeypatch.context() as patch:
        patch.setattr(timezone, "now", lambda: wrong)
        claim = claimed("task")

    left = fresh(record).lease_until - timezone.now()
    assert timedelta(seconds=6) < left < timedelta(seconds=7.1)
    assert outbox.expire_leases("task") == 0

    with monkeypatch.context() as patch:
        patch.setattr(timezone, "now", lambda: wrong)
        claim.fence.about_to_write()
        assert outbox.expire_leases("task") == 0
        assert outbox.in_flight(RecordKind.TASK).count() == 1
    expire_lease(record)
    monkeypatch.setattr(timezone, "now", lambda: wrong)
    assert outbox.in_flight(RecordKind.TASK).count() == 0
    with pytest.raises(ClaimLost):
        claim.fence.about_to_write()
    assert outbox.expire_leases("task") == 1
