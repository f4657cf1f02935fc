"""Tasks, user stories and issues: creating, changing under Taiga's version rule, deleting."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from sandbox.memory import Row
from sandbox.taiga.call import Call, Result
from sandbox.taiga.errors import ApiError, invalid, not_found
from sandbox.taiga.history import changed_fields, record_change, record_other
from sandbox.taiga.item_rows import neighbors, show_in_full
from sandbox.taiga.kinds import ISSUE, STORY, TASK, Kind, view_permission
from sandbox.taiga.moving import check_same_project, move_item
from sandbox.taiga.projects import next_ref
from sandbox.taiga.store import Store

_VERSION_INVALID = {"version": "The version parameter is not valid"}
_VERSION_STALE = {"version": "The version doesn't match with the current one"}
_LINKS = {"milestone": "milestones", "user_story": "userstories"}
_SORTS = {"type": "issue_types", "priority": "priorities", "severity": "severities"}
_FREE: dict[str, Any] = {
    "description": "",
    "due_date": None,
    "is_blocked": False,
    "blocked_note": "",
    "external_reference": None,
    "watchers": [],
    "tags": [],
}
_OWN: dict[str, dict[str, Any]] = {
    "task": {"is_iocaine": False, "us_order": None, "taskboard_order": None},
    "userstory": {"client_requirement": False, "team_requirement": False, "assigned_users": [], "points": None},
    "issue": {},
}


def find_item(call: Call, kind: Kind, number: int) -> tuple[Row, Row]:
    """An item the user may see, and its project; raises ApiError 404, 401 or 403."""
    row = call.store.items(kind).get(number)
    project = call.store.projects.get(row["project"]) if row else None
    if row is None or project is None:
        raise not_found(kind.title)
    call.require(view_permission(kind), project)
    return row, project


def _read_fields(call: Call, kind: Kind, project: Row) -> dict[str, Any]:
    """The fields of the request that this kind has, checked; unknown ones are ignored, attribute values too."""
    store, data = call.store, call.data
    fields: dict[str, Any] = {}
    if "subject" in data:
        if not data["subject"]:
            raise invalid(subject="This field cannot be blank.")
        fields["subject"] = str(data["subject"])
    links = {"status": kind.statuses} | _LINKS | (_SORTS if kind is ISSUE else {})
    for name, table in links.items():
        if name in data and not (name == "user_story" and kind is not TASK):
            if data[name] is not None and store.memory.table(table).get(number_of(data[name])) is None:
                raise invalid(**{name: f"Invalid pk '{data[name]}' - object does not exist."})
            fields[name] = None if data[name] is None else number_of(data[name])
    if "assigned_to" in data:
        user = data["assigned_to"]
        if user is not None and store.users.get(number_of(user)) is None:
            raise invalid(assigned_to=f"Invalid pk '{user}' - object does not exist.")
        if user is not None and store.membership(number_of(user), project["id"]) is None:
            raise invalid(assigned_to="The user must be a project member.")
        fields["assigned_to"] = None if user is None else number_of(user)
    for name in {*_FREE, *_OWN[kind.name]} & set(data):
        fields[name] = data[name]
    if "tags" in fields:
        fields["tags"] = [tag[0] if isinstance(tag, list) else str(tag) for tag in fields["tags"] or []]
    if fields.get("points", ...) is None:
        del fields["points"]
    return fields


def number_of(value: Any) -> int:
    """An id as it came, 0 for what is none."""
    try:
        return int(value)
    except (TypeError, ValueError):
        return 0


def _defaults(store: Store, kind: Kind, project: Row) -> Row:
    order, now = store.now_ms(), store.now()
    row: Row = {
        **{name: json.loads(json.dumps(value)) for name, value in {**_FREE, **_OWN[kind.name]}.items()},
        "status": project[kind.default_status],
        "milestone": None,
        "assigned_to": None,
        "created_date": now,
        "modified_date": now,
        kind.closed_field: None,
        "version": 1,
        "promoted_to": [],
        "voters": [],
        "attachments": 0,
        "silent": {},
        "is_unrecorded": False,
    }
    match kind.name:
        case "task":
            row |= {"user_story": None, "us_order": order, "taskboard_order": order}
        case "userstory":
            roles = [r for r in store.roles.find(project=project["id"]) if r["computable"]]
            row |= {"points": {str(role["id"]): project["default_points"] for role in roles}, "is_closed": False}
            row |= dict.fromkeys(("generated_from_issue", "generated_from_task", "from_task_ref"))
            row |= dict.fromkeys(("backlog_order", "sprint_order", "kanban_order"), order * 1000)
        case _:
            row |= {name: project[f"default_{default}"] for name, default in _ISSUE_DEFAULTS.items()}
    return row


_ISSUE_DEFAULTS = {"type": "issue_type", "priority": "priority", "severity": "severity"}


def insert_item(store: Store, kind: Kind, project: Row, owner: int, fields: Row, row_id: int | None = None) -> Row:
    """Stores an item with a reference number, an empty values object and the closing date its status asks for."""
    row = {**_defaults(store, kind, project), **fields, "project": project["id"], "owner": owner}
    story = store.items(STORY).get(row.get("user_story"))
    if story is not None and "milestone" not in fields:
        row["milestone"] = story["milestone"]
    row["ref"] = fields.get("ref") or next_ref(store, project["id"])
    row = store.items(kind).insert(row, row_id=row_id)
    store.values(kind).insert({"attributes_values": {}, "version": 1}, row_id=row["id"])
    row = store.items(kind).update(row["id"], **_closing(store, kind, row, store.now()))
    refresh_story(store, row.get("user_story"))
    refresh_milestone(store, row["milestone"])
    return row


def _closing(store: Store, kind: Kind, row: Row, now: datetime) -> dict[str, Any]:
    """What saving does to the closing date: set when closed and empty, kept while closed, gone when open."""
    if kind is STORY:
        is_closed = story_is_closed(store, row)
        if is_closed == row["is_closed"]:
            return {}
        return {"is_closed": is_closed, "finish_date": now if is_closed else None}
    if not store.is_closed(kind, row):
        return {"finished_date": None}
    return {"finished_date": row["finished_date"] or now}


def story_is_closed(store: Store, story: Row) -> bool:
    """A story with tasks is closed when they all are; one without by its status."""
    tasks = store.items(TASK).find(user_story=story["id"])
    if tasks:
        return all(store.is_closed(TASK, task) for task in tasks)
    status = store.status(STORY, story)
    return status is not None and bool(status["is_closed"])


def refresh_story(store: Store, number: int | None) -> None:
    """Closes or opens a story with its tasks: no webhook, no version, no modified date."""
    story = store.items(STORY).get(number)
    if story is not None:
        changes = _closing(store, STORY, story, store.now())
        if changes:
            store.items(STORY).update(story["id"], **changes)


def create_item(call: Call, kind: Kind) -> Result:
    """POST /tasks and the like."""
    number = call.data.get("project")
    missing = {f: "This field is required." for f in ("project", "subject") if call.data.get(f) is None}
    if missing:
        raise invalid(**missing)
    project = call.store.projects.get(number_of(number))
    if project is None:
        raise invalid(project=f"Invalid pk '{number}' - object does not exist.")
    call.require(f"add_{kind.permission}", project)
    call.require_open(project)
    row = add_item(call, kind, project, _read_fields(call, kind, project))
    return Result(201, show_in_full(call, kind, row))


def add_item(call: Call, kind: Kind, project: Row, fields: Row) -> Row:
    row = insert_item(call.store, kind, project, call.signed_in()["id"], fields)
    record_other(call, kind, row, "create")
    return row


def get_item(call: Call, kind: Kind, number: int) -> Result:
    """GET /tasks/{id} and the like."""
    row, _ = find_item(call, kind, number)
    return Result(200, {**show_in_full(call, kind, row), "neighbors": neighbors(call.store, kind, row)})


def get_item_by_ref(call: Call, kind: Kind) -> Result:
    """GET /tasks/by_ref?ref=&project=."""
    args = call.request.args
    rows = call.store.items(kind).find(project=number_of(args.get("project")))
    row = next((r for r in rows if str(r["ref"]) == args.get("ref")), None)
    return get_item(call, kind, row["id"] if row else 0)


def check_version(call: Call, kind: Kind, row: Row) -> None:
    """Refuses a missing, negative or future version, and a stale one whose fields changed since."""
    try:
        version = int(call.data["version"])
    except (KeyError, TypeError, ValueError):
        raise ApiError(400, _VERSION_INVALID) from None
    if version < 0 or version > row["version"]:
        raise ApiError(400, _VERSION_INVALID)
    if version < row["version"]:
        since = changed_fields(call.store, kind, row["id"], row["version"] - version)
        if since & (set(call.data) - {"version"}):
            raise ApiError(400, _VERSION_STALE)


def change_item(call: Call, kind: Kind, number: int) -> Result:
    """PATCH /tasks/{id} and the like: each saves and counts a version, even where nothing changed."""
    store = call.store
    before, project = find_item(call, kind, number)
    is_comment = set(call.data) <= {"version", "comment"} and call.may(f"comment_{kind.permission}", project)
    if not is_comment:
        call.require(f"modify_{kind.permission}", project)
    fields = _read_fields(call, kind, project)
    call.require_open(project)
    check_version(call, kind, before)
    moved = number_of(call.data.get("project")) or project["id"]
    if moved != project["id"]:
        fields |= move_item(call, kind, project, moved, fields)
    check_same_project(store, kind, {**before, **fields})
    now, comment = store.now(), str(call.data.get("comment") or "")
    if comment:
        watchers = set(fields["watchers"] if "watchers" in fields else before["watchers"])
        fields["watchers"] = sorted(watchers | {call.signed_in()["id"]})
    if kind is STORY and fields.get("status", before["status"]) != before["status"]:
        fields["kanban_order"] = store.now_ms() * 1000
    fields |= {"version": before["version"] + 1, "modified_date": now, "silent": {}}
    row = store.items(kind).update(number, **fields)
    row = store.items(kind).update(number, **_closing(store, kind, row, now))
    if kind is TASK:
        story = store.items(STORY).get(row["user_story"])
        if story is not None:
            row = store.items(kind).update(number, milestone=story["milestone"])
        for touched in {before["user_story"], row["user_story"]}:
            refresh_story(store, touched)
    elif kind is STORY and before["milestone"] != row["milestone"]:
        for task in store.items(TASK).find(user_story=number):
            change_silently(store, TASK, task, milestone=row["milestone"])
    for sprint in {before["milestone"], row["milestone"]}:
        refresh_milestone(store, sprint)
    recorded = {**before, **before["silent"]}
    if before["is_unrecorded"]:
        row = store.items(kind).update(number, is_unrecorded=False)
        record_other(call, kind, row, "create")
    else:
        record_change(call, kind, recorded, row, comment)
    headers = {} if kind is ISSUE else {"Taiga-Info-Order-Updated": _order_header(kind, before, row)}
    return Result(200, show_in_full(call, kind, row), headers)


def _order_header(kind: Kind, before: Row, row: Row) -> str:
    moved = any(before[field] != row[field] for field in ("status", "us_order", "user_story") if field in row)
    return json.dumps({str(row["id"]): row["us_order"]} if kind is TASK and moved else {})


def refresh_milestone(store: Store, number: int | None) -> None:
    """Closes a sprint when all in it is closed, opens it when something is not: silently."""
    milestone = store.milestones.get(number)
    if milestone is None:
        return
    held = [store.is_closed(kind, row) for kind in (STORY, TASK) for row in store.items(kind).find(milestone=number)]
    if held and all(held) != milestone["closed"]:
        store.milestones.update(milestone["id"], closed=all(held))


def change_silently(store: Store, kind: Kind, row: Row, **changes: Any) -> None:
    """Changes an item without version, date and webhook; its next recorded change tells this one too."""
    silent = {field: row[field] for field in changes if row[field] != changes[field]}
    store.items(kind).update(row["id"], **changes, silent={**silent, **row["silent"]})


def delete_item(call: Call, kind: Kind, number: int) -> Result:
    """DELETE: a story takes its tasks along, without a webhook for them."""
    row, project = find_item(call, kind, number)
    call.require(f"delete_{kind.permission}", project)
    call.require_open(project)
    if kind is STORY:
        for task in call.store.items(TASK).find(user_story=number):
            remove_item(call.store, TASK, task)
    remove_item(call.store, kind, row)
    record_other(call, kind, row, "delete")
    return Result(204, None)


def remove_item(store: Store, kind: Kind, row: Row) -> None:
    """Takes an item and its values away, silently; its story may close by it."""
    store.items(kind).delete(row["id"])
    store.values(kind).delete(row["id"])
    refresh_story(store, row.get("user_story"))
    refresh_milestone(store, row["milestone"])
