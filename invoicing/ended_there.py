"""What the status of an invoice in Invoice Ninja means, where the word alone misleads (recordings 1341 to 1402). Pure.

Cancelling a partly paid invoice keeps what was paid and makes the rest owed by nobody: it is no end, and nothing undoes
it. Any later change turns a cancelled one into a "paid" one, also where nobody paid.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Protocol

from django.db.models import Q

from billing_console.money import ZERO
from sync.clients.ninja_rows import CANCELLED, PAID, REVERSED


class Sums(Protocol):
    """What an invoice says of its money, with tax."""

    @property
    def is_deleted(self) -> bool: ...
    @property
    def amount(self) -> Decimal: ...
    @property
    def balance(self) -> Decimal: ...
    @property
    def paid_to_date(self) -> Decimal: ...


def has_ended(status: str, there: Sums) -> bool:
    """Whether nothing of it counts any more: deleted, reversed, or cancelled before anything was paid."""
    if there.is_deleted or status == REVERSED:
        return True
    return not there.paid_to_date and (status == CANCELLED or _is_called_paid(status, there))


def rest_of(status: str, there: Sums) -> Decimal:
    """What was cancelled of it after money came in; 0 where nothing was."""
    if there.is_deleted or there.balance or not there.paid_to_date > 0 or status not in (CANCELLED, PAID):
        return ZERO
    return max(there.amount - there.paid_to_date, ZERO)


def ended(way: str = "") -> Q:
    """`has_ended`, as a condition on CountedInvoice rows; `way` leads to them."""
    unpaid = Q(**{f"{way}paid_to_date": 0})
    called_paid = Q(**{f"{way}status": PAID, f"{way}balance": 0, f"{way}amount__gt": 0})
    gone = Q(**{f"{way}is_deleted": True}) | Q(**{f"{way}status": REVERSED})
    return gone | (unpaid & (Q(**{f"{way}status": CANCELLED}) | called_paid))


def _is_called_paid(status: str, there: Sums) -> bool:
    return status == PAID and not there.balance and there.amount > 0
