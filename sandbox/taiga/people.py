"""Users, memberships and roles."""

from __future__ import annotations

from typing import Any

from sandbox.memory import Row
from sandbox.taiga.call import Call, Result
from sandbox.taiga.errors import denied, invalid, not_found
from sandbox.taiga.store import Store, display_name, gravatar, person, wire_time
from sandbox.taiga.timeline import note_membership

_NO_LIMITS = {
    "max_private_projects": None,
    "max_public_projects": None,
    "max_memberships_private_projects": None,
    "max_memberships_public_projects": None,
}


def short_user(store: Store, user: Row) -> dict[str, Any]:
    """A user as others see one: no address."""
    memberships = store.memberships.find(user=user["id"])
    roles = sorted({role["name"] for m in memberships if (role := store.roles.get(m["role"]))})
    return {
        "id": user["id"],
        "username": user["username"],
        "full_name": user["full_name"],
        "full_name_display": display_name(user),
        "color": user["color"],
        "bio": "",
        "lang": user["lang"],
        "theme": "",
        "timezone": user["timezone"],
        "is_active": user["is_active"],
        "photo": None,
        "big_photo": None,
        "gravatar_id": gravatar(user),
        "roles": roles,
    }


def full_user(store: Store, user: Row) -> dict[str, Any]:
    """A user as oneself and a superuser see one."""
    owned = [p for p in store.projects.all() if p["owner"] == user["id"]]
    private = sum(1 for p in owned if p["is_private"])
    return {
        **short_user(store, user),
        "total_private_projects": private,
        "total_public_projects": len(owned) - private,
        "email": user["email"],
        "uuid": user["uuid"],
        "date_joined": wire_time(user["date_joined"]),
        "read_new_terms": False,
        "accepted_terms": True,
        **_NO_LIMITS,
        "verified_email": True,
    }


def me(call: Call) -> Result:
    """GET /users/me."""
    return Result(200, full_user(call.store, call.signed_in()))


def get_user(call: Call, number: int) -> Result:
    """GET /users/{id}: the address only for oneself and a superuser."""
    asking = call.signed_in()
    user = call.store.users.get(number)
    if user is None:
        raise not_found("User")
    is_full = asking["is_superuser"] or asking["id"] == number
    return Result(200, (full_user if is_full else short_user)(call.store, user))


def delete_user(call: Call, number: int) -> Result:
    """DELETE /users/{id}, for oneself and a superuser: the row stays as "Deleted user", and so does what is assigned to
    it; its memberships are gone and the projects it owns are blocked (recordings 547 to 561)."""
    asking, store = call.signed_in(), call.store
    user = store.users.get(number)
    if user is None:
        raise not_found("User")
    if not asking["is_superuser"] and asking["id"] != number:
        raise denied()
    name = f"deleted-user-{store.now_ms()}"
    gone = {"username": name, "email": f"{name}@taiga.io", "full_name": "Deleted user", "color": "", "lang": ""}
    store.users.update(number, **gone, is_active=False)
    for membership in store.memberships.find(user=number):
        store.memberships.delete(membership["id"])
    for project in store.projects.all():
        if project["owner"] == number:
            store.projects.update(project["id"], blocked_code="blocked-by-owner-leaving")
    return Result(204, None)


def list_users(call: Call) -> Result:
    """GET /users?project=: the people one shares a project with; a superuser sees all, whatever the filter."""
    store = call.store
    if call.user is None:
        return call.paginate([])
    if call.user["is_superuser"]:
        return call.paginate(store.users.all(), lambda user: short_user(store, user))
    mine = {m["project"] for m in store.memberships.find(user=call.user["id"])}
    wanted = call.request.args.get("project", "")
    shared = mine & {int(wanted)} if wanted.isdigit() else mine
    ids = {m["user"] for project in shared for m in store.memberships.find(project=project)} - {None}
    return call.paginate([u for u in store.users.all() if u["id"] in ids], lambda user: short_user(store, user))


def show_membership(call: Call, row: Row, project: Row) -> dict[str, Any]:
    """A membership; addresses only for an administrator of the project."""
    store = call.store
    user, role = store.users.get(row["user"]), store.roles.get(row["role"])
    shown = {
        "id": row["id"],
        "user": row["user"],
        "project": row["project"],
        "role": row["role"],
        "is_admin": row["is_admin"],
        "created_at": wire_time(row["created_at"]),
        "invited_by": person(store.users.get(row["invited_by"])),
        "invitation_extra_text": None,
        "user_order": row["user_order"],
        "role_name": role["name"] if role else None,
        "full_name": user["full_name"] if user else None,
        "is_user_active": bool(user and user["is_active"]),
        "color": user["color"] if user else None,
        "photo": None,
        "gravatar_id": gravatar(user) if user else None,
        "project_name": project["name"],
        "project_slug": project["slug"],
        "is_owner": user["id"] == project["owner"] if user else None,
    }
    if call.is_admin(project):
        shown |= {"email": row["email"], "user_email": user["email"] if user else None}
    return shown


