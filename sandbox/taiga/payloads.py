"""What a webhook's body says: related rows as they are when it is sent, own columns as they were at the event."""

from __future__ import annotations

from typing import Any

from sandbox.memory import Row
from sandbox.taiga.call import Event
from sandbox.taiga.kinds import ISSUE, STORY, TASK, Kind
from sandbox.taiga.store import FRONT, Store, display_name, gravatar, html_of, wire_time


class NoStory(Exception):
    """Taiga's own serializer dies of a task without a user story."""


def build_payload(store: Store, event: Event) -> dict[str, Any]:
    """The body of a delivery. Raises NoStory for a task without a user story."""
    body: dict[str, Any] = {"action": event.action, "type": event.type, "by": _person(store, event.by)}
    body |= {"date": event.date, "data": _data(store, event)}
    if event.entry is not None:
        body["change"] = _change(event.entry)
    return body


def test_payload(store: Store, user: Row) -> dict[str, Any]:
    """The body of a test delivery."""
    body = {"action": "test", "type": "test", "by": _person(store, user["id"])}
    return {**body, "date": wire_time(store.now()), "data": {"test": "test"}}


def _data(store: Store, event: Event) -> dict[str, Any] | None:
    match event.type:
        case "task":
            return _task(store, event)
        case "userstory":
            return _story(store, event.row, is_deleted=event.action == "delete")
        case "issue":
            return _issue(store, event)
        case "milestone":
            return _milestone(store, event.row)
    return None


def _person(store: Store, number: int | None) -> dict[str, Any] | None:
    user = store.users.get(number)
    if user is None:
        return None
    return {
        "id": user["id"],
        "permalink": f"{FRONT}/profile/{user['username']}",
        "username": user["username"],
        "full_name": display_name(user),
        "photo": None,
        "gravatar_id": gravatar(user),
    }


def _project(store: Store, number: int) -> dict[str, Any]:
    row = store.projects.get(number)
    assert row is not None
    link = f"{FRONT}/project/{row['slug']}"
    return {"id": row["id"], "permalink": link, "name": row["name"], "logo_big_url": None}


def _values(store: Store, kind: Kind, row: Row, *, is_deleted: bool) -> dict[str, Any] | None:
    """Attribute values by NAME, without nulls; null of a deleted item."""
    held = store.values(kind).get(row["id"])
    if is_deleted or held is None:
        return None if is_deleted else {}
    attributes = store.project_rows(kind.attributes, row["project"])
    values = held["attributes_values"]
    named = ((a["name"], values.get(str(a["id"]))) for a in attributes)
    return {name: value for name, value in named if value is not None}


def _fields(row: Row, *names: str) -> dict[str, Any]:
    return {name: row[name] for name in names}


def _status(store: Store, kind: Kind, row: Row) -> dict[str, Any] | None:
    status = store.status(kind, row)
    extra = ("is_archived",) if kind is STORY else ()
    return _fields(status, "id", "name", "slug", "color", "is_closed", *extra) if status else None


def _milestone(store: Store, row: Row | None) -> dict[str, Any] | None:
    if row is None:
        return None
    project = _project(store, row["project"])
    return {
        **_fields(row, "id", "name", "slug", "estimated_start", "estimated_finish"),
        "created_date": wire_time(row["created_date"]),
        "modified_date": wire_time(row["modified_date"]),
        "closed": row["closed"],
        "disponibility": 0.0,
        "permalink": f"{project['permalink']}/taskboard/{row['slug']}",
        "project": project,
        "owner": _person(store, row["owner"]),
    }


def _task(store: Store, event: Event) -> dict[str, Any]:
    row = event.row
    story = store.items(STORY).get(row["user_story"])
    if story is None:
        raise NoStory
    project = _project(store, row["project"])
    return {
        "custom_attributes_values": _values(store, TASK, row, is_deleted=event.action == "delete"),
        **_fields(row, "id", "ref"),
        "created_date": wire_time(row["created_date"]),
        "modified_date": wire_time(row["modified_date"]),
        "finished_date": wire_time(row["finished_date"]),
        "due_date": row["due_date"],
        "due_date_reason": "",
        **_fields(row, "subject", "us_order", "taskboard_order", "is_iocaine", "external_reference"),
        **_fields(row, "watchers", "is_blocked", "blocked_note", "description", "tags"),
        "permalink": f"{project['permalink']}/task/{row['ref']}",
        "project": project,
        "owner": _person(store, row["owner"]),
        "assigned_to": _person(store, row["assigned_to"]),
        "status": _status(store, TASK, row),
        "user_story": _story(store, story, is_deleted=False),
        "milestone": _milestone(store, store.milestones.get(row["milestone"])),
        "promoted_to": row["promoted_to"],
    }


