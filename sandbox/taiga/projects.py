"""Projects: created from Taiga's templates, changed, deleted, and their CSV keys."""

from __future__ import annotations

import re
import uuid
from typing import Any

from sandbox.memory import Row
from sandbox.taiga import template
from sandbox.taiga.call import Call, Event, Result
from sandbox.taiga.errors import bad_request, denied, invalid, not_found
from sandbox.taiga.kinds import KINDS
from sandbox.taiga.project_rows import CSV_KINDS, show_in_full, show_in_list
from sandbox.taiga.store import Store, wire_time
from sandbox.taiga.timeline import note_project


def slug_of(name: str) -> str:
    """A name as it stands in an address."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "x"


def free_slug(store: Store, name: str) -> str:
    """A slug that no project has yet."""
    slug, number, taken = slug_of(name), 0, {p["slug"] for p in store.projects.all()}
    wanted = slug
    while wanted in taken:
        number += 1
        wanted = f"{slug}-{number}"
    return wanted


def make_project(store: Store, owner: Row, data: dict[str, Any]) -> Row:
    """Stores a project with statuses, points and roles of its template; the owner becomes its administrator."""
    now = store.now()
    creation_template = data.get("creation_template") or 1
    project = store.projects.insert(
        {
            "name": data["name"],
            "slug": data.get("slug") or free_slug(store, data["name"]),
            "description": data.get("description") or "",
            "created_date": now,
            "modified_date": now,
            "owner": owner["id"],
            "is_private": data.get("is_private", True),
            "creation_template": creation_template,
            "blocked_code": None,
            "archived_code": None,
            "last_ref": 0,
            **{f"{kind}_csv_uuid": None for kind in CSV_KINDS},
        },
        row_id=data.get("id"),
    )
    for name, rows in template.TABLES.items():
        for row in rows:
            store.memory.table(name).insert({**row, "project": project["id"]})
    roles = [store.roles.insert({**row, "project": project["id"]}) for row in template.ROLES]
    defaults = {
        field: next(r["id"] for r in store.memory.table(table).find(project=project["id"]) if r["name"] == name)
        for field, (table, name) in template.DEFAULTS.items()
    }
    owner_role = next(role["id"] for role in roles if role["slug"] == "product-owner")
    store.memberships.insert(
        {
            "project": project["id"],
            "user": owner["id"],
            "role": owner_role,
            "is_admin": True,
            "created_at": now,
            "invited_by": None,
            "email": owner["email"],
            "user_order": 1,
        }
    )
    return store.projects.update(project["id"], **defaults)


def next_ref(store: Store, project: int) -> int:
    """Uses up a project's next reference number, which stories, tasks and issues share."""
    row = store.projects.get(project)
    assert row is not None
    return int(store.projects.update(project, last_ref=row["last_ref"] + 1)["last_ref"])


def find_project(call: Call, number: int) -> Row:
    """A project the user may see; raises ApiError 404, 401 or 403."""
    project = call.store.projects.get(number)
    if project is None:
        raise not_found()
    call.require("view_project", project)
    return project


def list_projects(call: Call) -> Result:
    """GET /projects?member=."""
    rows = [p for p in call.store.projects.all() if call.may("view_project", p)]
    wanted = call.request.args.get("member", "")
    if wanted:
        if not wanted.isdigit():
            raise bad_request("'member' must be an integer value.")
        rows = [p for p in rows if call.store.membership(int(wanted), p["id"])]
    return call.paginate(rows, lambda project: show_in_list(call, project))


def create_project(call: Call) -> Result:
    """POST /projects."""
    if not call.data.get("name"):
        raise invalid(name="This field is required.")
    project = make_project(call.store, call.signed_in(), call.data)
    note_project(call.store, project, call.user, "create")
    return Result(201, show_in_full(call, project))


def get_project(call: Call, number: int) -> Result:
    """GET /projects/{id}."""
    return Result(200, show_in_full(call, find_project(call, number)))


def get_project_by_slug(call: Call) -> Result:
    """GET /projects/by_slug?slug=."""
    project = next((p for p in call.store.projects.all() if p["slug"] == call.request.args.get("slug")), None)
    return get_project(call, project["id"] if project else 0)


def change_project(call: Call, number: int) -> Result:
    """PATCH /projects/{id}: name and description; hooks hear of it without the project's id."""
    project = find_project(call, number)
    call.require_admin(project)
    changes = {field: call.data[field] for field in ("name", "description", "is_private") if field in call.data}
    fresh = call.store.projects.update(number, **changes, modified_date=call.store.now())
    diff: dict[str, Any] = {f: [project[f], fresh[f]] for f in changes if project[f] != fresh[f]}
    if diff:
        note_project(call.store, fresh, call.user, "change", diff)
        call.events.append(_project_event(call, number, "change", {"values_diff": diff}))
    return Result(200, show_in_full(call, fresh))


def delete_project(call: Call, number: int) -> Result:
    """DELETE /projects/{id}: everything in it is gone, its hooks hear one event without data."""
    project = find_project(call, number)
    call.require_admin(project)
    store = call.store
    hooks = store.webhooks.find(project=number)
    event = _project_event(call, number, "delete")
    call.events.append(Event(**{**vars(event), "row": {"hooks": hooks}}))
    for kind in KINDS.values():
        for row in store.items(kind).find(project=number):
            store.items(kind).delete(row["id"])
            if store.values(kind).get(row["id"]):
                store.values(kind).delete(row["id"])
    tables = ["memberships", "roles", "milestones", "webhooks", "timeline", *template.TABLES]
    for name in [*tables, *(kind.attributes for kind in KINDS.values())]:
        for row in store.memory.table(name).find(project=number):
            store.memory.table(name).delete(row["id"])
    store.projects.delete(number)
    return Result(204, None)


def _project_event(call: Call, number: int, action: str, entry: Row | None = None) -> Event:
    by = call.user["id"] if call.user else None
    return Event(number, "project", action, by, wire_time(call.store.now()) or "", {}, entry)


def regenerate_csv_uuid(call: Call, number: int, kind: str) -> Result:
    """POST /projects/{id}/regenerate_<kind>_csv_uuid: the key that opens the CSV without a login."""
    if kind not in CSV_KINDS:
        raise not_found()
    project = find_project(call, number)
    if not call.is_admin(project):
        raise denied()
    fresh = uuid.uuid4().hex
    call.store.projects.update(number, **{f"{kind}_csv_uuid": fresh})
    return Result(200, {"uuid": fresh})


def resolve(call: Call) -> Result:
    """GET /resolver?project=<slug>&task=<ref>: ids."""
    slug = call.request.args.get("project")
    project = next((p for p in call.store.projects.all() if p["slug"] == slug), None)
    if project is None:
        raise not_found("Project")
    call.require("view_project", project)
    found = {"project": project["id"]}
    for kind in KINDS.values():
        ref = call.request.args.get(kind.short)
        if ref:
            rows = call.store.items(kind).find(project=project["id"])
            row = next((r for r in rows if str(r["ref"]) == ref), None)
            if row is None:
                raise not_found(kind.title)
            found[kind.short] = row["id"]
    return Result(200, found)
