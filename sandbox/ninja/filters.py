"""Query parameters of the lists: which rows come back. Unknown names and empty values filter nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from sandbox.memory import Row
from sandbox.ninja.call import Call
from sandbox.ninja.errors import broken
from sandbox.ninja.store import Store
from sandbox.ninja.values import as_number, as_text, collate, is_like

Filter = Callable[[Store, str], Callable[[Row], bool]]
ALL: Callable[[Row], bool] = lambda _row: True  # noqa: E731 - a filter that lets everything pass


def equals(name: str) -> Filter:
    """Rows whose field has this text, in the database's collation."""

    def make(_store: Store, value: str) -> Callable[[Row], bool]:
        wanted = collate(value)
        return lambda row: collate(as_text(row.get(name))) == wanted

    return make


def contains(*names: str) -> Filter:
    """Rows in one of whose fields the text occurs; `%` and `_` are wildcards."""

    def make(_store: Store, value: str) -> Callable[[Row], bool]:
        return lambda row: any(is_like(as_text(row.get(name)), value) for name in names)

    return make


def at_least(name: str) -> Filter:
    """Rows whose date (`YYYY-MM-DD`) is this one or later."""
    return lambda _store, value: lambda row: as_text(row.get(name)) >= value


def within(name: str) -> Filter:
    """Rows whose date lies in `from,to`, both included."""

    def make(_store: Store, value: str) -> Callable[[Row], bool]:
        parts = value.split(",")
        if len(parts) != 2:
            return ALL
        return lambda row: bool(row.get(name)) and parts[0] <= row[name] <= parts[1]

    return make


def compares(name: str) -> Filter:
    """Rows whose number equals the one in `gt:0`: the relation is not heeded, as it was seen on a running server."""

    def make(_store: Store, value: str) -> Callable[[Row], bool]:
        _relation, _, number = value.partition(":")
        return lambda row: row[name] == as_number(number)

    return make


def _by_status(_store: Store, value: str) -> Callable[[Row], bool]:
    words = set(value.split(","))

    def passes(row: Row) -> bool:
        if row.get("is_deleted"):
            return "deleted" in words
        return ("archived" if row.get("archived_at") else "active") in words

    return passes if words & {"active", "archived", "deleted"} else ALL


def _by_instant(name: str) -> Filter:
    def make(_store: Store, value: str) -> Callable[[Row], bool]:
        since = _timestamp(value)
        return ALL if since is None else lambda row: row[name] >= since

    return make


def _timestamp(value: str) -> int | None:
    if re.fullmatch(r"-?\d+", value):
        return int(value)
    try:
        instant = datetime.fromisoformat(value)
    except ValueError:
        return None
    return int((instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp())


def _by_living_client(store: Store, _value: str) -> Callable[[Row], bool]:
    dead = {row["id"] for row in store["clients"].all() if row["is_deleted"]}
    return lambda row: row.get("client_id") not in dead


COMMON: dict[str, Filter] = {
    "number": equals("number"),
    "status": _by_status,
    # The database compares a boolean column with the text: "true" is 0.
    "is_deleted": lambda _s, value: lambda row: bool(row.get("is_deleted")) == (value == "1"),
    "with_trashed": lambda _s, value: lambda row: value != "false" or not row.get("is_deleted"),
    "updated_at": _by_instant("updated_at"),
    "created_at": _by_instant("created_at"),
    "client_id": equals("client_id"),
    "without_deleted_clients": _by_living_client,
    "filter_deleted_clients": _by_living_client,
}


def select(call: Call, table: str, filters: dict[str, Filter]) -> list[Row]:
    """The rows of a table that pass the call's query, sorted as it asks, else by age. Raises Refusal (bad sort)."""
    store = call.store
    known = {**COMMON, **filters}
    tests = [known[name](store, value) for name, value in call.query.items() if value and name in known]
    rows: Iterable[Row] = _candidates(call, table)
    if not call.may(f"view_{table.removesuffix('s')}"):
        mine = call.user.get("id")
        rows = [row for row in rows if mine in (row.get("user_id"), row.get("assigned_user_id"))]
    found = [row for row in rows if all(test(row) for test in tests)]
    found.sort(key=lambda row: row["_pk"])
    _sort(call, table, found)
    first = call.query.get("with")
    if first:
        found.sort(key=lambda row: row["id"] != first)
    return found


def _candidates(call: Call, table: str) -> list[Row]:
    """All rows, or fewer where an index answers part of the question."""
    rows = call.store[table]
    number = call.query.get("number")
    if number and table in ("tasks", "invoices", "clients", "projects"):
        return rows.find(_number=collate(number))
    client_id = call.query.get("client_id")
    if client_id and table in ("tasks", "invoices", "payments", "credits", "projects"):
        return rows.find(client_id=client_id)
    return rows.all()


def _sort(call: Call, table: str, rows: list[Row]) -> None:
    column, _, direction = (call.query.get("sort") or "").partition("|")
    if not column or direction not in ("asc", "desc"):
        return
    if column == "id":
        column = "_pk"
    elif rows and column not in rows[0]:
        raise broken()
    if column == "number":
        rows.sort(key=lambda row: _digits(row["number"]), reverse=direction == "desc")
        return
    if column == "client_id":
        names = {row["id"]: row["name"] for row in call.store["clients"].all()}
        rows.sort(key=lambda row: collate(names.get(row["client_id"], "")), reverse=direction == "desc")
        return
    rows.sort(key=lambda row: _sortable(row.get(column)), reverse=direction == "desc")


def _digits(number: str) -> int:
    return int("".join(re.findall(r"[0-9]", number or "")) or 0)


def _sortable(value: Any) -> tuple[int, Any]:
    if isinstance(value, int | float):
        return (0, value)
    return (1, collate(as_text(value)))
