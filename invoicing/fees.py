"""What Invoice Ninja puts on an invoice by itself: payment fees and late fees, told apart from what we billed. Pure.

Lines of type 3 and 4 (a fee of a payment, open and paid) and 5 (a late fee) are the server's own once the invoice was
sent; they are no drift, and count apart with the tax on them (billing-rules: The identities that must always hold, 4).
On a draft nobody puts them but a person, and there they are compared like any line.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from billing_console import money
from sync.clients.ninja_rows import DRAFT, NinjaInvoice, NinjaLine

if TYPE_CHECKING:
    from invoicing.models import Invoice

FEE_TYPES = ("3", "4", "5")


@dataclass(frozen=True)
class Fees:
    """What the fees of an invoice come to in its currency: before tax, the tax on them, and what the client pays."""

    net: Decimal = money.ZERO
    tax: Decimal = money.ZERO
    gross: Decimal = money.ZERO


def is_fee(found: NinjaInvoice, line: NinjaLine) -> bool:
    """Whether the server put this line there by itself."""
    return found.status_id != DRAFT and line.type_id in FEE_TYPES


def billed_lines(found: NinjaInvoice) -> tuple[NinjaLine, ...]:
    """The lines that bill, in order: all but the server's own."""
    return tuple(line for line in found.lines if not is_fee(found, line))


def fee_lines(found: NinjaInvoice) -> tuple[NinjaLine, ...]:
    """The lines that the server put there by itself, in order."""
    return tuple(line for line in found.lines if is_fee(found, line))


def fees_of(found: NinjaInvoice, currency: str) -> Fees:
    """What its fees come to, counted as the server counts: taxes of the invoice are on them too, each rounded once."""
    own = fee_lines(found)
    if not own:
        return Fees()
    without, net = net_of(billed_lines(found), currency), net_of(own, currency)
    rates = [found.tax_rate, *(rate for _name, rate in found.more_taxes)]
    before = money.total(money.tax_amount(without, rate) for rate in rates)
    after = money.total(money.tax_amount(without + net, rate) for rate in rates)
    tax = after - before + money.total(line.tax_amount for line in own)
    gross = money.gross_amount(without + net, before + tax, currency) - money.gross_amount(without, before, currency)
    return Fees(net, tax, gross)


def net_of(lines: Iterable[NinjaLine], currency: str) -> Decimal:
    """What lines come to before tax: the server adds up line totals that are rounded to its decimals of `currency`."""
    return money.total(money.quantize(line.line_total, currency) for line in lines)


def net_there(invoice: Invoice, amount: Decimal, taxes: Decimal) -> Decimal:
    """What the server's total leaves before tax, of `amount` and `taxes` without fees, to be held against our net.

    A currency with fewer decimals than its taxes has a total that is rounded once more; that is taken off.
    """
    rounding = invoice.gross - invoice.net - money.tax_amount(invoice.net, invoice.tax_rate)
    return money.exact(amount - taxes - rounding, invoice.currency)
