"""Lists of items: the filters Taiga knows (all others are ignored without a word) and their order."""

from __future__ import annotations

import operator
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from dateutil import parser as dates  # type: ignore[import-untyped]

from sandbox.memory import Row
from sandbox.taiga.call import Call, Result
from sandbox.taiga.errors import ServerBreaks, bad_request
from sandbox.taiga.item_rows import show_in_list
from sandbox.taiga.kinds import ISSUE, STORY, Kind, view_permission

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "": operator.eq,
    "__gt": operator.gt,
    "__gte": operator.ge,
    "__lt": operator.lt,
    "__lte": operator.le,
}
_IDS = ("status", "assigned_to", "owner", "type", "priority", "severity")
_ONE = ("user_story", "milestone")
_ORDERS = ("project", "milestone", "status", "created_date", "modified_date", "assigned_to", "us_order", "subject")


def list_items(call: Call, kind: Kind) -> Result:
    """GET /tasks and the like: of all projects the user may see where no project is named."""
    rows = _in_projects(call, kind)
    for name, value in call.request.args.items():
        rows = _filter(call, kind, rows, name, value)
    if kind is ISSUE:
        rows.sort(key=lambda row: (row["project"], -row["id"]))
    else:
        rows.sort(key=lambda row: (row["project"], row["created_date"], row["ref"]))
    order = call.request.args.get("order_by", "")
    if order.lstrip("-") in _ORDERS:
        field = order.lstrip("-")
        rows.sort(key=lambda row: (row.get(field) is None, row.get(field)), reverse=order.startswith("-"))
    result = call.paginate(rows, lambda row: show_in_list(call, kind, row))
    if kind is STORY and result.status == 200 and call.request.args.get("project"):
        result.headers["Taiga-Info-Userstories-Without-Swimlane"] = "true"
    return result


def _in_projects(call: Call, kind: Kind) -> list[Row]:
    wanted, slug = call.request.args.get("project", ""), call.request.args.get("project__slug")
    if wanted and not wanted.lstrip("-").isdigit():
        raise bad_request("'project' must be an integer value.")
    rows: list[Row] = []
    for project in call.store.projects.all():
        is_asked = (not wanted or int(wanted) == project["id"]) and slug in (None, project["slug"])
        if is_asked and call.may(view_permission(kind), project):
            rows += call.store.items(kind).find(project=project["id"])
    return rows


def _filter(call: Call, kind: Kind, rows: list[Row], name: str, value: str) -> list[Row]:
    if not value:
        return rows
    exclude = name.startswith("exclude_")
    field = name.removeprefix("exclude_")
    if field in _IDS and (field in ("status", "assigned_to", "owner") or kind.name == "issue"):
        ids = _ids(value)
        return [row for row in rows if (row[field] in ids) != exclude]
    if field == "role":
        ids = {m["user"] for m in call.store.memberships.all() if m["role"] in _ids(value)} - {None}
        return [row for row in rows if (row["assigned_to"] in ids) != exclude]
    if field == "tags":
        tags = set(value.split(","))
        return [row for row in rows if bool(tags & set(row["tags"])) != exclude]
    if field in _ONE and not exclude:
        ids = _ids(value)
        return [row for row in rows if row.get(field) in ids]
    if name == "watchers":
        ids = _ids(value)
        return [row for row in rows if ids & set(row["watchers"])]
    if name == "q":
        return [row for row in rows if value.lower() in f"{row['subject']} {row['ref']}".lower()]
    if name in ("status__is_closed", "is_closed"):
        wanted = value.lower() in ("true", "1")
        if name == "is_closed":
            return [row for row in rows if call.store.is_closed(kind, row) == wanted] if kind is STORY else rows
        statuses = call.store.memory.table(kind.statuses)
        return [r for r in rows if (s := statuses.get(r["status"])) is not None and s["is_closed"] == wanted]
    return _by_date(kind, rows, name, value)


def _by_date(kind: Kind, rows: list[Row], name: str, value: str) -> list[Row]:
    field, _, suffix = name.partition("__")
    compare = _COMPARE.get(f"__{suffix}" if suffix else "")
    if compare is None or field not in ("created_date", "modified_date", kind.closed_field):
        return rows
    instant = _instant(value)
    return [row for row in rows if row[field] is not None and compare(row[field], instant)]


def _instant(value: str) -> datetime:
    """A date as Taiga reads it: no zone is UTC, and an unescaped plus has become a blank that moves the time."""
    try:
        instant: datetime = dates.parse(value, default=datetime(1, 1, 1, tzinfo=UTC))
    except (ValueError, OverflowError) as error:
        raise ServerBreaks from error
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def _ids(value: str) -> set[int | None]:
    parts = value.split(",")
    if not all(part == "null" or part.lstrip("-").isdigit() for part in parts):
        raise bad_request("Wrong arguments.")
    return {None if part == "null" else int(part) for part in parts}
