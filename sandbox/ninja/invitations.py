"""Invitations: who is mailed an invoice, fixed when it is made; each remembers when it was sent and the mail's id.

A change of a contact's `send_email` later changes none of them (recordings 635 to 641). One that is taken off is kept
aside with its key, and comes back with it (642 to 651). Recorded on 5.10.42.
"""

from __future__ import annotations

import secrets
from typing import Any

from sandbox.memory import Row
from sandbox.ninja.errors import invalid
from sandbox.ninja.store import Store, row_number
from sandbox.ninja.values import as_text

_ASIDE = "_taken_off"


def ensure_invitations(store: Store, table: str, row: Row, base_url: str) -> Row:
    """Where nobody is invited: one invitation for each contact with send_email, else the first contact's.

    A contact whose invitation was taken off gets none, and so is lost (659, 660), unless nobody else is left (654).
    """
    return row if row["invitations"] else add_invitations(store, table, row, base_url)


def add_invitations(store: Store, table: str, row: Row, base_url: str) -> Row:
    """Invite every contact with send_email who never was; with nobody at all the first of them, or of all."""
    contacts = _contacts(store, row)
    wanted = [contact["id"] for contact in contacts if contact["send_email"]] or [one["id"] for one in contacts[:1]]
    aside = {one["client_contact_id"]: one for one in row.get(_ASIDE, [])}
    have = {one["client_contact_id"] for one in row["invitations"]}
    live = [*row["invitations"]]
    live += [_new(store, table, one, base_url) for one in wanted if one not in have and one not in aside]
    if not live and wanted:
        live = [{**aside[wanted[0]], "updated_at": store.now()}]
    return _save(store, table, row, live) if live != row["invitations"] else row


def set_invitations(store: Store, table: str, row: Row, sent: list[Row], base_url: str) -> Row:
    """The sent list replaces what was there: kept by `key`, else taken off and brought back, else made anew.

    Contacts of other clients are dropped (657).
    """
    keys = {as_text(one.get("key")) for one in sent}
    contacts = {contact["id"] for contact in _contacts(store, row)}
    live = [one for one in row["invitations"] if one["key"] in keys]
    known = {one["client_contact_id"]: one for one in [*row.get(_ASIDE, []), *row["invitations"]]}
    for one in sent:
        contact_id = as_text(one["client_contact_id"])
        if as_text(one.get("key")) in {kept["key"] for kept in live} or contact_id not in contacts:
            continue
        old = known.get(contact_id)
        fresh = _new(store, table, contact_id, base_url)
        live.append({**old, "updated_at": store.now()} if old is not None else fresh)
    return _save(store, table, row, live)


def check_invitations(body: Row) -> list[Row] | None:
    """The sent list, or None where none was sent. Raises Refusal 422 for one without or with a repeated contact."""
    sent: Any = body.get("invitations")
    if not isinstance(sent, list):
        return None
    ids = [as_text(one.get("client_contact_id")) if isinstance(one, dict) else "" for one in sent]
    errors: Row = {}
    for position, contact_id in enumerate(ids):
        name = f"invitations.{position}.client_contact_id"
        if not contact_id:
            errors[name] = [f"The {name} field is required."]
        elif ids.count(contact_id) > 1:
            errors[name] = [f"The {name} field has a duplicate value."]
    if errors:
        raise invalid(errors)
    return sent


def forget_contacts(store: Store, client_id: str, gone: set[str], base_url: str) -> None:
    """Contacts were deleted: they vanish from every invoice they were on, sent ones too, and who is new comes (661)."""
    for row in store["invoices"].find(client_id=client_id):
        everybody = [*row["invitations"], *row.get(_ASIDE, [])]
        if any(one["client_contact_id"] in gone for one in everybody):
            live = [one for one in row["invitations"] if one["client_contact_id"] not in gone]
            add_invitations(store, "invoices", _save(store, "invoices", row, live), base_url)


def mark_invitations(store: Store, invitations: list[Row]) -> list[Row]:
    """The invitations with a sent_date; one that was sent before keeps its own."""
    now = {"sent_date": store.moment(), "updated_at": store.now()}
    return [invitation if invitation["sent_date"] else {**invitation, **now} for invitation in invitations]


def _contacts(store: Store, row: Row) -> list[Row]:
    client = store["clients"].get(row["client_id"])
    return list(client["contacts"]) if client is not None else []


def _save(store: Store, table: str, row: Row, live: list[Row]) -> Row:
    """The invoice with these invitations, oldest first; those that were there and are not among them lie aside."""
    ids = {one["id"] for one in live}
    aside = [one for one in [*row.get(_ASIDE, []), *row["invitations"]] if one["id"] not in ids]
    in_order = sorted(live, key=lambda one: (one["created_at"], row_number(one["id"]) or 10**9))
    return store.save(table, row["id"], invitations=in_order, **{_ASIDE: aside})


def _new(store: Store, table: str, contact_id: str, base_url: str) -> Row:
    key = secrets.token_hex(16)
    now = store.now()
    return {
        "id": store.new_id(f"{table}_invitations"),
        "client_contact_id": contact_id,
        "key": key,
        "link": f"{base_url}/client/{table.removesuffix('s')}/{key}",
        "sent_date": "",
        "viewed_date": "",
        "opened_date": "",
        "updated_at": now,
        "archived_at": 0,
        "created_at": now,
        "email_status": "",
        "email_error": "",
        "message_id": "",
    }
