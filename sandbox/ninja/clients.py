"""Clients and their contacts. A PUT without complete settings replaces them: currency, rate and terms are lost."""

from __future__ import annotations

import secrets
from typing import Any

from sandbox.memory import Row
from sandbox.ninja.call import Call
from sandbox.ninja.errors import Refusal, invalid, missing, unauthorized
from sandbox.ninja.filters import Filter, compares, contains, equals, select
from sandbox.ninja.invitations import forget_contacts
from sandbox.ninja.store import Store
from sandbox.ninja.transformers import answer_bulk, answer_one, answer_page
from sandbox.ninja.values import as_text, is_like, is_on
from sandbox.ninja.webhooks import fire

MODEL_SETTINGS = {"entity": "App\\Models\\Client", "industry_id": "", "size_id": ""}
TEXTS = (
    *("name", "website", "private_notes", "public_notes", "phone", "vat_number", "id_number", "routing_id"),
    *("address1", "address2", "city", "state", "postal_code", "country_id", "classification"),
    *("custom_value1", "custom_value2", "custom_value3", "custom_value4", "industry_id", "size_id"),
    *("shipping_address1", "shipping_address2", "shipping_city", "shipping_state", "shipping_postal_code"),
    *("shipping_country_id", "group_settings_id", "assigned_user_id"),
)
EMPTY: Row = {
    "user_id": "",
    **dict.fromkeys(TEXTS, ""),
    "balance": 0,
    "paid_to_date": 0,
    "payment_balance": 0,
    "credit_balance": 0,
    "last_login": 0,
    "client_hash": "",
    "display_name": "",
    "number": "",
    "has_valid_vat_number": False,
    "is_tax_exempt": False,
    "tax_info": {},
    "e_invoice": {},
    "settings": {},
    "contacts": [],
}
CONTACT_TEXTS = ("first_name", "last_name", "email", "phone", *(f"custom_value{n}" for n in (1, 2, 3, 4)))


def list_clients(call: Call) -> dict[str, Any]:
    """GET /clients"""
    return answer_page(call, "clients", select(call, "clients", FILTERS))


def get_client(call: Call, client_id: str) -> dict[str, Any]:
    """GET /clients/{id}"""
    return answer_one(call, "clients", _client(call, client_id))


def create_client(call: Call) -> dict[str, Any]:
    """POST /clients: nothing is required; without a contact one with the address " " is made."""
    if not call.may("create_client"):
        raise unauthorized()
    row = add_client(call.store, call.body, user_id=call.user["id"], base_url=call.base_url)
    fire(call, "client_create", "clients", row)
    return answer_one(call, "clients", row)


def add_client(store: Store, body: Row, *, user_id: str, base_url: str = "", row_id: str | None = None) -> Row:
    """Stores a client as POST /clients does. Raises Refusal for a number that is taken."""
    number = as_text(body.get("number"))
    if number and store.has_number("clients", number):
        raise invalid({"number": ["The number has already been taken."]})
    settings = {**(body.get("settings") or {}), **MODEL_SETTINGS}
    settings.setdefault("currency_id", store.company()["settings"]["currency_id"])
    values: Row = {name: as_text(body[name]) for name in TEXTS if name in body}
    values.setdefault("country_id", store.company()["settings"]["country_id"])
    contacts = _contacts(store, body.get("contacts") or [{}], [], base_url)
    values |= {"user_id": user_id, "settings": settings, "contacts": contacts, "client_hash": _key(40)}
    values |= {"number": number or store.next_number("clients"), "display_name": _shown_name(values)}
    return store.insert("clients", {**EMPTY, **values}, row_id)


def update_client(call: Call, client_id: str) -> dict[str, Any]:
    """PUT /clients/{id}: partial, but the settings are what was sent, or the company's currency alone."""
    client = _client(call, client_id)
    number = as_text(call.body.get("number"))
    if number and call.store.has_number("clients", number, besides=client_id):
        raise invalid({"number": ["The number has already been taken."]})
    changes: Row = {name: as_text(call.body[name]) for name in TEXTS if name in call.body}
    if number:
        changes["number"] = number
    sent = call.body.get("settings") or {}
    company = call.store.company()["settings"]["currency_id"]
    changes["settings"] = {**sent, "currency_id": sent.get("currency_id") or company}
    if call.body.get("contacts"):
        changes["contacts"] = _contacts(call.store, call.body["contacts"], client["contacts"], call.base_url)
    changes["display_name"] = _shown_name({**client, **changes})
    row = call.store.save("clients", client["id"], **changes)
    if gone := {one["id"] for one in client["contacts"]} - {one["id"] for one in row["contacts"]}:
        forget_contacts(call.store, client["id"], gone, call.base_url)
    fire(call, "client_update", "clients", row)
    return answer_one(call, "clients", row)


