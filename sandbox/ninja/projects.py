"""Projects, products, tax rates, task statuses, groups of clients: what invoices and tasks refer to."""

from __future__ import annotations

from typing import Any

from sandbox.memory import Row
from sandbox.ninja.call import Call
from sandbox.ninja.errors import invalid, missing, unauthorized
from sandbox.ninja.filters import Filter, contains, equals, select
from sandbox.ninja.store import Store
from sandbox.ninja.transformers import answer_bulk, answer_one, answer_page
from sandbox.ninja.values import as_number, as_text, rounded
from sandbox.ninja.webhooks import fire

CUSTOM = ("custom_value1", "custom_value2", "custom_value3", "custom_value4")
PROJECT: Row = {
    "user_id": "",
    "assigned_user_id": "",
    "client_id": "",
    "name": "",
    "number": "",
    "task_rate": 0,
    "due_date": "",
    "private_notes": "",
    "public_notes": "",
    "budgeted_hours": 0,
    "custom_value1": "",
    "custom_value2": "",
    "custom_value3": "",
    "custom_value4": "",
    "color": "#fff",
    "current_hours": 0,
    "_seconds": 0,
}
PRODUCT: Row = {
    "user_id": "",
    "assigned_user_id": "",
    "product_key": "",
    "notes": "",
    "cost": 0,
    "price": 0,
    "quantity": 1,
    "tax_name1": "",
    "tax_rate1": 0,
    "tax_name2": "",
    "tax_rate2": 0,
    "tax_name3": "",
    "tax_rate3": 0,
    "custom_value1": "",
    "custom_value2": "",
    "custom_value3": "",
    "custom_value4": "",
    "in_stock_quantity": 0,
    "stock_notification": False,
    "stock_notification_threshold": 0,
    "max_quantity": 0,
    "product_image": "",
    "tax_id": "1",
}
MODELS = {
    "projects": "Project",
    "products": "Product",
    "tax_rates": "TaxRate",
    "task_statuses": "TaskStatus",
    "group_settings": "GroupSetting",
}
FILTERS: dict[str, dict[str, Filter]] = {
    "projects": {"filter": contains("name", "public_notes", "private_notes", "number", *CUSTOM)},
    "products": {
        "product_key": equals("product_key"),
        "filter": contains("product_key", "notes", *CUSTOM),
    },
    "tax_rates": {"filter": contains("name")},
    "task_statuses": {"filter": contains("name")},
    "group_settings": {"filter": contains("name")},
}


def list_rows(call: Call, table: str) -> dict[str, Any]:
    """GET /projects, /products, /tax_rates, /task_statuses, /group_settings"""
    return answer_page(call, table, select(call, table, FILTERS[table]))


def get_row(call: Call, table: str, row_id: str) -> dict[str, Any]:
    """GET of one project, product, tax rate or task status"""
    return answer_one(call, table, _row(call, table, row_id))


def create_project(call: Call) -> dict[str, Any]:
    """POST /projects: name and client are required, the number is unique, the name is not."""
    if not call.may("create_project"):
        raise unauthorized()
    store, body, errors = call.store, call.body, {}
    number = as_text(body.get("number"))
    if not body.get("name"):
        errors["name"] = ["The name field is required."]
    client = store.find("clients", body.get("client_id"))
    if body.get("client_id") is None:
        errors["client_id"] = ["The client id field is required."]
    elif client is None or client["is_deleted"]:
        errors["client_id"] = ["The selected client id is invalid."]
    if number and store.has_number("projects", number):
        errors["number"] = ["The number has already been taken."]
    if errors or client is None:
        raise invalid(errors)
    own = {"user_id": call.user["id"], "client_id": client["id"]}
    number = number or store.next_number("projects")
    row = store.insert("projects", {**PROJECT, **_cast(body, PROJECT), **own, "number": number})
    fire(call, "project_create", "projects", row)
    return answer_one(call, "projects", row)


def update_project(call: Call, row_id: str) -> dict[str, Any]:
    """PUT /projects/{id}: partial; a client_id is ignored."""
    row = _row(call, "projects", row_id)
    number = as_text(call.body.get("number"))
    if number and call.store.has_number("projects", number, besides=row_id):
        raise invalid({"number": ["The number has already been taken."]})
    changes = _cast(call.body, PROJECT)
    for fixed in ("client_id", "user_id", "current_hours"):
        changes.pop(fixed, None)
    changed = call.store.save("projects", row["id"], **changes)
    fire(call, "project_update", "projects", changed)
    return answer_one(call, "projects", changed)


def create_product(call: Call) -> dict[str, Any]:
    """POST /products"""
    if not call.body.get("product_key"):
        raise invalid({"product_key": ["The product key field is required."]})
    values = {**PRODUCT, **_cast(call.body, PRODUCT), "user_id": call.user["id"]}
    row = call.store.insert("products", values)
    fire(call, "product_create", "products", row)
    return answer_one(call, "products", row)


def create_tax_rate(call: Call) -> dict[str, Any]:
    """POST /tax_rates: a name and a rate in percent."""
    if not call.body.get("name"):
        raise invalid({"name": ["The name field is required."]})
    values = {"name": as_text(call.body["name"]), "rate": as_number(call.body.get("rate"))}
    return answer_one(call, "tax_rates", call.store.insert("tax_rates", values))


def create_group(call: Call) -> dict[str, Any]:
    """POST /group_settings: settings that count for every client of the group (recordings 811 and 812)."""
    values = {"name": as_text(call.body.get("name")), "settings": dict(call.body.get("settings") or {})}
    return answer_one(call, "group_settings", call.store.insert("group_settings", values))


def bulk_rows(call: Call, table: str) -> dict[str, Any]:
    """POST /projects/bulk and its kind: archive, restore, delete."""
    changes: dict[str, Row] = {
        "archive": {"archived_at": call.store.now()},
        "delete": {"archived_at": call.store.now(), "is_deleted": True},
        "restore": {"archived_at": 0, "is_deleted": False},
    }
    change = changes.get(call.body.get("action") or "", {})
    rows = [row for row in map(call.store[table].get, call.body.get("ids") or []) if row is not None]
    return answer_bulk(call, table, [call.store.save(table, row["id"], **change) for row in rows])


def delete_row(call: Call, table: str, row_id: str) -> dict[str, Any]:
    """DELETE of one project, product or tax rate: it stays, marked."""
    row = _row(call, table, row_id)
    return answer_one(call, table, call.store.save(table, row["id"], archived_at=call.store.now(), is_deleted=True))


def add_project_seconds(store: Store, project_id: str, seconds: int) -> None:
    """Adds to the hours worked on a project, which are answered rounded to whole ones."""
    project = store["projects"].get(project_id)
    if project is not None:
        total = project.get("_seconds", 0) + seconds
        store.save("projects", project_id, _seconds=total, current_hours=rounded(total / 3600, 0))


def _row(call: Call, table: str, row_id: str) -> Row:
    row = call.store[table].get(row_id)
    if row is None:
        raise missing(MODELS[table], row_id)
    return row


def _cast(body: Row, defaults: Row) -> Row:
    """The fields of the body that the table has, cast to the type of their default."""
    values: Row = {}
    for name, default in defaults.items():
        if name in body and not name.startswith("_"):
            values[name] = as_text(body[name]) if isinstance(default, str) else as_number(body[name])
    return values
