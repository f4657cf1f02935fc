"""Tasks: POST, GET, PUT, DELETE and bulk, with everything that is dropped, replaced, wiped and renumbered silently."""

from __future__ import annotations

from typing import Any

from sandbox.memory import Row
from sandbox.ninja.call import Call
from sandbox.ninja.errors import DELETED_RECORD, Refusal, broken, invalid, missing, unauthorized
from sandbox.ninja.filters import select
from sandbox.ninja.keywords import without_hosts
from sandbox.ninja.projects import add_project_seconds
from sandbox.ninja.task_filters import FILTERS
from sandbox.ninja.time_log import Entry, logged_seconds, read_time_log, round_time_log, write_time_log
from sandbox.ninja.transformers import answer_bulk, answer_one, answer_page
from sandbox.ninja.values import as_number, as_text, is_on, rounded
from sandbox.ninja.webhooks import fire

TEXT_COLUMN, NUMBER_COLUMN = 65_535, 191  # bytes and characters the database keeps, without a word
TAKEN = {"number": ["The number has already been taken."]}
CUSTOM = ("custom_value1", "custom_value2", "custom_value3", "custom_value4")
EMPTY: Row = {
    "user_id": "",
    "assigned_user_id": "",
    "number": "",
    "description": "",
    "duration": 0,
    "rate": 0,
    "invoice_id": "",
    "client_id": "",
    "project_id": "",
    "time_log": "[]",
    "is_running": False,
    "custom_value1": "",
    "custom_value2": "",
    "custom_value3": "",
    "custom_value4": "",
    "status_id": "",
    "status_sort_order": 0,
    "is_date_based": False,
    "status_order": None,
    "date": "",
    "_hash": "",
    "_meta": None,
    "_seconds": 0,
}


def list_tasks(call: Call) -> dict[str, Any]:
    """GET /tasks"""
    return answer_page(call, "tasks", select(call, "tasks", FILTERS))


def get_task(call: Call, task_id: str) -> dict[str, Any]:
    """GET /tasks/{id}"""
    return answer_one(call, "tasks", _task(call, task_id))


def create_task(call: Call) -> dict[str, Any]:
    """POST /tasks"""
    if not call.may("create_task"):
        raise unauthorized()
    store, body = call.store, call.body
    values = _read_values(call, None)
    entries = _read_entries(call, values)
    if call.flag("start"):
        entries.append([store.now(), 0])
    status = store["task_statuses"].all()[0]["id"] if "status_id" not in body else _status(call)
    values |= {"user_id": call.user["id"], "status_id": status, **_times(call, entries)}
    values["number"] = as_text(body.get("number")) or store.next_number("tasks")
    values["rate"] = as_number(body.get("rate"))
    if values["rate"] <= 0 and not _is_nonsense(body.get("rate")):
        values["rate"] = _fallback_rate(call, values)
    _refuse_cut_number(call, values["number"])
    row = store.insert("tasks", {**EMPTY, **values, **_stored(values)})
    _touch_project(call, row, row["_seconds"])
    fire(call, "task_create", "tasks", row)
    answer = answer_one(call, "tasks", store["tasks"].get(row["id"]) or row)
    answer["data"] |= {name: values[name] for name in ("description", "number", "rate", "time_log") if name in values}
    answer["data"]["date"] = _first_moment(call, entries)
    return answer


def update_task(call: Call, task_id: str) -> dict[str, Any]:
    """PUT /tasks/{id}: an absent time_log is emptied, an absent number replaced by a new one."""
    store, body = call.store, call.body
    task = _task(call, task_id)
    if not call.may("edit_task") or (store.company()["invoice_task_lock"] and task["invoice_id"]):
        raise unauthorized("Insufficient permissions, or task may be locked")
    if task["is_deleted"]:
        raise Refusal(400, {"message": DELETED_RECORD})
    values = _read_values(call, task)
    entries = _read_entries(call, {**task, **values})
    if call.flag("stop"):
        entries = [[e[0], e[1] or store.now(), *e[2:]] for e in entries]
    if "status_id" in body:
        values["status_id"] = _status(call)
    if "rate" in body:
        values["rate"] = as_number(body["rate"])
    if "invoice_id" in body:
        values["invoice_id"] = _invoice_id(call)
    values["number"] = as_text(body.get("number")) or store.next_number("tasks")
    values |= _times(call, entries)
    _refuse_cut_number(call, values["number"], besides=task["id"])
    before = (task["project_id"], task["_seconds"])
    row = store.save("tasks", task["id"], **{**values, **_stored(values)})
    if before[0] == row["project_id"]:
        _touch_project(call, row, row["_seconds"] - before[1])
    else:
        _touch_project(call, task, -before[1])
        _touch_project(call, row, row["_seconds"])
    fire(call, "task_update", "tasks", row)
    return answer_one(call, "tasks", row)


def delete_task(call: Call, task_id: str) -> dict[str, Any]:
    """DELETE /tasks/{id}: the row stays, with its number; a lock does not hinder it."""
    return answer_one(call, "tasks", _change_life(call, _task(call, task_id), "delete"))


def bulk_tasks(call: Call) -> dict[str, Any]:
    """POST /tasks/bulk: ids that are none are skipped."""
    ids = call.body.get("ids")
    if not ids:
        raise invalid({"ids": ["The ids field is required."]})
    action = call.body.get("action")
    if action not in ("archive", "restore", "delete"):
        raise broken()
    rows = [row for row in map(call.store["tasks"].get, ids) if row is not None]
    return answer_bulk(call, "tasks", [_change_life(call, row, action) for row in rows])


def _task(call: Call, task_id: str) -> Row:
    task = call.store["tasks"].get(task_id)
    if task is None:
        raise missing("Task", task_id)
    return task


