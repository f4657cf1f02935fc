"""What the list of invoices can be filtered by; balance, amount, po_number and project_id are no filters."""

from __future__ import annotations

from collections.abc import Callable

from sandbox.memory import Row
from sandbox.ninja.filters import ALL, Filter, at_least, contains, equals, within
from sandbox.ninja.store import Store
from sandbox.ninja.values import as_text, is_like

OPEN = ("2", "3")
CUSTOM = ("custom_value1", "custom_value2", "custom_value3", "custom_value4")
STATUS_WORDS = {"draft", "paid", "unpaid", "overdue", "cancelled"}


def _by_client_status(store: Store, value: str) -> Callable[[Row], bool]:
    words = set(value.split(",")) & STATUS_WORDS
    if not words or "all" in value.split(","):
        return ALL
    today = f"{store.today():%Y-%m-%d}"

    def passes(row: Row) -> bool:
        status = row["status_id"]
        return (
            ("draft" in words and status == "1")
            or ("paid" in words and status == "4")
            or ("cancelled" in words and status == "5")
            or ("unpaid" in words and status in OPEN)
            or ("overdue" in words and status in OPEN and "" < row["due_date"] < today)
        )

    return passes


def _by_status_id(_store: Store, value: str) -> Callable[[Row], bool]:
    wanted = set(value.split(","))
    return lambda row: row["status_id"] in wanted


def _overdue(store: Store, _value: str) -> Callable[[Row], bool]:
    today = f"{store.today():%Y-%m-%d}"
    return lambda row: _is_open(row) and "" < row["due_date"] < today


def _upcoming(store: Store, _value: str) -> Callable[[Row], bool]:
    today = f"{store.today():%Y-%m-%d}"
    return lambda row: _is_open(row) and row["due_date"] >= today


def _payable(_store: Store, value: str) -> Callable[[Row], bool]:
    return lambda row: row["client_id"] == value and _is_open(row)


def _is_open(row: Row) -> bool:
    return not row["is_deleted"] and row["status_id"] in OPEN and row["balance"] > 0


def _by_text(store: Store, value: str) -> Callable[[Row], bool]:
    own = contains("number", "po_number", "date", "amount", "balance", *CUSTOM)(store, value)
    clients = {row["id"] for row in store["clients"].all() if is_like(row["name"], value)}

    def passes(row: Row) -> bool:
        lines = (as_text(line.get("notes")) for line in row["line_items"])
        return own(row) or row["client_id"] in clients or any(is_like(notes, value) for notes in lines)

    return passes


FILTERS: dict[str, Filter] = {
    "client_status": _by_client_status,
    "status_id": _by_status_id,
    "overdue": _overdue,
    "upcoming": _upcoming,
    "payable": _payable,
    "filter": _by_text,
    "date": at_least("date"),
    "due_date": at_least("due_date"),
    "date_range": within("date"),
    "due_date_range": within("due_date"),
    "private_notes": contains("private_notes"),
    "user_id": equals("user_id"),
}
