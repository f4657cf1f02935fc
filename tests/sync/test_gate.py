"""A server that does not answer is left alone and asked whether it is back; nothing is lost, no attempt is used up."""

from __future__ import annotations

import time
from datetime import timedelta
from threading import Thread
from typing import Any

import pytest
from django.db import DataError, connection
from django.urls import reverse
from django.utils import timezone

from billing_console.errors import Busy, NotAllowed, Throttled, UpstreamError
from billing_console.formats import time_of_day
from billing_console.states import RecordState
from invoicing import payments
from sync import gate, push, rests, slots, upstreams, watching, work_items, writeback
from sync.admin.common import moment
from sync.clients.http import Call
from sync.marks import mark_dirty
from sync.models import Alarm, FoundBy, Heartbeat, RemoteRecord, Server, UpstreamCall, UpstreamGate, WorkItem
from tests.people import GROUPS, browser_of, post
from tests.standins import World

pytestmark = pytest.mark.django_db


def gate_of(server: str) -> UpstreamGate:
    return UpstreamGate.objects.get(server=server)


def call(server: str) -> UpstreamError | None:
    """One reading call; the error it failed with."""
    try:
        upstreams.taiga_client().me() if server == Server.TAIGA else upstreams.ninja_client().ping()
    except UpstreamError as error:
        return error
    return None


def open_breaker(world: World, kind: str = "refused", **fault: Any) -> None:
    """Invoice Ninja fails until the breaker opens."""
    world.fail("ninja", kind=kind, count=5, **fault)
    for _number in range(5):
        call(Server.NINJA)


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "refused"},
        {"kind": "lost_answer"},
        {"kind": "status", "status": 500},
        {"kind": "status", "status": 502},
        {"kind": "status", "status": 503},
        {"kind": "html"},
        {"kind": "redirect", "location": "http://127.0.0.1:9/"},
        {"kind": "status", "status": 403, "body": {"message": "Invalid token"}},
    ],
    ids=lambda fault: f"{fault['kind']}{fault.get('status', '')}",
)
def test_five_failures_in_a_row_open_the_breaker(world: World, fault: dict[str, Any]) -> None:
    open_breaker(world, **fault)

    row = gate_of(Server.NINJA)
    assert row.open_since is not None
    assert not gate.may_call(Server.NINJA)
    assert gate.may_call(Server.TAIGA)
    assert Alarm.objects.get(cleared_at=None).key == "breaker-invoice_ninja"


@pytest.mark.parametrize("status", [400, 404, 422])
def test_what_is_wrong_with_one_request_says_nothing_about_the_server(world: World, status: int) -> None:
    open_breaker(world, kind="status", status=status)

    assert gate.may_call(Server.NINJA)


def test_one_answer_between_begins_to_count_anew(world: World) -> None:
    world.fail("ninja", kind="refused", count=4)
    for _number in range(5):
        call(Server.NINJA)

    assert gate_of(Server.NINJA).failures == 0


def test_nothing_is_claimed_while_it_is_open_and_all_goes_on_when_it_answers(world: World) -> None:
    entry = world.read(world.add_task(billable=True, hours=2))
    open_breaker(world)
    calls = UpstreamCall.objects.count()

    assert push.push_due() == 0
    record = RemoteRecord.objects.get(pk=entry.remote_task_id)
    assert (record.state, record.attempts) == (RecordState.PENDING, 0)
    assert UpstreamCall.objects.count() == calls

    UpstreamGate.objects.update(resume_at=timezone.now() - timedelta(seconds=1))
    assert gate.probe_due() == 1
    assert push.push_due() == 1
    assert [task["number"] for task in world.tasks()] == [record.our_key]
    assert Alarm.objects.get().cleared_at is not None
    assert gate_of(Server.NINJA).failures == 0


