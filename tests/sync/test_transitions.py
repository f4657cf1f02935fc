"""A move and its trail are one statement: the row as it was read is moved, or nothing is."""

from __future__ import annotations

import datetime as dt
import threading
import uuid
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import F, Q
from django.utils import timezone

from billing_console.errors import IllegalTransition
from billing_console.states import RecordState
from sync.models import RecordKind, RemoteRecord, Server, Transition
from sync.transitions import advance, take

pytestmark = pytest.mark.django_db


@pytest.fixture
def record() -> RemoteRecord:
    return RemoteRecord.objects.create(
        server=Server.NINJA,
        kind=RecordKind.TASK,
        our_key="TT1-1",
        state_since=timezone.now() - dt.timedelta(days=1),
        correlation_id=uuid.uuid4(),
    )


def trail() -> list[tuple[str, str, str]]:
    return list(Transition.objects.order_by("pk").values_list("from_state", "to_state", "why"))


def test_a_move_writes_its_columns_and_its_trail(record: RemoteRecord, django_assert_num_queries: Any) -> None:
    claim, later = uuid.uuid4(), timezone.now() + dt.timedelta(minutes=5)
    odd = "100 %s of {0} 'quoted' \"twice\" %(given0)s\n–"

    with django_assert_num_queries(1):
        moved = advance(
            record,
            RecordState.IN_FLIGHT,
            why=odd,
            claim_id=claim,
            lease_until=later,
            attempts=F("attempts") + 1,
            seen={"a": [1, None], "b": odd},
            sentence=odd,
        )

    assert moved is True
    kept = RemoteRecord.objects.get()
    assert (kept.state, kept.claim_id, kept.lease_until, kept.attempts) == ("in_flight", claim, later, 1)
    assert (kept.seen, kept.sentence) == ({"a": [1, None], "b": odd}, odd)
    assert kept.state_since > timezone.now() - dt.timedelta(minutes=1)
    row = Transition.objects.get()
    assert (row.model, row.row_id, row.from_state, row.to_state, row.why) == (
        "sync.remoterecord",
        record.pk,
        "pending",
        "in_flight",
        odd,
    )
    assert (row.claim_id, row.correlation_id, row.user_id) == (claim, record.correlation_id, None)


def test_who_comes_second_moves_nothing_and_leaves_no_trail(record: RemoteRecord) -> None:
    same = RemoteRecord.objects.get()
    assert advance(record, RecordState.DROPPED, why="first") is True

    assert advance(same, RecordState.IN_FLIGHT, why="second", attempts=9) is False

    assert (same.state, same.attempts) == ("pending", 0)
    assert RemoteRecord.objects.get().state == "dropped"
    assert trail() == [("pending", "dropped", "first")]


@pytest.mark.parametrize("condition", [Q(claim_id=uuid.uuid4()), Q(pk__in=[]), Q(attempts__gt=0)])
def test_a_condition_that_does_not_hold_moves_nothing(record: RemoteRecord, condition: Q) -> None:
    assert advance(record, RecordState.DROPPED, why="-", only_if=condition) is False

    assert (record.state, RemoteRecord.objects.get().state, trail()) == ("pending", "pending", [])


def test_a_column_is_read_back_as_the_database_has_it(record: RemoteRecord) -> None:
    RemoteRecord.objects.update(revision=7)

    assert advance(record, RecordState.DROPPED, why="-", read_back="revision") is True

    assert (record.revision, record.state) == (7, "dropped")


def test_an_arrow_that_the_map_does_not_have_is_refused(record: RemoteRecord) -> None:
    with pytest.raises(IllegalTransition):
        advance(record, RecordState.SYNCED, why="-")

    assert trail() == []


FIRST = """
    SELECT id, state FROM sync_remoterecord WHERE our_key LIKE %(like)s AND state = ANY(%(from_states)s)
    ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED
"""
LEASE = dt.timedelta(seconds=90)


def take_next(to: str = RecordState.IN_FLIGHT) -> RemoteRecord | None:
    return take(
        RemoteRecord,
        FIRST,
        {"like": "TT%"},
        from_states=(RecordState.PENDING, RecordState.RETRY),
        to=to,
        why="100 %s taken",
        claim_id=uuid.UUID(int=1),
        lease=LEASE,
    )


def test_the_first_of_many_is_taken_by_one_statement(record: RemoteRecord, django_assert_num_queries: Any) -> None:
    RemoteRecord.objects.filter(pk=record.pk).update(desired={"rate": "75.00"}, attempts=2)
    RemoteRecord.objects.create(server=Server.NINJA, kind=RecordKind.TASK, our_key="TT2-1", state=RecordState.RETRY)

    with django_assert_num_queries(1):
        taken = take_next()

    assert taken is not None
    kept = RemoteRecord.objects.get(pk=record.pk)
    for row in (taken, kept):
        assert (row.pk, row.state, row.claim_id) == (record.pk, "in_flight", uuid.UUID(int=1))
        assert row.lease_until is not None
        assert dt.timedelta(seconds=80) < row.lease_until - timezone.now() < LEASE
        assert (row.attempts, row.desired) == (3, {"rate": "75.00"})
    assert kept.state_since > timezone.now() - dt.timedelta(minutes=1)
    move = Transition.objects.get()
    assert (move.row_id, move.from_state, move.to_state, move.claim_id, move.correlation_id) == (
        record.pk,
        "pending",
        "in_flight",
        uuid.UUID(int=1),
        record.correlation_id,
    )

    take_next()

    assert trail()[1:] == [("retry", "in_flight", "100 %s taken")]
    assert take_next() is None
    assert len(trail()) == 2


def test_nothing_is_taken_along_an_arrow_that_the_map_has_not(record: RemoteRecord) -> None:
    with pytest.raises(IllegalTransition):
        take_next(RecordState.SYNCED)

    assert (RemoteRecord.objects.get().state, trail()) == ("pending", [])


@pytest.mark.django_db(transaction=True)
def test_a_row_that_somebody_is_moving_is_skipped(record: RemoteRecord) -> None:
    second = RemoteRecord.objects.create(server=Server.NINJA, kind=RecordKind.TASK, our_key="TT2-1")
    taken: list[Any] = []

    def other() -> None:
        taken.append(take_next())
        connection.close()

    with transaction.atomic():
        RemoteRecord.objects.select_for_update().get(pk=record.pk)
        thread = threading.Thread(target=other)
        thread.start()
        thread.join(10)

    assert taken == [second]
    assert RemoteRecord.objects.get(pk=record.pk).state == "pending"
