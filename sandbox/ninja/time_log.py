"""A time_log: JSON text of `[start, end, description, billable]` entries, checked as loosely as Invoice Ninja does."""

from __future__ import annotations

import json
from typing import Any

from sandbox.ninja.errors import broken, invalid

Entry = list[Any]


def read_time_log(value: Any) -> list[Entry]:
    """The entries of a sent time_log, sorted by start.

    Raises Refusal: 500 for a real array or entries that are no pairs, 422 for what is no array, for timestamps that
    are no integers and for overlaps, which are looked for only among the first two entries and in the last.
    """
    if value is None:
        return []
    if not isinstance(value, str):
        raise broken()
    try:
        entries = json.loads(value)
    except (ValueError, RecursionError):
        entries = None
    if not isinstance(entries, list | dict):
        raise invalid({"time_log": ["The time_log must be a valid array."]})
    if isinstance(entries, dict):
        entries = list(entries.values())
    for entry in entries:
        if not isinstance(entry, list) or len(entry) < 2:
            raise broken()
        if not all(isinstance(stamp, int) and not isinstance(stamp, bool) for stamp in entry[:2]):
            raise invalid({"time_log": [f"The time_log - {_printed(entry)} is invalid. Unix timestamps only."]})
    entries.sort(key=lambda entry: entry[0])
    if entries and not _looks_ordered(entries):
        raise invalid({"time_log": ["Please correct overlapping values"]})
    return entries


def write_time_log(entries: list[Entry]) -> str:
    """The text the server stores: compact, with escaped slashes."""
    return json.dumps(entries, separators=(",", ":")).replace("/", "\\/")


def round_time_log(entries: list[Entry], seconds: int, *, is_up: bool) -> list[Entry]:
    """The entries with durations rounded to a multiple of `seconds` (1 or less: untouched) by moving their ends."""
    if seconds <= 1:
        return entries
    result = []
    for entry in entries:
        start, end = entry[0], entry[1]
        if end:
            parts = -((start - end) // seconds) if is_up else (end - start) // seconds
            end = start + parts * seconds
        result.append([start, end, *entry[2:]])
    return result


def logged_seconds(entries: list[Entry]) -> int:
    """The seconds of all ended entries together."""
    return sum(max(0, entry[1] - entry[0]) for entry in entries if entry[1])


def seconds_in(text: str) -> int:
    """The logged seconds of a stored time_log; 0 where it was cut into invalid JSON."""
    try:
        return logged_seconds(json.loads(text or "[]"))
    except (ValueError, TypeError, IndexError):
        return 0


def _looks_ordered(entries: list[Entry]) -> bool:
    first, last = entries[0], entries[-1]
    if len(entries) > 1 and (not first[1] or entries[1][0] < first[1]):
        return False
    return all(not entry[1] or entry[1] >= entry[0] for entry in (first, last))


def _printed(entry: Entry) -> str:
    """PHP's print_r of a flat list."""
    lines = "".join(f"    [{i}] => {_printed_value(value)}\n" for i, value in enumerate(entry))
    return f"Array\n(\n{lines})\n"


def _printed_value(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return "1" if value else ""
    return str(value)
