"""Tasks, user stories and issues as the REST API shows them, in a list and in detail. Never with attribute values."""

from __future__ import annotations

from datetime import date
from typing import Any

from sandbox.memory import Row
from sandbox.taiga.call import Call
from sandbox.taiga.history import count_comments
from sandbox.taiga.kinds import ISSUE, STORY, TASK, Kind
from sandbox.taiga.store import Store, html_of, person, wire_time


def _due_status(store: Store, due_date: str | None, *, is_closed: bool) -> str:
    if due_date is None:
        return "not_set"
    if is_closed:
        return "no_longer_applicable"
    days = (date.fromisoformat(due_date) - store.now().date()).days
    return "past_due" if days < 0 else "due_soon" if days <= 14 else "set"


def _head(call: Call, kind: Kind, row: Row) -> dict[str, Any]:
    store = call.store
    return {
        "due_date": row["due_date"],
        "due_date_reason": "",
        "due_date_status": _due_status(store, row["due_date"], is_closed=store.is_closed(kind, row)),
        "total_comments": count_comments(store, kind, row),
        "tags": [[tag, None] for tag in row["tags"]],
        "attachments": [],
    }


def _project(store: Store, row: Row) -> dict[str, Any]:
    project = store.projects.get(row["project"])
    assert project is not None
    extra = {"name": project["name"], "slug": project["slug"], "logo_small_url": None, "id": project["id"]}
    return {"project": project["id"], "project_extra_info": extra}


def _status(store: Store, kind: Kind, row: Row) -> dict[str, Any]:
    status = store.status(kind, row)
    extra = {field: status[field] for field in ("name", "color", "is_closed")} if status else None
    return {"status": row["status"], "status_extra_info": extra}


def _people(call: Call, row: Row) -> dict[str, Any]:
    users = call.store.users
    return {
        "assigned_to": row["assigned_to"],
        "assigned_to_extra_info": person(users.get(row["assigned_to"])),
        "owner": row["owner"],
        "owner_extra_info": person(users.get(row["owner"])),
        "is_watcher": bool(call.user and call.user["id"] in row["watchers"]),
        "total_watchers": len(row["watchers"]),
        "is_voter": bool(call.user and call.user["id"] in row["voters"]),
        "total_voters": len(row["voters"]),
    }


def _milestone_field(store: Store, row: Row, field: str) -> Any:
    milestone = store.milestones.get(row["milestone"])
    return milestone[field] if milestone else None


def show_in_list(call: Call, kind: Kind, row: Row) -> dict[str, Any]:
    """An item as a row of a list."""
    return {"task": _task, "userstory": _story, "issue": _issue}[kind.name](call, row)


def _task(call: Call, row: Row) -> dict[str, Any]:
    store = call.store
    story = store.items(STORY).get(row["user_story"])
    extra = {field: story[field] for field in ("id", "ref", "subject")} | {"epics": None} if story else None
    return {
        **_head(call, TASK, row),
        **_project(store, row),
        **_status(store, TASK, row),
        **_people(call, row),
        "id": row["id"],
        "user_story": row["user_story"],
        "ref": row["ref"],
        "milestone": row["milestone"],
        "milestone_slug": _milestone_field(store, row, "slug"),
        "created_date": wire_time(row["created_date"]),
        "modified_date": wire_time(row["modified_date"]),
        "finished_date": wire_time(row["finished_date"]),
        "subject": row["subject"],
        "us_order": row["us_order"],
        "taskboard_order": row["taskboard_order"],
        "is_iocaine": row["is_iocaine"],
        "external_reference": row["external_reference"],
        "version": row["version"],
        "watchers": row["watchers"],
        "is_blocked": row["is_blocked"],
        "blocked_note": row["blocked_note"],
        "is_closed": store.is_closed(TASK, row),
        "user_story_extra_info": extra,
    }


def total_points(store: Store, row: Row) -> float | None:
    """The sum of a story's estimates, None where there is none."""
    points = (store.points.get(number) for number in row["points"].values())
    values = [point["value"] for point in points if point is not None and point["value"] is not None]
    return float(sum(values)) if values else None


