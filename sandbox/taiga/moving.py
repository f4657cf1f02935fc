"""An item that goes to another project: what is of the old one must be given up in the same call, or it is refused.

A status that the call names is looked for in the new project by its slug; one that the old project does not have, and
so each of the new one, becomes the new project's default: open. Attribute values keep the old project's ids
(recordings 332-336 and 569-579; taiga-back, `update` of tasks, stories and issues).
"""

from __future__ import annotations

from typing import Any

from sandbox.memory import Row
from sandbox.taiga.call import Call
from sandbox.taiga.errors import ApiError, denied, invalid, worded
from sandbox.taiga.kinds import ISSUE, TASK, Kind
from sandbox.taiga.projects import next_ref
from sandbox.taiga.store import Store

_LINKS = {"milestone": ("milestones", "sprint"), "user_story": ("userstories", "user story")}
_SORTS = {
    "severity": ("severities", "default_severity"),
    "priority": ("priorities", "default_priority"),
    "type": ("issue_types", "default_issue_type"),
}
_WORDS = {"task": "task", "userstory": "user story", "issue": "issue"}


def move_item(call: Call, kind: Kind, old: Row, number: int, fields: dict[str, Any]) -> dict[str, Any]:
    """What a call that names another project changes, beside and instead of its `fields`; raises ApiError."""
    project = call.store.projects.get(number)
    if project is None:
        raise invalid(project=f"Invalid pk '{number}' - object does not exist.")
    call.require(f"delete_{kind.permission}", old)
    call.require(f"add_{kind.permission}", project)
    changes: dict[str, Any] = {"project": number, "ref": next_ref(call.store, number)}
    for name, (table, _word) in _LINKS.items():
        row = call.store.memory.table(table).get(fields.get(name))
        if row is not None and row["project"] != number:
            changes[name] = None
    sorts = {"status": (kind.statuses, kind.default_status), **(_SORTS if kind is ISSUE else {})}
    for name, (table, default) in sorts.items():
        if fields.get(name) is not None:
            key = "slug" if name == "status" else "name"
            changes[name] = _alike(call.store, table, fields[name], old, project, key) or project[default]
    return changes


def _alike(store: Store, table: str, given: int, old: Row, project: Row, key: str) -> int | None:
    rows = store.memory.table(table)
    row = rows.get(given)
    if row is None or row["project"] != old["id"]:
        return None
    return next((other["id"] for other in rows.find(project=project["id"]) if other[key] == row[key]), None)


def check_same_project(store: Store, kind: Kind, row: Row) -> None:
    """Refuses an item whose sprint, story or status is of another project: 400 for a task, 403 for the others."""
    links = {name: link for name, link in _LINKS.items() if name == "milestone" or kind is TASK}
    sorts = {name: (table, name) for name, (table, _default) in _SORTS.items()} if kind is ISSUE else {}
    for name, (table, word) in {**links, "status": (kind.statuses, "status"), **sorts}.items():
        part = store.memory.table(table).get(row.get(name))
        if part is not None and part["project"] != row["project"]:
            raise _refused(kind, f"You don't have permissions to set this {word} to this {_WORDS[kind.name]}.")


def _refused(kind: Kind, message: str) -> ApiError:
    return worded(400, message, "WrongArguments") if kind is TASK else denied(message)
