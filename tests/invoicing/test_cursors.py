"""Clocks that were wrong, there or here: what was paid meanwhile and after it is seen."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from billing_console import clock
from billing_console.states import InvoiceState
from invoicing import cursors, machine_health, payments, rereading, work_numbers
from invoicing.models import Invoice, Payment, PollCursor, UnappliedPayment
from sync import heartbeats
from sync.clients.invoice_ninja import InvoiceNinjaClient
from sync.models import Heartbeat, UpstreamCall
from tests.invoicing.test_payments import money_of, pay, polled, there_id
from tests.outbound import fresh, pass_by_all_changes, sent_invoice
from tests.standins import World

HOUR, DAY, MINUTE, SECOND = (dt.timedelta(seconds=number) for number in (3600, 86400, 60, 1))


@pytest.fixture
def sent(world: World) -> Invoice:
    """Mailed on 2 January: 408.38 EUR."""
    return sent_invoice(world)


def theirs_is_ahead(world: World, by: dt.timedelta) -> None:
    world.ninja.clock.set(clock.now() + by)


@pytest.mark.parametrize("by", [2 * HOUR, 366 * DAY])
def test_what_is_paid_after_a_clock_there_was_ahead_is_seen(world: World, sent: Invoice, by: dt.timedelta) -> None:
    began = clock.now()
    theirs_is_ahead(world, by)
    pay(world, sent, "100")
    assert money_of(polled(sent)) == ("partly_paid", Decimal(100), Decimal("308.38"))
    assert began - 2 * SECOND <= PollCursor.objects.get(name="payments").seen_until <= began

    world.go_to(began + 5 * MINUTE)
    pay(world, sent, "50")
    assert polled(sent).paid_to_date == Decimal(150)
    world.go_to(began + 10 * MINUTE)
    pay(world, sent, "258.38")

    assert money_of(polled(sent)) == ("paid", Decimal("408.38"), Decimal(0))
    assert sorted(Payment.objects.values_list("amount", flat=True)) == [Decimal(50), Decimal(100), Decimal("258.38")]


def test_what_changed_is_not_lost_behind_a_known_time_that_came_since(world: World, sent: Invoice) -> None:
    """The time of the first payment lies in the future when it is read, and in the past when the second one is."""
    began = clock.now()
    theirs_is_ahead(world, 2 * HOUR)
    pay(world, sent, "100")
    polled(sent)
    assert fresh(sent).remote_updated_at == began
    world.go_to(began + 5 * MINUTE)
    pay(world, sent, "308.38")
    world.go_to(began + 3 * HOUR)  # nobody polled meanwhile

    assert money_of(polled(sent)) == ("paid", Decimal("408.38"), Decimal(0))


def test_after_our_own_clock_was_ahead_too_all_is_read_again(world: World, sent: Invoice) -> None:
    began = clock.now()
    world.go_to(began + HOUR)
    pay(world, sent, "100")
    polled(sent)
    world.go_to(began)
    pay(world, sent, "308.38")

    world.go_to(began + 6 * MINUTE)

    assert money_of(polled(sent)) == ("paid", Decimal("408.38"), Decimal(0))
    assert PollCursor.objects.get(name="invoices").seen_until <= began + 6 * MINUTE


def test_a_position_is_bounded_by_the_date_of_the_answers(db: None) -> None:
    began = clock.now()

    class Row:
        updated_at = began

    with clock.set_to(began):
        position = cursors.Position("payments")
        position.note([Row])
        position.end(-30 * MINUTE)
        assert PollCursor.objects.get().seen_until == began - 30 * MINUTE
        assert cursors.Position("payments").since == began - 35 * MINUTE
        position.end(30 * MINUTE)
        assert PollCursor.objects.get().seen_until == began


def test_a_time_that_has_not_come_is_said_until_it_has(world: World, sent: Invoice) -> None:
    began = clock.now()
    said = (
        "Invoice Ninja says that something was changed at 2 Jan 2026 12:00 Europe/Brussels, which has not come yet: "
        "its clock is or was ahead. Nothing is missed, it is read again and again until then. Let that machine take "
        "its time from the network."
    )

    def warnings() -> list[str]:
        checks = machine_health.live_checks(work_numbers.machine(), None, 0, "Europe/Brussels")
        return [check.sentence for check in checks if "has not come yet" in check.sentence]

    assert warnings() == []
    theirs_is_ahead(world, 2 * HOUR)
    pay(world, sent, "100")
    polled(sent)
    assert warnings() == [said]
    world.go_to(began + 5 * MINUTE)
    polled(sent)
    assert warnings() == [said]
    world.go_to(began + 3 * HOUR)
    assert warnings() == []


def read_again() -> int:
    Heartbeat.objects.filter(name=rereading.HEARTBEAT).delete()
    return rereading.read_due()


def test_once_a_day_open_invoices_are_read_by_their_id_and_every_payment(world: World, sent: Invoice) -> None:
    pay(world, sent, "408.38")
    body = {"client_id": "client_abc123", "amount": 70, "date": "2026-01-20"}
    world.api_ninja("POST", "/payments", body)
    pass_by_all_changes(world)
    assert polled(sent).state == InvoiceState.SENT
    before = UpstreamCall.objects.count()

    assert read_again() == 1

    assert money_of(fresh(sent)) == ("paid", Decimal("408.38"), Decimal(0))
    assert Payment.objects.get().amount == Decimal("408.38")
    assert UnappliedPayment.objects.get().amount == Decimal(70)
    paths = [call.path for call in UpstreamCall.objects.order_by("id")[before:]]
    assert f"/invoices/{there_id(sent)}" in paths
    assert rereading.read_due() == 0  # a day has not passed


def test_a_paid_one_whose_payment_went_back_is_read_by_its_id_too(world: World, sent: Invoice) -> None:
    payment = pay(world, sent, "408.38")
    assert polled(sent).state == InvoiceState.PAID
    world.api_ninja("DELETE", f"/payments/{payment}")
    pass_by_all_changes(world)
    assert polled(sent).state == InvoiceState.PAID

    assert read_again() == 1

    assert money_of(fresh(sent)) == ("sent", Decimal(0), Decimal("408.38"))


def test_what_another_reader_saw_meanwhile_is_not_overwritten(
    world: World, sent: Invoice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other thing in the middle: a poll sees the payment while the older copy is on its way here."""
    ask = InvoiceNinjaClient.invoice

    def slow(self: InvoiceNinjaClient, invoice_id: Any) -> Any:
        old = ask(self, invoice_id)
        monkeypatch.undo()
        world.go_to(clock.now() + MINUTE)
        pay(world, sent, "408.38")
        payments.poll()
        return old

    monkeypatch.setattr(InvoiceNinjaClient, "invoice", slow)

    assert read_again() == 1

    assert fresh(sent).state == InvoiceState.PAID


def test_a_server_that_is_down_meanwhile_is_a_sentence_and_asked_again(world: World, sent: Invoice) -> None:
    pay(world, sent, "408.38")
    pass_by_all_changes(world)
    world.fail("ninja", kind="status", status=503, method="GET", path="/api/v1/payments", count=1)
    assert read_again() == 0
    assert "down for maintenance" in Heartbeat.objects.get(name="open_invoices_failed").detail

    assert rereading.read_due() == 1

    assert fresh(sent).state == InvoiceState.PAID


def test_one_worker_at_a_time_reads_them(world: World, sent: Invoice) -> None:
    heartbeats.note(rereading.BEGAN)
    assert read_again() == 0
    Heartbeat.objects.filter(name=rereading.BEGAN).update(at=timezone.now() - 2 * HOUR)  # that one was killed

    assert read_again() == 1
    assert not Heartbeat.objects.filter(name=rereading.BEGAN).exists()


def test_an_invoice_that_is_not_there_any_more_keeps_no_other_back(world: World, sent: Invoice) -> None:
    with world.ninja.store.memory.transaction():
        world.ninja.store["invoices"].delete(there_id(sent))

    assert read_again() == 0

    assert Heartbeat.objects.filter(name=rereading.HEARTBEAT).exists()
