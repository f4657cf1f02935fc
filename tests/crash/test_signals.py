"""A worker is stopped by a signal at each kind of write: what is known is known at once, and the rest is looked up.

Ctrl-C (SIGINT) and a stop (SIGTERM) unwind where the main thread works: an exception that is no failure of a call goes
through all our `except`, `finally` and context managers. None may say of bytes that left that they did not, nor of
bytes that stayed that nobody knows. `tests/billing_console/test_stopping.py` stops real workers, whose calls are made
in threads that no signal reaches.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from billing_console.states import InvoiceState, RecordState, ReminderState
from invoicing import creating, ending
from invoicing.models import Invoice, Reminder, Sending
from sync.models import RemoteRecord, UpstreamCall
from tests.crash.conftest import Nursery, kill_when
from tests.crash.nursery import UNWOUND
from tests.crash.rounds import approve_one
from tests.crash.test_arrows import MAKE, PATCH, POST_CREDIT, POST_PAYMENT, things_like
from tests.crash.test_invoice_kills import BULK, EMAIL, POST_INVOICE, has_died, sweep_sendings
from tests.crash.test_kills import POST_TASK
from tests.crash.test_reminder_kills import ask as ask_reminder
from tests.crash.test_reminder_kills import forget_mails, next_rounds, owed, reminders_there  # noqa: F401 -- a fixture
from tests.crash.test_sleepers import CASES, Case, rounds_of
from tests.invoicing.world import make_user
from tests.outbound import fresh, states_of
from tests.standins import World

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]


class Write(NamedTuple):
    """A kind of write: its case, the call that writes, and whether the server has done it."""

    case: Case
    call: dict[str, Any]
    is_done: Callable[[World, Any], bool]


def ask_end(world: World, number: int) -> Invoice:
    invoice = approve_one(world, number)
    creating.create_due()
    ending.request_end(fresh(invoice), seal=invoice.seal, user=make_user("Approver"), note="wrong client")
    return invoice


def one_end(world: World, number: int, invoice: Invoice) -> None:
    assert [has_died(row) for row in world.invoices()] == [True]
    assert fresh(invoice).state == InvoiceState.CANCELLED


def is_used(world: World, record: Any) -> bool:
    return bool(world.api_ninja("GET", "/payments")["data"])


def is_credited(world: World, credit: Any) -> bool:
    return bool(world.api_ninja("GET", "/credits?per_page=5000&sort=id|asc")["data"])


WRITES = {
    "task": Write(CASES["task"], POST_TASK, lambda world, entry: bool(world.tasks())),
    "status": Write(
        CASES["status"], PATCH, lambda world, entry: "Invoice Status" in world.named_values(entry.item.taiga_id)
    ),
    "invoice": Write(CASES["invoice"], POST_INVOICE, lambda world, invoice: bool(world.invoices())),
    "mark_sent": Write(CASES["mark_sent"], BULK, lambda world, record: world.invoices()[0]["status_id"] == "2"),
    "credit": Write(CASES["credit"], POST_CREDIT, is_credited),
    "credit_use": Write(CASES["credit_use"], POST_PAYMENT, is_used),
    "provision": Write(CASES["provision"], MAKE, lambda world, record: bool(things_like(world, record))),
    "end": Write(
        Case(ask_end, "invoicing.creating.create_due", rounds_of("invoice"), one_end),
        BULK,
        lambda world, invoice: has_died(world.invoices()[0]),
    ),
    "mail": Write(CASES["mail"], EMAIL, lambda world, invoice: bool(world.mails())),
}
RECORDS = [kind for kind in WRITES if kind != "mail"]
LONG = pytest.mark.long
STOPS = [  # (signal, point); SIGTERM goes the same way through our code
    pytest.param("SIGINT", "fence", id="ctrl-c before its bytes may leave"),
    pytest.param("SIGINT", "flight", id="ctrl-c when its bytes leave", marks=LONG),
    pytest.param("SIGINT", "works", id="ctrl-c while the server works"),
    pytest.param("SIGINT", "answered", id="ctrl-c when it was answered", marks=LONG),
    pytest.param("SIGTERM", "fence", id="stop before its bytes may leave", marks=LONG),
    pytest.param("SIGTERM", "works", id="stop while the server works", marks=LONG),
]


def test_every_kind_of_write_is_stopped() -> None:
    assert WRITES.keys() == CASES.keys() | {"end"}


def stop(world: World, nursery: Nursery, name: str, point: str, write: Write, what: Any) -> None:
    """The worker gets the signal at the point of its first write, and unwinds."""
    if point == "works":  # the server has done it, and has not answered
        world.fail(**{"server": "ninja", **write.call}, kind="delay", seconds=1.5, after=True)
        middle = kill_when(lambda: write.is_done(world, what), signal.Signals[name])
        code = nursery.run(write.case.worker, middle=middle)
    else:
        code = nursery.run(write.case.worker, stop_at=(name, point, 1, start_of(write.call)))
    assert code == UNWOUND


def start_of(call: dict[str, Any]) -> str:
    """How its request begins."""
    if call is PATCH:
        return "PATCH /"
    path = "/api/v1/webhooks$" if call is MAKE else call["path"]
    return f"{call['method']} {path.replace('$', ' ')}"


def assert_nobody_is_asked(row: Any) -> None:
    assert "attention" not in states_of(row)


def assert_journal_says_so(point: str) -> None:
    """Of a call whose answer nobody read the journal says that there is none, and of one that was not made nothing."""
    last = UpstreamCall.objects.exclude(method="GET").order_by("pk").last()
    if point == "fence":
        assert last is None or last.status is not None
    elif point == "works":
        assert last is not None
        assert (last.status, last.error) in ((None, "KeyboardInterrupt"), (None, "Stopped"))


@pytest.mark.parametrize(("name", "point"), STOPS)
@pytest.mark.parametrize("kind", RECORDS)
def test_a_write_that_is_stopped_is_done_once_and_asks_nobody(
    near: World, nursery: Nursery, kind: str, name: str, point: str
) -> None:
    write = WRITES[kind]
    what = write.case.ask(near, 0)

    stop(near, nursery, name, point, write, what)

    record = RemoteRecord.objects.get(kind="invoice" if kind == "end" else kind)
    if point == "fence":  # nothing was written, and nobody waits for a lease that nobody uses
        assert (record.state, record.claim_id, record.lease_until) == (RecordState.RETRY, None, None)
    else:
        assert (record.state, record.claim_id is None) == (RecordState.IN_FLIGHT, False)
    assert_journal_says_so(point)
    write.case.rounds()
    write.case.assert_once(near, 0, what)
    assert_nobody_is_asked(record)


@pytest.mark.parametrize(("name", "point"), STOPS)
def test_a_mail_that_is_stopped_leaves_once_and_asks_nobody_about_what_is_known(
    near: World, nursery: Nursery, name: str, point: str
) -> None:
    write = WRITES["mail"]
    invoice = write.case.ask(near, 0)

    stop(near, nursery, name, point, write, invoice)

    row = Sending.objects.get()
    assert row.is_called is (point != "fence")
    if point == "fence":
        assert (row.called_at, row.lease_until, row.mails.count()) == (None, None, 0)
    assert_journal_says_so(point)
    sweep_sendings()
    if point == "flight":  # whether they left nobody knows
        sweep_sendings(patience=False)
        assert (fresh(invoice).state, near.mails()) == (InvoiceState.ATTENTION, [])
    else:
        write.case.assert_once(near, 0, invoice)
        assert_nobody_is_asked(invoice)


@pytest.mark.parametrize(("name", "point"), STOPS)
def test_a_reminder_that_is_stopped_leaves_once_and_asks_nobody_about_what_is_known(
    near: World,
    nursery: Nursery,
    owed: Invoice,  # noqa: F811
    name: str,
    point: str,
) -> None:
    forget_mails(near)
    reminder = ask_reminder(owed)
    case = Case(ask_reminder, "invoicing.reminding.remind_due", next_rounds, lambda world, number, what: None)
    write = Write(case, EMAIL, lambda world, _what: reminders_there(world) == 1)

    stop(near, nursery, name, point, write, reminder)

    row = Reminder.objects.get()
    if point == "fence":
        assert (row.state, row.called_at, row.lease_until, row.mails) == (ReminderState.PENDING, None, None, [])
    else:
        assert (row.state, row.called_at is None) == (ReminderState.SENDING, False)
    next_rounds()
    if point == "flight":  # whether it left nobody knows
        next_rounds(patience=False)
        assert (fresh(reminder).state, reminders_there(near)) == (ReminderState.ATTENTION, 0)
    else:
        assert (fresh(reminder).state, reminders_there(near)) == (ReminderState.SENT, 1)
        assert_nobody_is_asked(reminder)