def test_what_waits_for_its_next_try_is_due_when_the_server_is_back(world: World) -> None:
    entry = world.read(world.add_task(billable=True, hours=2))
    RemoteRecord.objects.filter(pk=entry.remote_task_id).update(
        state=RecordState.RETRY, not_before=timezone.now() + timedelta(hours=5)
    )
    open_breaker(world)
    UpstreamGate.objects.update(resume_at=None)

    gate.probe_due()

    assert push.push_due() == 1


def test_a_probe_that_fails_leaves_it_open_until_the_next(world: World) -> None:
    open_breaker(world)
    UpstreamGate.objects.update(resume_at=None)
    world.fail("ninja", kind="refused", count=1)

    assert gate.probe_due() == 0
    assert gate.probe_due() == 0  # not due again yet
    assert not gate.may_call(Server.NINJA)


def test_taiga_is_not_read_while_its_breaker_is_open(world: World) -> None:
    task_id = world.add_task(billable=True, hours=2)
    world.fail("taiga", kind="refused", count=5)
    for _number in range(5):
        call(Server.TAIGA)
    mark_dirty("T", task_id, found_by=FoundBy.WEBHOOK)

    assert work_items.read_due() == 0
    assert WorkItem.objects.get().read_attempts == 0
    UpstreamGate.objects.update(resume_at=None)
    assert gate.probe_due() == 1
    assert work_items.read_due() == 1


@pytest.mark.parametrize(("headers", "least", "most"), [({"X-Throttle-Wait-Seconds": "57"}, 50, 58), ({}, 0, 61)])
def test_a_server_that_asks_for_a_rest_gets_it(
    world: World, settings: Any, headers: dict[str, str], least: int, most: int
) -> None:
    settings.THROTTLE_SECONDS = 60
    world.fail("taiga", kind="status", status=429, headers=headers, count=1)

    assert isinstance(call(Server.TAIGA), Throttled)

    rest = (gate_of(Server.TAIGA).resume_at - timezone.now()).total_seconds()
    assert least <= rest <= most
    assert not gate.may_call(Server.TAIGA)
    assert gate_of(Server.TAIGA).open_since is None  # its rest ends by itself
    UpstreamGate.objects.update(resume_at=timezone.now())
    assert gate.may_call(Server.TAIGA)


DAY = {"Retry-After": "86400"}
SAID = "It says that it is called too often, and asks for a pause of 24 hours."


def ask_for_a_day(world: World, *, times: int = 1) -> list[float]:
    """Invoice Ninja asks for a day, each time that it is asked; how long it was left alone, in seconds."""
    rested = []
    world.fail("ninja", kind="status", status=429, headers=DAY, count=times)
    for _number in range(times):
        assert isinstance(call(Server.NINJA), Throttled)
        rested.append(round((gate_of(Server.NINJA).resume_at - timezone.now()).total_seconds()))
        UpstreamGate.objects.update(resume_at=timezone.now())
    return rested


def test_who_asks_for_a_day_is_left_alone_for_minutes_ever_longer_and_an_answer_ends_that(world: World) -> None:
    assert ask_for_a_day(world, times=4) == [300, 600, 900, 900]
    row = gate_of(Server.NINJA)
    assert (row.rests, row.sentence) == (4, SAID)
    assert Heartbeat.objects.get(name="invoice_ninja_failed").detail == SAID

    call(Server.NINJA)

    assert (gate_of(Server.NINJA).rests, gate_of(Server.NINJA).resting_since) == (0, None)
    assert ask_for_a_day(world) == [300]


@pytest.mark.parametrize(
    ("number", "asked", "seconds"),
    [
        (1, None, 60),
        (1, 0, 0),
        (1, 57, 57),
        (1, 86_400, 300),
        (2, 0, 60),
        (2, None, 60),
        (3, 0, 120),
        (4, 7, 240),
        (9, 0, 900),
        (10_000, 86_400, 900),
    ],
)
def test_a_rest_is_as_asked_but_minutes_at_most_and_never_shorter_than_ours(
    settings: Any, number: int, asked: int | None, seconds: int
) -> None:
    settings.THROTTLE_SECONDS = 60.0
    assert rests.rest_of(number, asked) == timedelta(seconds=seconds)


