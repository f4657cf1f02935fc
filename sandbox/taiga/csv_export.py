"""The CSV of a whole project, opened by its key without a login, with attribute values by name."""

from __future__ import annotations

import csv
import io
from typing import Any

from sandbox.memory import Row
from sandbox.taiga.call import Call, Result
from sandbox.taiga.errors import not_authenticated
from sandbox.taiga.item_rows import total_points
from sandbox.taiga.kinds import ISSUE, STORY, TASK, Kind
from sandbox.taiga.store import Store, display_name

_TASK = [
    "id",
    "ref",
    "subject",
    "description",
    "user_story",
    "sprint_id",
    "sprint",
    "sprint_estimated_start",
    "sprint_estimated_finish",
    "owner",
    "owner_full_name",
    "assigned_to",
    "assigned_to_full_name",
    "status",
    "is_iocaine",
    "is_closed",
    "us_order",
    "taskboard_order",
    "attachments",
    "external_reference",
    "tags",
    "watchers",
    "voters",
    "created_date",
    "modified_date",
    "finished_date",
    "due_date",
    "due_date_reason",
]
_ISSUE = [
    "id",
    "ref",
    "subject",
    "description",
    "sprint_id",
    "sprint",
    "sprint_estimated_start",
    "sprint_estimated_finish",
    "owner",
    "owner_full_name",
    "assigned_to",
    "assigned_to_full_name",
    "status",
    "severity",
    "priority",
    "type",
    "is_closed",
    "attachments",
    "external_reference",
    "tags",
    "watchers",
    "voters",
    "created_date",
    "modified_date",
    "finished_date",
    "due_date",
    "due_date_reason",
]
_STORY_HEAD = [
    "id",
    "ref",
    "subject",
    "description",
    "sprint_id",
    "sprint",
    "sprint_estimated_start",
    "sprint_estimated_finish",
    "owner",
    "owner_full_name",
    "assigned_to",
    "assigned_to_full_name",
    "assigned_users",
    "assigned_users_full_name",
    "status",
    "is_closed",
    "swimlane",
]
_STORY_TAIL = [
    "total-points",
    "backlog_order",
    "sprint_order",
    "kanban_order",
    "created_date",
    "modified_date",
    "finish_date",
    "client_requirement",
    "team_requirement",
    "attachments",
    "generated_from_issue",
    "generated_from_task",
    "from_task_ref",
    "external_reference",
    "tasks",
    "tags",
    "watchers",
    "voters",
    "due_date",
    "due_date_reason",
    "epics",
]


def export_csv(call: Call, kind: Kind) -> Result:
    """GET /tasks/csv?uuid=: no login; 401 for an unknown key."""
    store, key = call.store, call.request.args.get("uuid")
    field = f"{kind.path}_csv_uuid"
    project = next((p for p in store.projects.all() if key and p[field] == key), None)
    if project is None:
        raise not_authenticated()
    attributes = store.project_rows(kind.attributes, project["id"])
    columns, table = _columns(store, kind, project["id"]), io.StringIO()
    writer = csv.writer(table)
    writer.writerow([*columns, *(row["name"] for row in attributes)])
    for row in sorted(store.items(kind).find(project=project["id"]), key=lambda row: row["ref"]):
        fields = _row(store, kind, row)
        values = store.values(kind).get(row["id"])
        held = values["attributes_values"] if values else {}
        cells = [fields.get(column) for column in columns] + [held.get(str(a["id"])) for a in attributes]
        writer.writerow([_cell(cell) for cell in cells])
    disposition = {"Content-Disposition": f'attachment; filename="{kind.path}.csv"'}
    return Result(200, table.getvalue(), disposition, "application/csv; charset=utf-8")


def _cell(value: Any) -> Any:
    """A cell; a text that a spreadsheet would take for a formula gets an apostrophe."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@") else value


def _columns(store: Store, kind: Kind, project: int) -> list[str]:
    if kind is TASK:
        return _TASK
    if kind is ISSUE:
        return _ISSUE
    roles = sorted(r["slug"] for r in store.roles.find(project=project) if r["computable"])
    return [*_STORY_HEAD, *(f"{slug}-points" for slug in roles), *_STORY_TAIL]


def _row(store: Store, kind: Kind, row: Row) -> dict[str, Any]:
    owner, assigned = store.users.get(row["owner"]), store.users.get(row["assigned_to"])
    milestone, status = store.milestones.get(row["milestone"]), store.status(kind, row)
    own = ("id", "ref", "subject", "description", "due_date", "external_reference")
    cells: dict[str, Any] = {
        **{field: row[field] for field in own},
        "owner": owner["username"] if owner else None,
        "owner_full_name": display_name(owner) if owner else None,
        "assigned_to": assigned["username"] if assigned else None,
        "assigned_to_full_name": display_name(assigned) if assigned else None,
        "status": status["name"] if status else None,
        "is_closed": store.is_closed(kind, row),
        "attachments": row["attachments"],
        "tags": ",".join(row["tags"]),
        "watchers": str(row["watchers"]),
        "voters": len(row["voters"]),
        "due_date_reason": "",
        **{field: row[field] for field in ("created_date", "modified_date", kind.closed_field)},
    }
    if milestone is not None:
        cells |= {"sprint_id": milestone["id"], "sprint": milestone["name"]}
        cells |= {f"sprint_{field}": milestone[field] for field in ("estimated_start", "estimated_finish")}
    if kind is TASK:
        story = store.items(STORY).get(row["user_story"])
        cells["user_story"] = story["ref"] if story else None
        cells |= {field: row[field] for field in ("is_iocaine", "us_order", "taskboard_order")}
    elif kind is ISSUE:
        for field, table in (("severity", "severities"), ("priority", "priorities"), ("type", "issue_types")):
            found = store.memory.table(table).get(row[field])
            cells[field] = found["name"] if found else None
    else:
        cells |= _story_cells(store, row)
    return cells


def _story_cells(store: Store, row: Row) -> dict[str, Any]:
    people = [user for number in row["assigned_users"] if (user := store.users.get(number))]
    tasks = sorted(store.items(TASK).find(user_story=row["id"]), key=lambda task: task["ref"])
    own = ("backlog_order", "sprint_order", "kanban_order", "client_requirement", "team_requirement")
    cells = {
        **{field: row[field] for field in (*own, "generated_from_issue", "generated_from_task", "from_task_ref")},
        "assigned_users": ",".join(user["username"] for user in people),
        "assigned_users_full_name": ",".join(display_name(user) for user in people),
        "total-points": total_points(store, row),
        "tasks": ",".join(str(task["ref"]) for task in tasks),
    }
    for role_id, point_id in row["points"].items():
        role, point = store.roles.get(int(role_id)), store.points.get(point_id)
        if role is not None and point is not None:
            cells[f"{role['slug']}-points"] = point["value"]
    return cells