def bulk_clients(call: Call) -> dict[str, Any]:
    """POST /clients/bulk: archive, restore, delete. Tasks, projects and invoices are left as they are."""
    action, store = call.body.get("action"), call.store
    changes: dict[str, Row] = {
        "archive": {"archived_at": store.now()},
        "delete": {"archived_at": store.now(), "is_deleted": True},
        "restore": {"archived_at": 0, "is_deleted": False},
    }
    if action not in changes:
        raise invalid({"action": ["The selected action is invalid."]})
    found = [row for row in map(store["clients"].get, call.body.get("ids") or []) if row is not None]
    rows = [store.save("clients", row["id"], **changes[action]) for row in found]
    for row in rows:
        fire(call, f"client_{action}", "clients", row)
    return answer_bulk(call, "clients", rows)


def delete_client(call: Call, client_id: str) -> dict[str, Any]:
    """DELETE /clients/{id}"""
    client = _client(call, client_id)
    row = call.store.save("clients", client["id"], archived_at=call.store.now(), is_deleted=True)
    fire(call, "client_delete", "clients", row)
    return answer_one(call, "clients", row)


def update_tax_data(call: Call, client_id: str) -> dict[str, Any]:
    """POST /clients/{id}/updateTaxData: the one route a self-hosted server throttles, three calls a minute."""
    store = call.store
    counter = store["counters"].get("throttle") or {"value": 0, "since": store.now()}
    if store.now() - counter["since"] >= 60:
        counter = {"value": 0, "since": store.now()}
    if counter["value"] >= 3:
        raise Refusal(429, {"message": "Too many requests"})
    used = {"value": counter["value"] + 1, "since": counter["since"]}
    if store["counters"].get("throttle") is None:
        store["counters"].insert(used, "throttle")
    else:
        store["counters"].update("throttle", **used)
    return answer_one(call, "clients", _client(call, client_id))


def _client(call: Call, client_id: str) -> Row:
    client = call.store["clients"].get(client_id)
    if client is None:
        raise missing("Client", client_id)
    return client


def _contacts(store: Store, sent: list[Any], known: list[Row], base_url: str) -> list[Row]:
    """Contacts as they are stored; those sent with a known id keep it and their key."""
    old = {contact["id"]: contact for contact in known}
    contacts = []
    for position, values in enumerate(entry for entry in sent if isinstance(entry, dict)):
        before = old.get(values.get("id") or "", {})
        key = before.get("contact_key") or _key(32)
        row_id = before.get("id") or values.get("id") or store.new_id("contacts")
        texts = {name: as_text(values.get(name, before.get(name))) for name in CONTACT_TEXTS}
        if not values:  # a client sent without contacts; an address that is sent empty stays empty (631 to 634, 665)
            texts["email"] = " "
        contacts.append(
            {
                "id": row_id,
                **texts,
                "created_at": before.get("created_at") or store.now(),
                "updated_at": store.now(),
                "archived_at": 0,
                "is_primary": position == 0,
                "is_locked": False,
                "contact_key": key,
                "send_email": is_on(values.get("send_email", before.get("send_email", True))),
                "last_login": 0,
                "password": "",
                "link": f"{base_url}/client/key_login/{key}",
            }
        )
    return contacts


def _shown_name(client: Row) -> str:
    if client.get("name"):
        return str(client["name"])
    first = client["contacts"][0] if client.get("contacts") else {}
    person = f"{first.get('first_name', '')} {first.get('last_name', '')}"
    return person if person.strip() else " "


def _key(length: int) -> str:
    return secrets.token_hex(length // 2)


def _by_email(_store: Store, value: str) -> Any:
    return lambda row: any(contact["email"] == value for contact in row["contacts"])


def _by_text(store: Store, value: str) -> Any:
    own = contains("name", "id_number", "number", *(f"custom_value{n}" for n in (1, 2, 3, 4)))(store, value)
    fields = ("first_name", "last_name", "email", "phone")
    return lambda row: own(row) or any(is_like(c[f], value) for c in row["contacts"] for f in fields)


FILTERS: dict[str, Filter] = {
    "name": contains("name"),
    "email": _by_email,
    "id_number": equals("id_number"),
    "filter": _by_text,
    "balance": compares("balance"),
    "client_id": equals("id"),
}