def test_calls_that_are_told_side_by_side_are_one_rest(world: World) -> None:
    for _number in range(8):
        rests.begin(Server.NINJA, 86_400)

    assert gate_of(Server.NINJA).rests == 1


def test_a_record_that_met_it_waits_for_minutes_too(world: World) -> None:
    entry = world.read(world.add_task(billable=True, hours=2))
    world.fail("ninja", kind="status", status=429, headers=DAY, count=1)

    push.push_due()

    record = RemoteRecord.objects.get(pk=entry.remote_task_id)
    assert record.state == RecordState.RETRY
    assert timedelta(minutes=4) < record.not_before - timezone.now() <= timedelta(minutes=5)  # type: ignore[operator]


def test_it_is_said_and_asked_now_by_an_administrator(world: World) -> None:
    entry = world.read(world.add_task(billable=True, hours=2))
    world.fail("ninja", kind="status", status=429, headers=DAY, count=1)
    push.push_due()
    row = gate_of(Server.NINJA)
    page = browser_of("administrator").get(reverse("admin:sync_upstreamgate_changelist")).content.decode()
    assert f"Left alone until {moment(row.resume_at)}" in page
    assert SAID in page
    assert push.push_due() == 0

    address = reverse("admin:sync_upstreamgate_ask_now", args=[row.pk])
    for group in GROUPS:
        status = browser_of(group).get(address, headers={"HX-Request": "true"}).status_code
        assert status == (200 if group == "administrator" else 403)
        post(browser_of(group), address, {"_form_submitted": "1"})
        assert gate.may_call(Server.NINJA) is (group == "administrator")

    assert push.push_due() == 1
    assert [task["number"] for task in world.tasks()] == [RemoteRecord.objects.get(pk=entry.remote_task_id).our_key]
    with pytest.raises(NotAllowed, match="not left alone"):
        gate.ask_now(Server.NINJA)


def test_an_alarm_when_it_lasts_and_none_when_it_answers(world: World, settings: Any) -> None:
    settings.ALARM_AFTER_SECONDS = 300.0
    ask_for_a_day(world)
    assert watching.watch() == []
    since = timezone.now() - timedelta(minutes=6)
    UpstreamGate.objects.filter(server=Server.NINJA).update(resting_since=since)

    assert watching.watch() == ["resting-invoice_ninja"]
    assert Alarm.objects.get(cleared_at=None).sentence == (
        f"Invoice Ninja has been left alone since {time_of_day(since, 'Europe/Brussels')}. {SAID} It is asked again "
        "every few minutes, and nothing is lost. Look why it limits us there, or ask it now."
    )

    call(Server.NINJA)
    assert watching.watch() == []


# --- signs of life ----------------------------------------------------------------------------------------------------


def last_sign(server: str) -> Any:
    return Heartbeat.objects.filter(name=server).values_list("at", flat=True).first()


@pytest.mark.parametrize("server", [Server.TAIGA, Server.NINJA])
def test_every_answered_call_is_a_sign_of_life(world: World, server: str) -> None:
    long_ago = timezone.now() - timedelta(hours=3)
    Heartbeat.objects.create(name=server, at=long_ago)

    call(server)

    assert timezone.now() - last_sign(server) < timedelta(seconds=30)


def test_a_no_is_an_answer(world: World) -> None:
    world.fail("ninja", kind="status", status=404, count=1)

    assert call(Server.NINJA) is not None
    assert last_sign(Server.NINJA) is not None


@pytest.mark.parametrize("fault", [{"kind": "refused"}, {"kind": "status", "status": 502}, {"kind": "lost_answer"}])
def test_what_was_not_answered_is_no_sign_and_says_why(world: World, fault: dict[str, Any]) -> None:
    world.fail("ninja", count=1, **fault)

    call(Server.NINJA)

    assert last_sign(Server.NINJA) is None
    said = Heartbeat.objects.get(name="invoice_ninja_failed").detail
    assert said.startswith("The last call failed with ")


