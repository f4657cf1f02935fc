"""Turns what the real server had answered back into rows of the stand-in's memory."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandbox.taiga.items import insert_item, refresh_milestone, refresh_story
from sandbox.taiga.kinds import BY_PATH, KINDS, STORY

if TYPE_CHECKING:
    from tests.contract.taiga.lab import Lab

RECORDINGS = Path(__file__).parent / "recordings"


def read_recording(name: str) -> dict[str, Any]:
    """A recorded exchange by its file name without .json."""
    return json.loads((RECORDINGS / f"{name}.json").read_text(encoding="utf-8"))


def parse(text: str | None) -> datetime | None:
    """A time as the wire said it."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")) if text else None


_ITEM_FIELDS = [
    "project",
    "status",
    "assigned_to",
    "owner",
    "ref",
    "milestone",
    "subject",
    "us_order",
    "taskboard_order",
    "is_iocaine",
    "external_reference",
    "version",
    "watchers",
    "is_blocked",
    "blocked_note",
    "due_date",
    "description",
    "user_story",
    "is_closed",
    "points",
    "backlog_order",
    "sprint_order",
    "kanban_order",
    "client_requirement",
    "team_requirement",
    "generated_from_issue",
    "generated_from_task",
    "from_task_ref",
    "assigned_users",
    "type",
    "priority",
    "severity",
]
_BLANK: dict[str, dict[str, Any]] = {
    name: {
        "description": "",
        "promoted_to": [],
        "attachments": 0,
        "silent": {},
        "is_unrecorded": False,
        "user_story": None,
    }
    for name in KINDS
}
BLANK_ENTRY: dict[str, Any] = {
    "diff": {},
    "values": {},
    "values_diff": {},
    "comment": "",
    "comment_versions": None,
    "delete_comment_date": None,
    "delete_comment_user": None,
    "edit_comment_date": None,
    "is_hidden": False,
}


def _load_item(lab: Lab, row: dict[str, Any], path: str) -> None:
    """An item as a list or a detail showed it; the rest is a new item's."""
    kind, store = BY_PATH[path], lab.store
    known = {key: row[key] for key in _ITEM_FIELDS if key in row}
    stored = {**_BLANK[kind.name], **known}
    for key in ("created_date", "modified_date", kind.closed_field):
        stored[key] = parse(row[key])
    stored["tags"] = [tag[0] for tag in row["tags"]]
    stored["voters"] = list(range(100, 100 + row["total_voters"]))
    if kind.name != "task":
        stored.pop("user_story", None)
    extra = row.get("user_story_extra_info")
    if extra and store.items(STORY).get(extra["id"]) is None:
        project = store.projects.get(row["project"])
        assert project is not None
        fields = {"subject": extra["subject"], "ref": extra["ref"]}
        insert_item(store, STORY, project, 6, fields, row_id=extra["id"])
    table = store.items(kind)
    if table.get(row["id"]):
        table.delete(row["id"])
    table.insert(stored, row_id=row["id"])
    if store.values(kind).get(row["id"]) is None:
        store.values(kind).insert({"attributes_values": {}, "version": 1}, row_id=row["id"])
    refresh_story(store, stored.get("user_story"))
    refresh_milestone(store, row["milestone"])
    project = store.projects.get(row["project"])
    if project is not None and project["last_ref"] < row["ref"]:
        store.projects.update(project["id"], last_ref=row["ref"])
    for _ in range(row.get("total_comments", 0) - len(store.history.find(key=f"{kind.model}:{row['id']}"))):
        lab.comment(kind, row["id"])


def _load_values(lab: Lab, row: dict[str, Any], path: str) -> None:
    kind = BY_PATH[path]
    table = lab.store.values(kind)
    if table.get(row[kind.field]):
        table.delete(row[kind.field])
    stored = {"attributes_values": row["attributes_values"], "version": row["version"]}
    table.insert(stored, row_id=row[kind.field])


def _dated(row: dict[str, Any], *names: str) -> dict[str, Any]:
    return {**row, **{name: parse(row[name]) for name in names}}


