"""The history of an item: what changed, told in ids and in words, with comments that can be edited later."""

from __future__ import annotations

import uuid
from typing import Any

from sandbox.memory import Row
from sandbox.taiga.call import Call, Event, Result
from sandbox.taiga.errors import denied, not_found
from sandbox.taiga.kinds import KINDS, Kind, view_permission
from sandbox.taiga.store import Store, display_name, gravatar, html_of, wire_time
from sandbox.taiga.timeline import note_item

_INSERTED = '<ins style="background:#e6ffe6;">{}</ins>'
_DELETED = '<del style="background:#ffe6e6;">{}</del>'
HIDDEN = {"watchers", "us_order", "taskboard_order"}
_PLAIN = (
    "promoted_to",
    "subject",
    "due_date",
    "is_blocked",
    "is_iocaine",
    "ref",
    "tags",
    "project",
    "us_order",
)
_STORY = ("is_closed", "client_requirement", "team_requirement", "backlog_order", "sprint_order", "kanban_order")
_TEXT = ("description", "blocked_note")
_TABLES = {"assigned_to": "users", "owner": "users", "milestone": "milestones", "user_story": "userstories"}
_ISSUE = {"type": "issue_types", "priority": "priorities", "severity": "severities"}


def html_diff(before: str, after: str) -> str:
    """What was taken out and put in, as Taiga marks it; the whole text counts as changed."""
    if before == after:
        return before
    gone = _DELETED.format(before) if before else ""
    return gone + (_INSERTED.format(after) if after else "")


def record_change(call: Call, kind: Kind, before: Row, after: Row, comment: str = "") -> Row | None:
    """Writes the entry of a change of an item's own columns, its timeline and its webhook; None if nothing changed."""
    diff, values, words = _item_diff(call.store, kind, before, after)
    return _record(call, kind, after, diff, values, words, comment)


def record_values_change(call: Call, kind: Kind, item: Row, before: Row, after: Row) -> Row | None:
    """Writes the entry of a change of attribute values; None if nothing changed.

    The side before names the attributes as the entry before did: one renamed or retyped since is a change, in no words
    (recording 518).
    """
    old, new = (_described(call.store, kind, item, row["attributes_values"]) for row in (before, after))
    told = _told(call.store, kind, item)
    old = [{**row, **told.get(row["id"], {})} for row in old]
    if old == new:
        return None
    parts = _values_diff(old, new)
    words = {"custom_attributes": parts} if any(parts.values()) else {}
    return _record(call, kind, item, {"custom_attributes": [old, new]}, {}, words, "")


def _record(
    call: Call,
    kind: Kind,
    row: Row,
    diff: dict[str, Any],
    values: dict[str, Any],
    words: dict[str, Any],
    comment: str,
) -> Row | None:
    if not diff and not comment:
        return None
    store, user = call.store, call.signed_in()
    entry = store.history.insert(
        {
            "user": user["id"],
            "created_at": store.now(),
            "key": f"{kind.model}:{row['id']}",
            "diff": diff,
            "values": values,
            "values_diff": words,
            "comment": comment,
            "comment_versions": None,
            "delete_comment_date": None,
            "delete_comment_user": None,
            "edit_comment_date": None,
            "is_hidden": bool(diff) and not comment and set(diff) <= HIDDEN,
        },
        row_id=str(uuid.uuid1()),
    )
    if not entry["is_hidden"]:
        note_item(store, kind, row, user, "change", entry)
        date = wire_time(store.now()) or ""
        call.events.append(Event(row["project"], kind.name, "change", user["id"], date, row, entry))
    return entry


def record_other(call: Call, kind: Kind, row: Row, action: str) -> None:
    """Writes the timeline and the webhook of a creation or deletion."""
    user = call.signed_in()
    note_item(call.store, kind, row, user, action)
    date = wire_time(call.store.now()) or ""
    call.events.append(Event(row["project"], kind.name, action, user["id"], date, row))


