"""A worker has no descriptor for a call's socket, or no memory, at each point of each kind of write.

What it could not begin was surely not done: it waits and is tried again, and nobody is asked. What may have been done
is looked up by our key. Either way each thing is there once.
"""

from __future__ import annotations

from typing import Any

import pytest

from billing_console.states import RecordState, ReminderState
from invoicing.models import Invoice, Sending
from sync.models import RemoteRecord, UpstreamCall, UpstreamGate
from tests.crash.conftest import Nursery
from tests.crash.test_reminder_kills import ask as ask_reminder
from tests.crash.test_reminder_kills import forget_mails, next_rounds, owed, reminders_there  # noqa: F401 -- a fixture
from tests.crash.test_signals import RECORDS, WRITES
from tests.crash.test_sleepers import SLOTS
from tests.outbound import fresh, states_of
from tests.standins import World

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

POINTS = [  # without memory: before its bytes may leave, while the answer is read, when the outcome is written
    "fence",
    "read",
    pytest.param("answered", marks=pytest.mark.long),
]


def long_ones(*kinds: str) -> list[Any]:
    return [pytest.param(kind, marks=pytest.mark.long) for kind in kinds]


@pytest.fixture(autouse=True)
def patient(near: World, settings: Any) -> None:
    settings.RETRY_BASE_SECONDS = 600  # what waits to be tried again does so until the next rounds


def row_of(kind: str, what: Any) -> Any:
    if kind == "provision":
        return RemoteRecord.objects.filter(pk=what.pk).first() or what
    return what if kind == "mail" else RemoteRecord.objects.get(kind="invoice" if kind == "end" else kind)


def assert_no_server_is_blamed() -> None:
    assert not UpstreamGate.objects.filter(failures__gt=0).exists()


@pytest.mark.parametrize("kind", ["task", "mail", *long_ones(*(kind for kind in RECORDS if kind != "task"))])
def test_without_a_descriptor_for_its_socket_a_call_is_surely_not_made(
    near: World, nursery: Nursery, kind: str
) -> None:
    case, number = WRITES[kind].case, SLOTS.get(kind, 5)
    what = case.ask(near, 0)
    UpstreamCall.objects.all().delete()

    for slot in range(1, number + 1):  # each call of the write in turn, its own too
        assert nursery.run(case.worker, lacks_at=("EMFILE", "slot", slot, "")) == 0
        assert "attention" not in states_of(row_of(kind, what))
        if UpstreamCall.objects.exclude(method="GET").filter(status__gte=200).exists():
            break  # it was written; what could not be read back is looked up
        if kind != "mail":
            assert row_of(kind, what).state == RecordState.RETRY
            RemoteRecord.objects.update(not_before=None)
        else:
            assert Sending.objects.get().is_called is False
            Sending.objects.update(not_before=None)
    assert_no_server_is_blamed()
    case.rounds()
    case.assert_once(near, 0, what)
    assert "attention" not in states_of(row_of(kind, what))


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("kind", ["task", "mail", *long_ones(*(kind for kind in RECORDS if kind != "task"))])
def test_without_memory_each_thing_is_done_once(near: World, nursery: Nursery, kind: str, point: str) -> None:
    case = WRITES[kind].case
    what = case.ask(near, 0)

    assert nursery.run(case.worker, lacks_at=("MemoryError", point, 1, "")) == 0

    if kind != "mail":
        expected = RecordState.RETRY if point == "fence" else RecordState.IN_DOUBT
        assert (row_of(kind, what).state, row_of(kind, what).claim_id) == (expected, None)
    else:
        row = Sending.objects.get()
        assert (row.is_called, row.lease_until) == (point != "fence", None)
    assert_no_server_is_blamed()
    case.rounds()
    case.assert_once(near, 0, what)
    assert "attention" not in states_of(row_of(kind, what))


LARGE = "x" * 40_000_000


@pytest.mark.parametrize("kind", ["task", "mail", *long_ones("invoice", "credit")])
def test_an_answer_that_no_memory_is_left_for_is_looked_up(near: World, nursery: Nursery, kind: str) -> None:
    """For real: a few megabytes are left, and the answer has forty."""
    case, call = WRITES[kind].case, WRITES[kind].call
    what = case.ask(near, 0)
    near.fail(**{"server": "ninja", **call}, kind="status", status=200, body={"data": LARGE}, after=True)

    assert nursery.run(case.worker, lacks_at=("ENOMEM", "fence", 1, "")) == 0

    if kind == "mail":
        assert (Sending.objects.get().is_called, len(near.mails())) == (True, 1)
    else:
        assert row_of(kind, what).state == RecordState.IN_DOUBT
    case.rounds()
    case.assert_once(near, 0, what)
    assert "attention" not in states_of(row_of(kind, what))


@pytest.mark.parametrize("kind", ["task", "mail", *long_ones("status", "invoice")])
def test_without_a_descriptor_for_postgresql_what_was_not_written_is_given_back(
    near: World, nursery: Nursery, kind: str
) -> None:
    """The connection is gone when it is asked whether the bytes may leave, and comes back two seconds later."""
    case = WRITES[kind].case
    what = case.ask(near, 0)

    assert nursery.run(case.worker, lacks_at=("database", "fence", 1, "")) in (0, 1)  # 1: the task fails

    if kind == "mail":
        row = Sending.objects.get()
        assert (row.is_called, row.lease_until, near.mails()) == (False, None, [])
    else:
        assert (row_of(kind, what).state, row_of(kind, what).claim_id) == (RecordState.RETRY, None)
    case.rounds()
    case.assert_once(near, 0, what)
    assert "attention" not in states_of(row_of(kind, what))


@pytest.mark.parametrize(
    "lack", [("EMFILE", "slot", 5, ""), ("MemoryError", "fence", 1, ""), ("MemoryError", "read", 1, "")]
)
def test_a_reminder_without_a_descriptor_or_memory_leaves_once(
    near: World,
    nursery: Nursery,
    owed: Invoice,  # noqa: F811
    lack: tuple[str, str, int, str],
) -> None:
    forget_mails(near)
    reminder = ask_reminder(owed)

    assert nursery.run("invoicing.reminding.remind_due", lacks_at=lack) == 0

    if lack[1] == "fence":
        assert fresh(reminder).state == ReminderState.PENDING
    next_rounds()
    assert (fresh(reminder).state, reminders_there(near)) == (ReminderState.SENT, 1)
    assert "attention" not in states_of(fresh(reminder))
