"""What a change of rates or rules would move, told before anything is saved. Rows that are not stored, and sums.

Hours are Decimal hours, amounts before tax in the currency beside them. Who can price fills it in through
`hooks.on_effect_of`.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Final

from billing_console import money
from mappings.models import Rate, RuleSet
from mappings.rules import Period

LARGEST: Final = 10
# The rules that price an entry; the others say when and how an invoice is made.
PRICING_RULES: Final = (
    "rounding",
    "rounding_mode",
    "min_billable_hours",
    "min_mode",
    "prefer",
    "billing_timezone",
)


@dataclass(frozen=True)
class Change:
    """Rates as they would be stored, or the rules that would be current, with those that are. Nothing is stored."""

    rates: tuple[Rate, ...] = ()
    rule_set: RuleSet | None = None
    rules_before: RuleSet | None = None

    @property
    def moves_prices(self) -> bool:
        """Whether an amount could depend on it at all."""
        if self.rates:
            return True
        now, before = self.rule_set, self.rules_before
        if now is None or before is None:
            return now is not None
        return any(getattr(now, name) != getattr(before, name) for name in PRICING_RULES)


@dataclass(frozen=True)
class Priced:
    """What an entry comes to: None where it has no hours or no amount. `hold` is the reason code it waits for."""

    hours: Decimal | None
    amount: Decimal | None
    currency: str
    hold: str = ""
    state: str = ""


@dataclass(frozen=True)
class Move:
    """One entry that a change moves, from what it is to what it would be. `name` and `below` say which it is."""

    entry_id: int
    before: Priced
    after: Priced
    name: str = ""
    below: str = ""

    @property
    def hours(self) -> Decimal:
        """Billed hours more (negative: fewer)."""
        return (self.after.hours or money.ZERO) - (self.before.hours or money.ZERO)

    @property
    def money(self) -> dict[str, Decimal]:
        """Amount more (negative: less) by currency; a currency that it leaves counts with what it had."""
        sums: dict[str, Decimal] = {}
        for priced, sign in ((self.before, -1), (self.after, 1)):
            if priced.amount is not None:
                sums[priced.currency] = sums.get(priced.currency, money.ZERO) + sign * priced.amount
        return {currency: amount for currency, amount in sums.items() if amount}

    @property
    def size(self) -> tuple[Decimal, Decimal]:
        """By what the largest are chosen: money first, then hours."""
        return max((abs(amount) for amount in self.money.values()), default=money.ZERO), abs(self.hours)


@dataclass
class Effect:
    """Sums over the moved entries, and the ten largest. `period` is None for what is not claimed yet.

    For a closed month `billed` is what was billed for its work by currency; nothing of it changes, `money` only says
    by how much it would have been another amount.
    """

    period: Period | None = None
    billed: dict[str, Decimal] = field(default_factory=dict)
    count: int = 0
    hours: Decimal = money.ZERO
    money: dict[str, Decimal] = field(default_factory=dict)
    new_holds: int = 0
    freed_holds: int = 0
    _largest: list[tuple[tuple[Decimal, Decimal], int, Move]] = field(default_factory=list, repr=False)

    def add(self, entry_id: int, before: Priced, after: Priced, describe: Callable[[], tuple[str, str]]) -> None:
        """Count a moved entry; keeps no more than the ten largest, and asks only for their `name` and `below`."""
        move = Move(entry_id, before, after)
        self.count += 1
        self.hours += move.hours
        for currency, amount in move.money.items():
            self.money[currency] = self.money.get(currency, money.ZERO) + amount
        self.new_holds += bool(after.hold and not before.hold)
        self.freed_holds += bool(before.hold and not after.hold)
        rank = (move.size, -entry_id)
        if len(self._largest) == LARGEST and rank < self._largest[0][:2]:
            return
        name, below = describe()
        heapq.heappush(self._largest, (*rank, replace(move, name=name, below=below)))
        if len(self._largest) > LARGEST:
            heapq.heappop(self._largest)

    @property
    def largest(self) -> list[Move]:
        """The ten that move most money, then most hours; the biggest first."""
        return [move for *_rank, move in sorted(self._largest, reverse=True, key=lambda ranked: ranked[:2])]

    def would_be(self, currency: str) -> Decimal:
        """What would have been billed in `currency`."""
        return self.billed.get(currency, money.ZERO) + self.money.get(currency, money.ZERO)
