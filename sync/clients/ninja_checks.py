"""What must be in a body before it goes to Invoice Ninja, which answers 200 to much that it then spoils.

Each check raises ValueError, so a mistake of ours is a failed test and not a damaged row. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from typing import Final

_TEXT_BYTES: Final = 65_535
_NUMBER_LENGTH: Final = 191
_DATES: Final = ("date", "due_date", "partial_due_date")


def check_task(body: Mapping[str, object]) -> None:
    """Require a number that is not cut off and a time log that is stored whole."""
    number = body.get("number")
    if not isinstance(number, str) or number != number.strip() or not 0 < len(number) <= _NUMBER_LENGTH:
        raise ValueError("a task needs a number of 1 to 191 characters without spaces around it")
    time_log = body.get("time_log")
    if not isinstance(time_log, str):
        raise ValueError("time_log must be JSON text, not a list")
    _check_segments(time_log)
    for name in ("time_log", "description"):
        text = body.get(name, "")
        if isinstance(text, str) and len(text.encode("utf-8", "surrogatepass")) > _TEXT_BYTES:
            raise ValueError(f"{name} is longer than the server's column and would be cut")


def check_task_update(body: Mapping[str, object]) -> None:
    """Require what a PUT would wipe (`time_log`) or replace (`number`) if it were left out."""
    if "time_log" not in body or "number" not in body:
        raise ValueError("an update of a task must carry time_log and number")
    check_task(body)


def _check_segments(time_log: str) -> None:
    try:
        segments = json.loads(time_log)
    except ValueError:
        raise ValueError("time_log is no JSON") from None
    if not isinstance(segments, list):
        raise ValueError("time_log is no list of segments")
    for segment in segments:
        times = segment[:2] if isinstance(segment, list) else []
        if len(times) != 2 or any(isinstance(value, bool) or not isinstance(value, int) for value in times):
            raise ValueError("a segment of time_log begins with two whole unix seconds")


def check_invoice(body: Mapping[str, object]) -> None:
    """Require a client and a list of lines, and dates as YYYY-MM-DD with the due date not before the date."""
    _check_client(body)
    if not isinstance(body.get("line_items"), list):
        raise ValueError("line_items is missing")
    _check_dates(body)


def check_invoice_update(body: Mapping[str, object]) -> None:
    """Require a complete body: a PUT replaces all lines, and both dates are checked together."""
    if not isinstance(body.get("line_items"), list) or not body.get("date") or not body.get("due_date"):
        raise ValueError("an update of an invoice must carry all lines, date and due_date")
    _check_dates(body)


def check_credit(body: Mapping[str, object]) -> None:
    """Require a client, and dates as YYYY-MM-DD."""
    _check_client(body)
    _check_dates(body)


def _check_client(body: Mapping[str, object]) -> None:
    client_id = body.get("client_id")
    if not isinstance(client_id, str) or not client_id.strip():
        raise ValueError("client_id is missing")


def _check_dates(body: Mapping[str, object]) -> None:
    days: dict[str, date] = {}
    for name in _DATES:
        text = body.get(name)
        if text in (None, ""):
            continue
        if not isinstance(text, str) or len(text) != len("2025-12-31"):
            raise ValueError(f"{name} must be text like 2025-12-31")
        try:
            days[name] = date.fromisoformat(text)
        except ValueError:
            raise ValueError(f"{name} must be text like 2025-12-31") from None
    if "date" in days and "due_date" in days and days["due_date"] < days["date"]:
        raise ValueError("due_date is before date")
