"""Several items at once, and turning tasks and issues into user stories."""

from __future__ import annotations

from sandbox.taiga.call import Call, Result
from sandbox.taiga.errors import bad_request, invalid
from sandbox.taiga.history import record_change
from sandbox.taiga.item_rows import show_in_full
from sandbox.taiga.items import add_item, find_item, insert_item, number_of, remove_item
from sandbox.taiga.kinds import ISSUE, STORY, TASK, Kind


def bulk_create(call: Call, kind: Kind) -> Result:
    """POST /<kind>/bulk_create: one item per line."""
    project = call.store.projects.get(number_of(call.data.get("project_id")))
    if project is None:
        raise invalid(project_id="This field is required.")
    call.require(f"add_{kind.permission}", project)
    call.require_open(project)
    lines = str(call.data.get({"task": "bulk_tasks", "userstory": "bulk_stories"}.get(kind.name, "bulk_issues")) or "")
    fields = {"milestone": call.data["milestone_id"]} if call.data.get("milestone_id") else {}
    fields |= {"status": call.data["status_id"]} if call.data.get("status_id") else {}
    if kind is TASK:
        fields["user_story"] = call.data.get("us_id")
    subjects = [line.strip() for line in lines.splitlines() if line.strip()]
    rows = [add_item(call, kind, project, {**fields, "subject": subject}) for subject in subjects]
    shown = reversed(rows) if kind is ISSUE else rows
    return Result(200, [show_in_full(call, kind, row) for row in shown])


def promote(call: Call, kind: Kind, number: int) -> Result:
    """POST /<kind>/{id}/promote_to_user_story: [the story's ref]; a task vanishes silently, an issue stays."""
    row, project = find_item(call, kind, number)
    call.require("add_us", project)
    call.require_open(project)
    fields = {field: row[field] for field in ("subject", "description", "tags", "milestone")}
    # Nobody is assigned; the person is among assigned_users only (526, 530).
    fields["assigned_users"] = [row["assigned_to"]] if row["assigned_to"] else []
    origin = {"generated_from_issue": number} if kind is ISSUE else {"from_task_ref": f"Task #{row['ref']}"}
    fields |= {**origin, "is_unrecorded": True}
    story = insert_item(call.store, STORY, project, call.signed_in()["id"], fields)
    if kind is TASK:
        remove_item(call.store, TASK, row)
    else:
        fresh = call.store.items(ISSUE).update(number, promoted_to=[*row["promoted_to"], story["id"]])
        record_change(call, ISSUE, row, fresh)
    return Result(200, [story["ref"]])


def bulk_update_milestone(call: Call, kind: Kind) -> Result:
    """POST /tasks/bulk_update_milestone: change webhooks, but no new version."""
    project = call.store.projects.get(number_of(call.data.get("project_id")))
    milestone = call.store.milestones.get(number_of(call.data.get("milestone_id")))
    if project is None or milestone is None:
        raise bad_request("The milestone isn't valid for the project")
    call.require(f"modify_{kind.permission}", project)
    call.require_open(project)
    key = {"task": "task_id", "userstory": "us_id"}.get(kind.name, "issue_id")
    moved = {}
    for wanted in call.data.get(f"bulk_{'stories' if kind is STORY else kind.path}") or []:
        before = call.store.items(kind).get(number_of(wanted.get(key)))
        if before is not None and before["project"] == project["id"]:
            row = call.store.items(kind).update(before["id"], milestone=milestone["id"])
            record_change(call, kind, before, row)
            moved[str(row["id"])] = milestone["id"]
    return Result(200, moved) if kind is TASK else Result(204, None)
