"""Fills the stand-in from outside: `POST /sandbox/seed`. What is there already stays as it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sandbox.app import SandboxError
from sandbox.memory import Row
from sandbox.ninja.clients import add_client
from sandbox.ninja.data import currency_ids, time_zones
from sandbox.ninja.errors import Refusal
from sandbox.ninja.mail import bounce, run_queue
from sandbox.ninja.projects import PRODUCT, PROJECT
from sandbox.ninja.store import USER, Store

SWITCHES = {
    "mail_mode": "sync (default: message_id at once), queued, or down: everything as if, but no mail leaves",
    "mail_delay_seconds": "seconds of real time until a queued mail goes; null is never by itself",
    "duplicate_status": "what a repetition within a second answers: 400, or 429 as servers of 2026 do",
    "number_race": "true: a number that was taken within the last second answers 500 instead of 422",
    "pdf_engine": "true: PDFs can be made, downloaded and attached",
    "version": "what it says of its version, by default the recorded one",
    "mailer": "how it mails, by default log",
    "can_execute": "false: PHP may not run programs, so it makes no PDF",
    "pending_migrations": "true: it was updated, its database was not (from 5.10.42 on said of healthy ones too)",
}
KEYS = (
    "company",
    "users",
    "tokens",
    "clients",
    "projects",
    "products",
    "tax_rates",
    "switches",
    "run_mail_queue",
    "bounces",
)


def seed(store: Store, data: dict[str, Any]) -> dict[str, Any]:
    """Adds what is missing and answers how many rows of each kind were added.

    company: name, company_key, currency (ISO code), timezone (IANA), any company field, `settings`. clients: id, name,
    currency, contacts, settings and every field of the API. projects: id, client_id, name, task_rate. products:
    product_key, price, notes. tax_rates: name, rate. users: id, first_name, last_name, email, is_admin, permissions.
    tokens: token, user_id. switches: see SWITCHES. run_mail_queue: true does every waiting mail.
    bounces: address, status (bounced, spam, delivered), reason; as a mail provider reports it.
    Raises SandboxError, and then nothing was added.
    """
    unknown = set(data) - set(KEYS)
    if unknown:
        raise SandboxError(f"A seed has the keys {', '.join(KEYS)}, not {', '.join(sorted(unknown))}.")
    added: dict[str, int] = {}
    adders: dict[str, Callable[[Store, Row], bool]] = {
        "users": _add_user,
        "tokens": _add_token,
        "clients": _add_client,
        "projects": _add_project,
        "products": _add_product,
        "tax_rates": _add_tax_rate,
    }
    with store.memory.transaction():
        if data.get("company"):
            _change_company(store, dict(data["company"]))
        for name, value in (data.get("switches") or {}).items():
            if name not in SWITCHES:
                raise SandboxError(f"There is no switch {name!r}; there are {', '.join(SWITCHES)}.")
            store.set_switch(name, value)
        for kind, add in adders.items():
            added[kind] = sum(add(store, dict(row)) for row in data.get(kind) or [])
    if data.get("run_mail_queue"):
        run_queue(store, everything=True)
    if data.get("bounces"):
        with store.memory.transaction():
            for row in data["bounces"]:
                bounce(store, row["address"], row.get("status", "bounced"), row.get("reason", ""))
    return {"added": added}


def _change_company(store: Store, wanted: Row) -> None:
    company = store.company()
    settings = {**company["settings"], **wanted.pop("settings", {})}
    if "name" in wanted:
        settings["name"] = wanted.pop("name")
    if "currency" in wanted:
        settings["currency_id"] = _currency_id(wanted.pop("currency"))
    if "timezone" in wanted:
        name = wanted.pop("timezone")
        ids = {zone: zone_id for zone_id, zone in time_zones().items()}
        if name not in ids:
            raise SandboxError(f"Invoice Ninja has no time zone {name!r}.")
        settings["timezone_id"] = ids[name]
    unknown = set(wanted) - set(company)
    if unknown:
        raise SandboxError(f"A company has no {', '.join(sorted(unknown))}.")
    if settings != company["settings"] or any(company[name] != value for name, value in wanted.items()):
        store.save("companies", company["id"], settings=settings, **wanted)


def _add_user(store: Store, row: Row) -> bool:
    if any(user["email"] == row["email"] or user["id"] == row.get("id") for user in store["users"].all()):
        return False
    rights = {"_is_admin": bool(row.pop("is_admin", False)), "_permissions": row.pop("permissions", "")}
    store.insert("users", {**USER, **row, **rights}, row.pop("id", None))
    return True


def _add_token(store: Store, row: Row) -> bool:
    if store["tokens"].first(token=row["token"]) is not None:
        return False
    user_id = row.get("user_id") or store.owner()["id"]
    if store["users"].get(user_id) is None:
        raise SandboxError(f"There is no user {user_id}.")
    store.insert("tokens", {"name": "sandbox", "is_system": False, **row, "user_id": user_id})
    return True


def _add_client(store: Store, row: Row) -> bool:
    row_id = row.pop("id", None)
    if store["clients"].get(row_id) is not None:
        return False
    if "currency" in row:
        row["settings"] = {**row.get("settings", {}), "currency_id": _currency_id(row.pop("currency"))}
    try:
        add_client(store, row, user_id=store.owner()["id"], row_id=row_id)
    except Refusal as refusal:
        raise SandboxError(f"The client {row.get('name')!r} cannot be added: {refusal.body}.") from refusal
    return True


def _add_project(store: Store, row: Row) -> bool:
    row_id = row.pop("id", None)
    if store["projects"].get(row_id) is not None:
        return False
    if store["clients"].get(row.get("client_id")) is None:
        raise SandboxError(f"The project {row.get('name')!r} has no client {row.get('client_id')!r}.")
    own = {"user_id": store.owner()["id"], "number": row.pop("number", "") or store.next_number("projects")}
    store.insert("projects", {**PROJECT, **own, **row}, row_id)
    return True


def _add_product(store: Store, row: Row) -> bool:
    if any(product["product_key"] == row["product_key"] for product in store["products"].all()):
        return False
    store.insert("products", {**PRODUCT, "user_id": store.owner()["id"], **row}, row.pop("id", None))
    return True


def _add_tax_rate(store: Store, row: Row) -> bool:
    if any(rate["name"] == row["name"] for rate in store["tax_rates"].all()):
        return False
    store.insert("tax_rates", row, row.pop("id", None))
    return True


def _currency_id(code: str) -> str:
    if code not in currency_ids():
        raise SandboxError(f"Invoice Ninja has no currency {code!r}.")
    return currency_ids()[code]
