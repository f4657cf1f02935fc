"""The reserved words in line notes (`:MONTH`, `:YEAR`, `:QUARTER` and their kind), replaced when an invoice is made."""

from __future__ import annotations

import re
from datetime import date, timedelta

_WORD = re.compile(r":(MONTHYEAR|MONTH|YEAR|QUARTER|WEEK)(?:([+-])(\d+))?")
_UNSAFE = re.compile(r"</sc|onerror|prompt\(|alert\(", re.IGNORECASE)


def replace_keywords(notes: str, today: date) -> str:
    """The notes as the server stores them; `:MONTH+1` counts from `today`. Another colon character is left alone."""
    return _WORD.sub(lambda found: _value(found, today), notes)


def defuse(notes: str) -> str:
    """Notes without what looks like a script: each such piece becomes `<-`."""
    return _UNSAFE.sub("<-", notes)


def _value(found: re.Match[str], today: date) -> str:
    shift = int(found.group(3) or 0) * (-1 if found.group(2) == "-" else 1)
    match found.group(1):
        case "YEAR":
            return str(today.year + shift)
        case "MONTH":
            return f"{_month(today, shift):%B}"
        case "MONTHYEAR":
            return f"{_month(today, shift):%B %Y}"
        case "QUARTER":
            return f"Q{((today.month - 1) // 3 + shift) % 4 + 1}"
    monday = today - timedelta(days=today.weekday()) + timedelta(weeks=shift)
    return f"{monday:%d/%b/%Y} - {monday + timedelta(days=6):%d/%b/%Y}"


def _month(today: date, shift: int) -> date:
    months = today.year * 12 + today.month - 1 + shift
    return date(months // 12, months % 12 + 1, 1)
