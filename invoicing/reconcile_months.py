"""Months of the reconciliation's page: `?month=2025-12`, and the months before and after. Pure."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from billing_console.values import month_of
from mappings import rules
from mappings.rules import ONE_DAY, Period, previous_month


@dataclass(frozen=True)
class Pages:
    """The month before the days shown, and the one after them; `after` is None where that has not begun."""

    before: Period
    after: Period | None


def read_month(text: str) -> Period | None:
    """The month written as 2025-12; None for anything else."""
    found = month_of(text)
    return None if found is None else rules.month(*found)


def pages(start: dt.date, end: dt.date, today: dt.date) -> Pages:
    """The months around the days from `start` to `end` (included)."""
    following = (end.replace(day=28) + 4 * ONE_DAY).replace(day=1)
    after = rules.month(following.year, following.month)
    return Pages(previous_month(start), after if after.start <= today else None)


def name_of(month: Period) -> str:
    """As the address has it: 2025-12."""
    return f"{month.start:%Y-%m}"
