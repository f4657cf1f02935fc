"""The rows of the stand-in, kept almost as they are answered; fields that begin with `_` are never answered."""

from __future__ import annotations

from datetime import UTC, date, datetime
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from sandbox.clock import Clock
from sandbox.memory import Memory, Row, Table
from sandbox.ninja.data import currencies, default_company, time_zones
from sandbox.ninja.guard import Guard
from sandbox.ninja.hashids import encode
from sandbox.ninja.values import as_number, collate, is_on

TABLES: dict[str, tuple[str, ...]] = {
    "companies": (),
    "users": (),
    "tokens": ("token",),
    "clients": ("_number",),
    "projects": ("_number", "client_id"),
    "products": (),
    "tax_rates": (),
    "task_statuses": (),
    "group_settings": (),
    "tasks": ("_number", "client_id", "project_id", "invoice_id"),
    "invoices": ("_number", "client_id"),
    "payments": ("client_id", "_idempotency_key"),
    "credits": ("_number", "client_id"),
    "activities": ("_invoice", "_payment", "_credit"),
    "webhooks": ("event_id",),
    "mails": ("message_id",),
    "deliveries": (),
    "counters": (),
    "switches": (),
    # Rows that live inside others: only their numbers are counted here.
    "contacts": (),
    "invoices_invitations": (),
    "credits_invitations": (),
    "paymentables": (),
}
NUMBERED = ("clients", "projects", "tasks", "invoices", "payments", "credits")
DEFAULT_TOKEN = "sandbox-ninja-token"
AMERICA = "840"
STATUSES = ("Backlog", "Ready to do", "In progress", "Done")


