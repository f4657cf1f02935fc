"""What the stand-in Taiga holds, for a person's eyes."""

from __future__ import annotations

import json
from typing import Any

from sandbox.app import PageTable
from sandbox.memory import Row
from sandbox.taiga.kinds import KINDS, Kind
from sandbox.taiga.store import Store, wire_time

_SHOWN_DELIVERIES = 200


def values_by_name(store: Store, kind: Kind, row: Row) -> dict[str, Any]:
    """An item's attribute values by the names of the attributes."""
    held = store.values(kind).get(row["id"])
    names = {str(a["id"]): a["name"] for a in store.attributes(kind).find(project=row["project"])}
    return {names.get(key, key): value for key, value in (held["attributes_values"] if held else {}).items()}


def page_tables(store: Store) -> list[PageTable]:
    """Projects, items with their attribute values, webhooks and deliveries."""
    tables: list[PageTable] = [
        (
            "Projects",
            ("id", "name", "slug", "members"),
            [
                (p["id"], p["name"], p["slug"], len(store.memberships.find(project=p["id"])))
                for p in store.projects.all()
            ],
        )
    ]
    for kind in KINDS.values():
        tables.append(
            (
                kind.path.capitalize(),
                ("id", "ref", "project", "subject", "status", "assigned to", "closed", "version", "values"),
                [_item_row(store, kind, row) for row in store.items(kind).all()],
            )
        )
    hooks = [(h["id"], h["project"], h["name"], h["url"]) for h in store.webhooks.all()]
    tables.append(("Webhooks", ("id", "project", "name", "address"), hooks))
    sent = [
        (wire_time(d["at"]), d["action"], d["type"], d["object_id"], d["subject"], d["url"], d["status"])
        for d in store.deliveries.all()[: -_SHOWN_DELIVERIES - 1 : -1]
    ]
    heads = ("at", "action", "type", "id", "subject", "address", "answer")
    tables.append(("Deliveries sent (newest first)", heads, sent))
    return tables


def _item_row(store: Store, kind: Kind, row: Row) -> tuple[object, ...]:
    status, user = store.status(kind, row), store.users.get(row["assigned_to"])
    values = values_by_name(store, kind, row)
    return (
        row["id"],
        row["ref"],
        row["project"],
        row["subject"],
        status["name"] if status else None,
        user["username"] if user else None,
        wire_time(row[kind.closed_field]),
        row["version"],
        ", ".join(f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in values.items()),
    )
