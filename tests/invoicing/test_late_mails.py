"""After days in which the console stood still: what was due is done at once; what was to be mailed is asked again."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.db.models import F
from django.utils import timezone

from billing_console import clock
from billing_console.states import InvoiceState, ReminderState
from invoicing import by_rule, late_mails, redating, reminding, sending, tasks
from invoicing.models import Invoice, InvoiceRun, Reminder, Sending
from tests.invoicing.test_by_rule import create_remotely
from tests.invoicing.test_reminding import GROSS, owed, reminders_there  # noqa: F401
from tests.invoicing.world import IN_JANUARY, built, make_client, make_project, make_user, make_work
from tests.outbound import created_invoice, fresh
from tests.standins import World

pytestmark = pytest.mark.django_db

DAY = dt.timedelta(days=1)


def asleep(days: int, model: type[Sending] | type[Reminder]) -> None:
    """So long ago it was asked for; nothing was done since."""
    model.objects.update(asked_at=F("asked_at") - days * DAY)


@pytest.mark.parametrize("days", [2, 31])
def test_a_mail_of_days_ago_is_not_sent_by_itself_and_may_be_sent_with_todays_date(world: World, days: int) -> None:
    invoice = created_invoice(world)
    sending.request_sending(invoice, seal=invoice.seal, user=make_user("Approver"))
    asked_on = clock.today(invoice.timezone)
    world.go_to(clock.now() + days * DAY)
    asleep(days, Sending)

    tasks.send_invoices()

    invoice = fresh(invoice)
    assert world.mails() == []
    assert invoice.state == InvoiceState.ATTENTION
    assert invoice.attention_sentence == (
        f"It was asked for on {asked_on.day} Jan 2026 and could not leave until today, so it was not mailed. "
        "Look at it again."
    )
    sending.decide(invoice, was_sent=False, user=make_user("Approver"), note="It never left")
    invoice = fresh(invoice)
    assert redating.new_date(invoice) == clock.today(invoice.timezone)
    sending.request_sending(invoice, seal=invoice.seal, user=make_user("Approver"))
    tasks.send_invoices()
    assert world.mails() == ["billing@acme.example"]


def test_a_mail_of_yesterday_leaves(world: World) -> None:
    invoice = created_invoice(world)
    sending.request_sending(invoice, seal=invoice.seal, user=make_user("Approver"))
    world.go_to(clock.now() + DAY)
    asleep(1, Sending)

    tasks.send_invoices()

    assert world.mails() == ["billing@acme.example"]


def test_how_late_is_a_setting(world: World, settings: Any) -> None:
    settings.LATE_MAIL_DAYS = 7
    invoice = created_invoice(world)
    sending.request_sending(invoice, seal=invoice.seal, user=make_user("Approver"))
    world.go_to(clock.now() + 5 * DAY)
    asleep(5, Sending)

    tasks.send_invoices()

    assert world.mails() == ["billing@acme.example"]


def test_a_reminder_of_days_ago_is_not_sent_by_itself(world: World, owed: Invoice) -> None:  # noqa: F811
    reminding.request_reminder(owed, text="reminder1", balance=GROSS, user=make_user("Approver"))
    asleep(3, Reminder)

    tasks.send_reminders()

    row = Reminder.objects.get()
    assert (row.state, reminders_there(world)) == (ReminderState.REFUSED, [])
    assert "could not leave until today" in row.sentence
    reminding.request_reminder(owed, text="reminder1", balance=GROSS, user=make_user("Approver"))
    tasks.send_reminders()
    assert len(reminders_there(world)) == 1


@pytest.mark.parametrize(("days", "sent"), [(0, 1), (1, 1), (2, 0), (31, 0)])
def test_by_rule_nothing_is_mailed_days_after_its_approval(days: int, sent: int) -> None:
    with clock.set_to(IN_JANUARY):
        make_work(make_project(make_client(auto_send=True)))
        invoice = built().invoices.get()
        create_remotely(invoice)
    Invoice.objects.update(approved_at=timezone.now() - days * DAY)

    with clock.set_to(IN_JANUARY + days * DAY):
        assert by_rule.send_created() == sent

    assert fresh(invoice).state == (InvoiceState.SENDING if sent else InvoiceState.CREATED)


@pytest.mark.parametrize("days", [1, 9, 40])
def test_runs_whose_day_was_slept_over_are_made_at_once_and_bill_each_month_once(days: int) -> None:
    """Beat rings once when it wakes. The run of the 1st is made then, and the one that came after it too."""
    project = make_project(make_client(auto_send=True))
    make_work(project, closed=dt.datetime(2025, 12, 20, 9, tzinfo=dt.UTC))
    make_work(project, closed=dt.datetime(2026, 1, 20, 9, tzinfo=dt.UTC))
    with clock.set_to(dt.datetime(2025, 12, 31, 10, tzinfo=dt.UTC)):
        tasks.build_runs()
    assert not InvoiceRun.objects.exists()

    with clock.set_to(dt.datetime(2025, 12, 31, 10, tzinfo=dt.UTC) + days * DAY):
        for _ring in range(3):  # the first makes the one, the next what is due after it
            tasks.build_runs()

        months = [run.period_start.month for run in InvoiceRun.objects.order_by("period_start")]
        assert months == ([12, 1] if days == 40 else [12])
        assert Invoice.objects.count() == len(months)
        assert {row.invoice_date for row in Invoice.objects.all()} == {clock.today("Europe/Brussels")}


@pytest.mark.parametrize(
    ("asked", "now", "days"),
    [
        # Summer time ends on 25 October 2026 at 3:00, and begins on 28 March 2027 at 2:00.
        ("2026-10-24T22:30+02:00", "2026-10-25T23:30+01:00", 1),
        ("2026-10-24T23:59+02:00", "2026-10-26T00:01+01:00", 2),
        ("2027-03-27T23:30+01:00", "2027-03-28T23:30+02:00", 1),
        ("2027-02-28T23:59+01:00", "2027-03-01T00:01+01:00", 1),
        ("2026-12-31T23:59+01:00", "2027-01-01T00:01+01:00", 1),
        ("2026-12-31T00:01+01:00", "2026-12-31T23:59+01:00", 0),
    ],
)
def test_days_are_those_of_the_office(asked: str, now: str, days: int) -> None:
    then, present = dt.datetime.fromisoformat(asked), dt.datetime.fromisoformat(now)
    with clock.set_to(present):
        assert late_mails.days_late(timezone.now() - (present - then), "Europe/Brussels") == days
