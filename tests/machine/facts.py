"""What the oracle of random years knows of an item: what Taiga says, what people said, what is printed of it. Pure.

Hours are billed hours unless named raw, money is EUR before tax.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal

ZERO, CENT, QUARTER, HALF = Decimal(0), Decimal("0.01"), Decimal("0.25"), Decimal("0.5")
COPY, ANEW, WRITE_OFF = "copy", "anew", "write-off"


def billable(raw: Decimal, step: Decimal) -> Decimal:
    """Hours billed for raw ones: steps up, at least a quarter (billing-rules: Rounding, Minimum)."""
    return max((raw / step).to_integral_value(ROUND_CEILING) * step, QUARTER)


def amount_of(hours: Decimal, rate: Decimal) -> Decimal:
    """What a line comes to."""
    return (hours * rate).quantize(CENT, ROUND_HALF_UP)


@dataclass(frozen=True)
class Inputs:
    """What Taiga says of an item: raw hours, whether it is billable, and who pays (Invoice Ninja's id)."""

    raw: Decimal
    is_billable: bool
    client: str


@dataclass(frozen=True)
class Word:
    """Figures that a person wrote over first ones, when Taiga said `inputs`; `on_purpose`: its hours are right."""

    first: tuple[Decimal, Decimal]
    said: tuple[Decimal, Decimal]
    on_purpose: bool
    inputs: Inputs
    step: Decimal

    @property
    def waived(self) -> Decimal:
        """Hours left out on purpose; negative for hours added on purpose."""
        return self.first[0] - self.said[0] if self.on_purpose else ZERO


@dataclass(frozen=True)
class Line:
    """One line as Invoice Ninja holds it: `task` is our key there, "" for one that was added by hand."""

    task: str
    text: str
    hours: Decimal
    rate: Decimal

    @property
    def amount(self) -> Decimal:
        """Hours × rate."""
        return amount_of(self.hours, self.rate)


@dataclass(frozen=True)
class Bill:
    """An invoice as Invoice Ninja holds it; `has_ended`: cancelled or deleted before money came in. `was_refreshed`:
    its draft was asked for again, which takes over what the rules say."""

    id: str
    client: str
    has_ended: bool
    lines: tuple[Line, ...]
    was_refreshed: bool = False


@dataclass
class Cycle:
    """One cycle of an item: what stands printed of it, what was credited, what a person said about it."""

    key: str
    bill: str = ""
    client: str = ""
    text: str = ""
    said_text: str = ""
    hours: Decimal = ZERO
    rate: Decimal = ZERO
    waived: Decimal = ZERO
    is_given: bool = False
    is_said: bool = False
    word: Word | None = None
    copy: Line | None = None
    inputs: Inputs | None = None
    step: Decimal = QUARTER
    has_left: bool = False  # the draft of the copy: held, put off, rejected or reopened
    is_reread: bool = False  # theirs was taken over: what it was priced by stays
    asked: Decimal = ZERO  # money: what is printed, less what was credited
    left_for: set[str] = field(default_factory=set)  # clients who do not pay it: a person left it at who does

    @property
    def printed(self) -> Decimal:
        """Money: what the hours that stand billed come to, goodwill or not."""
        return amount_of(self.hours, self.rate)

    @property
    def settled(self) -> Decimal:
        """Hours that nobody has to bill or give back any more; none while it waits to be billed again."""
        return self.hours + self.waived if self.bill or self.is_given else ZERO


@dataclass
class Item:
    """One item of Taiga. `step` is the rounding of the rules by which it was read last."""

    number: int
    inputs: Inputs
    is_closed: bool = False
    is_gone: bool = False
    is_final: bool = False  # a person's last word: nothing follows
    cycles: dict[str, Cycle] = field(default_factory=dict)
    days: set[dt.date] = field(default_factory=set)
    confirmed: set[Decimal] = field(default_factory=set)
    left: set[tuple[Inputs, Decimal]] = field(default_factory=set)
    credited: Decimal = ZERO

    @property
    def standing(self) -> list[Cycle]:
        """The cycles that an invoice bills, or that were given away."""
        return [cycle for cycle in self.cycles.values() if cycle.bill or cycle.is_given]

    @property
    def settled(self) -> Decimal:
        """Settled hours of all cycles."""
        return sum((cycle.settled for cycle in self.standing), ZERO)

    @property
    def printed(self) -> Decimal:
        """Money that stands billed to anybody, goodwill or not."""
        return sum((cycle.printed for cycle in self.standing if not cycle.is_given), ZERO)

    @property
    def asked(self) -> Decimal:
        """Money that clients are asked for."""
        return sum((cycle.asked for cycle in self.standing if not cycle.is_given), ZERO)

    def hours_now(self, step: Decimal) -> Decimal:
        """Hours to be billed in all, by what Taiga says now."""
        return billable(self.inputs.raw, step) if self.inputs.is_billable else ZERO

    def back(self, hours_now: Decimal, *, is_done: bool = False) -> tuple[Decimal, Decimal, Decimal]:
        """Hours and money to give back when only `hours_now` stay: the newest cycle first, waived hours before that;
        and how much of that money is left to give, after goodwill.

        `is_done`: it was credited, so it is gone.
        """
        gone, hours, amount, left = self.settled - hours_now, ZERO, ZERO, ZERO
        for cycle in reversed(self.standing):
            taken = max(min(gone, cycle.settled), ZERO)
            gone -= taken
            waived = min(taken, max(cycle.waived, ZERO))
            less = taken - waived
            is_paid_for = less and not cycle.is_given
            money = cycle.printed - amount_of(cycle.hours - less, cycle.rate) if is_paid_for else ZERO
            given = min(money, cycle.asked)
            hours, amount, left = hours + (ZERO if cycle.is_given else less), amount + money, left + given
            if is_done:
                cycle.hours, cycle.waived, cycle.asked = cycle.hours - less, cycle.waived - waived, cycle.asked - given
        return hours, amount, left


@dataclass(frozen=True)
class Seen:
    """What the console holds ready of an item: hours on drafts or waiting for one, and what it asks.

    `offered`: settled hours of the unbilled cycles; `question`: hours now and money of the open Difference.
    """

    offered: Decimal = ZERO
    question: tuple[Decimal, Decimal] | None = None
