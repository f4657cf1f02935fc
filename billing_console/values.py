"""What a form, an address or a query may say, read in one place: numbers, days and months, or None for anything else.

Only the validator raises: whoever reads says what follows where nothing could be read. Pure.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable
from typing import Final

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

LARGEST: Final = 2**63 - 1  # what PostgreSQL keeps as a bigint
# No work lies outside; arithmetic with days and months beside them never leaves the calendar.
FIRST_DAY: Final = dt.date(1970, 1, 1)
LAST_DAY: Final = dt.date(2199, 12, 31)


def number_of(text: str | None) -> int | None:
    """A whole number from 0 to the largest that a column holds, written in ASCII digits."""
    if not text or not text.isascii() or not text.isdecimal() or len(text) > len(str(LARGEST)):
        return None
    number = int(text)
    return number if number <= LARGEST else None


def numbers_of(texts: Iterable[str]) -> list[int]:
    """Those of the texts that are numbers."""
    return [number for text in texts if (number := number_of(text)) is not None]


def day_of(text: str | None) -> dt.date | None:
    """A day of 1970 to 2199, ISO."""
    try:
        day = dt.date.fromisoformat((text or "").strip())
    except ValueError:
        return None
    return day if is_day(day) else None


def is_day(day: dt.date) -> bool:
    """Whether somebody can mean the day."""
    return FIRST_DAY <= day <= LAST_DAY


def check_day(day: dt.date) -> None:
    """The validator of the days of a form. Raises ValidationError for one that nobody can mean."""
    if not is_day(day):
        raise ValidationError(_("Take a day from %(first)s to %(last)s.") % {"first": FIRST_DAY, "last": LAST_DAY})


def month_of(text: str | None) -> tuple[int, int] | None:
    """Year and month of a text like 2025-12, of 1970 to 2199."""
    found = re.fullmatch(r"(\d{4})-(\d{2})", (text or "").strip(), re.ASCII)
    if found is None or day_of(f"{found[1]}-{found[2]}-01") is None:
        return None
    return int(found[1]), int(found[2])
