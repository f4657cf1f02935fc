"""What a credit for a Difference would give back: lines, tax as on the invoice, totals; or why there can be none.

What counts is what the invoice's lines billed, not what the entries were priced at: a person may have written a line
down. Amounts are positive, in the invoice's currency. Reads rows, writes none, calls nobody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from django.utils.translation import gettext as _

from billing_console import money
from billing_console.states import InvoiceState
from invoicing.credit_left import CreditLine, LineLeft, left_of, lines_left, nothing_left, plain_sums
from invoicing.models import Credit, Invoice, InvoiceLine
from sync import settled, standing
from sync.clients.ninja_texts import neutralise
from sync.models import Difference
from sync.settled import Delta

CREDITABLE = (InvoiceState.CREATED, InvoiceState.SENT, InvoiceState.PARTLY_PAID, InvoiceState.PAID)


@dataclass(frozen=True)
class Offer:
    """A credit that could be given; `usable` is how much of it the invoice still owes, with tax."""

    invoice: Invoice
    lines: tuple[CreditLine, ...]
    net: Decimal
    tax: Decimal
    gross: Decimal
    usable: Decimal


def offer(difference: Difference) -> tuple[Offer | None, str]:
    """The credit that would settle the Difference, or None and the sentence why there can be none."""
    lines = _lines_of(difference.item_id)
    last = lines.get(difference.entry_id)
    if last is None:
        return None, _("What was billed is on no invoice any more, so there is nothing to credit.")
    parts = settled.deltas(
        standing.measured(difference), difference.hours_now, difference.rate_now, difference.currency
    )
    if why := _why_not(difference, parts, [lines.get(part.entry_id) for part in parts], last.invoice):
        return None, why
    invoice = last.invoice
    rows = _credit_lines(parts, lines)
    of_invoice = left_of(invoice)
    sums = plain_sums(rows, invoice)
    # One whose cycles are on several invoices is bounded by their lines alone.
    is_of_one = all(row.line is not None and row.line.invoice_id == invoice.pk for row in rows)
    if not rows or (is_of_one and sums.gross > of_invoice.gross + of_invoice.rounding):
        return None, nothing_left()
    gross = sums.gross
    owed = invoice.balance or money.ZERO
    is_owed = invoice.state in (InvoiceState.SENT, InvoiceState.PARTLY_PAID)
    usable = min(gross, owed) if is_owed else money.ZERO
    return Offer(invoice, sums.lines, sums.net, sums.tax, gross, usable), ""


def _lines_of(item_id: int) -> dict[int, InvoiceLine]:
    rows = InvoiceLine.objects.filter(entry__item=item_id, is_voided=False)
    found = rows.select_related("invoice__client", "invoice__remote", "entry__item")
    return {line.entry_id: line for line in found if line.entry_id is not None}


def _why_not(
    difference: Difference, parts: Sequence[Delta], lines: Sequence[InvoiceLine | None], invoice: Invoice
) -> str:
    if not parts or settled.total(parts) >= 0:
        return _("Nothing is to be given back: not less was worked, and not at a lower rate.")
    if any(part.amount > 0 for part in parts):
        return _(
            "A part of this is billed more and a part less. Let the next cycle bill the hours first; "
            "a lower rate of what was billed can then be credited."
        )
    if None in lines:
        return _("A part of what was billed is on no invoice any more, so it cannot be credited together.")
    taxes = {(line.invoice.tax_name, line.invoice.tax_rate, line.invoice.client_id) for line in lines if line}
    if len(taxes) > 1:
        return _("The cycles of this item were billed with different taxes. Make the credits by hand in Invoice Ninja.")
    if invoice.state not in CREDITABLE:
        return _("The invoice %(invoice)s is “%(state)s”: it can be credited once it is in Invoice Ninja.") % {
            "invoice": invoice,
            "state": invoice.get_state_display(),
        }
    if Credit.objects.filter(difference=difference, is_given_up=False).exists():
        return _("A credit for this was asked for already.")
    return ""


def _credit_lines(parts: Sequence[Delta], lines: Mapping[int, InvoiceLine]) -> list[CreditLine]:
    """The lines of the credit: each part, as far as something of its line is left."""
    left = lines_left([lines[entry_id] for entry_id in {part.entry_id for part in parts}])
    rows = []
    for part in parts:
        pk = lines[part.entry_id].pk
        row = _credit_line(part, left[pk])
        if row is not None:
            rows.append(row)
            left[pk] = replace(left[pk], hours=left[pk].hours - row.taken, amount=left[pk].amount - row.amount)
    return rows


def _credit_line(part: Delta, left: LineLeft) -> CreditLine | None:
    """Printed for clients, so its words are not translated: the text that was confirmed is the text that is sent.

    Printed hours × printed rate must be the amount: where rounding, or what was credited of the line before, keeps it
    from that, the line is 1 × its amount. None where nothing of the line is left.
    """
    line, amount = left.line, min(-part.amount, left.amount)
    if amount <= 0:
        return None
    hours, rate, currency = abs(part.hours), abs(part.rate), line.invoice.currency
    taken = min(hours, left.hours) if part.hours < 0 else money.ZERO
    shown = money.quantize(rate, currency)
    words = f"{hours:f} h less" if part.hours < 0 else f"{shown:f} {currency} less per hour"
    if money.line_amount(hours, rate, currency) != amount:
        words, hours, rate = f"{words}, {hours:f} h" if part.hours > 0 else words, Decimal(1), amount
    return CreditLine(neutralise(f"{line.notes} ({words})"), hours, rate, amount, line, taken)
