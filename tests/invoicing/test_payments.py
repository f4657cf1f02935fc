from __future__ import annotations

import dataclasses
import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from django.db import OperationalError

from billing_console.states import InvoiceState
from invoicing import applied, creating, payments, review, sending
from invoicing.models import Invoice, Payment, PollCursor
from mappings.rules import month
from sync import push, upstreams
from sync.clients.invoice_ninja import InvoiceNinjaClient
from sync.models import Heartbeat, UpstreamCall
from tests.invoicing.world import built, make_user, sweep_project
from tests.outbound import created_invoice, fresh, sent_invoice, states_of
from tests.standins import World

GROSS = Decimal("408.38")  # 4.5 h × 75 and 21 %


def there_id(invoice: Invoice) -> str:
    return str(invoice.remote.remote_id)


@pytest.fixture
def sent(world: World) -> Invoice:
    """Mailed on 2 January, due on 1 February."""
    row = sent_invoice(world)
    assert (row.state, row.balance) == (InvoiceState.SENT, GROSS)
    return row


def pay(world: World, invoice: Invoice, amount: str) -> str:
    part = {"invoice_id": there_id(invoice), "amount": float(amount)}
    body = {"client_id": "client_abc123", "amount": float(amount), "date": "2026-01-20", "invoices": [part]}
    return str(world.api_ninja("POST", "/payments", body)["data"]["id"])


def bulk(world: World, action: str, *ids: str) -> None:
    world.api_ninja("POST", "/invoices/bulk", {"action": action, "ids": list(ids)})


def polled(invoice: Invoice) -> Invoice:
    payments.poll()
    row: Invoice = fresh(invoice)
    return row


def heartbeat(name: str) -> Heartbeat:
    return Heartbeat.objects.get(name=name)


def money_of(invoice: Invoice) -> tuple[str, Decimal, Decimal]:
    return invoice.state, invoice.paid_to_date, invoice.balance or Decimal(0)


def test_partly_paid_then_paid(world: World, sent: Invoice) -> None:
    pay(world, sent, "300")
    assert money_of(polled(sent)) == ("partly_paid", Decimal(300), Decimal("108.38"))

    pay(world, sent, "108.38")
    assert money_of(polled(sent)) == ("paid", GROSS, Decimal(0))
    amounts = Payment.objects.order_by("ninja_id").values_list("amount", flat=True)
    assert sorted(amounts) == [Decimal("108.38"), Decimal(300)]


def test_a_refund_is_a_debt_again(world: World, sent: Invoice) -> None:
    payment = pay(world, sent, "408.38")
    assert polled(sent).state == InvoiceState.PAID
    part = {"invoice_id": there_id(sent), "amount": 100}
    body = {"id": payment, "amount": 100, "date": "2026-01-25", "invoices": [part]}
    world.api_ninja("POST", "/payments/refund", body)

    assert money_of(polled(sent)) == ("partly_paid", Decimal("308.38"), Decimal(100))
    row = Payment.objects.get()
    assert (row.amount, row.refunded, row.status, row.is_deleted) == (GROSS, Decimal(100), "5", False)


def test_a_deleted_payment_is_a_debt_again(world: World, sent: Invoice) -> None:
    payment = pay(world, sent, "408.38")
    assert polled(sent).state == InvoiceState.PAID
    world.api_ninja("DELETE", f"/payments/{payment}")

    assert money_of(polled(sent)) == ("sent", Decimal(0), GROSS)
    assert Payment.objects.get().is_deleted
    assert states_of(fresh(sent))[-2:] == ["paid", "sent"]


def test_polling_again_changes_nothing(world: World, sent: Invoice) -> None:
    pay(world, sent, "300")
    before = (money_of(polled(sent)), Payment.objects.values_list().get()[:6], states_of(sent))

    assert (money_of(polled(sent)), Payment.objects.values_list().get()[:6], states_of(sent)) == before


def test_cancelled_without_money(world: World, sent: Invoice) -> None:
    bulk(world, "cancel", there_id(sent))
    row = polled(sent)
    assert (row.state, row.balance, row.attention_sentence) == (InvoiceState.CANCELLED, Decimal(0), "")


def test_deleted_without_money_counts_as_cancelled_and_keeps_its_number(world: World, sent: Invoice) -> None:
    bulk(world, "delete", there_id(sent))
    row = polled(sent)
    assert (row.state, row.number) == (InvoiceState.CANCELLED, sent.number)


