"""What is answered of a row: its public fields, what always comes with it, and what `include=` asks for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sandbox.memory import Row
from sandbox.ninja.call import Call
from sandbox.ninja.errors import Refusal
from sandbox.ninja.paging import cut_page, whole_list
from sandbox.ninja.store import Store

Include = Callable[[Store, Row], Any]


def public(row: Row) -> dict[str, Any]:
    """The row without the fields that begin with `_`."""
    return {name: value for name, value in row.items() if not name.startswith("_")}


def _one(table: str, field: str) -> Include:
    def include(store: Store, row: Row) -> Any:
        found = store[table].get(row.get(field) or "")
        return None if found is None else transform(store, table, found)

    return include


def _payments_of(store: Store, invoice: Row) -> list[dict[str, Any]]:
    found = [
        payment
        for payment in store["payments"].find(client_id=invoice["client_id"])
        if any(part.get("invoice_id") == invoice["id"] for part in payment["paymentables"])
    ]
    return [transform(store, "payments", payment) for payment in sorted(found, key=lambda row: row["_pk"])]


def _invoices_of(store: Store, payment: Row) -> list[dict[str, Any]]:
    ids = [part["invoice_id"] for part in payment["paymentables"] if "invoice_id" in part]
    ids += payment.get("_gone", [])  # deleted ones too, though their parts are gone (1333)
    rows = [store["invoices"].get(i) for i in dict.fromkeys(ids)]
    return [transform(store, "invoices", row) for row in rows if row is not None]


def _credits_of(store: Store, payment: Row) -> list[dict[str, Any]]:
    rows = [store["credits"].get(part.get("credit_id", "")) for part in payment["paymentables"]]
    return [transform(store, "credits", row) for row in rows if row is not None]


def _tasks_of(store: Store, project: Row) -> list[dict[str, Any]]:
    found = [row for row in store["tasks"].find(project_id=project["id"]) if not row["archived_at"]]
    rows = sorted(found, key=lambda row: row["_pk"])
    return [transform(store, "tasks", row) for row in rows]


def _none(_store: Store, _row: Row) -> list[Any]:
    return []


INCLUDES: dict[str, dict[str, Include]] = {
    "tasks": {
        "client": _one("clients", "client_id"),
        "project": _one("projects", "project_id"),
        "invoice": _one("invoices", "invoice_id"),
        "status": _one("task_statuses", "status_id"),
        "user": _one("users", "user_id"),
        "assigned_user": _one("users", "assigned_user_id"),
        "documents": _none,
    },
    "invoices": {
        "client": _one("clients", "client_id"),
        "payments": _payments_of,
        "documents": _none,
        "history": _none,
        "activities": _none,
        "credits": _none,
    },
    "payments": {
        "client": _one("clients", "client_id"),
        "invoices": _invoices_of,
        "credits": _credits_of,
        "documents": _none,
    },
    "projects": {"client": _one("clients", "client_id"), "tasks": _tasks_of, "documents": _none},
    "clients": {
        "documents": _none,
        "gateway_tokens": _none,
        "activities": _none,
        "ledger": _none,
        "system_logs": _none,
        "contacts": lambda _store, row: row["contacts"],
    },
    "credits": {"client": _one("clients", "client_id"), "documents": _none},
}
# `paymentables`, `invitations` and their kind are in the rows anyway; asking for them is no error.
ALWAYS = {
    "payments": ("paymentables", "type"),
    "invoices": ("invitations",),
    "credits": ("invitations",),
    "tasks": (),
}


def transform(store: Store, table: str, row: Row, includes: tuple[str, ...] = ()) -> dict[str, Any]:
    """The row as it is answered; a relation that leads nowhere is left out."""
    answer = public(row)
    if table in ("tasks", "clients", "projects", "products", "invoices", "payments", "credits", "group_settings"):
        answer["documents"] = []
    if table == "clients":
        answer["gateway_tokens"] = []
    wanted = ("project", *includes) if table == "tasks" and row.get("project_id") else includes
    for name in wanted:
        include = INCLUDES[table].get(name)
        value = include(store, row) if include is not None else None
        if value is not None:
            answer[name] = value
    return answer


def read_includes(call: Call, table: str) -> tuple[str, ...]:
    """The relations that `include=` names. Raises Refusal for one that the server does not know."""
    names = tuple(name for name in str(call.query.get("include") or "").split(",") if name)
    for name in names:
        if name not in INCLUDES.get(table, {}) and name not in ALWAYS.get(table, ()):
            raise Refusal(400, {"message": f"Relation `{name}` is not a valid include."})
    return names


def answer_one(call: Call, table: str, row: Row) -> dict[str, Any]:
    """`{"data": row}` with what the call includes."""
    return {"data": transform(call.store, table, row, read_includes(call, table))}


def answer_page(call: Call, table: str, rows: list[Row]) -> dict[str, Any]:
    """The asked page of these rows with its `meta`."""
    includes = read_includes(call, table)
    cut, meta = cut_page(call, rows, table)
    return {"data": [transform(call.store, table, row, includes) for row in cut], "meta": meta}


def answer_bulk(call: Call, table: str, rows: list[Row]) -> dict[str, Any]:
    """All of these rows, as a bulk action answers them."""
    return {"data": [transform(call.store, table, row) for row in rows], "meta": whole_list(rows)}
