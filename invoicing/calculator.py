"""What a draft adds up to, what is odd about it, and its seal. Pure: no database, no settings, no clock.

Money belongs to the line: a total is the sum of printed line amounts (billing-rules: Order of calculation).
Amounts are Decimal in the invoice's currency, hours Decimal hours, rates amounts per hour.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Any

from billing_console import money

ZERO = Decimal(0)
LOOK_AT_UPLIFT = Decimal("0.5")  # more than this part of the raw hours on top is worth a look


class Oddity(StrEnum):
    """What makes a line worth a look before it is approved."""

    LATE = "late"
    UPLIFT = "uplift"
    EDITED = "edited"
    ADJUSTED = "adjusted"
    MANUAL = "manual"
    DROPPED = "dropped"


@dataclass(frozen=True)
class Line:
    """One printed line: `billed_hours` × `rate` = `amount` in the invoice's currency; `task` is our key.

    A line added by hand has no task, and its quantity is no worked hours.
    """

    position: int
    task: str
    notes: str
    work_date: date | None
    raw_hours: Decimal
    billed_hours: Decimal
    rate: Decimal
    amount: Decimal
    is_manual: bool = False


@dataclass(frozen=True)
class Totals:
    """Sums over printed lines: `net` before tax, `tax`, `gross` in the invoice's currency; hours of tasks.

    The tax has two decimals in every currency, so in yen the gross is net + tax rounded.
    """

    net: Decimal
    tax: Decimal
    gross: Decimal
    raw_hours: Decimal
    billed_hours: Decimal
    count: int

    @property
    def uplift(self) -> Decimal:
        """Hours that rounding and the minimum put on top (negative when rounding down)."""
        return self.billed_hours - self.raw_hours


def total_up(lines: Iterable[Line], *, tax_rate: Decimal, currency: str) -> Totals:
    """Add up printed lines; the tax is one rounding of the net total, `tax_rate` in per cent (billing-rules: Tax)."""
    rows = list(lines)
    net = money.total(line.amount for line in rows)
    tax = money.tax_amount(net, tax_rate)
    return Totals(
        net=net,
        tax=tax,
        gross=money.gross_amount(net, tax, currency),
        raw_hours=money.total(line.raw_hours for line in rows if not line.is_manual),
        billed_hours=money.total(line.billed_hours for line in rows if not line.is_manual),
        count=len(rows),
    )


def find_contradictions(lines: Sequence[Line], totals: Totals, *, tax_rate: Decimal, currency: str) -> list[str]:
    """Names of what does not add up, empty when all does: each line by itself, then the totals against the lines."""
    wrong = [
        f"line {line.position}"
        for line in lines
        if line.amount != money.line_amount(line.billed_hours, line.rate, currency)
    ]
    again = total_up(lines, tax_rate=tax_rate, currency=currency)
    names = ("net", "tax", "gross", "raw_hours", "billed_hours")
    return wrong + [name for name in names if getattr(again, name) != getattr(totals, name)]


def uplift_percent(raw_hours: Decimal, billed_hours: Decimal) -> Decimal | None:
    """How much more is billed than was worked, in per cent of the raw hours; None where nothing was worked."""
    return (billed_hours - raw_hours) / raw_hours * 100 if raw_hours > 0 else None


def find_oddities(
    *,
    raw_hours: Decimal,
    billed_hours: Decimal,
    is_late: bool,
    is_edited: bool,
    is_adjusted: bool = False,
    is_manual: bool = False,
    is_dropped: bool = False,
) -> tuple[Oddity, ...]:
    """What to look at on one line: late, billed more than half above the raw hours, or touched by a person."""
    answers = {
        Oddity.LATE: is_late,
        Oddity.UPLIFT: not is_manual and billed_hours > raw_hours * (1 + LOOK_AT_UPLIFT),
        Oddity.EDITED: is_edited,
        Oddity.ADJUSTED: is_adjusted,
        Oddity.MANUAL: is_manual,
        Oddity.DROPPED: is_dropped,
    }
    return tuple(oddity for oddity, is_so in answers.items() if is_so)


def seal(content: Mapping[str, Any]) -> str:
    """sha256, 64 hexadecimal digits, over the canonical JSON of what was reviewed.

    `content` holds texts, integers, lists and mappings; Decimals count by value (1.50 is 1.5), dates as YYYY-MM-DD.
    """
    canonical = json.dumps(_canonical(content), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _canonical(value: Any) -> Any:
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {key: _canonical(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_canonical(part) for part in value]
    if value is None or isinstance(value, (str, int)):
        return value
    raise TypeError(f"{type(value).__name__} has no canonical form")


def plain(value: Decimal) -> str:
    """A Decimal as digits without exponent or trailing zeros: 10.50 → "10.5", 1E+2 → "100"."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