def list_memberships(call: Call) -> Result:
    """GET /memberships?project=: [] for one who does not belong to the project."""
    wanted = call.request.args.get("project", "")
    rows = []
    for project in call.store.projects.all():
        if (not wanted or wanted == str(project["id"])) and call.may("view_project", project):
            found = call.store.memberships.find(project=project["id"])
            rows += [(m, project) for m in sorted(found, key=lambda m: _name_order(call.store, m))]
    return call.paginate(rows, lambda pair: show_membership(call, *pair))


def _name_order(store: Store, row: Row) -> tuple[bool, str, str]:
    """By full name and user name; invitations that nobody took come last."""
    user = store.users.get(row["user"])
    return (False, user["full_name"], user["username"]) if user else (True, "", row["email"])


def create_membership(call: Call) -> Result:
    """POST /memberships {project, role, username}: by address; a plain user name needs to be a contact already."""
    store, name = call.store, str(call.data.get("username") or "")
    project = store.projects.get(call.data.get("project"))
    if project is None:
        raise invalid(project="This field is required.")
    call.require_admin(project)
    call.require_open(project)
    user = next((u for u in store.users.all() if u["email"].lower() == name.lower()), None)
    if user is None and "@" not in name:
        asking = call.signed_in()
        mine = {m["project"] for m in store.memberships.find(user=asking["id"])}
        user = store.users.first(username=name)
        if user is None or not any(m["project"] in mine for m in store.memberships.find(user=user["id"])):
            raise invalid(username="The user must be a valid contact")
    if user is not None and store.membership(user["id"], project["id"]):
        raise invalid(username="The user yet exists in the project")
    row = store.memberships.insert(
        {
            "project": project["id"],
            "user": user["id"] if user else None,
            "role": call.data.get("role"),
            "is_admin": bool(call.data.get("is_admin")),
            "created_at": store.now(),
            "invited_by": call.signed_in()["id"],
            "email": user["email"] if user else name,
            "user_order": 0 if user else store.now_ms(),
        }
    )
    _note(call, row, project, "create")
    return Result(201, show_membership(call, row, project))


def get_membership(call: Call, number: int) -> Result:
    """GET /memberships/{id}."""
    row = call.store.memberships.get(number)
    project = call.store.projects.get(row["project"]) if row else None
    if row is None or project is None:
        raise not_found("Membership")
    call.require("view_project", project)
    return Result(200, show_membership(call, row, project))


def change_membership(call: Call, number: int) -> Result:
    """PATCH /memberships/{id}: role and is_admin; the answer has no addresses (520)."""
    row, project = _membership(call, number)
    changes = {field: call.data[field] for field in ("role", "is_admin") if field in call.data}
    shown = show_membership(call, call.store.memberships.update(row["id"], **changes), project)
    return Result(200, {name: value for name, value in shown.items() if name not in ("email", "user_email")})


def delete_membership(call: Call, number: int) -> Result:
    """DELETE /memberships/{id}: the person's tasks stay theirs."""
    row, project = _membership(call, number)
    if row["user"] == project["owner"]:
        raise denied()
    call.store.memberships.delete(row["id"])
    _note(call, row, project, "delete")
    return Result(204, None)


def _note(call: Call, row: Row, project: Row, action: str) -> None:
    user, role = call.store.users.get(row["user"]), call.store.roles.get(row["role"])
    if user is not None and role is not None:
        note_membership(call.store, project, user, role, action)


def _membership(call: Call, number: int) -> tuple[Row, Row]:
    row = call.store.memberships.get(number)
    project = call.store.projects.get(row["project"]) if row else None
    if row is None or project is None:
        raise not_found("Membership")
    call.require_admin(project)
    call.require_open(project)
    return row, project


def list_roles(call: Call) -> Result:
    """GET /roles?project=."""
    wanted = call.request.args.get("project", "")
    rows = []
    for project in call.store.projects.all():
        if (not wanted or wanted == str(project["id"])) and call.may("view_project", project):
            rows += call.store.project_rows("roles", project["id"])
    members = call.store.memberships

    def show(role: Row) -> dict[str, Any]:
        fields = ("id", "name", "slug", "project", "order", "computable", "permissions")
        count = sum(1 for m in members.find(project=role["project"]) if m["role"] == role["id"])
        return {**{field: role[field] for field in fields}, "members_count": count}

    return call.paginate(rows, show)