def _read_values(call: Call, task: Row | None) -> Row:
    """The sent fields, checked: client, project (dropped or winning silently), person, number."""
    store, body, errors = call.store, call.body, {}
    values: Row = {name: as_text(body[name]) for name in ("description", *CUSTOM) if name in body}
    if store.is_2026() and "description" in values:
        values["description"] = without_hosts(values["description"])
    if "is_date_based" in body:
        values["is_date_based"] = is_on(body["is_date_based"])
    values |= {f"_{name}": body[name] for name in ("hash", "meta") if name in body}
    client_id = body.get("client_id")
    project = store.find("projects", body.get("project_id"))
    if project is not None:
        client_id = project["client_id"]
        values["project_id"] = project["id"]
        if project["is_deleted"]:
            errors["project_id"] = ["The selected project id is invalid."]
    elif "project_id" in body:
        values["project_id"] = ""
    if client_id is not None:
        client = store.find("clients", client_id)
        if client is None or client["is_deleted"]:
            errors = {"client_id": ["The selected client id is invalid."], **errors}
        else:
            values["client_id"] = client["id"]
    elif "client_id" in body:
        values["client_id"] = ""
    if body.get("assigned_user_id") is not None:
        user = store.find("users", body["assigned_user_id"])
        if user is None:
            errors["assigned_user_id"] = ["User not associated with this account"]
        else:
            values["assigned_user_id"] = user["id"]
    number = as_text(body.get("number"))
    if number and store.has_number("tasks", number, besides=task["id"] if task else ""):
        if task is None and store.has_race("tasks", number):
            raise broken()
        errors |= TAKEN
    if errors:
        raise invalid(errors)
    return values


def _read_entries(call: Call, values: Row) -> list[Entry]:
    entries = read_time_log(call.body.get("time_log"))
    client = call.store["clients"].get(values.get("client_id", ""))
    seconds = int(as_number(call.store.setting("task_round_to_nearest", client)))
    return round_time_log(entries, seconds, is_up=bool(call.store.setting("task_round_up", client)))


def _times(call: Call, entries: list[Entry]) -> Row:
    return {
        "time_log": write_time_log(entries),
        "date": _first_day(call, entries),
        "_seconds": logged_seconds(entries),
    }


def _stored(values: Row) -> Row:
    """What the database keeps of these values: too long texts cut, the rate with six decimals."""
    cut: Row = {
        name: values[name].encode()[:TEXT_COLUMN].decode(errors="ignore")
        for name in ("description", "time_log")
        if name in values
    }
    if "rate" in values:
        cut["rate"] = rounded(values["rate"], 6)
    return {**cut, "number": values["number"][:NUMBER_COLUMN]}


def _refuse_cut_number(call: Call, number: str, *, besides: str = "") -> None:
    """The unique key answers 500 where the check above saw the long number, not the cut one."""
    if call.store.has_number("tasks", number[:NUMBER_COLUMN], besides=besides):
        raise broken()


def _status(call: Call) -> str:
    row = call.store.find("task_statuses", call.body.get("status_id"))
    return row["id"] if row else ""


def _invoice_id(call: Call) -> str:
    if call.body["invoice_id"] is None:
        return ""
    invoice = call.store.find("invoices", call.body["invoice_id"])
    if invoice is None or invoice["is_deleted"] or invoice["client_id"] != call.body.get("client_id"):
        raise invalid({"invoice_id": ["The selected invoice id is invalid."]})
    return str(invoice["id"])


def _is_nonsense(rate: Any) -> bool:
    """PHP finds `"abc" <= 0` untrue, so such a rate is not replaced; it is stored as 0."""
    return isinstance(rate, str) and not rate.lstrip("+-")[:1].isdigit()


def _fallback_rate(call: Call, values: Row) -> Any:
    """The project's rate, else the client's default, else the company's."""
    project = call.store["projects"].get(values.get("project_id", ""))
    if project is not None and project["task_rate"] > 0:
        return project["task_rate"]
    client = call.store["clients"].get(values.get("client_id", ""))
    own = as_number(client["settings"].get("default_task_rate")) if client is not None else 0
    return own if own > 0 else as_number(call.store.company()["settings"].get("default_task_rate"))


def _first_day(call: Call, entries: list[Entry]) -> str:
    if not entries:
        return ""
    moment = call.store.local(entries[0][0])
    return f"{moment:%Y-%m-%d}" if moment else "0000-00-00"


def _first_moment(call: Call, entries: list[Entry]) -> str:
    """The POST answer has the company's wall time dressed as UTC."""
    if not entries:
        return ""
    moment = call.store.local(entries[0][0])
    return f"{moment:%Y-%m-%dT%H:%M:%S}.000000Z" if moment else "0000-00-00"


def _touch_project(call: Call, task: Row, seconds: int) -> None:
    if task["project_id"] and not task["is_deleted"]:
        add_project_seconds(call.store, task["project_id"], seconds)


def _change_life(call: Call, task: Row, action: str) -> Row:
    store, now = call.store, call.store.now()
    if action == "archive":
        changes: Row = {"archived_at": task["archived_at"] or now}
    elif action == "restore":
        changes = {"archived_at": 0, "is_deleted": False}
    else:
        changes = {"archived_at": task["archived_at"] or now, "is_deleted": True}
    row = store.save("tasks", task["id"], **changes)
    if task["project_id"] and task["is_deleted"] != row["is_deleted"]:
        add_project_seconds(store, task["project_id"], task["_seconds"] * (-1 if row["is_deleted"] else 1))
    fire(call, f"task_{action}", "tasks", row)
    return row
