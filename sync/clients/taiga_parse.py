"""Reading Taiga's JSON and CSV into rows; raises ShapeError where a field is not as documented.

Pure: no network, no database, no settings.
"""

from __future__ import annotations

import base64
from datetime import datetime
from decimal import Decimal
from typing import Final

from sync.clients.taiga_rows import (
    ISSUE,
    STORY,
    TASK,
    AttributeValues,
    CustomAttribute,
    HistoryEntry,
    Membership,
    Session,
    TaigaId,
    TaigaItem,
    TaigaProject,
    TaigaUser,
    TimelineEntry,
    Webhook,
    WebhookLog,
)
from sync.clients.wire import Row, ShapeError, as_list, decode_json

KIND_OF_MODEL: Final[dict[str, str]] = {"task": TASK, "userstory": STORY, "issue": ISSUE}
HISTORY_TYPES: Final[dict[int, str]] = {1: "change", 2: "create", 3: "delete"}


def _id(value: int | None) -> TaigaId | None:
    return None if value is None else TaigaId(value)


def parse_session(data: object) -> Session:
    """Read an answer to a login or a refresh (which names no user)."""
    row = Row(data, "login")
    token = row.text("auth_token")
    if not token:
        raise ShapeError("login.auth_token is missing")
    return Session(token, row.text("refresh"), expiry_of(token), _id(row.optional_integer("id")))


def expiry_of(token: str) -> datetime | None:
    """Return when a JWT ends (its `exp`, unix seconds) as UTC, None where the token does not say."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = decode_json(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)).decode("utf-8"))
        return Row(claims, "token").epoch("exp")
    except ValueError:
        return None  # not a token of the documented kind: its end is unknown


def parse_user(data: object) -> TaigaUser:
    """Read a user; the email is there only for oneself or a superuser."""
    row = Row(data, "user")
    return TaigaUser(
        TaigaId(row.integer("id")), row.text("username"), row.text("full_name"), row.text("email"), row.raw
    )


def parse_project(data: object) -> TaigaProject:
    """Read a project, of a list or alone."""
    row = Row(data, "project")
    uuids = {TASK: "tasks_csv_uuid", STORY: "userstories_csv_uuid", ISSUE: "issues_csv_uuid"}
    return TaigaProject(
        id=TaigaId(row.integer("id")),
        name=row.text("name"),
        slug=row.text("slug"),
        is_admin=row.flag("i_am_admin"),
        is_archived=bool(row.text("archived_code")),
        is_blocked=bool(row.text("blocked_code")),
        permissions=row.texts("my_permissions"),
        csv_uuids={kind: row.text(key) for kind, key in uuids.items() if row.raw.get(key)},
        raw=row.raw,
    )


def parse_membership(data: object) -> Membership:
    """Read a membership; the email is there only for a project admin."""
    row = Row(data, "membership")
    return Membership(
        id=TaigaId(row.integer("id")),
        project_id=TaigaId(row.integer("project")),
        user_id=_id(row.optional_integer("user")),
        full_name=row.text("full_name"),
        role_id=TaigaId(row.integer("role")),
        role_name=row.text("role_name"),
        is_admin=row.flag("is_admin"),
        is_user_active=row.flag("is_user_active"),
        email=row.text("user_email") or row.text("email"),
        raw=row.raw,
    )


def parse_custom_attribute(data: object, kind: str) -> CustomAttribute:
    """Read one custom attribute of items of `kind`."""
    row = Row(data, "custom attribute")
    return CustomAttribute(
        kind=kind,
        id=TaigaId(row.integer("id")),
        project_id=TaigaId(row.integer("project")),
        name=row.text("name"),
        type=row.text("type"),
        description=row.text("description"),
        order=row.integer("order"),
        options=row.texts("extra"),
        raw=row.raw,
    )


def parse_item(data: object, kind: str) -> TaigaItem:
    """Read a task, user story or issue, of a list or alone."""
    row = Row(data, "item")
    project = Row(row.object("project_extra_info"), "item.project_extra_info")
    status = Row(row.object("status_extra_info"), "item.status_extra_info")
    assigned = Row(row.object("assigned_to_extra_info"), "item.assigned_to_extra_info")
    story = Row(row.object("user_story_extra_info"), "item.user_story_extra_info")
    return TaigaItem(
        kind=kind,
        id=TaigaId(row.integer("id")),
        ref=row.integer("ref"),
        version=row.integer("version"),
        project_id=TaigaId(row.integer("project")),
        project_name=project.text("name"),
        project_slug=project.text("slug"),
        subject=row.text("subject"),
        status_id=_id(row.optional_integer("status")),
        status_name=status.text("name"),
        is_status_closed=status.flag("is_closed"),
        is_closed=row.flag("is_closed"),
        created_at=row.instant("created_date"),
        modified_at=row.instant("modified_date"),
        finished_at=row.optional_instant("finish_date" if kind == STORY else "finished_date"),
        assigned_to_id=_id(row.optional_integer("assigned_to")),
        assigned_to_username=assigned.text("username"),
        assigned_to_name=assigned.text("full_name_display"),
        assigned_user_ids=tuple(TaigaId(user) for user in row.integers("assigned_users")),
        owner_id=_id(row.optional_integer("owner")),
        user_story_id=_id(row.optional_integer("user_story")),
        user_story_ref=story.optional_integer("ref"),
        user_story_subject=story.text("subject"),
        milestone_id=_id(row.optional_integer("milestone")),
        tags=_tag_names(row.raw.get("tags")),
        is_blocked=row.flag("is_blocked"),
        points=_points(row.raw.get("total_points")),
        raw=row.raw,
    )


def _points(value: object) -> Decimal | None:
    """Return story points as they are; anything that is no sensible number is none, because nothing depends on it."""
    is_number = isinstance(value, int | Decimal) and not isinstance(value, bool)
    points = Decimal(value) if is_number else None  # type: ignore[arg-type]
    return points if points is not None and points.is_finite() and abs(points) < 1_000_000 else None


def _tag_names(value: object) -> tuple[str, ...]:
    """Return the names of tags: the API lists [name, colour] pairs."""
    names = [item[0] if isinstance(item, list) and item else item for item in as_list(value or [], "item.tags")]
    return tuple(name for name in names if isinstance(name, str))


def parse_values(data: object) -> AttributeValues:
    """Read the attribute values of an item; the item's id stands under the name of its kind."""
    row = Row(data, "attribute values")
    owner = next((key for key in ("task", "user_story", "issue", "epic") if key in row.raw), "task")
    return AttributeValues(
        TaigaId(row.integer(owner)), row.object("attributes_values"), row.integer("version"), row.raw
    )


