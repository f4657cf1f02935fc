"""What the list of tasks can be filtered by; `custom_value1`, `project_id`, `invoice_id` and `tags` are no filters."""

from __future__ import annotations

from collections.abc import Callable

from sandbox.memory import Row
from sandbox.ninja.filters import ALL, Filter, contains, equals
from sandbox.ninja.store import Store
from sandbox.ninja.values import as_text, collate, is_like

CUSTOM = ("custom_value1", "custom_value2", "custom_value3", "custom_value4")


def _by_text(store: Store, value: str) -> Callable[[Row], bool]:
    own = contains("description", "time_log", *CUSTOM)(store, value)
    projects = {row["id"] for row in store["projects"].all() if is_like(row["name"], value)}
    clients = {row["id"] for row in store["clients"].all() if _client_has(row, value)}
    return lambda row: own(row) or row["project_id"] in projects or row["client_id"] in clients


def _client_has(client: Row, value: str) -> bool:
    people = [" ".join((c["first_name"], c["last_name"])) for c in client["contacts"]]
    texts = [client["name"], *people, *(c["email"] for c in client["contacts"])]
    return any(is_like(text, value) for text in texts)


def _by_client_status(_store: Store, value: str) -> Callable[[Row], bool]:
    words = set(value.split(","))
    if words & {"invoiced", "uninvoiced"} and "all" not in words:
        return lambda row: ("invoiced" if row["invoice_id"] else "uninvoiced") in words
    return ALL


FILTERS: dict[str, Filter] = {
    "hash": lambda _s, value: lambda row: collate(as_text(row["_hash"])) == collate(value),
    "filter": _by_text,
    "client_status": _by_client_status,
    "project_tasks": equals("project_id"),
    "assigned_user": equals("assigned_user_id"),
    "user_id": equals("user_id"),
    "task_status": equals("status_id"),
}
