"""Which hourly rate applies, and why (billing-rules: Rate). Pure: no database, no settings.

Amounts are Decimal per hour in the currency beside them; days are local work dates.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from billing_console import money

ITEM: Final = "item"
LEVELS_BY_PREFERENCE: Final = {
    "user": ("user_in_project", "user", "role", "project", "client"),
    "project": ("project", "user_in_project", "user", "role", "client"),
}
PERSONAL_LEVELS: Final = frozenset({"user_in_project", "user", "role"})

OUTRANKED, NOT_YET_VALID, NO_LONGER_VALID = "outranked", "not_yet_valid", "no_longer_valid"


def fold(text: str) -> str:
    """The key of a role: lower case, `-`, `_` and space are one `_` (“Senior-Dev” and “senior dev” are senior_dev)."""
    return re.sub(r"[-_\s]+", "_", text.strip().casefold())


def has_currency_decimals(amount: Decimal, currency: str) -> bool:
    """Whether `amount` has no more decimals than `currency`, so that printed hours × printed rate is the amount."""
    return amount == money.quantize(amount, currency)


@dataclass(frozen=True, slots=True)
class RateRow:
    """A dated rate that could apply: `valid_from` inclusive (None: always), `valid_to` exclusive (None: open)."""

    level: str
    amount: Decimal
    currency: str
    row_id: int | None = None
    valid_from: dt.date | None = None
    valid_to: dt.date | None = None
    label: str = ""

    def is_valid_on(self, day: dt.date) -> bool:
        """Whether it applies to work of the local `day`."""
        return (self.valid_from is None or self.valid_from <= day) and (self.valid_to is None or day < self.valid_to)


@dataclass(frozen=True, slots=True)
class Loser:
    """A rate that did not apply; `reason` is outranked, not_yet_valid or no_longer_valid."""

    source: str
    amount: Decimal
    currency: str
    row_id: int | None
    label: str
    reason: str


@dataclass(frozen=True, slots=True)
class ChosenRate:
    """The rate per hour of an entry. `source` is `item` or a level of `Rate`; `row_id` is None for the item's own.

    `skipped` is "no_assignee" where nobody was assigned, so that the person's levels could not apply.
    """

    amount: Decimal
    currency: str
    source: str
    row_id: int | None = None
    valid_from: dt.date | None = None
    label: str = ""
    losers: tuple[Loser, ...] = field(default=())
    skipped: str = ""

    def facts(self) -> dict[str, Any]:
        """The snapshot kept on the entry: JSON values only, amounts as text with the currency's decimals."""
        return {
            "amount": plain_amount(self.amount, self.currency),
            "currency": self.currency,
            "source": self.source,
            "row": self.row_id,
            "label": self.label,
            "valid_from": self.valid_from.isoformat() if self.valid_from else None,
            "skipped": self.skipped,
            "losers": [
                {
                    "amount": plain_amount(loser.amount, loser.currency),
                    "currency": loser.currency,
                    "source": loser.source,
                    "row": loser.row_id,
                    "label": loser.label,
                    "reason": loser.reason,
                }
                for loser in self.losers
            ],
        }


def choose_rate(
    item_rate: Decimal | None,
    rows: Iterable[RateRow],
    *,
    prefer: str,
    on: dt.date,
    currency: str = "",
    has_person: bool = True,
) -> ChosenRate | None:
    """The first rate that exists on the work date `on`, or None (then the entry is held `no_rate`).

    Order: the item's own rate (in `currency`, the client's), then person in project, person, role, project,
    client; `prefer="project"` puts the project before the person's three. `rows` hold at most one rate per level
    and day. An item rate of exactly 0 is free of charge and chosen as such; whether somebody confirmed it is for
    the caller. Raises ValueError for a negative item rate.
    """
    if item_rate is not None and item_rate < 0:
        raise ValueError(f"A rate cannot be negative: {item_rate}")
    order = {level: place for place, level in enumerate(LEVELS_BY_PREFERENCE[prefer])}
    ranked = sorted(rows, key=lambda row: (order[row.level], row.valid_from or dt.date.min))
    winner = next((row for row in ranked if row.is_valid_on(on)), None)
    skipped = "" if has_person else "no_assignee"
    if item_rate is not None:
        losers = tuple(_loser(row, on) for row in ranked)
        return ChosenRate(item_rate, currency, ITEM, losers=losers, skipped=skipped)
    if winner is None:
        return None
    losers = tuple(_loser(row, on) for row in ranked if row is not winner)
    return ChosenRate(
        winner.amount,
        winner.currency,
        winner.level,
        row_id=winner.row_id,
        valid_from=winner.valid_from,
        label=winner.label,
        losers=losers,
        skipped=skipped,
    )


def _loser(row: RateRow, on: dt.date) -> Loser:
    if row.is_valid_on(on):
        reason = OUTRANKED
    elif row.valid_from is not None and on < row.valid_from:
        reason = NOT_YET_VALID
    else:
        reason = NO_LONGER_VALID
    return Loser(row.level, row.amount, row.currency, row.row_id, row.label, reason)


def plain_amount(amount: Decimal, currency: str) -> str:
    """The amount as digits with the decimals of `currency`, or all it has where it is finer."""
    return f"{money.quantize(amount, currency):f}" if has_currency_decimals(amount, currency) else f"{amount:f}"
