"""Compare again reads exactly that invoice; a client's new currency is an alarm and a drift of what is open."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from django.urls import reverse

from billing_console.errors import NotAllowed
from billing_console.states import InvoiceState, RecordState
from invoicing import adopting, comparing, creating, payments, reminding, sending
from invoicing.models import Deviation, Invoice, Reminder
from sync import discovery
from sync.models import Alarm
from tests.invoicing.world import make_user
from tests.outbound import approved_invoice, created_invoice, fresh, pass_by_all_changes
from tests.people import browser_of
from tests.standins import World

EUR, USD = "3", "1"


def set_currency(world: World, currency_id: str) -> None:
    world.ninja.clock.set(world.ninja.clock.now() + dt.timedelta(seconds=1))
    world.api_ninja("PUT", "/clients/client_abc123", {"settings": {"currency_id": currency_id}})


def read_all() -> None:
    discovery.refresh_invoice_ninja()
    payments.poll()


def edit(world: World, **changes: Any) -> None:
    world.ninja.clock.set(world.ninja.clock.now() + dt.timedelta(seconds=1))
    world.api_ninja("PUT", f"/invoices/{world.invoices()[-1]['id']}", changes)


def sent_invoice(world: World) -> Invoice:
    invoice = created_invoice(world)
    sending.request_sending(invoice, seal=invoice.seal, user=None)
    sending.send_due()
    return fresh(invoice)


def not_created(world: World) -> Invoice:
    """Approved; somebody changed the draft there before the console could prove it equal."""
    invoice = approved_invoice(world)
    world.fail("ninja", kind="lost_answer", method="POST", path="/api/v1/invoices$")
    creating.create_due()
    edit(world, line_items=[{**world.invoices()[0]["line_items"][0], "quantity": 1}])
    type(fresh(invoice).remote).objects.filter(pk=fresh(invoice).remote_id).update(not_before=None)
    creating.create_due()
    row = fresh(invoice)
    if row.remote.state == RecordState.IN_DOUBT:
        type(row.remote).objects.filter(pk=row.remote_id).update(not_before=dt.datetime(2020, 1, 1, tzinfo=dt.UTC))
        creating.create_due()
        row = fresh(invoice)
    assert (row.state, row.remote.state, row.remote.reason) == (InvoiceState.APPROVED, "attention", "differs_there")
    return row


def compare_again(invoice: Invoice) -> None:
    """A person presses the button, and the worker polls."""
    address = reverse("admin:invoicing_invoice_differences", args=[invoice.pk])
    assert browser_of("approver").post(address).status_code == 302
    payments.poll()


# --- compare again --------------------------------------------------------------------------------------------------


def test_an_approved_invoice_that_is_not_created_yet_is_read_again(world: World) -> None:
    invoice = not_created(world)
    edit(world, line_items=[{**world.invoices()[0]["line_items"][0], "quantity": 2}])

    compare_again(invoice)

    deviation = Deviation.objects.get(invoice=invoice, decision="")
    assert deviation.theirs["lines"][0]["quantity"] == "2"
    assert fresh(invoice).compare_asked_at is None


def test_corrected_there_and_compared_again_it_is_created(world: World) -> None:
    invoice = not_created(world)
    line = world.invoices()[0]["line_items"][0]
    ours = Deviation.objects.get(invoice=invoice, decision="").ours["lines"][0]
    edit(world, line_items=[{**line, "quantity": float(ours["quantity"])}])
    before = len(world.invoices())

    compare_again(invoice)
    assert fresh(invoice).remote.state == RecordState.PENDING
    creating.create_due()

    assert fresh(invoice).state == InvoiceState.CREATED
    assert not Deviation.objects.filter(invoice=invoice, decision="").exists()
    assert len(world.invoices()) == before


def test_it_reads_the_one_that_is_meant_even_if_nothing_changed_since_the_last_poll(world: World) -> None:
    invoice = created_invoice(world)
    edit(world, due_date="2026-03-01", date="2026-01-02")
    payments.poll()
    Deviation.objects.all().delete()
    pass_by_all_changes(world)
    payments.poll()
    assert not Deviation.objects.exists()

    compare_again(invoice)

    assert Deviation.objects.get(decision="").theirs["due_date"] == "2026-03-01"


def test_what_is_not_there_yet_is_said(world: World) -> None:
    invoice = approved_invoice(world)
    with pytest.raises(NotAllowed, match="is not in Invoice Ninja yet"):
        comparing.ask(invoice)


# --- another currency -----------------------------------------------------------------------------------------------


def test_a_sent_invoice_whose_currency_changed_is_an_alarm_and_a_drift_until_it_is_put_back(world: World) -> None:
    invoice = sent_invoice(world)
    set_currency(world, USD)

    read_all()

    alarm = Alarm.objects.get(key="other_currency", cleared_at__isnull=True)
    assert f"{invoice.client} {invoice.number}" in alarm.sentence
    deviation = Deviation.objects.get(invoice=invoice, decision="")
    assert (deviation.ours["currency"], deviation.theirs["currency"]) == ("EUR", "USD")
    against = adopting.choice(deviation)
    sentence = "Its client is in USD there by now. Put the currency back there, then compare again."
    assert (against.against_adopting, against.against_overwriting) == ([sentence], [sentence])

    set_currency(world, EUR)
    read_all()

    assert not Alarm.objects.filter(key="other_currency", cleared_at__isnull=True).exists()
    assert not Deviation.objects.filter(invoice=invoice, decision="").exists()


def test_the_drift_is_noted_once(world: World) -> None:
    sent_invoice(world)
    set_currency(world, USD)
    for _round in range(3):
        read_all()
    assert Deviation.objects.count() == 1


def test_a_reminder_in_another_currency_does_not_leave(world: World) -> None:
    invoice = sent_invoice(world)
    world.go_to(world.ninja.clock.now() + dt.timedelta(days=60))
    reminder = Reminder.objects.create(invoice=invoice, text="reminder1", balance=Decimal(invoice.gross))
    set_currency(world, USD)

    reminding.remind_due()

    assert (fresh(reminder).state, fresh(reminder).sentence) == (
        "refused",
        "Client Acme Corp is in USD by now, but the invoice in EUR. Put it right in Invoice Ninja.",
    )
    assert world.mails() == ["billing@acme.example"]


def test_a_mail_in_another_currency_does_not_leave_although_nobody_read_the_clients_since(world: World) -> None:
    invoice = created_invoice(world)
    set_currency(world, USD)

    sending.request_sending(invoice, seal=invoice.seal, user=make_user("Approver"))
    sending.send_due()

    assert world.mails() == []
    assert fresh(invoice).client.currency == "EUR"  # as the lists have it still
    assert fresh(invoice).attention_sentence == (
        "Client Acme Corp is in USD by now, but the invoice in EUR. Put it right in Invoice Ninja."
    )