def test_an_answer_right_after_a_failure_is_noted_at_once(world: World) -> None:
    call(Server.NINJA)
    world.fail("ninja", kind="refused", count=1)
    call(Server.NINJA)
    failed_at = Heartbeat.objects.get(name="invoice_ninja_failed").at
    assert last_sign(Server.NINJA) < failed_at

    call(Server.NINJA)

    assert last_sign(Server.NINJA) > failed_at


def test_many_answers_in_a_moment_are_noted_once(world: World) -> None:
    call(Server.NINJA)
    first = last_sign(Server.NINJA)

    call(Server.NINJA)

    assert last_sign(Server.NINJA) == first


def test_a_call_still_costs_two_statements(world: World, django_assert_num_queries: Any) -> None:
    client = upstreams.ninja_client()

    with django_assert_num_queries(2):
        client.ping()


def test_what_is_not_asked_because_its_server_is_left_alone_says_so(world: World) -> None:
    open_breaker(world)

    payments.poll()

    said = Heartbeat.objects.get(name="payments_failed").detail
    assert said.startswith("Invoice Ninja is not called for now. 5 calls in a row failed, the last one with ")


# --- a person's pause -------------------------------------------------------------------------------------------------


def test_a_pause_stops_writing_and_reading_goes_on(world: World) -> None:
    world.read(world.add_task(billable=True, hours=2))
    gate.pause(Server.NINJA, "moving the server")

    assert push.push_due() == 0
    assert gate.may_call(Server.NINJA)
    assert world.tasks() == []

    gate.resume(Server.NINJA)
    assert push.push_due() == 1
    assert writeback.write_due() == 1


def test_resuming_what_is_not_paused_is_refused() -> None:
    with pytest.raises(NotAllowed, match="not paused"):
        gate.resume(Server.NINJA)


@pytest.mark.parametrize("group", GROUPS)
def test_only_an_administrator_pauses(group: str) -> None:
    row = gate_of(Server.NINJA)
    page = reverse("admin:sync_upstreamgate_pause_writing", args=[row.pk])

    assert browser_of(group).get(page, headers={"HX-Request": "true"}).status_code == (
        200 if group == "administrator" else 403
    )
    post(browser_of(group), page, {"reason": "moving", "_form_submitted": "1"})
    post(browser_of(group), page, {"reason": "moving", "_form_submitted": "1"})

    assert gate_of(Server.NINJA).is_paused is (group == "administrator")


def test_a_pause_is_on_the_start_page_with_its_reason() -> None:
    gate.pause(Server.TAIGA, "The new Taiga is being set up.")

    assert "The new Taiga is being set up." in browser_of("viewer").get("/admin/").content.decode()


# --- so many calls at a time ------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_calls_beyond_the_limit_wait_and_then_say_so(world: World, settings: Any) -> None:
    settings.UPSTREAM_CALLS_AT_A_TIME = 2
    taken, may_go = [], []

    def hold() -> None:
        with slots.Line(Server.NINJA).limit():
            taken.append(1)
            while not may_go:
                pass
        connection.close()

    threads = [Thread(target=hold) for _number in range(2)]
    for thread in threads:
        thread.start()
    while len(taken) < 2:
        pass
    try:
        settings.CALL_DEADLINE_SECONDS = 0.3
        with pytest.raises(Busy, match="UPSTREAM_CALLS_AT_A_TIME"), slots.Line(Server.NINJA).limit():
            pass
        with slots.Line(Server.TAIGA).limit():  # the other server has slots of its own
            pass
    finally:
        may_go.append(1)
        for thread in threads:
            thread.join()
    with slots.Line(Server.NINJA).limit():
        pass


