"""What credits settled is no payment: sums, states and the proof tell it from money (recordings 718-728, 1213-1236)."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from django.urls import reverse

from billing_console import clock
from invoicing import credit_offer, credit_use, crediting, owed, payments, readings, sending
from invoicing.books import keeping
from invoicing.models import Credit, Invoice, Payment
from invoicing.verdict import Verdict, prove
from sync.models import Difference, TimeEntry
from tests.invoicing.world import DECEMBER, make_user
from tests.outbound import created_invoice, drain_all
from tests.people import browser_of
from tests.standins import World

pytestmark = pytest.mark.django_db
FEBRUARY = dt.datetime(2026, 2, 2, 9, tzinfo=dt.UTC)


@pytest.fixture
def credited(world: World) -> Invoice:
    """4.5 h at 75.00: 337.50, with 21 % 408.38; 1.0 h credited in February (90.75), set against it."""
    invoice = created_invoice(world, 4.5)
    sending.request_sending(invoice, seal=invoice.seal, user=None)
    drain_all()
    payments.poll()
    world.go_to(FEBRUARY)
    entry = TimeEntry.objects.get()
    world.set_values(entry.item.taiga_id, hours=3.5)
    world.read(entry.item.taiga_id)
    difference = Difference.objects.get(state="open")
    found, _why = credit_offer.offer(difference)
    assert found is not None
    crediting.request_credit(
        difference, mark=difference.mark, gross=str(found.gross), user=make_user("Approver"), note="agreed",
        is_to_use=True,
    )  # fmt: skip
    settle()
    assert Credit.objects.get().used == Decimal("90.75")
    return Invoice.objects.get()


def settle() -> None:
    crediting.write_due()
    credit_use.write_due()
    drain_all()
    payments.poll()


def pay(world: World, invoice: Invoice, amount: Any) -> None:
    part = {"invoice_id": invoice.remote.remote_id, "amount": amount}
    world.api_ninja("POST", "/payments", {"client_id": "client_abc123", "amount": amount, "invoices": [part]})
    payments.poll()


def report(name: str) -> list[list[str]]:
    answer = browser_of("viewer").get(reverse("admin:invoicing_report", args=[name]), {"start": "2025-12-01"})
    return [[cell["text"].replace("\u00a0", " ") for cell in row] for row in answer.context["rows"]]


def test_an_invoice_that_was_only_credited_is_not_paid(world: World, credited: Invoice) -> None:
    assert (credited.state, credited.get_state_display()) == ("partly_paid", "Partly credited")
    sums = (credited.paid_to_date, credited.credited, credited.paid_by_money, credited.balance)
    assert sums == (Decimal("90.75"), Decimal("90.75"), 0, Decimal("317.63"))
    listed = browser_of("viewer").get("/admin/invoicing/invoice/").content.decode().replace("\u00a0", " ")
    assert "Partly credited" in listed
    assert "settled by credits 90.75 EUR" in listed
    assert "paid 90.75 EUR" not in listed

    pay(world, credited, 100)

    paid = Invoice.objects.get()
    assert (paid.get_state_display(), paid.credited, paid.paid_by_money) == (
        "Partly paid", Decimal("90.75"), Decimal(100),
    )  # fmt: skip


def test_the_list_of_payments_adds_up_money_alone(world: World, credited: Invoice) -> None:
    pay(world, credited, 100)

    listed = browser_of("viewer").get("/admin/invoicing/payment/").content.decode().replace("\u00a0", " ")

    assert "settled by credits 90.75 EUR" in listed
    assert "190.75 EUR" not in listed
    own = browser_of("viewer").get(f"/admin/invoicing/invoice/{credited.pk}/change/").content.decode()
    assert "settled by credits 90.75 EUR</p>" in own.replace("\u00a0", " ")


def test_what_a_credit_settled_wholly_says_so(world: World, credited: Invoice) -> None:
    Invoice.objects.update(state="paid", paid_to_date=Decimal("408.38"), credited=Decimal("408.38"), balance=0)
    assert Invoice.objects.get().get_state_display() == "Settled by credits"


def test_the_reports_tell_credits_from_money_and_are_lowered_by_them(world: World, credited: Invoice) -> None:
    pay(world, credited, 100)
    with clock.set_to(FEBRUARY):
        keeping.keep()
        revenue, ageing = report("revenue"), report("ageing")
        answer = browser_of("viewer").get(reverse("admin:invoicing_report", args=["revenue"]), {"start": "2025-12-01"})
        file = (
            browser_of("viewer")
            .get(reverse("admin:invoicing_report", args=["revenue"]), {"start": "2025-12-01", "file": "csv"})
            .streaming_content
        )
        lines = b"".join(file).decode("utf-8-sig").splitlines()
        buckets = [(row.count, row.credited, row.paid, row.balance) for row in owed.buckets() if row.count]

    assert revenue == [
        ["Feb 2026", "Acme Corp", "Credits", "1", "–", "−75.00 EUR", "−15.75 EUR", "−90.75 EUR", "0.00 EUR",
         "0.00 EUR", "0.00 EUR"],
        ["Jan 2026", "Acme Corp", "Invoices", "1", "4.50 h", "337.50 EUR", "70.88 EUR", "408.38 EUR", "90.75 EUR",
         "0.00 EUR", "100.00 EUR"],
    ]  # fmt: skip
    assert [value.replace("\u00a0", " ") for _label, value in answer.context["list_totals"]] == [
        "1", "4.50 h", "262.50 EUR",
    ]  # fmt: skip
    assert [row[-5:] for row in ageing] == [["408.38 EUR", "90.75 EUR", "0.00 EUR", "100.00 EUR", "217.63 EUR"]]
    assert [[text.replace("\u00a0", " ") for text in row[1:]] for row in buckets] == [
        ["90.75 EUR", "100.00 EUR", "217.63 EUR"]
    ]
    assert lines[1].startswith("2026-02,Acme Corp,Credits,1,,EUR,-75.00,")


def test_the_proof_counts_a_used_credit_once_and_an_open_one_beside_what_is_open(
    world: World, credited: Invoice
) -> None:
    pay(world, credited, 100)
    assert readings.read_now().sentence == ""

    proof = prove(DECEMBER)

    assert proof.verdict is Verdict.BALANCES
    assert [(term.name, term.amounts.get("EUR")) for term in proof.identities[3].right[1:]] == [
        ("of it paid, gross", Decimal(100)),
        ("of it settled by credits, gross", Decimal("90.75")),
        ("of it open, gross", Decimal("217.63")),
        ("credited because of hours, before tax", Decimal("75.00")),
    ]
    Credit.objects.update(used=Decimal("50.75"))
    assert [term.amounts for term in prove(DECEMBER).identities[3].right if "open credits" in term.name] == [
        {"EUR": Decimal(40)}
    ]


def test_a_payment_of_a_credit_that_is_deleted_settles_nothing_any_more(world: World, credited: Invoice) -> None:
    (payment,) = Payment.objects.all()
    assert (payment.amount, payment.by_credit) == (Decimal("90.75"), Decimal("90.75"))

    world.api_ninja("DELETE", f"/payments/{payment.ninja_id}")
    payments.poll()

    there = Invoice.objects.get()
    assert (there.state, there.paid_to_date, there.credited, there.balance) == ("sent", 0, 0, Decimal("408.38"))
    credit = world.api_ninja("GET", "/credits")["data"][0]
    assert (credit["balance"], credit["status_id"]) == (Decimal("90.75"), "2")
    assert [term.amounts for term in prove(DECEMBER).identities[3].right if "open credits" in term.name] == [
        {"EUR": Decimal("90.75")}
    ]


def test_polling_the_same_payments_again_changes_nothing(world: World, credited: Invoice) -> None:
    before = Invoice.objects.values_list("changed_at", "credited").get()
    payments.poll()
    assert Invoice.objects.values_list("changed_at", "credited").get() == before
