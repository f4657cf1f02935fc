"""Filling a stand-in Taiga from one JSON object; a second time with the same object changes nothing."""

from __future__ import annotations

import hashlib
import uuid
from typing import Any

from sandbox.app import SandboxError
from sandbox.memory import Row
from sandbox.taiga.items import insert_item
from sandbox.taiga.kinds import KINDS, STORY
from sandbox.taiga.projects import free_slug, make_project
from sandbox.taiga.store import Settings, Store
from sandbox.taiga.template import ALL_PERMISSIONS


def seed(store: Store, data: dict[str, Any]) -> dict[str, Any]:
    """Users, applications, application_tokens, settings and projects; answers the ids by name.

    users: username, full_name, email, password, is_superuser, is_active, id (all but username optional).
    projects: name, id, owner (a username), slug, description, roles (names beside the template's), members
    (username, role by name, is_admin),
    attributes (kind, name, type, extra, order, description), webhooks (name, url, key), stories (subject).
    Raises SandboxError.
    """
    for name, value in (data.get("settings") or {}).items():
        if not hasattr(store.settings, name):
            known = ", ".join(vars(Settings()))
            raise SandboxError(f"The stand-in Taiga has the settings {known}, not {name}.")
        setattr(store.settings, name, value)
    users = {row["username"]: _user(store, row) for row in data.get("users") or []}
    for row in data.get("applications") or []:
        if store.applications.get(row["id"]) is None:
            store.applications.insert({"next_url": "http://console.sandbox.test/", **row})
    for row in data.get("application_tokens") or []:
        _application_token(store, row)
    projects = {row["name"]: _project(store, row) for row in data.get("projects") or []}
    return {"users": {name: user["id"] for name, user in users.items()}, "projects": projects}


def _find_user(store: Store, name: Any) -> Row:
    user = store.users.first(username=name)
    if user is None:
        raise SandboxError(f"The stand-in Taiga has no user {name!r}; seed the user before the project.")
    return user


def _user(store: Store, row: Row) -> Row:
    name = row["username"]
    found = store.users.first(username=name)
    if found is not None:
        return found
    fields = {
        "username": name,
        "full_name": row.get("full_name") or name.title(),
        "email": row.get("email") or f"{name}@example.test",
        "password": row.get("password") or "sandbox",
        "is_superuser": bool(row.get("is_superuser")),
        "is_active": row.get("is_active", True),
        "color": "#" + hashlib.sha256(name.encode()).hexdigest()[:6],
        "uuid": uuid.uuid4().hex,
        "date_joined": store.now(),
        "lang": "",
        "timezone": "",
    }
    return store.users.insert(fields, row_id=row.get("id"))


def _application_token(store: Store, row: Row) -> None:
    user = _find_user(store, row["user"])
    if store.application_tokens.first(token=row["token"]) is None:
        if store.applications.get(row["application"]) is None:
            raise SandboxError(f"The stand-in Taiga has no application {row['application']!r}.")
        fields = {"application": row["application"], "user": user["id"], "token": row["token"]}
        store.application_tokens.insert({**fields, "auth_code": None, "state": None})


def _project(store: Store, row: Row) -> dict[str, Any]:
    project = next((p for p in store.projects.all() if p["name"] == row["name"]), None)
    if project is None:
        slug = row.get("slug") or free_slug(store, row["name"])
        project = make_project(store, _find_user(store, row["owner"]), {**row, "slug": slug})
    number = project["id"]
    _roles(store, number, row.get("roles") or [])
    roles = {role["name"]: role["id"] for role in store.roles.find(project=number)}
    for member in row.get("members") or []:
        _member(store, project, roles, member)
    attributes: dict[str, dict[str, int]] = {}
    for attribute in row.get("attributes") or []:
        kind = KINDS[attribute["kind"]]
        table = store.attributes(kind)
        found = next((a for a in table.find(project=number) if a["name"] == attribute["name"]), None)
        if found is None:
            fields = {"description": "", "type": "text", "order": len(table) + 1, "extra": None}
            fields |= {field: value for field, value in attribute.items() if field != "kind"}
            now = store.now()
            found = table.insert({**fields, "project": number, "created_date": now, "modified_date": now})
        attributes.setdefault(kind.name, {})[found["name"]] = found["id"]
    for hook in row.get("webhooks") or []:
        if not any(h["url"] == hook["url"] for h in store.webhooks.find(project=number)):
            fields = {"project": number, "name": hook.get("name") or "console", "url": hook["url"]}
            store.webhooks.insert({**fields, "key": hook["key"]})
    stories = {}
    for story in row.get("stories") or []:
        same = (s for s in store.items(STORY).find(project=number) if s["subject"] == story["subject"])
        found = next(same, None)
        stories[story["subject"]] = (
            found or insert_item(store, STORY, project, project["owner"], {"subject": story["subject"]})
        )["id"]
    statuses = {row["name"]: row["id"] for row in store.memory.table("task_statuses").find(project=number)}
    ids = {"id": number, "slug": project["slug"], "roles": roles, "attributes": attributes}
    return {**ids, "stories": stories, "task_statuses": statuses}


def _roles(store: Store, project: int, names: list[str]) -> None:
    known = {role["name"] for role in store.roles.find(project=project)}
    for order, name in enumerate((name for name in names if name not in known), len(known) + 1):
        slug = name.lower().replace(" ", "-")
        row = {"name": name, "slug": slug, "order": order * 10, "computable": True, "permissions": ALL_PERMISSIONS}
        store.roles.insert({**row, "project": project})


def _member(store: Store, project: Row, roles: dict[str, int], member: Row) -> None:
    user = _find_user(store, member["username"])
    if store.membership(user["id"], project["id"]) is not None:
        return
    role = member.get("role") or "Back"
    if role not in roles:
        raise SandboxError(f"The project {project['name']!r} has the roles {', '.join(roles)}, not {role!r}.")
    store.memberships.insert(
        {
            "project": project["id"],
            "user": user["id"],
            "role": roles[role],
            "is_admin": bool(member.get("is_admin")),
            "created_at": store.now(),
            "invited_by": project["owner"],
            "email": user["email"],
            "user_order": 0,
        }
    )