def _points(store: Store, row: Row) -> list[dict[str, Any]]:
    shown = []
    for role_id, point_id in row["points"].items():
        role, point = store.roles.get(int(role_id)), store.points.get(point_id)
        if role is not None and point is not None:
            value = None if point["value"] is None else float(point["value"])
            shown.append({"role": role["name"], "name": point["name"], "value": value})
    return shown


def _story(store: Store, row: Row, *, is_deleted: bool) -> dict[str, Any]:
    project = _project(store, row["project"])
    return {
        "custom_attributes_values": _values(store, STORY, row, is_deleted=is_deleted),
        **_fields(row, "id", "ref"),
        "project": project,
        "is_closed": row["is_closed"],
        "created_date": wire_time(row["created_date"]),
        "modified_date": wire_time(row["modified_date"]),
        "finish_date": wire_time(row["finish_date"]),
        "due_date": row["due_date"],
        "due_date_reason": "",
        **_fields(row, "subject", "client_requirement", "team_requirement", "generated_from_issue"),
        **_fields(row, "generated_from_task", "from_task_ref", "external_reference"),
        "tribe_gig": None,
        **_fields(row, "watchers", "is_blocked", "blocked_note", "description", "tags"),
        "permalink": f"{project['permalink']}/us/{row['ref']}",
        "owner": _person(store, row["owner"]),
        "assigned_to": _person(store, row["assigned_to"]),
        "assigned_users": row["assigned_users"],
        "points": _points(store, row),
        "status": _status(store, STORY, row),
        "milestone": _milestone(store, store.milestones.get(row["milestone"])),
    }


def _issue(store: Store, event: Event) -> dict[str, Any]:
    row = event.row
    project = _project(store, row["project"])
    sorts = {}
    for field, table in (("type", "issue_types"), ("priority", "priorities"), ("severity", "severities")):
        found = store.memory.table(table).get(row[field])
        sorts[field] = _fields(found, "id", "name", "color") if found else None
    return {
        "custom_attributes_values": _values(store, ISSUE, row, is_deleted=event.action == "delete"),
        **_fields(row, "id", "ref"),
        "created_date": wire_time(row["created_date"]),
        "modified_date": wire_time(row["modified_date"]),
        "finished_date": wire_time(row["finished_date"]),
        "due_date": row["due_date"],
        "due_date_reason": "",
        **_fields(row, "subject", "external_reference", "watchers", "description", "tags"),
        "permalink": f"{project['permalink']}/issue/{row['ref']}",
        "project": project,
        "milestone": _milestone(store, store.milestones.get(row["milestone"])),
        "owner": _person(store, row["owner"]),
        "assigned_to": _person(store, row["assigned_to"]),
        "status": _status(store, ISSUE, row),
        **sorts,
        "promoted_to": row["promoted_to"],
    }


def _change(entry: Row) -> dict[str, Any]:
    comment = entry.get("comment", "")
    return {
        "comment": comment,
        "comment_html": html_of(comment),
        "delete_comment_date": wire_time(entry.get("delete_comment_date")),
        "comment_versions": entry.get("comment_versions"),
        "edit_comment_date": wire_time(entry.get("edit_comment_date")),
        "diff": {
            field: _from_to(field, words)
            for field, words in entry["values_diff"].items()
            if field != "description_html"
        },
    }


def _from_to(field: str, words: Any) -> Any:
    if field in ("custom_attributes", "attachments"):
        return words
    if field == "points":
        return {role: {"from": pair[0], "to": pair[1]} for role, pair in words.items()}
    if field == "description_diff":
        return "Check the history API for the exact diff"
    return {"from": words[0], "to": words[1]}
