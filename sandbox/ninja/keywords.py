"""The reserved words in line notes (`:MONTH`, `:YEAR`, `:QUARTER` and their kind), replaced when an invoice is made."""

from __future__ import annotations

import re
from datetime import date, timedelta

_WORD = re.compile(r":(MONTHYEAR|MONTH|YEAR|QUARTER|WEEK)(?:([+-])(\d+))?")
_ELEMENT = re.compile(r"<(?=[a-zA-Z/!])[/!]?([a-zA-Z]*)[^>]*(?:>|\Z)")
_KNOWN_ELEMENTS = (
    "b",
    "i",
    "u",
    "p",
    "br",
    "em",
    "strong",
    "div",
    "span",
    "ul",
    "ol",
    "li",
    "code",
    "pre",
    "a",
    "table",
)
_CUT_FROM_TASKS = re.compile(
    r'</sc|&lt;/sc|file:/|iframe|(?:<|&lt;)(?:embed|object)|127\.0\.0\.1|localhost|<\?xml encoding="UTF-8">|/etc/',
    re.IGNORECASE,
)
_UNSAFE = re.compile(r"</sc|onerror|prompt\(|alert\(", re.IGNORECASE)


def replace_keywords(notes: str, today: date) -> str:
    """The notes as the server stores them; `:MONTH+1` counts from `today`. Another colon character is left alone."""
    return _WORD.sub(lambda found: _value(found, today), notes)


def defuse(notes: str) -> str:
    """Notes without what looks like a script: each such piece becomes `<-`."""
    return _UNSAFE.sub("<-", notes)


def cleaned(notes: str) -> str:
    """Line notes as the HTML cleaner of 2026 leaves them: an element that it does not know goes, with what is inside
    (einvoice-and-2026.md A3; read, not run)."""
    notes = notes.replace("%24", "$").replace("\0", "")
    while (found := _ELEMENT.search(notes)) is not None:
        if found[1].lower() in _KNOWN_ELEMENTS:
            notes = notes[: found.start()] + "\0" + notes[found.start() + 1 :]
            continue
        end = re.search(rf"</{re.escape(found[1])}\s*>", notes[found.end() :], re.IGNORECASE) if found[1] else None
        notes = notes[: found.start()] + (notes[found.end() + end.end() :] if end else "")
    return notes.replace("\0", "<").strip()


def without_hosts(description: str) -> str:
    """A task's description as 2026 stores it (einvoice-and-2026.md A4; read, not run)."""
    return _CUT_FROM_TASKS.sub("", description)


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
