"""What a reconciliation is made of: terms, identities, and what is left over. Sums are by currency."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from django.db.models import QuerySet, Sum
from django.utils.translation import ngettext

from billing_console import money

Amounts = dict[str, Decimal]


@dataclass(frozen=True)
class Leftover:
    """One row that does not fit, in a sentence, with the page where it can be looked at ("" where there is none).

    `is_newer`: it changed here after the servers were read, so that it cannot be compared with what they said then.
    """

    sentence: str
    url: str = ""
    is_newer: bool = False


@dataclass(frozen=True)
class Term:
    """One part of an identity: how many rows, their raw hours, their amounts by currency.

    `state` is that of the entries it is made of, "" for a part of another kind, `reasons` what they wait for where the
    state alone does not tell them; `lookups` are further conditions of the list of entries; `report` is the name of the
    report that lists its rows, where there is one; `rows` are they themselves, one by one, where neither can list
    them; `is_beside` says that it is told beside the sum and is no part of it.
    """

    name: str
    count: int = 0
    hours: Decimal = money.ZERO
    amounts: Amounts = field(default_factory=dict)
    state: str = ""
    reasons: tuple[str, ...] = ()
    lookups: tuple[tuple[str, str], ...] = ()
    report: str = ""
    rows: tuple[Leftover, ...] = ()
    is_beside: bool = False


@dataclass(frozen=True)
class Identity:
    """`left` must equal the sum of `right`; `residue` says by how much it does not, empty when it holds.

    `of_left` says what `left` is made of. `leftovers` are the rows behind the residue, one by one: there may be some
    although the sums are equal, and then the identity does not hold either.
    """

    name: str
    left: Term
    right: tuple[Term, ...]
    residue: tuple[str, ...]
    of_left: tuple[Term, ...] = ()
    leftovers: tuple[Leftover, ...] = ()

    @property
    def is_true(self) -> bool:
        """Whether nothing is left over."""
        return not self.residue and not self.leftovers

    @property
    def is_outdated(self) -> bool:
        """Whether nothing is left over but rows that changed here after the servers were read."""
        return bool(self.leftovers) and all(row.is_newer for row in self.leftovers)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing on either side."""
        return not self.leftovers and not any(term.count for term in (self.left, *self.of_left, *self.right))


def identity_of(
    name: str, left: Term, right: tuple[Term, ...], residue: tuple[str, ...], leftovers: list[Leftover], **others: Any
) -> Identity:
    """An identity whose residue counts the rows that differ where the sums are equal all the same."""
    if leftovers and not residue:
        words = ngettext("%(count)d row differs", "%(count)d rows differ", len(leftovers))
        residue = (words % {"count": len(leftovers)},)
    return Identity(name, left, right, residue, leftovers=tuple(leftovers), **others)


def by_currency(rows: QuerySet[Any], column: str, currency: str = "currency") -> Amounts:
    """The sums of a column in one query; rows without a currency, and sums of 0, are left out."""
    sums = rows.exclude(**{currency: ""}).order_by().values(currency).annotate(total=Sum(column))
    return {row[currency]: row["total"] for row in sums if row["total"]}


def add(*several: Amounts) -> Amounts:
    """All of them together."""
    totals: dict[str, Decimal] = defaultdict(Decimal)
    for amounts in several:
        for currency, amount in amounts.items():
            totals[currency] += amount
    return {currency: amount for currency, amount in totals.items() if amount}


def unequal(left: Amounts, right: Amounts) -> tuple[str, ...]:
    """ "EUR 0.01" for each currency that differs, left − right."""
    currencies = sorted(left.keys() | right.keys())
    gaps = {code: left.get(code, money.ZERO) - right.get(code, money.ZERO) for code in currencies}
    return tuple(f"{code} {money.exact(gap, code):+}" for code, gap in gaps.items() if gap)