def parse_timeline_entry(data: object) -> TimelineEntry:
    """Read one event of a project's timeline."""
    row = Row(data, "timeline entry")
    event_type = row.text("event_type")
    model, _, action = event_type.rpartition(".")
    model = model.rpartition(".")[2]
    details = Row(row.object("data"), "timeline entry.data")
    kind = KIND_OF_MODEL.get(model, "")
    item = Row(details.object(model) if kind else {}, f"timeline entry.data.{model}")
    user = Row(details.object("user"), "timeline entry.data.user")
    return TimelineEntry(
        id=TaigaId(row.integer("id")),
        event_type=event_type,
        action=action,
        kind=kind,
        item_id=_id(item.optional_integer("id")),
        item_ref=item.optional_integer("ref"),
        item_subject=item.text("subject"),
        project_id=_id(row.optional_integer("project")),
        user_id=_id(user.optional_integer("id")),
        username=user.text("username"),
        created_at=row.instant("created"),
        values_diff=details.object("values_diff"),
        raw=row.raw,
    )


def parse_history_entry(data: object) -> HistoryEntry:
    """Read one entry of an item's history."""
    row = Row(data, "history entry")
    user = Row(row.object("user"), "history entry.user")
    return HistoryEntry(
        id=row.text("id"),
        action=HISTORY_TYPES.get(row.integer("type"), ""),
        created_at=row.instant("created_at"),
        user_id=_id(user.optional_integer("pk")),
        username=user.text("username"),
        diff=row.object("diff"),
        values_diff=row.object("values_diff"),
        comment=row.text("comment"),
        is_hidden=row.flag("is_hidden"),
        comment_edited_at=row.optional_instant("edit_comment_date"),
        comment_deleted_at=row.optional_instant("delete_comment_date"),
        raw=row.raw,
    )


def parse_webhook(data: object) -> Webhook:
    """Read a webhook."""
    row = Row(data, "webhook")
    return Webhook(
        TaigaId(row.integer("id")),
        TaigaId(row.integer("project")),
        row.text("name"),
        row.text("url"),
        row.text("key"),
        row.raw,
    )


def parse_webhook_log(data: object) -> WebhookLog:
    """Read one delivery from a webhook's log."""
    row = Row(data, "webhook log")
    return WebhookLog(
        TaigaId(row.integer("id")),
        TaigaId(row.integer("webhook")),
        row.text("url"),
        row.integer("status"),
        row.text("response_data"),
        row.instant("created"),
        row.raw,
    )
