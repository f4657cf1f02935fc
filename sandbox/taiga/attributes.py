"""Custom attributes of a project, and their values as a resource of their own beside each item."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from typing import Any

from sandbox.memory import Row
from sandbox.taiga.call import Call, Result
from sandbox.taiga.errors import ApiError, ServerBreaks, invalid, not_found
from sandbox.taiga.history import record_values_change, sorted_attributes
from sandbox.taiga.kinds import Kind, view_permission
from sandbox.taiga.store import Store, wire_time

TYPES = ("text", "multiline", "richtext", "date", "url", "dropdown", "checkbox", "number")
_VERSION_INVALID = {"version": "The version parameter is not valid"}


def show_attribute(row: Row) -> dict[str, Any]:
    """A custom attribute as the API shows it."""
    shown = {field: row[field] for field in ("id", "name", "description", "type", "order", "project", "extra")}
    shown["created_date"] = wire_time(row["created_date"])
    shown["modified_date"] = wire_time(row["modified_date"])
    return shown


def list_attributes(call: Call, kind: Kind) -> Result:
    """GET /task-custom-attributes?project=: [] for one who does not belong to the project."""
    wanted = call.request.args.get("project", "")
    rows = []
    for project in call.store.projects.all():
        if (not wanted or wanted == str(project["id"])) and call.may("view_project", project):
            rows += sorted_attributes(call.store, kind, project["id"])
    return call.paginate(rows, show_attribute)


def _check(call: Call, kind: Kind, data: dict[str, Any], project: int, number: int | None) -> None:
    name = data.get("name")
    if "name" in data and not name:
        raise invalid(name="This field cannot be blank.")
    if name and len(name) > 64:
        raise invalid(name=f"Ensure this value has at most 64 characters (it has {len(name)}).")
    if data.get("type", "text") not in TYPES:
        raise invalid(type=f"Select a valid choice. {data['type']} is not one of the available choices.")
    if any(r["name"] == name and r["id"] != number for r in call.store.attributes(kind).find(project=project)):
        same = "Already exists one with the same name."
        raise invalid(name=same, project=same)


def create_attribute(call: Call, kind: Kind) -> Result:
    """POST /task-custom-attributes: administrators of the project only."""
    store, data = call.store, call.data
    missing = {f: "This field is required." for f in ("project", "name") if not data.get(f)}
    if missing:
        raise invalid(**missing)
    project = store.projects.get(data["project"])
    if project is None:
        raise invalid(project=f"Invalid pk '{data['project']}' - object does not exist.")
    call.require_admin(project)
    call.require_open(project)
    _check(call, kind, data, project["id"], None)
    row = store.attributes(kind).insert(
        {
            "name": data["name"],
            "description": data.get("description") or "",
            "type": data.get("type") or "text",
            "order": data.get("order") or _next_order(store, kind, project["id"]),
            "project": project["id"],
            "extra": data.get("extra"),
            "created_date": store.now(),
            "modified_date": store.now(),
        }
    )
    return Result(201, show_attribute(row))


def _next_order(store: Store, kind: Kind, project: int) -> int:
    """The instant in milliseconds, as Taiga orders what is made without an order; never one twice, under a clock that
    stands still either."""
    last = max((row["order"] for row in store.attributes(kind).find(project=project)), default=0)
    return max(store.now_ms(), int(last) + 1)


def _attribute(call: Call, kind: Kind, number: int) -> Row:
    row = call.store.attributes(kind).get(number)
    project = call.store.projects.get(row["project"]) if row else None
    if row is None or project is None:
        raise not_found(f"{kind.title}CustomAttribute")
    if call.request.method == "GET":
        call.require("view_project", project)
    else:
        call.require_admin(project)
        call.require_open(project)
    return row


def get_attribute(call: Call, kind: Kind, number: int) -> Result:
    """GET /task-custom-attributes/{id}."""
    return Result(200, show_attribute(_attribute(call, kind, number)))


def change_attribute(call: Call, kind: Kind, number: int) -> Result:
    """PATCH: renames and changes types without touching values; no webhook."""
    row = _attribute(call, kind, number)
    _check(call, kind, call.data, row["project"], number)
    changes = {f: call.data[f] for f in ("name", "description", "type", "order", "extra") if f in call.data}
    fresh = call.store.attributes(kind).update(number, **changes, modified_date=call.store.now())
    return Result(200, show_attribute(fresh))


def delete_attribute(call: Call, kind: Kind, number: int) -> Result:
    """DELETE: every item loses the value, without a version or a webhook."""
    row = _attribute(call, kind, number)
    values = call.store.values(kind)
    for item in call.store.items(kind).find(project=row["project"]):
        held = values.get(item["id"])
        if held is not None and str(number) in held["attributes_values"]:
            kept = {key: value for key, value in held["attributes_values"].items() if key != str(number)}
            values.update(item["id"], attributes_values=kept)
    call.store.attributes(kind).delete(number)
    return Result(204, None)


def _values(call: Call, kind: Kind, number: int, permission: str) -> tuple[Row, Row, Row]:
    item, values = call.store.items(kind).get(number), call.store.values(kind).get(number)
    project = call.store.projects.get(item["project"]) if item else None
    if item is None or values is None or project is None:
        raise not_found(f"{kind.title}CustomAttributesValues")
    call.require(permission, project)
    return item, values, project


def _show_values(kind: Kind, row: Row) -> dict[str, Any]:
    shown = {"attributes_values": row["attributes_values"], "version": row["version"]}
    return {**shown, kind.field: row["id"]}


def get_values(call: Call, kind: Kind, number: int) -> Result:
    """GET /tasks/custom-attributes-values/{task id}."""
    _, values, _ = _values(call, kind, number, view_permission(kind))
    return Result(200, _show_values(kind, values))


def change_values(call: Call, kind: Kind, number: int) -> Result:
    """PATCH and PUT: the whole dict is replaced, a stale version is taken, no value is checked against its type."""
    item, before, project = _values(call, kind, number, f"modify_{kind.permission}")
    fresh = _read_values(call, kind, item)
    if "comment" in call.data:
        raise ServerBreaks
    version = _read_version(call)
    if version is None or version < 0 or version > before["version"]:
        raise ApiError(400, _VERSION_INVALID)
    call.require_open(project)
    row = call.store.values(kind).update(number, attributes_values=fresh, version=before["version"] + 1)
    record_values_change(call, kind, item, before, row)
    return Result(200, _show_values(kind, row))


def _read_version(call: Call) -> int | None:
    version = call.data.get("version")
    if version is None:
        return None
    try:
        return int(version)
    except (TypeError, ValueError):
        raise invalid(version="Enter a whole number.") from None


def _read_values(call: Call, kind: Kind, item: Row) -> dict[str, Any]:
    values = call.data.get("attributes_values")
    if not isinstance(values, dict):
        raise invalid(attributes_values='Invalid content. It must be {"key": "value",...}')
    if not values:
        raise invalid(attributes_values="This field cannot be blank.")
    if not all(key.isdigit() for key in values):
        raise ServerBreaks
    known = {row["id"] for row in call.store.attributes(kind).find(project=item["project"])}
    if not {int(key) for key in values} <= known:
        raise invalid(attributes_values="It contains invalid custom fields.")
    if "\\u0000" in json.dumps(values):
        raise ServerBreaks
    return {key: _stored(value) for key, value in values.items()}


def _stored(value: Any) -> Any:
    """A value as PostgreSQL's jsonb gives it back: large floats as whole numbers, NaN not at all."""
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ServerBreaks
        return int(Decimal(repr(value))) if abs(value) >= 1e16 else value
    if isinstance(value, list):
        return [_stored(part) for part in value]
    if isinstance(value, dict):
        return {key: _stored(part) for key, part in value.items()}
    return value