@pytest.mark.parametrize("amount", ["300", "408.38"])
def test_deleted_although_money_came_in_asks_first(world: World, sent: Invoice, amount: str) -> None:
    pay(world, sent, amount)
    state = polled(sent).state
    bulk(world, "delete", there_id(sent))

    for _again in range(2):
        row = polled(sent)
        assert row.state == state
        assert "although money came in" in row.attention_sentence
        Invoice.objects.filter(pk=row.pk).update(remote_updated_at=None)


def test_a_paid_one_is_not_cancelled_by_the_server_at_all(world: World, sent: Invoice) -> None:
    """Recordings 1361 and 1362."""
    pay(world, sent, "408.38")
    bulk(world, "cancel", there_id(sent))
    assert (world.invoices()[0]["status_id"], polled(sent).state) == ("4", "paid")


def test_reversed_there_is_reversed_here(world: World, sent: Invoice) -> None:
    with world.ninja.store.memory.transaction():
        world.ninja.store.save("invoices", there_id(sent), status_id="6", balance=0)
    row = polled(sent)
    assert (row.state, row.balance, row.attention_sentence) == (InvoiceState.REVERSED, Decimal(0), "")


def test_alive_again_after_it_was_cancelled_is_shown_and_stops_no_poll(world: World, sent: Invoice) -> None:
    bulk(world, "delete", there_id(sent))
    assert polled(sent).state == InvoiceState.CANCELLED
    bulk(world, "restore", there_id(sent))
    PollCursor.objects.all().delete()

    row = polled(sent)

    assert row.state == InvoiceState.CANCELLED
    assert "lives again" in row.attention_sentence
    assert Heartbeat.objects.get(name="payments").at


def test_an_older_reading_never_overwrites_a_newer_one(world: World, sent: Invoice) -> None:
    ninja = upstreams.ninja_client()
    old = ninja.invoice(sent.remote.remote_id)
    world.go_to(dt.datetime(2026, 1, 20, 10, 0, tzinfo=dt.UTC))
    pay(world, sent, "408.38")
    assert polled(sent).state == InvoiceState.PAID

    payments.observe_invoices([old])

    assert money_of(fresh(sent)) == ("paid", GROSS, Decimal(0))


def test_sent_by_hand_is_seen(world: World) -> None:
    invoice = created_invoice(world)
    bulk(world, "mark_sent", there_id(invoice))

    row = polled(invoice)

    assert row.state == InvoiceState.SENT
    assert row.sent_at is not None


def test_paid_before_anybody_sent_it(world: World) -> None:
    invoice = created_invoice(world)
    bulk(world, "mark_paid", there_id(invoice))

    assert money_of(polled(invoice)) == ("paid", GROSS, Decimal(0))


def test_others_invoices_are_none_of_ours(world: World, sent: Invoice) -> None:
    body = {"client_id": "client_xyz789", "line_items": [{"quantity": 1, "cost": 9}]}
    other = world.api_ninja("POST", "/invoices", body)["data"]["id"]
    bulk(world, "mark_paid", other)

    payments.poll()

    assert Payment.objects.count() == 0
    assert Invoice.objects.count() == 1


def test_one_payment_on_several_rows_of_one_invoice_is_kept_once(world: World, sent: Invoice) -> None:
    pay(world, sent, "300")
    (row,) = list(upstreams.ninja_client().payments_updated_since(None))
    twice = type(row)(**{**vars(row), "allocations": row.allocations * 2})

    applied.observe([row, twice])

    assert Payment.objects.get().amount == Decimal(600)


def test_only_what_changed_is_asked_for(world: World, sent: Invoice) -> None:
    before = UpstreamCall.objects.count()
    payments.poll()
    calls = [call.path for call in UpstreamCall.objects.order_by("id")[before:]]
    assert len(calls) == 3
    assert "updated_at=" in calls[0]


def test_a_server_that_is_down_is_a_sentence_and_read_again(world: World, sent: Invoice) -> None:
    pay(world, sent, "408.38")
    world.fail("ninja", kind="status", status=503, method="GET", path="/api/v1/invoices", count=1)
    assert payments.poll() == 0
    assert "down for maintenance" in Heartbeat.objects.get(name="payments_failed").detail

    assert polled(sent).state == InvoiceState.PAID


