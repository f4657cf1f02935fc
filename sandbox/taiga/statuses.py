"""Statuses and sprints: what an administrator turns around without any webhook for the items in them."""

from __future__ import annotations

from typing import Any

from sandbox.memory import Row
from sandbox.taiga.call import Call, Event, Result
from sandbox.taiga.errors import bad_request, invalid, not_found
from sandbox.taiga.items import change_silently
from sandbox.taiga.kinds import KINDS, STORY, Kind
from sandbox.taiga.projects import slug_of
from sandbox.taiga.store import wire_time
from sandbox.taiga.timeline import note_milestone


def _status(call: Call, kind: Kind, number: int) -> tuple[Row, Row]:
    row = call.store.memory.table(kind.statuses).get(number)
    project = call.store.projects.get(row["project"]) if row else None
    if row is None or project is None:
        raise not_found()
    if call.request.method != "GET":
        call.require_admin(project)
        call.require_open(project)
    else:
        call.require("view_project", project)
    return row, project


def list_statuses(call: Call, kind: Kind) -> Result:
    """GET /task-statuses?project=."""
    wanted = call.request.args.get("project", "")
    rows: list[Row] = []
    for project in call.store.projects.all():
        if (not wanted or wanted == str(project["id"])) and call.may("view_project", project):
            rows += call.store.project_rows(kind.statuses, project["id"])
    return call.paginate(rows)


def create_status(call: Call, kind: Kind) -> Result:
    """POST /task-statuses."""
    project = call.store.projects.get(call.data.get("project"))
    if project is None or not call.data.get("name"):
        raise invalid(**{field: "This field is required." for field in ("project", "name") if not call.data.get(field)})
    call.require_admin(project)
    call.require_open(project)
    name = str(call.data["name"])
    fields = {"name": name, "slug": slug_of(name), "order": call.data.get("order") or 10}
    fields |= {"is_closed": bool(call.data.get("is_closed")), "color": call.data.get("color") or "#999999"}
    fields |= {"wip_limit": None, "is_archived": False} if kind is STORY else {}
    row = call.store.memory.table(kind.statuses).insert({**fields, "project": project["id"]})
    return Result(201, _ordered(row))


def _ordered(row: Row) -> dict[str, Any]:
    return {"id": row["id"], **{field: value for field, value in row.items() if field != "id"}}


def change_status(call: Call, kind: Kind, number: int) -> Result:
    """PATCH /task-statuses/{id}: items keep their closing dates, whatever the status now means."""
    row, _ = _status(call, kind, number)
    names = ("name", "is_closed", "color", "order")
    changes: dict[str, Any] = {field: call.data[field] for field in names if field in call.data}
    if "name" in changes:
        changes["slug"] = slug_of(changes["name"])
    fresh = call.store.memory.table(kind.statuses).update(row["id"], **changes)
    return Result(200, _ordered(fresh))


def delete_status(call: Call, kind: Kind, number: int) -> Result:
    """DELETE /task-statuses/{id}?moveTo=: the items move silently and keep their closing dates."""
    row, project = _status(call, kind, number)
    target = call.request.args.get("moveTo", "")
    if not target:
        raise bad_request("Query param 'moveTo' is required")
    statuses = call.store.memory.table(kind.statuses)
    if not target.isdigit() or statuses.get(int(target)) is None:
        raise not_found()
    items = call.store.items(kind)
    for item in items.find(project=project["id"]):
        if item["status"] == row["id"]:
            change_silently(call.store, kind, item, status=int(target))
    statuses.delete(row["id"])
    return Result(204, None)


def _show_milestone(call: Call, row: Row) -> dict[str, Any]:
    store = call.store
    project = store.projects.get(row["project"])
    assert project is not None
    extra = {"name": project["name"], "slug": project["slug"], "logo_small_url": None, "id": project["id"]}
    return {
        "project": row["project"],
        "project_extra_info": extra,
        **{field: row[field] for field in ("id", "name", "slug", "owner", "estimated_start", "estimated_finish")},
        "created_date": wire_time(row["created_date"]),
        "modified_date": wire_time(row["modified_date"]),
        "closed": row["closed"],
        "disponibility": 0.0,
        "order": row["order"],
        "user_stories": [],
        "total_points": None,
        "closed_points": None,
    }


def _note(call: Call, project: Row, row: Row, action: str, entry: Row | None = None) -> None:
    user = call.signed_in()
    note_milestone(call.store, project, user, action, row)
    date = wire_time(call.store.now()) or ""
    call.events.append(Event(project["id"], "milestone", action, user["id"], date, row, entry))


def create_milestone(call: Call) -> Result:
    """POST /milestones {project, name, estimated_start, estimated_finish}."""
    store = call.store
    missing = [f for f in ("project", "name", "estimated_start", "estimated_finish") if not call.data.get(f)]
    if missing:
        raise invalid(**dict.fromkeys(missing, "This field is required."))
    project = store.projects.get(call.data["project"])
    if project is None:
        raise invalid(project=f"Invalid pk '{call.data['project']}' - object does not exist.")
    call.require("add_milestone", project)
    call.require_open(project)
    fields = {field: call.data[field] for field in ("project", "name", "estimated_start", "estimated_finish")}
    now = store.now()
    fields |= {"slug": slug_of(fields["name"]), "owner": call.signed_in()["id"], "closed": False, "order": 1}
    row = store.milestones.insert({**fields, "created_date": now, "modified_date": now})
    _note(call, project, row, "create")
    return Result(201, _show_milestone(call, row))


def _milestone(call: Call, number: int, permission: str) -> tuple[Row, Row]:
    row = call.store.milestones.get(number)
    project = call.store.projects.get(row["project"]) if row else None
    if row is None or project is None:
        raise not_found("Milestone")
    call.require(permission, project)
    return row, project


def get_milestone(call: Call, number: int) -> Result:
    """GET /milestones/{id}."""
    return Result(200, _show_milestone(call, _milestone(call, number, "view_milestones")[0]))


def change_milestone(call: Call, number: int) -> Result:
    """PATCH /milestones/{id}: name, dates, closed."""
    row, project = _milestone(call, number, "modify_milestone")
    call.require_open(project)
    names = ("name", "closed", "estimated_start", "estimated_finish")
    changes = {field: call.data[field] for field in names if field in call.data}
    fresh = call.store.milestones.update(number, **changes, modified_date=call.store.now())
    diff = {field: [row[field], fresh[field]] for field in changes if row[field] != fresh[field]}
    if diff:
        diff |= {field: [row[field], fresh[field]] for field in ("estimated_start", "estimated_finish")}
        _note(call, project, fresh, "change", {"values_diff": diff})
    return Result(200, _show_milestone(call, fresh))


def delete_milestone(call: Call, number: int) -> Result:
    """DELETE /milestones/{id}: its stories and tasks leave it silently."""
    row, project = _milestone(call, number, "delete_milestone")
    call.require_open(project)
    for kind in KINDS.values():
        for item in call.store.items(kind).find(project=project["id"]):
            if item["milestone"] == number:
                change_silently(call.store, kind, item, milestone=None)
    call.store.milestones.delete(number)
    _note(call, project, row, "delete")
    return Result(204, None)
