"""A worker is frozen at each point of each kind of write, and wakes when another has finished: nothing is done twice.

Its machine was paused, its lid was closed. Meanwhile its lease ran out, what it was at was looked up and done by
another; it finds its own clocks where they were. `test_twins` freezes it at the last point, when its bytes leave.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from billing_console.states import InvoiceState, ReminderState
from invoicing import creating, credit_use, payments, sending
from invoicing.models import Credit, Invoice, Reminder
from sync import push
from sync.models import RecordKind, RemoteRecord
from tests.crash.conftest import Nursery, is_frozen
from tests.crash.rounds import add_entry, approve_one, ask_to_mark, assert_one_invoice_each, sweep
from tests.crash.test_arrows import ask_credit, only_wanted, things_like
from tests.crash.test_invoice_kills import ask, sweep_sendings
from tests.crash.test_kills import assert_one_status, assert_one_task_each
from tests.crash.test_reminder_kills import ask as ask_reminder
from tests.crash.test_reminder_kills import forget_mails, owed, reminders_there  # noqa: F401 -- owed: a fixture
from tests.invoicing.world import make_user
from tests.outbound import fresh, states_of
from tests.standins import World

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]


class Case(NamedTuple):
    """One kind of write: what is asked for, by which worker it is done, and that it was done once."""

    ask: Callable[[World, int], Any]
    worker: str
    rounds: Callable[[], None]
    assert_once: Callable[[World, int, Any], None]


def rounds_of(kind: str) -> Callable[[], None]:
    def rounds() -> None:
        for _look_up_and_write in range(2):
            sweep(kind)

    return rounds


def ask_status(world: World, number: int) -> Any:
    entry = add_entry(world, f"Slept over {number}")
    push.push_due()
    return entry


def ask_mark(world: World, number: int) -> Any:
    invoice = approve_one(world, number)
    creating.create_due()
    return ask_to_mark(fresh(invoice))


def ask_use(world: World, number: int) -> Any:
    credit = ask_credit(world, number)
    sweep("credit")
    payments.poll()
    world.ninja.store.guard.clear()
    return credit_use.request_use(fresh(credit))


def one_use(world: World, number: int, record: Any) -> None:
    assert fresh(record).state == "synced"
    assert len(world.api_ninja("GET", "/payments")["data"]) == number + 1


def one_mark(world: World, number: int, record: Any) -> None:
    assert (fresh(record).state, world.invoices()[-1]["status_id"], world.mails()) == ("synced", "2", [])


def one_credit(world: World, number: int, credit: Any) -> None:
    assert fresh(credit.remote).state == "synced"
    there = world.api_ninja("GET", "/credits?per_page=5000&sort=id|asc")["data"]
    assert [row["private_notes"] for row in there] == [row.key for row in Credit.objects.order_by("pk")]


def one_thing(world: World, number: int, record: Any) -> None:
    (there,) = things_like(world, record)
    assert (fresh(record).state, fresh(record).seen["id"]) == ("synced", there["id"])
    RemoteRecord.objects.filter(kind="provision").delete()


def one_mail(world: World, number: int, invoice: Any) -> None:
    assert len(world.mails()) == number + 1
    assert fresh(invoice).state == InvoiceState.SENT


CASES = {
    "task": Case(
        lambda world, number: add_entry(world, f"Slept over {number}"),
        "sync.push.push_due",
        rounds_of("task"),
        lambda world, number, entry: assert_one_task_each(world),
    ),
    "status": Case(
        ask_status,
        "sync.writeback.write_due",
        rounds_of("status"),
        lambda world, number, entry: assert_one_status(world, entry),
    ),
    "invoice": Case(
        approve_one,
        "invoicing.creating.create_due",
        rounds_of("invoice"),
        lambda world, number, invoice: assert_one_invoice_each(world),
    ),
    "mark_sent": Case(ask_mark, "invoicing.marking.mark_due", rounds_of("mark_sent"), one_mark),
    "credit": Case(ask_credit, "invoicing.crediting.write_due", rounds_of("credit"), one_credit),
    "credit_use": Case(ask_use, "invoicing.credit_use.write_due", rounds_of("credit_use"), one_use),
    "provision": Case(
        lambda world, number: only_wanted(world, number + 1, "hook"),
        "sync.provision_calls.provision_due",
        rounds_of("provision"),
        one_thing,
    ),
    "mail": Case(ask, "invoicing.sending.send_due", sweep_sendings, one_mail),
}
SLOTS = {"task": 2, "status": 3, "invoice": 5, "mark_sent": 3, "credit": 3, "credit_use": 3, "provision": 3, "mail": 5}


def test_every_kind_of_write_has_a_case() -> None:
    assert {*RecordKind.values, "mail"} == set(CASES) == set(SLOTS)


def sleep_over(nursery: Nursery, case: Case, point: str, number: int, *, start: str = "") -> bool:
    """The worker freezes at the point, others finish, it wakes; False where it never came to that point."""
    froze = []

    def middle(pid: int) -> None:
        froze.append(is_frozen(pid))
        if froze[0]:
            try:
                case.rounds()
            finally:
                os.kill(pid, signal.SIGCONT)

    code = nursery.run(case.worker, freeze_at=(point, number, start), middle=middle)
    assert code in (0, 1)  # 1: it slept with a turn in hand, and whoever waited for that ended its session
    return froze[0]


@pytest.mark.parametrize("kind", CASES)
def test_a_worker_that_sleeps_before_a_call_makes_it_no_more(near: World, nursery: Nursery, kind: str) -> None:
    case, slept = CASES[kind], 0
    for number in range(2 if kind == "provision" else SLOTS[kind]):  # there are two projects
        what = case.ask(near, number)
        slept += sleep_over(nursery, case, "slot", SLOTS[kind] - number)
        case.assert_once(near, number, what)
    assert slept >= 2  # before the write itself, and before something that is read


@pytest.mark.parametrize("kind", [kind for kind in CASES if kind != "mail"])
def test_a_worker_that_sleeps_until_its_bytes_are_to_leave_keeps_them(near: World, nursery: Nursery, kind: str) -> None:
    case = CASES[kind]
    what = case.ask(near, 0)

    assert sleep_over(nursery, case, "fence", 1)

    case.assert_once(near, 0, what)


def test_a_mail_whose_bytes_slept_asks_a_person_and_leaves_once(near: World, nursery: Nursery) -> None:
    """It was committed that it is called: nobody else knows whether it was, until the sleeper says that it was not."""
    invoice = ask(near, 0)

    def rounds() -> None:
        sweep_sendings()
        sweep_sendings(patience=False)
        assert fresh(invoice).state == InvoiceState.ATTENTION
        sending.decide(fresh(invoice), was_sent=False, user=make_user("Approver"), note="they say no")
        sweep_sendings()
        row = fresh(invoice)
        sending.request_sending(row, seal=row.seal, user=None)
        sweep_sendings()
        assert len(near.mails()) == 1

    case = Case(ask, "invoicing.sending.send_due", rounds, one_mail)
    assert sleep_over(nursery, case, "fence", 1)

    one_mail(near, 0, invoice)


def test_a_mail_whose_bytes_slept_and_that_nobody_looked_for_is_taken_back(near: World, nursery: Nursery) -> None:
    invoice = ask(near, 0)

    def lease_ends() -> None:
        invoice.sendings.update(lease_until="2020-01-01T00:00Z")

    assert sleep_over(nursery, Case(ask, "invoicing.sending.send_due", lease_ends, one_mail), "fence", 1)

    one_mail(near, 0, invoice)  # the same worker goes on with it
    assert invoice.sendings.get().attempts == 2
    assert states_of(fresh(invoice)).count("attention") == 0


def test_who_sleeps_with_every_slot_in_hand_holds_nobody_up(near: World, nursery: Nursery, settings: Any) -> None:
    """A paused machine keeps its sessions, and with them their locks, until somebody ends them."""
    settings.UPSTREAM_CALLS_AT_A_TIME = 1
    for number in range(2):
        add_entry(near, f"Every slot {number}")

    def rounds() -> None:
        for _wait in range(4):
            sweep("task")

    case = Case(approve_one, "sync.push.push_due", rounds, CASES["task"].assert_once)
    assert sleep_over(nursery, case, "fence", 1)  # its slot is taken by then

    assert_one_task_each(near)


def test_a_reminder_whose_bytes_slept_is_taken_back_and_leaves_once(
    near: World,
    nursery: Nursery,
    owed: Invoice,  # noqa: F811
) -> None:
    forget_mails(near)
    reminder = ask_reminder(owed)

    def lease_ends() -> None:
        Reminder.objects.update(lease_until="2020-01-01T00:00Z")

    case = Case(ask, "invoicing.reminding.remind_due", lease_ends, one_mail)
    assert sleep_over(nursery, case, "fence", 1)

    assert (fresh(reminder).state, reminders_there(near)) == (ReminderState.SENT, 1)
    assert states_of(fresh(reminder)) == ["pending", "sending", "pending", "sending", "sent"]