def _load_attribute(lab: Lab, row: dict[str, Any], kind: str) -> None:
    lab.store.attributes(KINDS[kind]).insert(_dated(row, "created_date", "modified_date"))


def _load_status(lab: Lab, row: dict[str, Any], kind: str) -> None:
    table = lab.store.memory.table(KINDS[kind].statuses)
    if table.get(row["id"]):
        table.delete(row["id"])
    table.insert(row)


def _load_webhook(lab: Lab, row: dict[str, Any]) -> None:
    stored = {field: row[field] for field in ("id", "project", "name", "key")}
    lab.store.webhooks.insert({**stored, "url": row["url"].replace("http://127.0.0.1:9100", lab.hooks)})


def _load_log(lab: Lab, row: dict[str, Any]) -> None:
    url = row["url"].replace("http://127.0.0.1:9100", lab.hooks)
    lab.store.webhooklogs.insert({**_dated(row, "created"), "url": url})


def _load_milestone(lab: Lab, row: dict[str, Any]) -> None:
    table = lab.store.milestones
    if table.get(row["id"]):
        table.delete(row["id"])
    names = ("id", "project", "name", "slug", "owner", "estimated_start", "estimated_finish", "closed", "order")
    stored = {name: row[name] for name in names}
    table.insert(stored | _dated({n: row[n] for n in _DATES}, *_DATES))


_DATES = ("created_date", "modified_date")


def _load_timeline(lab: Lab, row: dict[str, Any]) -> None:
    kept = ("id", "event_type", "project", "data", "data_content_type")
    lab.store.timeline.insert({**{name: row[name] for name in kept}, "created": parse(row["created"])})


def _load_history(lab: Lab, row: dict[str, Any]) -> None:
    entry = {**BLANK_ENTRY, **{name: row[name] for name in ("id", "key", "diff", "values", "values_diff", "comment")}}
    entry |= {"delete_comment_user": row["delete_comment_user"]}
    entry |= {name: parse(row[name]) for name in ("edit_comment_date", "delete_comment_date")}
    if lab.store.history.get(row["id"]) is None:
        lab.store.history.insert({**entry, "user": row["user"]["pk"], "created_at": parse(row["created_at"])})


def _load_project(lab: Lab, row: dict[str, Any]) -> None:
    names = ("name", "description", "blocked_code", "archived_code")
    changes = {name: row[name] for name in names} | {n: row[n] for n in row if n.endswith("_csv_uuid")}
    lab.store.projects.update(row["id"], **changes)


_KIND = "(?P<path>tasks|userstories|issues)"
_LOADERS: list[tuple[str, Callable[..., None]]] = [
    (rf"/{_KIND}(/\d+|/by_ref|/bulk_create)?", _load_item),
    (rf"/{_KIND}/custom-attributes-values/\d+", _load_values),
    (r"/(?P<kind>task|userstory|issue)-custom-attributes", _load_attribute),
    (r"/(?P<kind>task|userstory|issue)-statuses(/\d+)?", _load_status),
    (r"/webhooks", _load_webhook),
    (r"/(webhooklogs|webhooks/\d+/test)", _load_log),
    (r"/milestones(/\d+)?", _load_milestone),
    (r"/timeline/project/\d+", _load_timeline),
    (r"/history/\w+/\d+", _load_history),
    (r"/projects/\d+", _load_project),
]


def load_recording(lab: Lab, name: str) -> None:
    """Puts what the real server answered in a recording into the stand-in's memory."""
    recorded = read_recording(name)
    body, path = recorded["response"]["body"], recorded["request"]["path"]
    with lab.store.memory.transaction():
        for pattern, loader in _LOADERS:
            match = re.fullmatch(rf"/api/v1{pattern}(\?.*)?", path)
            if match:
                for row in body if isinstance(body, list) else [body]:
                    loader(lab, row, **match.groupdict())
                return
    raise AssertionError(f"nothing loads {path}")
