"""Projects as the REST API shows them, in short and in full."""

from __future__ import annotations

from typing import Any

from sandbox.memory import Row
from sandbox.taiga import template
from sandbox.taiga.call import Call
from sandbox.taiga.kinds import KINDS
from sandbox.taiga.store import Store, display_name, gravatar, person, wire_time

CSV_KINDS = ("epics", "userstories", "tasks", "issues")


def show_in_list(call: Call, project: Row) -> dict[str, Any]:
    """A project as a row of a list."""
    store = call.store
    memberships = [m for m in store.memberships.find(project=project["id"]) if m["user"] is not None]
    mine = next((m for m in memberships if call.user and m["user"] == call.user["id"]), None)
    held = call.permissions(project)
    is_kanban = project["creation_template"] == 2
    return {
        "id": project["id"],
        "name": project["name"],
        "slug": project["slug"],
        "description": project["description"],
        "created_date": wire_time(project["created_date"]),
        "modified_date": wire_time(project["modified_date"]),
        "owner": person(store.users.get(project["owner"])),
        "members": [m["user"] for m in memberships],
        "total_milestones": None,
        "total_story_points": None,
        "is_contact_activated": True,
        "is_epics_activated": False,
        "is_backlog_activated": not is_kanban,
        "is_kanban_activated": is_kanban,
        "is_wiki_activated": not is_kanban,
        "is_issues_activated": not is_kanban,
        "videoconferences": None,
        "videoconferences_extra_data": None,
        "creation_template": project["creation_template"],
        "is_private": project["is_private"],
        "anon_permissions": [],
        "public_permissions": [],
        "is_featured": False,
        "is_looking_for_people": False,
        "looking_for_people_note": "",
        "blocked_code": project["blocked_code"],
        "archived_code": project["archived_code"],
        "totals_updated_datetime": wire_time(project["modified_date"]),
        "total_fans": 0,
        "total_fans_last_week": 0,
        "total_fans_last_month": 0,
        "total_fans_last_year": 0,
        **dict.fromkeys(("total_activity", "total_activity_last_week"), 0),
        **dict.fromkeys(("total_activity_last_month", "total_activity_last_year"), 0),
        "tags": [],
        "tags_colors": {},
        **{field: project[field] for field in template.DEFAULTS},
        "default_swimlane": None,
        "my_permissions": sorted(template.ALL_PERMISSIONS if "*" in held else held),
        "i_am_owner": bool(call.user and call.user["id"] == project["owner"]),
        "i_am_admin": call.is_admin(project),
        "i_am_member": mine is not None,
        "notify_level": 1 if mine else None,
        "total_closed_milestones": 0,
        "is_watcher": mine is not None,
        "total_watchers": len(memberships),
        "logo_small_url": None,
        "logo_big_url": None,
        "is_fan": False,
        "my_homepage": False,
    }


def _own(rows: list[Row], *, hidden: tuple[str, ...] = ("project",)) -> list[dict[str, Any]]:
    return [{k: v for k, v in row.items() if k not in hidden} | {"project_id": row["project"]} for row in rows]


def _attributes(store: Store, table: str, project: int) -> list[dict[str, Any]] | None:
    rows = _own(store.project_rows(table, project))
    for row in rows:
        row |= {field: row[field].isoformat() for field in ("created_date", "modified_date")}
    return rows or None


def show_in_full(call: Call, project: Row) -> dict[str, Any]:
    """A project with everything it is set up with; CSV keys only for its administrators."""
    store, number = call.store, project["id"]
    due_dates = [
        {"id": index, **row, "project_id": number} for index, row in enumerate(template.DUE_DATES, (number - 1) * 3 + 1)
    ]
    members = []
    for membership in store.memberships.find(project=number):
        user, role = store.users.get(membership["user"]), store.roles.get(membership["role"])
        if user is not None and role is not None:
            members.append(
                {
                    "role": role["id"],
                    "role_name": role["name"],
                    "full_name": user["full_name"],
                    "full_name_display": display_name(user),
                    "is_active": user["is_active"],
                    "id": user["id"],
                    "color": user["color"],
                    "username": user["username"],
                    "photo": None,
                    "gravatar_id": gravatar(user),
                }
            )
    milestones = store.project_rows("milestones", number)
    shown = {
        **show_in_list(call, project),
        "members": members,
        "epic_statuses": _own(store.project_rows("epic_statuses", number)),
        "swimlanes": None,
        "us_statuses": _own(store.project_rows("us_statuses", number)),
        "us_duedates": due_dates,
        "points": _own(store.project_rows("points", number)),
        "task_statuses": _own(store.project_rows("task_statuses", number)),
        "task_duedates": due_dates,
        "issue_statuses": _own(store.project_rows("issue_statuses", number)),
        "issue_types": _own(store.project_rows("issue_types", number)),
        "issue_duedates": due_dates,
        "priorities": _own(store.project_rows("priorities", number)),
        "severities": _own(store.project_rows("severities", number)),
        "epic_custom_attributes": _attributes(store, "epic_attributes", number),
        **{f"{k.name}_custom_attributes": _attributes(store, k.attributes, number) for k in KINDS.values()},
        "roles": _own(store.project_rows("roles", number)),
        "total_memberships": len(store.memberships.find(project=number)),
        "is_out_of_owner_limits": False,
        "milestones": [{field: row[field] for field in ("id", "slug", "name", "closed")} for row in milestones],
    }
    if call.is_admin(project):
        shown |= {"is_private_extra_info": {"can_be_updated": True, "reason": None}, "max_memberships": None}
        shown |= {f"{kind}_csv_uuid": project[f"{kind}_csv_uuid"] for kind in CSV_KINDS}
        shown |= {"transfer_token": None}
    return shown