@pytest.mark.django_db(transaction=True)
def test_a_slot_that_cannot_be_given_back_is_gone_with_its_connection(settings: Any) -> None:
    settings.UPSTREAM_CALLS_AT_A_TIME = 1
    UpstreamCall.objects.exists()
    session = connection.connection

    with pytest.raises(DataError):
        call_that_no_journal_takes()

    assert session.closed  # a pool does not lend it again
    assert held_slots() == 0
    with slots.Line(Server.NINJA).limit():
        assert held_slots() == 1


def call_that_no_journal_takes() -> None:
    line = slots.Line(Server.NINJA)
    with line.limit():
        assert held_slots() == 1
        line.journal(Call(Server.NINJA, "GET", "/ping", 200, -(2**40), "", timezone.now()))


def test_a_call_that_nobody_waited_for_is_no_sign_of_life(db: None) -> None:
    """It was stopped, or had no memory for the answer: that says nothing of the server."""
    UpstreamGate.objects.update_or_create(server=Server.NINJA, defaults={"failures": 2})
    line = slots.Line(Server.NINJA)
    with line.limit():
        line.journal(Call(Server.NINJA, "POST", "/tasks", None, 5, "KeyboardInterrupt", timezone.now()))

    assert not Heartbeat.objects.filter(name=Server.NINJA).exists()
    assert UpstreamGate.objects.get(server=Server.NINJA).failures == 2


def held_slots() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database"
            " WHERE locktype = 'advisory' AND datname = current_database()"
        )
        return int(cursor.fetchone()[0])


def test_a_slot_is_given_back_after_a_failed_call(world: World, settings: Any) -> None:
    settings.UPSTREAM_CALLS_AT_A_TIME = 1
    world.fail("ninja", kind="lost_answer", count=2)

    assert [type(call(Server.NINJA)) for _number in range(3)][2] is type(None)


@pytest.mark.django_db(transaction=True)
def test_the_time_of_a_call_begins_when_its_slot_is_there(world: World, settings: Any) -> None:
    settings.UPSTREAM_CALLS_AT_A_TIME = 1
    settings.CALL_DEADLINE_SECONDS = 1.5
    world.fail("ninja", kind="delay", seconds=1.0, count=2, path="/ping")
    outcomes: list[UpstreamError | None] = []

    def ping() -> None:
        outcomes.append(call(Server.NINJA))
        connection.close()

    threads = [Thread(target=ping) for _number in range(2)]  # the second waits a second, and then takes one
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert outcomes == [None, None]
    assert max(UpstreamCall.objects.values_list("duration_ms", flat=True)) < 1500


@pytest.mark.django_db(transaction=True)
def test_two_calls_of_one_turn_begin_more_than_a_second_apart_and_never_run_at_once(world: World) -> None:
    invoices = [
        world.api_ninja("POST", "/invoices", {"client_id": "client_abc123", "line_items": [{"quantity": 1, "cost": 1}]})
        for _number in range(3)
    ]
    world.fail("ninja", kind="delay", seconds=0.3, count=3, path="/invoices/bulk")
    failures: list[Exception] = []

    def mark(row: Any) -> None:
        try:
            upstreams.ninja_client().mark_invoice_sent(row["data"]["id"])
        except UpstreamError as error:
            failures.append(error)
        connection.close()

    threads = [Thread(target=mark, args=(row,)) for row in invoices[:2]]

    def cancel() -> None:
        upstreams.ninja_client().cancel_invoice(invoices[2]["data"]["id"])
        connection.close()

    threads.append(Thread(target=cancel))
    began = time.monotonic()
    for thread in threads:
        thread.start()
    threads[2].join()
    alone = time.monotonic() - began  # another action has a turn of its own
    for thread in threads:
        thread.join()

    assert failures == []
    assert alone < 1
    assert {row["status_id"] for row in world.invoices()[:2]} == {"2"}
    first, second = UpstreamCall.objects.filter(path="/invoices/bulk (mark_sent)").order_by("at")
    assert (second.at - first.at).total_seconds() > 1
    assert held_slots() == 0
