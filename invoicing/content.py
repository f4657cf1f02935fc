"""What a draft holds and adds up to, as rows: its lines in order, its totals, its seal.

Amounts are Decimal in the invoice's currency, before tax unless named gross; hours are Decimal hours.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django.db import connection

from billing_console import money
from billing_console.errors import NotAllowed
from invoicing import calculator
from invoicing.calculator import Line, Totals
from invoicing.models import Invoice, InvoiceLine, InvoiceRun
from mappings import rules
from mappings.models import Client, RuleSet, TaxDecision
from sync.clients import ninja_texts

RULE_FIELDS = (
    "rule_set",
    "tax_decision",
    "tax_name",
    "tax_rate",
    "payment_days",
    "is_end_of_month",
    "terms",
    "footer",
    "public_notes",
    "product_key",
)
TOTAL_FIELDS = ("net", "tax", "gross", "raw_hours", "billed_hours")

# Lines stand by project, then reference, then age (ui: Draft review); what was added by hand comes last. Once sealed
# they keep their order: a person may have taken over another one from Invoice Ninja. What is added up here in one
# statement, `calculator.total_up` adds up again, line by line, before it is approved.
_ADD_UP = """
WITH printed AS (
    SELECT line.id, line.invoice_id, line.position, line.amount, line.raw_hours, line.billed_hours,
           line.entry_id IS NULL AS is_manual,
           row_number() OVER (
               PARTITION BY line.invoice_id
               ORDER BY CASE WHEN invoice.seal = '' THEN 0 ELSE line.position END,
                        line.entry_id IS NULL, lower(line.project_name) COLLATE "C", coalesce(line.ref, 0), line.id
           ) AS place
    FROM invoicing_invoiceline AS line JOIN invoicing_invoice AS invoice ON invoice.id = line.invoice_id
    WHERE line.invoice_id = ANY(%(invoices)s) AND NOT line.is_voided
), moved AS (
    UPDATE invoicing_invoiceline AS line
    SET position = printed.place
    FROM printed
    WHERE line.id = printed.id AND printed.position <> printed.place
)
SELECT invoice_id, sum(amount), coalesce(sum(raw_hours) FILTER (WHERE NOT is_manual), 0),
       coalesce(sum(billed_hours) FILTER (WHERE NOT is_manual), 0), count(*)
FROM printed
GROUP BY invoice_id
"""
_SAVE_TOTALS = """
UPDATE invoicing_invoice AS invoice
SET net = new.net, tax = new.tax, gross = new.gross, raw_hours = new.raw_hours, billed_hours = new.billed_hours,
    revision = invoice.revision + 1
FROM unnest(%s::bigint[], %s::numeric[], %s::numeric[], %s::numeric[], %s::numeric[], %s::numeric[])
     AS new (id, net, tax, gross, raw_hours, billed_hours)
WHERE invoice.id = new.id
"""


def lock_invoice(invoice_id: int) -> Invoice:
    """The invoice as it is now, locked until the caller's transaction ends. Raises NotAllowed when it is gone."""
    rows = Invoice.objects.select_for_update(of=("self",), no_key=True)
    found = rows.select_related("client", "rule_set", "run", "approved_by", "remote").filter(pk=invoice_id).first()
    if found is None:
        raise NotAllowed
    return found


def new_draft(run: InvoiceRun, client: Client, rule_set: RuleSet, currency: str, group_key: str) -> Invoice:
    """A draft of this run without a line, in memory."""
    invoice = Invoice(
        run=run,
        client=client,
        currency=currency,
        period_start=run.period_start,
        period_end=run.period_end,
        timezone=run.timezone,
        group_key=group_key,
        sequence=run.sequence,
    )
    apply_rules(invoice, rule_set)
    return invoice


