"""What of an invoice, and of each of its lines, can still be credited: what is on it, less what was credited before.

Amounts in the invoice's currency, hours as printed. Reads rows, writes none, calls nobody.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from django.db.models import Count, Sum
from django.utils.translation import gettext as _

from billing_console import money
from invoicing.models import Credit, CreditedPart, Invoice, InvoiceLine


@dataclass(frozen=True)
class LineLeft:
    """What can still be credited of a line: `hours` printed, 0 for one by hand; `amount` with the sign of the line."""

    line: InvoiceLine
    hours: Decimal
    amount: Decimal

    def amount_of(self, hours: Decimal) -> Decimal:
        """What `hours` of it come to: what is left less what stays, rounded (billing-rules: After the fact)."""
        if hours == self.hours:
            return self.amount
        stays = money.line_amount(self.hours - hours, self.line.rate, self.line.invoice.currency)
        return max(self.amount - stays, money.ZERO)


@dataclass(frozen=True)
class Left:
    """What can still be credited of an invoice: `net` before tax, `gross` with it, and of each line by its id."""

    invoice: Invoice
    net: Decimal
    gross: Decimal
    lines: dict[int, LineLeft] = field(default_factory=dict)
    rounding: Decimal = money.ZERO  # what the tax of the earlier credits and of one more may be rounded up by

    @property
    def mark(self) -> str:
        """What a form says that it was shown: anything else is another question."""
        return f"{self.net}|{self.gross}|{self.invoice.balance}|{self.invoice.state}"


@dataclass(frozen=True)
class CreditLine:
    """One line of a credit: `hours` × `rate` = `amount`; all positive, but for a line that was negative itself.

    `line` is the invoice line that it takes `amount` off, None for the invoice as a whole; `taken` are its hours.
    """

    notes: str
    hours: Decimal
    rate: Decimal
    amount: Decimal
    line: InvoiceLine | None = None
    taken: Decimal = money.ZERO


@dataclass(frozen=True)
class Sums:
    """The lines of a credit and what they come to, with the tax of the invoice rounded once."""

    lines: tuple[CreditLine, ...]
    net: Decimal
    tax: Decimal
    gross: Decimal


def left_of(invoice: Invoice) -> Left:
    """What of the invoice can still be credited. A rest that is written off, or was cancelled, nobody gets back."""
    lines = list(InvoiceLine.objects.filter(invoice=invoice, is_voided=False).order_by("position", "pk"))
    for line in lines:
        line.invoice = invoice
    of_invoice = Credit.objects.filter(invoice=invoice, is_given_up=False)
    whole = CreditedPart.objects.filter(credit__in=of_invoice, line__isnull=True).aggregate(total=Sum("amount"))
    by_line = lines_left(lines)
    off_lines = money.total(line.amount - by_line[line.pk].amount for line in lines)
    earlier = of_invoice.aggregate(count=Count("pk"), total=Sum("gross"))
    gross = earlier["total"] or money.ZERO
    return Left(
        invoice,
        invoice.net - off_lines - (whole["total"] or money.ZERO),
        invoice.gross - gross - invoice.cancelled_rest,
        by_line,
        earlier["count"] * money.unit(invoice.currency),
    )


def lines_left(lines: Sequence[InvoiceLine]) -> dict[int, LineLeft]:
    """What of each of these lines can still be credited, by its id, whichever credit took the rest: one query."""
    rows = CreditedPart.objects.filter(line__in=[line.pk for line in lines], credit__is_given_up=False)
    sums: dict[int, tuple[Decimal, Decimal]] = defaultdict(lambda: (money.ZERO, money.ZERO))
    for row in rows.order_by().values("line").annotate(taken=Sum("hours"), total=Sum("amount")):
        sums[row["line"]] = (row["taken"], row["total"])
    return {
        line.pk: LineLeft(
            line,
            max(line.billed_hours - sums[line.pk][0], money.ZERO) if line.entry_id is not None else money.ZERO,
            line.amount - sums[line.pk][1],
        )
        for line in lines
    }


def sum_up(left: Left, lines: Iterable[CreditLine]) -> Sums:
    """The credit that a person gives by these lines, with the invoice's tax.

    Each document rounds its tax once, so several credits of one invoice could come to a cent more than the invoice:
    a line of rounding takes that off, and nobody gets back more than was asked for.
    """
    rows, invoice = list(lines), left.invoice
    found = plain_sums(rows, invoice)
    over = money.ZERO
    while found.gross > left.gross > 0 and found.net <= left.net and over < 3 * money.unit(invoice.currency):
        over += money.unit(invoice.currency)
        rounding = CreditLine("Rounding", Decimal(-1), over, -over)  # printed for clients: not translated
        found = plain_sums([*rows, rounding], invoice)
    return found


def plain_sums(rows: Sequence[CreditLine], invoice: Invoice) -> Sums:
    """These lines with the invoice's tax, rounded once as the server does it."""
    net = money.total(row.amount for row in rows)
    tax = money.tax_amount(net, invoice.tax_rate)
    return Sums(tuple(rows), net, tax, money.gross_amount(net, tax, invoice.currency))


def nothing_left() -> str:
    """The sentence where everything was credited before."""
    return _("Everything of it was credited already, or is written off. There is nothing left to credit.")