def _item_diff(
    store: Store, kind: Kind, before: Row, after: Row
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    diff: dict[str, Any] = {}
    values: dict[str, Any] = {}
    words: dict[str, Any] = {}
    changed = [field for field in after if field in before and before[field] != after[field]]
    tables = _TABLES | {"status": kind.statuses} | (_ISSUE if kind.name == "issue" else {})
    for field in changed:
        pair = [before[field], after[field]]
        if field in tables:
            table = store.memory.table(tables[field])
            rows = [table.get(number) for number in pair]
            diff[field] = pair
            words[field] = [_name(field, row) for row in rows]
            named = {str(row["id"]): _name(field, row) for row in rows if row is not None}
            key = "users" if tables[field] == "users" else field
            values.setdefault(key, {}).update(named)
        elif field == "points":
            diff[field], words[field] = pair, _points_diff(store, *pair)
        elif field == "assigned_users":
            people = [[display_name(u) for n in numbers if (u := store.users.get(n))] for numbers in pair]
            diff[field], words[field] = pair, [", ".join(names) or None for names in people]
        elif field in _TEXT:
            html = [html_of(text) for text in pair]
            diff |= {field: pair, f"{field}_html": html}
            words |= {f"{field}_diff": [None, html_diff(*pair)], f"{field}_html": html}
        elif field == "finish_date" and kind.name == "userstory":
            diff[field] = words[field] = [str(instant) for instant in pair]
        elif field in _PLAIN or (field in _STORY and kind.name == "userstory"):
            diff[field] = words[field] = pair
    words.pop("project", None)
    # PostgreSQL's jsonb keeps keys by their length, then by their letters; webhooks show that order.
    return diff, values, {field: words[field] for field in sorted(words, key=lambda name: (len(name), name))}


def _name(field: str, row: Row | None) -> str | None:
    if row is None:
        return None
    if field in ("assigned_to", "owner"):
        return display_name(row)
    return f"#{row['ref']} {row['subject']}" if field == "user_story" else str(row["name"])


def _points_diff(store: Store, before: dict[str, int], after: dict[str, int]) -> dict[str, list[str | None]]:
    found = {}
    for role_id in before.keys() | after.keys():
        role, pair = store.roles.get(int(role_id)), [before.get(role_id), after.get(role_id)]
        if role is not None and pair[0] != pair[1]:
            found[role["name"]] = [point["name"] if (point := store.points.get(n)) else None for n in pair]
    return found


def _told(store: Store, kind: Kind, item: Row) -> dict[int, Row]:
    """Name and type of each attribute as the newest entry of the item's values said them."""
    entries = [e for e in store.history.find(key=f"{kind.model}:{item['id']}") if "custom_attributes" in e["diff"]]
    entries.sort(key=lambda entry: entry["created_at"])
    rows = entries[-1]["diff"]["custom_attributes"][1] if entries else []
    return {row["id"]: {"name": row["name"], "type": row["type"]} for row in rows}


def _described(store: Store, kind: Kind, item: Row, values: dict[str, Any]) -> list[Row]:
    attributes = sorted_attributes(store, kind, item["project"])
    return [
        {"id": a["id"], "name": a["name"], "type": a["type"], "value": values[str(a["id"])]}
        for a in attributes
        if str(a["id"]) in values
    ]


def sorted_attributes(store: Store, kind: Kind, project: int) -> list[Row]:
    """A project's attributes of a kind by order and name (recording 517)."""
    return sorted(store.project_rows(kind.attributes, project), key=lambda row: (row["order"], row["name"]))


def _value_diff(attribute: str, before: Any, after: Any) -> Any:
    if attribute in ("number", "checkbox"):
        return [before, after]
    return html_diff("" if before is None else str(before), "" if after is None else str(after))


def _values_diff(old: list[Row], new: list[Row]) -> dict[str, list[Row]]:
    was, now = {row["id"]: row for row in old}, {row["id"]: row for row in new}
    found: dict[str, list[Row]] = {"new": [], "changed": [], "deleted": []}
    for number, row in sorted(now.items()):
        kept = {"id": number, "name": row["name"], "value": row["value"], "type": row["type"]}
        if number not in was:
            found["new"].append({**kept, "value_diff": _value_diff(row["type"], None, row["value"])})
        elif was[number]["value"] != row["value"]:
            pair = [was[number]["value"], row["value"]]
            change = {"name": row["name"], "changes": {"value": pair}, "type": row["type"]}
            found["changed"].append({**change, "value_diff": _value_diff(row["type"], *pair)})
    found["deleted"] = [row for number, row in was.items() if number not in now]
    return found


def count_comments(store: Store, kind: Kind, row: Row) -> int:
    """How many comments of an item stand."""
    entries = store.history.find(key=f"{kind.model}:{row['id']}")
    return sum(1 for entry in entries if entry["comment"] and entry["delete_comment_date"] is None)


def changed_fields(store: Store, kind: Kind, number: int, last: int) -> set[str]:
    """The fields that the newest `last` entries changed: what Taiga holds against a stale version."""
    entries = sorted(store.history.find(key=f"{kind.model}:{number}"), key=_moment)[-last:]
    return {field for entry in entries for field in entry["diff"]}


def _moment(entry: Row) -> tuple[Any, ...]:
    return entry["created_at"], uuid.UUID(entry["id"]).time


def show_entry(store: Store, entry: Row) -> dict[str, Any]:
    """An entry as the API shows it."""
    user = store.users.get(entry["user"])
    shown = (
        {
            "pk": user["id"],
            "username": user["username"],
            "name": display_name(user),
            "photo": None,
            "is_active": user["is_active"],
            "gravatar_id": gravatar(user),
        }
        if user
        else {"pk": entry["user"], "username": None, "name": None}
    )
    return {
        "id": entry["id"],
        "user": shown,
        "created_at": wire_time(entry["created_at"]),
        "type": 1,
        "key": entry["key"],
        "diff": entry["diff"],
        "snapshot": None,
        "values": {"users": {}, **entry["values"]},
        "values_diff": entry["values_diff"],
        "comment": entry["comment"],
        "comment_html": html_of(entry["comment"]),
        "delete_comment_date": wire_time(entry["delete_comment_date"]),
        "delete_comment_user": entry["delete_comment_user"],
        "edit_comment_date": wire_time(entry["edit_comment_date"]),
        "is_hidden": False,
        "is_snapshot": False,
    }


def _item(call: Call, name: str, number: int) -> tuple[Kind, Row, Row]:
    kind = KINDS.get(name)
    row = call.store.items(kind).get(number) if kind else None
    project = call.store.projects.get(row["project"]) if row else None
    if kind is None or row is None or project is None:
        raise not_found()
    call.require(view_permission(kind), project)
    return kind, row, project


def get_history(call: Call, name: str, number: int) -> Result:
    """GET /history/{kind}/{id}[?type=activity|comment]: newest first; 404 for a deleted item."""
    kind, row, _ = _item(call, name, number)
    entries = [e for e in call.store.history.find(key=f"{kind.model}:{row['id']}") if not e["is_hidden"]]
    match call.request.args.get("type"):
        case "comment":
            entries = [entry for entry in entries if entry["comment"]]
        case "activity":
            entries = [entry for entry in entries if not entry["comment"]]
    entries.sort(key=_moment, reverse=True)
    return call.paginate(entries, lambda entry: show_entry(call.store, entry))


def change_comment(call: Call, name: str, number: int, action: str) -> Result:
    """POST /history/{kind}/{id}/{edit,delete,undelete}_comment?id=: repeats the entry's webhook with its old diff."""
    kind, row, project = _item(call, name, number)
    store, user = call.store, call.signed_in()
    entry = store.history.get(call.request.args.get("id"))
    if entry is None or entry["key"] != f"{kind.model}:{row['id']}":
        raise not_found()
    if entry["user"] != user["id"] and not call.is_admin(project):
        raise denied()
    now = store.now()
    if action == "edit_comment":
        old = {"date": wire_time(entry["created_at"]), "comment": entry["comment"]}
        old |= {"comment_html": html_of(entry["comment"]), "user": {"id": user["id"]}}
        versions = [*(entry["comment_versions"] or []), old]
        comment = str(call.data.get("comment") or "")
        fresh = store.history.update(entry["id"], comment=comment, edit_comment_date=now, comment_versions=versions)
    elif action == "delete_comment":
        by = {"pk": user["id"], "name": display_name(user)}
        fresh = store.history.update(entry["id"], delete_comment_date=now, delete_comment_user=by)
    else:
        fresh = store.history.update(entry["id"], delete_comment_date=None, delete_comment_user=None)
    marks = {"comment_edited": fresh["edit_comment_date"] is not None}
    marks["comment_deleted"] = fresh["delete_comment_date"] is not None
    note_item(store, kind, row, user, "change", fresh, **{k: True for k, is_set in marks.items() if is_set})
    call.events.append(Event(row["project"], kind.name, "change", user["id"], wire_time(now) or "", row, fresh))
    return Result(200, None)