def apply_rules(invoice: Invoice, rule_set: RuleSet) -> None:
    """Copy tax, terms and texts of `rule_set` onto the draft, in memory; its lines stay as they were claimed."""
    invoice.rule_set = rule_set
    invoice.tax_decision = rule_set.tax_decision
    has_tax = rule_set.tax_decision == TaxDecision.TAX
    invoice.tax_name = rule_set.tax_name if has_tax else ""
    invoice.tax_rate = rule_set.tax_rate if has_tax else Decimal(0)
    terms = rules.read_terms(rule_set.payment_terms)
    invoice.payment_days, invoice.is_end_of_month, invoice.terms = terms.days, terms.is_end_of_month, terms.text
    invoice.footer = ninja_texts.trim(rule_set.footer)
    no_tax_text = rule_set.no_tax_text if rule_set.tax_decision == TaxDecision.NO_TAX else ""
    invoice.public_notes = ninja_texts.neutralise(no_tax_text)
    invoice.product_key = rule_set.product_key


def printed_rows(invoice: Invoice) -> list[InvoiceLine]:
    """The rows that are printed, in order, with their entry, its item and its task in Invoice Ninja: one query."""
    rows = invoice.lines.filter(is_voided=False).select_related("entry__item", "entry__remote_task")
    return list(rows.order_by("position", "pk"))


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
            is_manual=row.is_manual,
        )
        for position, row in enumerate(rows, start=1)
    ]


def retotal(invoice: Invoice, *changed: str) -> Totals:
    """Put the lines in order, add them up and save the totals with the next revision; returns the totals.

    `changed` names further columns of the invoice to save. Call with the invoice locked.
    """
    totals = retotal_many([invoice])[invoice.pk]
    if changed:
        Invoice.objects.filter(pk=invoice.pk).update(**{name: getattr(invoice, name) for name in changed})
    return totals


def retotal_without(invoice: Invoice, *changed: str) -> Totals:
    """`retotal` after lines were taken off: what Taiga changed counts only while a printed line says so."""
    invoice.is_stale = invoice.lines.filter(is_voided=False).exclude(change_sentence="").exists()
    invoice.stale_sentence = invoice.stale_sentence if invoice.is_stale else ""
    return retotal(invoice, "is_stale", "stale_sentence", *changed)


def retotal_many(invoices: Sequence[Invoice]) -> dict[int, Totals]:
    """The same for any number of invoices, by id: two statements."""
    with connection.cursor() as cursor:
        cursor.execute(_ADD_UP, {"invoices": [invoice.pk for invoice in invoices]})
        sums = {row[0]: row[1:] for row in cursor.fetchall()}
        found = {}
        for invoice in invoices:
            net, raw_hours, billed_hours, count = sums.get(invoice.pk, (money.ZERO, money.ZERO, money.ZERO, 0))
            tax = money.tax_amount(net, invoice.tax_rate)
            gross = money.gross_amount(net, tax, invoice.currency)
            totals = Totals(net, tax, gross, raw_hours, billed_hours, count)
            found[invoice.pk] = totals
            for name in TOTAL_FIELDS:
                setattr(invoice, name, getattr(totals, name))
            invoice.revision += 1
        columns = [[getattr(invoice, name) for invoice in invoices] for name in ("pk", *TOTAL_FIELDS)]
        cursor.execute(_SAVE_TOTALS, columns)
    return found


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
        **({"po_number": invoice.po_number} if invoice.po_number else {}),
        "product_key": invoice.product_key,
        "tax": [invoice.tax_decision, invoice.tax_name, invoice.tax_rate],
        "totals": [invoice.net, invoice.tax, invoice.gross, invoice.billed_hours],
        "lines": [[line.position, line.task, line.notes, line.billed_hours, line.rate, line.amount] for line in lines],
    }


def seal_of(invoice: Invoice) -> str:
    """The seal of the invoice as its rows are now; equal to `invoice.seal` as long as nobody touched them."""
    return calculator.seal(content_of(invoice, as_lines(printed_rows(invoice))))