class Store:
    """Reads and writes rows. Changes need `memory.transaction()`; instants are whole seconds of the shared clock."""

    def __init__(self, memory: Memory, clock: Clock) -> None:
        self.memory = memory
        self.clock = clock
        self.guard = Guard()
        self.tables: dict[str, Table] = {name: memory.table(name, indexes=indexes) for name, indexes in TABLES.items()}

    def __getitem__(self, name: str) -> Table:
        return self.tables[name]

    def found_company(self) -> None:
        """What a fresh install has: one company, its owner, a token, the task statuses. Does nothing if it is there."""
        if self["companies"].all():
            return
        with self.memory.transaction():
            self.insert("companies", default_company())
            owner = {**USER, "first_name": "Sandbox", "last_name": "Owner", "email": "owner@sandbox.example"}
            user = self.insert("users", {**owner, "_is_admin": True, "_permissions": ""})
            token = {"user_id": user["id"], "token": DEFAULT_TOKEN, "name": "User Token", "is_system": True}
            self.insert("tokens", token)
            for order, name in enumerate(STATUSES, 1):
                self.insert("task_statuses", {"name": name, "color": "#fff", "status_order": order})

    # time

    def now(self) -> int:
        """Now in whole unix seconds."""
        return int(self.clock.now().timestamp())

    def moment(self) -> str:
        """Now as the database writes it: UTC, `YYYY-MM-DD HH:MM:SS`."""
        return f"{self.clock.now():%Y-%m-%d %H:%M:%S}"

    def utc_today(self) -> date:
        """Today in UTC."""
        return self.clock.now().date()

    def time_zone(self) -> ZoneInfo:
        """The company's time zone."""
        return ZoneInfo(time_zones()[str(self.company()["settings"].get("timezone_id", "1"))])

    def today(self) -> date:
        """Today in the company's time zone."""
        return self.clock.now().astimezone(self.time_zone()).date()

    def local(self, timestamp: int) -> datetime | None:
        """A unix second in the company's time zone; None where no calendar reaches."""
        try:
            return datetime.fromtimestamp(timestamp, UTC).astimezone(self.time_zone())
        except (OverflowError, ValueError, OSError):
            return None

    # rows

    def insert(self, table: str, row: Row, row_id: str | None = None) -> Row:
        """Stores a row with a new id (or the given one), instants and flags that every row has."""
        rows = self[table]
        primary_key = rows.next_id()
        row_id = row_id or encode(primary_key)
        while row_id in ("", None) or rows.get(row_id) is not None:
            primary_key = rows.next_id()
            row_id = encode(primary_key)
        now = self.now()
        times = {"created_at": now, "updated_at": now, "archived_at": 0, "is_deleted": False}
        stored = {"id": row_id, **times, **row, "_pk": primary_key}
        stored["id"] = row_id
        if table in NUMBERED:
            stored["_number"] = collate(stored.get("number") or "")
        return rows.insert(stored)

    def save(self, table: str, row_id: str, **changes: Any) -> Row:
        """Changes a row and its `updated_at`."""
        changes.setdefault("updated_at", self.now())
        if table in NUMBERED and "number" in changes:
            changes["_number"] = collate(changes["number"] or "")
        return self[table].update(row_id, **changes)

    def new_id(self, table: str) -> str:
        """The next id of a table, for rows that live inside other rows (contacts, invitations)."""
        return encode(self[table].next_id())

    def adopt(self, table: str, row: Row) -> Row:
        """Stores a row exactly as given (a recorded one), replacing a row with its id."""
        rows = self[table]
        known = rows.get(row["id"])
        if known is not None:
            number = {"_number": collate(row.get("number") or "")} if table in NUMBERED else {}
            return rows.update(row["id"], **{**row, **number})
        primary_key = row_number(row["id"])
        if primary_key is None:
            primary_key = rows.next_id()
        while rows.last_id < primary_key:
            rows.next_id()
        stored = {**row, "_pk": primary_key}
        if table in NUMBERED:
            stored["_number"] = collate(row.get("number") or "")
        return rows.insert(stored)

    def find(self, table: str, row_id: Any) -> Row | None:
        """The row with this id; a bare integer is taken for the row's number in its table, as the server does."""
        rows = self[table]
        if isinstance(row_id, int) and not isinstance(row_id, bool):
            row_id = encode(row_id) if row_id > 0 else ""
        return rows.get(row_id) if isinstance(row_id, str) else None

    def has_number(self, table: str, number: str, *, besides: str = "") -> bool:
        """Whether another row, deleted ones included, has this number in the database's eyes."""
        return any(row["id"] != besides for row in self[table].find(_number=collate(number)))

    def has_race(self, table: str, number: str) -> bool:
        """Whether the switch `number_race` is on and the row with this number is not a second old: the unique key
        then answers before the check does."""
        if not self.switch("number_race"):
            return False
        return any(row["created_at"] >= self.now() - 1 for row in self[table].find(_number=collate(number)))

    def next_number(self, table: str) -> str:
        """The next automatic number of a table: four digits or more, never one that is taken."""
        counters = self["counters"]
        value = int((counters.get(table) or {"value": 0})["value"])
        while True:
            value += 1
            number = f"{value:04d}"
            if not self.has_number(table, number):
                break
        if counters.get(table) is None:
            counters.insert({"value": value}, table)
        else:
            counters.update(table, value=value)
        return number

    # settings

    def company(self) -> Row:
        """The one company."""
        return self["companies"].all()[0]

    def owner(self) -> Row:
        """The first user."""
        return self["users"].all()[0]

    def setting(self, name: str, client: Row | None) -> Any:
        """A setting of the client, else of its group, else of the company."""
        group = self["group_settings"].get((client or {}).get("group_settings_id") or "")
        for row in (client, group):
            value = row["settings"].get(name) if row else None
            if value not in (None, ""):
                return value
        return self.company()["settings"].get(name)

    def precision(self, client: Row | None) -> int:
        """Decimals of the client's currency."""
        currency_id = str(self.setting("currency_id", client) or "1")
        return int(currencies().get(currency_id, {"precision": 2})["precision"])

    def money_rules(self, client: Row | None) -> dict[str, Any]:
        """How amounts of the client are rounded, and how they are taxed, for `totals.calculate`."""
        return {
            "precision": self.precision(client),
            "has_five_cents": is_on(self.setting("enable_rappen_rounding", client)),
            "is_exempt": bool((client or {}).get("is_tax_exempt")),
            "by_country": self._tax_by_country(client) if self.company()["calculate_taxes"] else None,
        }

    def _tax_by_country(self, client: Row | None) -> tuple[str, float]:
        """The tax that replaces the one of each line where `calculate_taxes` is on: 0 for a client in Europe, that of
        California for one in America, whatever the company's own country (recordings 753 to 756)."""
        country = (client or {}).get("country_id") or self.company()["settings"].get("country_id")
        return ("Sales Tax", 7.25) if str(country) == AMERICA else ("MwSt.", 0)

    def switch(self, name: str, default: Any = None) -> Any:
        """A switch of the stand-in that a seed has set."""
        row = self["switches"].get(name)
        return default if row is None else row["value"]

    def is_2026(self) -> bool:
        """Whether the version it says it is cleans texts as the releases of 2026 do (5.13 on)."""
        version = str(self.switch("version", "")).split(".")
        return len(version) > 1 and all(part.isdigit() for part in version) and tuple(map(int, version)) >= (5, 13)

    def set_switch(self, name: str, value: Any) -> None:
        """Sets a switch of the stand-in."""
        if self["switches"].get(name) is None:
            self["switches"].insert({"value": value}, name)
        else:
            self["switches"].update(name, value=value)

    def move_client_money(self, client_id: str, *, balance: Any = 0, paid: Any = 0, credit: Any = 0) -> None:
        """Adds to what a client owes, has paid and has in credit."""
        client = self["clients"].get(client_id)
        if client is None or not (balance or paid or credit):
            return
        self.save(
            "clients",
            client_id,
            balance=_sum(client["balance"], balance),
            paid_to_date=_sum(client["paid_to_date"], paid),
            credit_balance=_sum(client["credit_balance"], credit),
        )


USER: Row = {
    "first_name": "",
    "last_name": "",
    "email": "",
    "last_login": 0,
    "phone": "",
    "email_verified_at": None,
    "signature": "",
    "custom_value1": "",
    "custom_value2": "",
    "custom_value3": "",
    "custom_value4": "",
    "oauth_provider_id": "",
    "last_confirmed_email_address": "",
    "google_2fa_secret": False,
    "has_password": True,
    "oauth_user_token": "",
    "verified_phone_number": False,
    "language_id": "",
    "user_logged_in_notification": True,
    "referral_code": "",
    "referral_meta": {"free": 0, "pro": 0, "enterprise": 0},
}


def _sum(value: Any, delta: Any) -> int | float:
    return as_number(round(value + delta, 6))


def row_number(row_id: str) -> int | None:
    """The number behind an id of one of the first rows of a table, or None."""
    return _row_numbers().get(row_id)


@cache
def _row_numbers() -> dict[str, int]:
    return {encode(number): number for number in range(1, 3000)}
