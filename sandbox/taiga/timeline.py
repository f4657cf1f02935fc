"""A project's timeline: what happened, newest first, things without webhooks included."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sandbox.memory import Row
from sandbox.taiga.call import Call, Result
from sandbox.taiga.errors import not_found
from sandbox.taiga.kinds import KINDS, Kind, view_permission
from sandbox.taiga.store import Store, display_name, gravatar, html_of, wire_time

_PROJECT_TYPE = 15


def _insert(store: Store, project: Row, event: str, content_type: int, data: dict[str, Any], at: datetime) -> None:
    # Taiga writes each event into the user's timeline too, so the numbers of a project's entries have gaps.
    store.timeline.next_id()
    store.timeline.insert(
        {
            "project": project["id"],
            "event_type": event,
            "data": data,
            "data_content_type": content_type,
            "created": at,
        },
        row_id=store.timeline.next_id(),
    )


def _base(project: Row, user: Row | None, diff: dict[str, Any], comment: str) -> dict[str, Any]:
    return {
        "user": _user(user),
        "comment": comment,
        "project": {field: project[field] for field in ("id", "name", "slug", "description")},
        "values_diff": diff,
        "comment_html": html_of(comment),
    }


def _user(user: Row | None) -> dict[str, Any]:
    if user is None:
        return {"id": None, "name": None}
    return {
        "id": user["id"],
        "name": display_name(user),
        "photo": None,
        "big_photo": None,
        "gravatar_id": gravatar(user),
        "username": user["username"],
        "is_profile_visible": True,
        "date_joined": wire_time(user["date_joined"]),
    }


def note_project(store: Store, project: Row, user: Row | None, action: str, diff: dict[str, Any] | None = None) -> None:
    """Writes projects.project.<action>."""
    event = f"projects.project.{action}"
    _insert(store, project, event, _PROJECT_TYPE, _base(project, user, diff or {}, ""), store.now())


def note_milestone(store: Store, project: Row, user: Row | None, action: str, row: Row) -> None:
    """Writes milestones.milestone.<action>."""
    data = _base(project, user, {}, "")
    data["milestone"] = {field: row[field] for field in ("id", "name", "slug")}
    _insert(store, project, f"milestones.milestone.{action}", 49, data, store.now())


def note_membership(store: Store, project: Row, member: Row, role: Row, action: str) -> None:
    """Writes projects.membership.<action>: without a diff and without a comment."""
    data = {
        "role": {"id": role["id"], "name": role["name"]},
        "user": _user(member),
        "project": {field: project[field] for field in ("id", "name", "slug", "description")},
    }
    _insert(store, project, f"projects.membership.{action}", 14, data, store.now())


def note_item(
    store: Store,
    kind: Kind,
    row: Row,
    user: Row | None,
    action: str,
    entry: Row | None = None,
    **marks: bool,
) -> None:
    """Writes <model>.<action> of an item, with a change's diff and comment, at the time of the history entry."""
    project = store.projects.get(row["project"])
    if project is None:
        return
    data = _base(project, user, entry["values_diff"] if entry else {}, entry["comment"] if entry else "")
    item = {field: row[field] for field in ("id", "ref", "subject")}
    story = store.items(KINDS["userstory"]).get(row.get("user_story"))
    if story is not None:
        item["userstory"] = {field: story[field] for field in ("id", "ref", "subject")}
    milestone = store.milestones.get(row.get("milestone")) if kind.name == "userstory" else None
    if milestone is not None:
        data["milestone"] = {field: milestone[field] for field in ("id", "name", "slug")}
    data = {kind.name: item, **data, **marks}
    at = entry["created_at"] if entry else store.now()
    _insert(store, project, f"{kind.model}.{action}", kind.content_type, data, at)


def list_timeline(call: Call, number: int) -> Result:
    """GET /timeline/project/{id}: what the user may see."""
    project = call.store.projects.get(number)
    if project is None:
        raise not_found()
    call.require("view_project", project)
    hidden = set() if call.is_admin(project) else {"epics.relateduserstory."}
    hidden |= {f"{kind.model}." for kind in KINDS.values() if not call.may(view_permission(kind), project)}
    rows = [
        row
        for row in call.store.timeline.find(project=number)
        if not any(row["event_type"].startswith(prefix) for prefix in hidden)
    ]
    rows.sort(key=lambda row: (row["created"], row["id"]), reverse=True)

    def show(row: Row) -> dict[str, Any]:
        return {
            "data": row["data"],
            "id": row["id"],
            "content_type": _PROJECT_TYPE,
            "object_id": number,
            "namespace": f"project:{number}",
            "event_type": row["event_type"],
            "project": number,
            "data_content_type": row["data_content_type"],
            "created": wire_time(row["created"]),
        }

    return call.paginate(rows, show)