def sent_later(world: World) -> Invoice:
    """The January invoice of the same client, mailed on 2 February: 2 h at 75 and 21 %."""
    world.go_to(dt.datetime(2026, 1, 20, 9, tzinfo=dt.UTC))
    world.read(world.add_task("Later", billable=True, hours=2))
    push.push_due()
    february_2 = dt.datetime(2026, 2, 2, 9, tzinfo=dt.UTC)
    world.go_to(february_2)
    sweep_project(world.mapping, february_2)
    (draft,) = Invoice.objects.filter(run=built(month(2026, 1)))
    review.approve(draft, revision=draft.revision, user=make_user("Administrator"))
    creating.create_due()
    sending.request_sending(fresh(draft), seal=fresh(draft).seal, user=None)
    sending.send_due()
    row: Invoice = polled(draft)
    assert row.state == InvoiceState.SENT
    return row


def test_an_invoice_on_which_we_fail_keeps_no_other_back_and_is_read_again(
    world: World, sent: Invoice, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    later = sent_later(world)
    pay(world, sent, "408.38")
    world.go_to(dt.datetime(2026, 2, 3, 9, tzinfo=dt.UTC))
    pay(world, later, "181.50")
    observe = payments._observe

    def fails_on_the_first(invoice: Invoice, there: Any, after: Any) -> Any:
        if invoice.pk == sent.pk:
            raise ZeroDivisionError("of our own")
        return observe(invoice, there, after)

    monkeypatch.setattr(payments, "_observe", fails_on_the_first)
    for _again in range(2):
        assert payments.poll() == 2

        assert fresh(later).state == InvoiceState.PAID
        assert fresh(sent).state == InvoiceState.SENT
        assert Payment.objects.count() == 2  # what came in is known all the same
        assert heartbeat("payments_failed").detail == (
            f"What Invoice Ninja says of {sent} could not be taken over, because the console itself failed; "
            "its log says why. It is read again by itself."
        )
        assert heartbeat("payments").at < heartbeat("payments_failed").at
    assert "ZeroDivisionError: of our own" in caplog.text

    monkeypatch.undo()
    assert polled(sent).state == InvoiceState.PAID
    assert heartbeat("payments").at > heartbeat("payments_failed").at


def test_a_reading_without_a_time_of_change_does_not_move_the_cursor_past_it(
    world: World, sent: Invoice, monkeypatch: pytest.MonkeyPatch
) -> None:
    (there,) = upstreams.ninja_client().invoices_updated_since(None)
    before = PollCursor.objects.get(name="invoices").seen_until
    rows = [dataclasses.replace(there, updated_at=None)]
    monkeypatch.setattr(InvoiceNinjaClient, "invoices_updated_since", lambda self, since: iter(rows))
    monkeypatch.setattr(payments, "_observe", lambda invoice, there, after: 1 // 0)

    assert payments.poll() == 1

    assert PollCursor.objects.get(name="invoices").seen_until == before


def test_a_fault_of_our_own_in_the_whole_reading_is_a_sentence_too(
    world: World, sent: Invoice, monkeypatch: pytest.MonkeyPatch
) -> None:
    pay(world, sent, "1")
    monkeypatch.setattr(applied, "observe", lambda rows: 1 // 0)

    assert payments.poll() == 0
    assert heartbeat("payments_failed").detail == (
        "The console failed on this; its log says why. It is tried again by itself."
    )

    def broken(rows: Any) -> None:
        raise OperationalError("the database")

    monkeypatch.setattr(applied, "observe", broken)
    with pytest.raises(OperationalError):
        payments.poll()


@pytest.mark.parametrize(
    ("now", "zone", "is_late"),
    [
        ("2026-02-01T22:59:59+00:00", "Europe/Brussels", False),  # 23:59 on the due day itself
        ("2026-02-01T23:00:00+00:00", "Europe/Brussels", True),
        ("2026-02-02T04:59:59+00:00", "America/Montreal", False),
        ("2026-02-02T05:00:00+00:00", "America/Montreal", True),
    ],
)
def test_overdue_begins_the_day_after_the_due_day_in_the_invoices_zone(
    world: World, sent: Invoice, now: str, zone: str, is_late: bool
) -> None:
    Invoice.objects.update(timezone=zone)
    world.go_to(dt.datetime.fromisoformat(now))
    assert list(payments.overdue()) == ([sent] if is_late else [])


@pytest.mark.parametrize("changes", [{"balance": 0}, {"state": "paid"}, {"state": "created"}, {"state": "cancelled"}])
def test_what_is_not_owed_is_never_overdue(world: World, sent: Invoice, changes: dict[str, Any]) -> None:
    Invoice.objects.update(**changes)
    world.go_to(dt.datetime(2027, 1, 1, tzinfo=dt.UTC))
    assert list(payments.overdue()) == []
