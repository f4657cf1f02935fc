"""The worker that reminds is killed at every arrow of a reminder: the next round ends in at most one mail."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
from django.utils import timezone

from billing_console import clock, states
from billing_console.states import ReminderState
from invoicing import creating, payments, reminding, sending
from invoicing.models import Invoice, Reminder
from tests.crash.conftest import Nursery, kill_when
from tests.crash.rounds import KILLED, MOMENTS, approve_one, arrows_of
from tests.invoicing.world import make_user
from tests.outbound import fresh, states_of
from tests.standins import World

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

REMINDER = "invoicing.reminder"
REMIND = "invoicing.reminding.remind_due"
FEBRUARY = dt.datetime(2026, 2, 20, 9, tzinfo=dt.UTC)
BY_PERSON = {("attention", "sent")}
BY_WORKER = {("pending", "sending"), ("pending", "refused"), ("sending", "sent"), ("attention", "refused")}
WITHOUT_PROOF = {("sending", "attention"), ("sending", "refused"), ("sending", "pending")}


def test_every_arrow_of_a_reminder_has_a_case() -> None:
    assert arrows_of(states.REMINDER) == BY_PERSON | BY_WORKER | WITHOUT_PROOF


@pytest.fixture
def owed(near: World) -> Invoice:
    invoice = approve_one(near, 0)
    creating.create_due()
    row = fresh(invoice)
    sending.request_sending(row, seal=row.seal, user=None)
    sending.send_due()
    near.go_to(FEBRUARY)
    payments.poll()
    return Invoice.objects.get()


def ask(invoice: Invoice) -> Reminder:
    """The next one; the mails before it are forgotten here, not there."""
    Reminder.objects.update(reminded_at=None)
    Invoice.objects.update(last_mail_on=None)
    balance = fresh(invoice).balance
    return reminding.request_reminder(invoice, text="reminder1", balance=balance, user=make_user("Approver"))


def reminders_there(world: World) -> int:
    return sum(mail["template"] == "reminder1" for mail in world.ninja.state()["mails"])


def next_rounds(*, patience: bool = True) -> None:
    """Leases and pauses are over; without `patience` also the time that a proof may take."""
    past = timezone.now() - dt.timedelta(seconds=1)
    Reminder.objects.exclude(lease_until=None).update(lease_until=past)
    Reminder.objects.update(not_before=None)
    if not patience:
        Reminder.objects.exclude(called_at=None).update(called_at=past - dt.timedelta(hours=1))
    reminding.remind_due()


def forget_mails(world: World) -> None:
    """So that the next one is not too early by what Invoice Ninja says."""
    with world.ninja.store.memory.transaction():
        for row in world.ninja.store["invoices"].all():
            world.ninja.store.save("invoices", row["id"], last_sent_date="")


@pytest.mark.parametrize("arrow", [("pending", "sending"), ("sending", "sent")], ids="→".join)
def test_a_reminder_killed_at_an_arrow_leaves_once(
    near: World, nursery: Nursery, owed: Invoice, arrow: tuple[str, str]
) -> None:
    for number, moment in enumerate(MOMENTS):
        forget_mails(near)
        reminder = ask(owed)
        assert nursery.run(REMIND, die_at=(REMINDER, *arrow, moment)) == KILLED

        next_rounds()
        if (arrow, moment) == (("pending", "sending"), "after"):  # committed, and died before the call: nobody knows
            assert fresh(reminder).state == ReminderState.SENDING
            next_rounds(patience=False)
            assert fresh(reminder).state == ReminderState.ATTENTION
            assert reminders_there(near) == number
        else:
            assert fresh(reminder).state == ReminderState.SENT
            assert reminders_there(near) == number + 1


def test_a_reminder_killed_while_the_server_mails_is_proven(near: World, nursery: Nursery, owed: Invoice) -> None:
    forget_mails(near)
    reminder = ask(owed)
    near.fail("ninja", kind="delay", seconds=3, after=True, method="POST", path="/api/v1/emails")

    assert nursery.run(REMIND, middle=kill_when(lambda: reminders_there(near) == 1)) == KILLED

    next_rounds()
    assert fresh(reminder).state == ReminderState.SENT
    assert reminders_there(near) == 1


def test_a_refusal_killed_at_its_arrow_is_refused_once_more(near: World, nursery: Nursery, owed: Invoice) -> None:
    near.api_ninja("POST", "/invoices/bulk", {"action": "mark_paid", "ids": [owed.remote.remote_id]})
    for moment in MOMENTS:
        Invoice.objects.update(state="sent", balance=Decimal(1), remote_updated_at=None)
        reminder = ask(owed)
        assert nursery.run(REMIND, die_at=(REMINDER, "pending", "refused", moment)) == KILLED
        next_rounds()
        assert fresh(reminder).state == ReminderState.REFUSED
    assert reminders_there(near) == 0


@pytest.mark.parametrize(
    ("arrow", "fault"),
    [(("sending", "attention"), {"kind": "refused"}), (("sending", "refused"), {"kind": "status", "status": 422})],
    ids=["attention", "refused"],
)
def test_what_was_not_mailed_and_killed_at_its_arrow_is_not_mailed(
    near: World, nursery: Nursery, owed: Invoice, arrow: tuple[str, str], fault: dict[str, object]
) -> None:
    for moment in MOMENTS:
        forget_mails(near)
        Reminder.objects.update(state=ReminderState.REFUSED)
        reminder = ask(owed)
        near.fail("ninja", **fault, method="POST", path="/api/v1/emails", count=1)
        if arrow[1] == "attention":
            reminding.remind_due()
            past = timezone.now() - dt.timedelta(hours=1)
            Reminder.objects.filter(pk=reminder.pk).update(called_at=past, not_before=None, lease_until=None)
        assert nursery.run(REMIND, die_at=(REMINDER, *arrow, moment)) == KILLED

        next_rounds(patience=False)

        assert fresh(reminder).state in (arrow[1], ReminderState.ATTENTION)  # the 422 was forgotten: a person decides
        assert reminders_there(near) == 0


def test_what_was_taken_for_a_repetition_and_killed_at_its_arrow_is_mailed_at_most_once(
    near: World, nursery: Nursery, owed: Invoice
) -> None:
    for moment in MOMENTS:
        forget_mails(near)
        Reminder.objects.update(state=ReminderState.REFUSED)
        reminder = ask(owed)
        body = {"message": "Duplicate request"}
        near.fail("ninja", kind="status", status=400, body=body, method="POST", path="/api/v1/emails", count=1)
        assert nursery.run(REMIND, die_at=(REMINDER, "sending", "pending", moment)) == KILLED

        next_rounds(patience=False)

        is_done = moment == "after"  # before, the refusal was forgotten: a person decides
        assert fresh(reminder).state == (ReminderState.SENT if is_done else ReminderState.ATTENTION)
        assert reminders_there(near) == is_done


@pytest.mark.parametrize("to", ["sent", "refused"])
def test_a_last_look_killed_at_its_arrow_is_taken_once_more(
    near: World, nursery: Nursery, owed: Invoice, to: str
) -> None:
    for number, moment in enumerate(MOMENTS):
        forget_mails(near)
        near.ninja.seed({"switches": {"mail_mode": "queued", "mail_delay_seconds": None}})
        reminder = ask(owed)
        reminding.remind_due()
        next_rounds(patience=False)
        assert fresh(reminder).state == ReminderState.ATTENTION
        if to == "sent":
            near.ninja.seed({"run_mail_queue": True})
        reminding.decide(fresh(reminder), arrived=False, user=make_user("Approver"), note="they say no")

        assert nursery.run(REMIND, die_at=(REMINDER, "attention", to, moment)) == KILLED
        next_rounds()

        assert fresh(reminder).state == to
        assert reminders_there(near) == number + 1  # asked for, and left or not by now; never twice


def test_a_decision_killed_at_its_arrow_is_taken_wholly_or_not(near: World, nursery: Nursery, owed: Invoice) -> None:
    with clock.set_to(FEBRUARY):
        forget_mails(near)
        reminder = ask(owed)
    for moment in MOMENTS:
        Reminder.objects.update(state="attention", sentence="")
        trail = len(states_of(reminder))
        die_at = (REMINDER, "attention", "sent", moment)

        assert nursery.run("tests.crash.acts.decide_reminder", reminder.pk, True, die_at=die_at) == KILLED

        row = fresh(reminder)
        is_done = moment == "after"
        assert (row.state, row.sentence) == (("sent", "asked them") if is_done else ("attention", ""))
        assert len(states_of(reminder)) == trail + is_done
