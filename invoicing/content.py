"""What a draft holds and adds up to, as rows: its lines in order, its totals, its seal.

Amounts are Decimal in the invoice's currency, before tax unless named gross; hours are Decimal hours.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.db import connection
from django.db.models import F

from billing_console.errors import NotAllowed
from invoicing import calculator
from invoicing.calculator import Line, Totals
from invoicing.models import Invoice, InvoiceLine
from mappings import rules
from mappings.models import RuleSet, TaxDecision

RULE_FIELDS = (
    "rule_set",
    "tax_decision",
    "tax_name",
    "tax_rate",
    "payment_days",
    "terms",
    "footer",
    "public_notes",
    "product_key",
)
TOTAL_FIELDS = ("net", "tax", "gross", "raw_hours", "billed_hours")


def lock_invoice(invoice_id: int) -> Invoice:
    """The invoice as it is now, locked until the caller's transaction ends. Raises NotAllowed when it is gone."""
    rows = Invoice.objects.select_for_update(of=("self",), no_key=True)
    found = rows.select_related("client", "rule_set", "run", "approved_by", "remote").filter(pk=invoice_id).first()
    if found is None:
        raise NotAllowed
    return found


def apply_rules(invoice: Invoice, rule_set: RuleSet) -> None:
    """Copy tax, terms and texts of `rule_set` onto the draft, in memory; its lines stay as they were claimed."""
    invoice.rule_set = rule_set
    invoice.tax_decision = rule_set.tax_decision
    has_tax = rule_set.tax_decision == TaxDecision.TAX
    invoice.tax_name = rule_set.tax_name if has_tax else ""
    invoice.tax_rate = rule_set.tax_rate if has_tax else Decimal(0)
    invoice.payment_days = rules.payment_days(rule_set.payment_terms)
    invoice.terms = rules.terms_text(invoice.payment_days)
    invoice.footer = rule_set.footer
    invoice.public_notes = rule_set.no_tax_text if rule_set.tax_decision == TaxDecision.NO_TAX else ""
    invoice.product_key = rule_set.product_key


def printed_rows(invoice: Invoice) -> list[InvoiceLine]:
    """The rows that are printed, in order, with their entry, its item and its task in Invoice Ninja: one query."""
    rows = invoice.lines.filter(is_voided=False).select_related("entry__item", "entry__remote_task")
    # What is sealed stands in the order of its seal: a person may have taken over another one from Invoice Ninja.
    return sorted(rows, key=_sealed_order if invoice.seal else _order)


def _sealed_order(row: InvoiceLine) -> tuple[int, int]:
    return row.position, row.pk


def _order(row: InvoiceLine) -> tuple[str, int, int]:
    return calculator.order_key(row.project_name, row.ref, row.pk)


def as_lines(rows: list[InvoiceLine]) -> list[Line]:
    """Rows as pure lines, numbered from 1 in the order given."""
    return [
        Line(
            position=position,
            task=row.entry.number if row.entry else "",
            notes=row.notes,
            work_date=row.work_date,
            raw_hours=row.raw_hours,
            billed_hours=row.billed_hours,
            rate=row.rate,
            amount=row.amount,
        )
        for position, row in enumerate(rows, start=1)
    ]


def retotal(invoice: Invoice, *changed: str) -> Totals:
    """Put the lines in order, add them up and save the totals with the next revision; returns the totals.

    `changed` names further columns of the invoice to save. Call with the invoice locked.
    """
    rows = printed_rows(invoice)
    _write_positions(rows)
    totals = calculator.total_up(as_lines(rows), tax_rate=invoice.tax_rate, currency=invoice.currency)
    for name in TOTAL_FIELDS:
        setattr(invoice, name, getattr(totals, name))
    Invoice.objects.filter(pk=invoice.pk).update(
        revision=F("revision") + 1, **{name: getattr(invoice, name) for name in (*TOTAL_FIELDS, *changed)}
    )
    invoice.revision += 1
    return totals


def _write_positions(rows: list[InvoiceLine]) -> None:
    moved = [(row.pk, position) for position, row in enumerate(rows, start=1) if row.position != position]
    if not moved:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE invoicing_invoiceline AS line SET position = new.position "
            "FROM unnest(%s::bigint[], %s::int[]) AS new (id, position) WHERE line.id = new.id",
            [[pk for pk, _ in moved], [position for _, position in moved]],
        )


def stored_totals(invoice: Invoice, count: int) -> Totals:
    """The totals as they stand on the invoice's row."""
    return Totals(**{name: getattr(invoice, name) for name in TOTAL_FIELDS}, count=count)


def content_of(invoice: Invoice, lines: list[Line]) -> dict[str, Any]:
    """Everything that a person reviewed and that is sent, for `calculator.seal`."""
    return {
        "key": invoice.key,
        "client": invoice.client.ninja_id,
        "currency": invoice.currency,
        "period": [invoice.period_start, invoice.period_end],
        "invoice_date": invoice.invoice_date,
        "due_date": invoice.due_date,
        "terms": invoice.terms,
        "footer": invoice.footer,
        "public_notes": invoice.public_notes,
        "product_key": invoice.product_key,
        "tax": [invoice.tax_decision, invoice.tax_name, invoice.tax_rate],
        "totals": [invoice.net, invoice.tax, invoice.gross, invoice.billed_hours],
        "lines": [[line.position, line.task, line.notes, line.billed_hours, line.rate, line.amount] for line in lines],
    }


def seal_of(invoice: Invoice) -> str:
    """The seal of the invoice as its rows are now; equal to `invoice.seal` as long as nobody touched them."""
    return calculator.seal(content_of(invoice, as_lines(printed_rows(invoice))))
