"""How an answer of the stand-in is held against the recorded one: status, headers, keys, types and values."""

from __future__ import annotations

import re
from typing import Any

# Made anew by each server, or by each run: only their types count.
VOLATILE = frozenset(
    {
        *("auth_token", "refresh", "uuid", "color", "permalink", "url", "duration", "read_new_terms"),
        *("order", "us_order", "taskboard_order", "backlog_order", "sprint_order", "kanban_order", "user_order"),
        *("total_activity", "total_activity_last_week", "total_activity_last_month", "total_activity_last_year"),
        *("totals_updated_datetime", "X-TAIGA-WEBHOOK-SIGNATURE", "X-Hub-Signature"),
    }
)
HEADERS = (
    "Content-Type",
    "WWW-Authenticate",
    "X-Throttle-Wait-Seconds",
    "Content-Disposition",
    "x-paginated",
    "x-paginated-by",
    "x-pagination-current",
    "x-pagination-count",
    "X-Pagination-Next",
    "X-Pagination-Prev",
)
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)")
_HOST = re.compile(r"^https?://[^/]+")


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    return {str: "string", type(None): "null", list: "list", dict: "object"}[type(value)]


def differences(recorded: Any, answered: Any, loose: frozenset[str] = frozenset(), at: str = "") -> list[str]:
    """What differs, one line each; keys in `loose` may have another value and type, VOLATILE ones another value."""
    if at.rpartition(".")[2] in {*loose, "response_headers"}:
        return []
    if _kind(recorded) != _kind(answered):
        return [f"{at}: recorded {recorded!r}, answered {answered!r}"]
    if isinstance(recorded, dict):
        found = [f"{at}.{key}: missing" for key in recorded.keys() - answered.keys() - loose]
        found += [f"{at}.{key}: not in the recording" for key in answered.keys() - recorded.keys() - loose]
        for key in recorded.keys() & answered.keys():
            found += differences(recorded[key], answered[key], loose, f"{at}.{key}")
        return found
    if isinstance(recorded, list):
        if len(recorded) != len(answered):
            return [f"{at}: {len(recorded)} recorded, {len(answered)} answered"]
        pairs = enumerate(zip(recorded, answered, strict=True))
        return [line for number, (was, now) in pairs for line in differences(was, now, loose, f"{at}[{number}]")]
    if recorded == answered or VOLATILE & set(at.split(".")[-2:]):
        return []
    if isinstance(recorded, str) and _TIME.fullmatch(recorded) and _TIME.fullmatch(answered):
        return []
    return [f"{at}: recorded {recorded!r}, answered {answered!r}"]


def header_differences(recorded: dict[str, str], answered: Any) -> list[str]:
    """The same for the headers that mean something; addresses without their host."""
    found = []
    for name in HEADERS:
        pair = [_HOST.sub("", value) if value else None for value in (recorded.get(name), answered.get(name))]
        if pair[0] != pair[1]:
            found.append(f"{name}: recorded {pair[0]!r}, answered {pair[1]!r}")
    return found
