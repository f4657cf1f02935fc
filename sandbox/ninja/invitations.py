"""Invitations: one per contact that gets mail; each remembers when it was sent and the mail's id."""

from __future__ import annotations

import secrets

from sandbox.memory import Row
from sandbox.ninja.store import Store


def ensure_invitations(store: Store, table: str, row: Row, base_url: str) -> Row:
    """One invitation for each contact with send_email, none for the others; without any, the first contact's."""
    client = store["clients"].get(row["client_id"])
    contacts = client["contacts"] if client is not None else []
    wanted = [contact for contact in contacts if contact["send_email"]] or contacts[:1]
    ids = [contact["id"] for contact in wanted]
    kept = [invitation for invitation in row["invitations"] if invitation["client_contact_id"] in ids]
    have = {invitation["client_contact_id"] for invitation in kept}
    fresh = [_new(store, table, contact["id"], base_url) for contact in wanted if contact["id"] not in have]
    if not fresh and len(kept) == len(row["invitations"]):
        return row
    return store.save(table, row["id"], invitations=[*kept, *fresh])


def mark_invitations(store: Store, invitations: list[Row]) -> list[Row]:
    """The invitations with a sent_date; one that was sent before keeps its own."""
    now = {"sent_date": store.moment(), "updated_at": store.now()}
    return [invitation if invitation["sent_date"] else {**invitation, **now} for invitation in invitations]


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
