"""Exchanges observed on a running Invoice Ninja, and what the server held before each of them.

Up to 513 it was 5.10.17; from 601 on 5.10.42. From 889 on the answers were kept in part only: of each row the keys
that matter, and three headers.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "recordings"
# The server was installed anew before these exchanges; what was recorded earlier is not in it.
FRESH_INSTALLS = (475, 481, 601, 889)
SHORTENED_FROM = 889
Tables = dict[str, dict[str, dict[str, Any]]]
NESTED = {"project": "projects", "client": "clients", "invoice": "invoices", "user": "users", "status": "task_statuses"}
NESTED_LISTS = {"invoices": "invoices", "payments": "payments"}
NOT_STORED = ("documents", "gateway_tokens", "tasks", "activities", "ledger", "system_logs", "assigned_user")
CURRENT = {"emails": "invoices"}


@dataclass(frozen=True)
class Recording:
    """One request and the answer to it."""

    number: int
    name: str
    method: str
    path: str
    headers: dict[str, str]
    body: Any
    status: int
    answer_headers: dict[str, str]
    answer: Any

    @property
    def at(self) -> datetime:
        """When it was answered."""
        return parsedate_to_datetime(self.answer_headers.get("Date") or self.answer_headers["date"])

    @property
    def is_shortened(self) -> bool:
        """Whether its rows have only the keys that matter."""
        return self.number >= SHORTENED_FROM or (isinstance(self.answer, dict) and "_cut" in self.answer)

    @property
    def version(self) -> str:
        """What the server said of its version; "" where it said nothing."""
        said = {name.lower(): value for name, value in self.answer_headers.items()}
        return said.get("x-app-version", "")

    @property
    def table(self) -> str:
        """The kind of record that the path is about."""
        found = re.match(r"/api/v1/([a-z_]+)", self.path)
        kind = found.group(1) if found else ""
        return CURRENT.get(kind, kind)


def _number_of(file: Path) -> int:
    return int(file.name.split("-")[0])


@cache
def recordings() -> dict[int, Recording]:
    """All of them by number, in the order of their time."""
    found = {}
    for file in sorted(FOLDER.glob("*.json"), key=_number_of):
        raw = json.loads(file.read_text(encoding="utf-8"))
        request, response = raw["request"], raw["response"]
        number = _number_of(file)
        found[number] = Recording(
            number,
            file.stem,
            request["method"],
            request["path"],
            request["headers"],
            request.get("body"),
            response["status"],
            response["headers"],
            response["body"],
        )
    return found


def rows_in(recording: Recording) -> Tables:
    """The records in an answer, by table and id, as the server stored them."""
    answer = recording.answer
    if recording.status != 200 or not isinstance(answer, dict) or recording.is_shortened:
        return {}
    data = answer.get("data")
    rows = data if isinstance(data, list) else [data] if isinstance(data, dict) else []
    tables: Tables = {}
    for row in rows:
        _collect(tables, recording.table, row)
    if recording.table == "tasks" and recording.method == "POST" and isinstance(data, dict):
        _as_stored(tables["tasks"][data["id"]], recording.body)
    return tables


def _collect(tables: Tables, table: str, row: dict[str, Any]) -> None:
    if "id" not in row or table not in (*NESTED.values(), *("tasks", *OTHER_TABLES)):
        return
    own = {}
    for name, value in row.items():
        if name in NESTED and isinstance(value, dict):
            _collect(tables, NESTED[name], value)
        elif name in NESTED_LISTS and isinstance(value, list):
            for inner in value:
                _collect(tables, NESTED_LISTS[name], inner)
        elif name not in NOT_STORED:
            own[name] = value
    tables.setdefault(table, {})[row["id"]] = own


OTHER_TABLES = (
    "payments",
    "products",
    "credits",
    "webhooks",
    "companies",
    "tokens",
    "tax_rates",
    "users",
    "group_settings",
)


def _as_stored(task: dict[str, Any], body: Any) -> None:
    """A POST answers what was sent, not what the database kept of it."""
    task["date"] = "0000-00-00" if task["date"].startswith("+") else task["date"][:10]
    task["number"] = task["number"][:191]
    task["description"] = task["description"][:65_535]
    if isinstance(task["rate"], float):
        task["rate"] = round(task["rate"], 6)
    if isinstance(task["rate"], str):
        task["rate"] = 0
    if isinstance(body, dict):
        task["_hash"] = body.get("hash", "")


@cache
def _snapshots() -> dict[int, Tables]:
    """What was known to be on the server before each exchange."""
    snapshots: dict[int, Tables] = {}
    known: Tables = {}
    last = 0
    for number, recording in recordings().items():
        if any(last < first <= number for first in FRESH_INSTALLS):
            known = {}
        last = number
        snapshots[number] = known
        fresh = rows_in(recording)
        if fresh:
            known = {**known, **{table: together(known.get(table, {}), rows) for table, rows in fresh.items()}}
    return snapshots


def together(old: dict[str, dict[str, Any]], new: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Newer rows over older ones; what no answer shows (fields that begin with `_`) is kept."""
    return {**old, **{row_id: {**_hidden(old.get(row_id, {})), **row} for row_id, row in new.items()}}


def _hidden(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name.startswith("_")}


def known_before(number: int) -> Tables:
    """Rows by table and id that earlier exchanges showed; what nobody looked at is not among them."""
    return _snapshots()[number]