def _story(call: Call, row: Row) -> dict[str, Any]:
    store = call.store
    return {
        **_head(call, STORY, row),
        **_status(store, STORY, row),
        **_people(call, row),
        **_project(store, row),
        "id": row["id"],
        "ref": row["ref"],
        "milestone": row["milestone"],
        "milestone_slug": _milestone_field(store, row, "slug"),
        "milestone_name": _milestone_field(store, row, "name"),
        "is_closed": row["is_closed"],
        "points": row["points"],
        "backlog_order": row["backlog_order"],
        "sprint_order": row["sprint_order"],
        "kanban_order": row["kanban_order"],
        "created_date": wire_time(row["created_date"]),
        "modified_date": wire_time(row["modified_date"]),
        "finish_date": wire_time(row["finish_date"]),
        "subject": row["subject"],
        "client_requirement": row["client_requirement"],
        "team_requirement": row["team_requirement"],
        "generated_from_issue": row["generated_from_issue"],
        "generated_from_task": row["generated_from_task"],
        "from_task_ref": row["from_task_ref"],
        "external_reference": row["external_reference"],
        "tribe_gig": None,
        "version": row["version"],
        "watchers": row["watchers"],
        "is_blocked": row["is_blocked"],
        "blocked_note": row["blocked_note"],
        "total_points": total_points(store, row),
        "comment": "",
        "origin_issue": _named(store.items(ISSUE).get(row["generated_from_issue"])),
        "origin_task": None,
        "epics": None,
        "epic_order": None,
        "tasks": [],
        "total_attachments": 0,
        "swimlane": None,
        "assigned_users": sorted(row["assigned_users"]),
    }


def _named(row: Row | None) -> dict[str, Any] | None:
    return None if row is None else {name: row[name] for name in ("id", "ref", "subject")}


def _issue(call: Call, row: Row) -> dict[str, Any]:
    store = call.store
    head = _head(call, ISSUE, row)
    head.pop("total_comments")
    return {
        "tags": head.pop("tags"),
        **head,
        **_project(store, row),
        **_status(store, ISSUE, row),
        **_people(call, row),
        "id": row["id"],
        "ref": row["ref"],
        "severity": row["severity"],
        "priority": row["priority"],
        "type": row["type"],
        "milestone": row["milestone"],
        "created_date": wire_time(row["created_date"]),
        "modified_date": wire_time(row["modified_date"]),
        "finished_date": wire_time(row["finished_date"]),
        "subject": row["subject"],
        "external_reference": row["external_reference"],
        "version": row["version"],
        "watchers": row["watchers"],
        "is_blocked": row["is_blocked"],
        "blocked_note": row["blocked_note"],
        "is_closed": store.is_closed(ISSUE, row),
    }


def show_in_full(call: Call, kind: Kind, row: Row) -> dict[str, Any]:
    """An item as a write answers it; a GET adds its `neighbors`."""
    shown = show_in_list(call, kind, row)
    shown["comment"] = ""
    if kind is not STORY:
        made = [_named(story) for number in row["promoted_to"] if (story := call.store.items(STORY).get(number))]
        shown["generated_user_stories"] = made or None
    shown["blocked_note_html"] = html_of(row["blocked_note"])
    shown["description"] = row["description"]
    shown["description_html"] = html_of(row["description"])
    return shown


def neighbors(store: Store, kind: Kind, row: Row) -> dict[str, Any]:
    """The items before and after one in its project, by number."""
    return {"previous": _next_to(store, kind, row, -1), "next": _next_to(store, kind, row, 1)}


def _next_to(store: Store, kind: Kind, row: Row, step: int) -> dict[str, Any] | None:
    table, number = store.items(kind), row["id"] + step
    while 0 < number <= table.last_id and abs(number - row["id"]) < 1000:
        other = table.get(number)
        if other is not None and other["project"] == row["project"]:
            return {field: other[field] for field in ("id", "ref", "subject")}
        number += step
    return None
