"""Late fees and payment fees, which Invoice Ninja puts on an invoice by itself: no drift, counted apart."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from django.urls import reverse

from billing_console.states import InvoiceState
from invoicing import deviations, fees, invoice_page, owed, payments, readings, verdict
from invoicing.models import Invoice
from mappings.rules import month
from sync.clients.ninja_parse_invoices import parse_invoice
from sync.clients.wire import decode_json
from tests.invoicing.test_adopting import edit, found, lines_there, send
from tests.invoicing.test_compared_fields import recorded
from tests.outbound import created_invoice
from tests.people import browser_of
from tests.standins import World

LATE = {"type_id": "5", "product_key": "Fee", "notes": "Late fee added on 2 Feb 2026", "quantity": 1, "cost": 12}
GATEWAY = {"type_id": "4", "product_key": "Surcharge", "notes": "Fee of the payment", "quantity": 1, "cost": 2.5}
DECEMBER = month(2025, 12)


def with_fees(*lines: dict[str, Any], status: str = "2", **head: Any) -> Any:
    answer = {**recorded(), "status_id": status, **head}
    zeros = {"line_total": 0, "tax_amount": 0, "discount": 0}
    answer["line_items"] = [*answer["line_items"], *({**zeros, "line_total": line["cost"], **line} for line in lines)]
    return parse_invoice(decode_json(json.dumps(answer)))


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        (with_fees(), (0, 0, 0)),
        # 43.30 + 12 = 55.30: 21 % is 11.61 instead of 9.09.
        (with_fees(LATE), (12, Decimal("2.52"), Decimal("14.52"))),
        (with_fees(LATE, GATEWAY), (Decimal("14.5"), Decimal("3.05"), Decimal("17.55"))),
        # A fee with a tax of its own, on an invoice without one.
        (with_fees({**GATEWAY, "tax_amount": 0.53}, tax_rate1=0), (Decimal("2.5"), Decimal("0.53"), Decimal("3.03"))),
        (with_fees(LATE, status="1"), (0, 0, 0)),  # on a draft a person typed it
    ],
)
def test_what_fees_come_to(there: Any, expected: tuple[Any, Any, Any]) -> None:
    found = fees.fees_of(there, "EUR")
    assert (found.net, found.tax, found.gross) == expected


def test_a_late_fee_is_no_drift_and_the_month_still_balances(world: World) -> None:
    """337.50 and 21 %: 408.38; with a late fee of 12.00 the client owes 422.90."""
    invoice = created_invoice(world)
    send(world, invoice)
    edit(world, line_items=[*lines_there(world), LATE])
    payments.poll()

    row = Invoice.objects.select_related("remote").get(pk=invoice.pk)
    assert deviations.open_of(row) is None
    assert (row.gross, row.fees, row.balance) == (Decimal("408.38"), Decimal("14.52"), Decimal("422.90"))
    sides = {side.name: side.theirs.replace("\u00a0", " ") for side in invoice_page.sides_of(row, row.remote)}
    # In the order in which they add up: 408.38 + 14.52 = 422.90 to pay.
    assert list(sides)[3:] == ["With tax", "Fees by Invoice Ninja itself", "Paid", "Open"]
    assert sides["Fees by Invoice Ninja itself"] == "14.52 EUR"
    (owed_row,) = [bucket for bucket in owed.buckets() if bucket.count]
    assert [words.replace("\u00a0", " ") for words in (owed_row.gross, owed_row.paid, owed_row.balance)] == [
        "422.90 EUR", "0.00 EUR", "422.90 EUR",
    ]  # fmt: skip
    ageing = browser_of("viewer").get(reverse("admin:invoicing_report", args=["ageing"]))
    assert [cell["text"].replace("\u00a0", " ") for cell in ageing.context["rows"][0]][-5:] == [
        "422.90 EUR", "0.00 EUR", "0.00 EUR", "0.00 EUR", "422.90 EUR",
    ]  # fmt: skip
    Invoice.objects.update(last_mail_on=None)  # nothing stands in the way of a reminder
    asked = browser_of("approver").get(reverse("admin:invoicing_remind", args=[row.pk]), follow=True)
    facts = {str(label): str(value).replace("\u00a0", " ") for label, value in asked.context["confirmation"].facts}
    assert (facts["With tax"], facts["Fees by Invoice Ninja itself"], facts["Open"]) == (
        "408.38 EUR", "14.52 EUR", "422.90 EUR",
    )  # fmt: skip
    printed = browser_of("viewer").get(reverse("admin:invoicing_run_certificate", args=[row.run_id])).content.decode()
    assert "fees 14.52\u00a0EUR" in printed
    signs = {
        shown["name"]: shown["sign"]
        for shown in browser_of("viewer")
        .get("/admin/invoicing/reconcile/?month=2025-12")
        .context["identities"][3]["rows"]
    }
    assert {name: sign for name, sign in signs.items() if sign == "+"} == {"net in Invoice Ninja": "+"}
    balances()

    part = {"invoice_id": row.remote.remote_id, "amount": 422.9}
    world.api_ninja("POST", "/payments", {"client_id": "client_abc123", "amount": 422.9, "invoices": [part]})
    payments.poll()
    assert Invoice.objects.get(pk=invoice.pk).state == InvoiceState.PAID
    balances()


def balances() -> None:
    assert readings.read_now().sentence == ""
    checks = verdict.prove(DECEMBER).identities
    assert [(check.residue, check.leftovers) for check in checks] == [((), ())] * 8
    terms = {term.name: term.amounts for term in checks[3].right}
    assert terms["fees of Invoice Ninja in these, gross"] == {"EUR": Decimal("14.52")}


def test_a_fee_on_a_draft_is_a_line_that_somebody_typed(world: World) -> None:
    invoice = created_invoice(world)
    edit(world, line_items=[*lines_there(world), LATE])

    found(world, invoice)

    assert world.mails() == []


def test_what_was_changed_beside_a_fee_is_still_seen(world: World) -> None:
    invoice = created_invoice(world)
    send(world, invoice)
    edit(world, line_items=[{**lines_there(world)[0], "quantity": 5}, LATE])
    payments.poll()

    deviation = deviations.open_of(Invoice.objects.get(pk=invoice.pk))
    assert deviation is not None
    assert (deviation.theirs["net"], deviation.theirs["gross"], len(deviation.theirs["lines"])) == ("375", "453.75", 1)
