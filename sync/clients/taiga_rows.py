"""Taiga's rows as the console knows them: frozen, typed, every time in UTC, numbers exact.

`raw` is the row as it came (fractions as Decimal); it may hold secrets and is kept out of every repr.
Pure: no network, no database, no settings.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, NewType

from sync.clients.wire import JsonObject

TaigaId = NewType("TaigaId", int)

TASK, STORY, ISSUE = "T", "U", "I"


def _raw() -> Any:
    return field(repr=False, compare=False)


@dataclass(frozen=True)
class Session:
    """A login: the access token, the refresh token that works once, and when the access ends (UTC)."""

    auth_token: str = field(repr=False)
    refresh: str = field(repr=False)
    expires_at: datetime | None
    user_id: TaigaId | None


@dataclass(frozen=True)
class TaigaUser:
    """A person or a service user."""

    id: TaigaId
    username: str
    full_name: str
    email: str
    raw: JsonObject = _raw()


@dataclass(frozen=True)
class TaigaProject:
    """A project; `csv_uuids` (kind → uuid) opens the CSV without a login and is there only for its admins."""

    id: TaigaId
    name: str
    slug: str
    is_admin: bool
    is_archived: bool
    is_blocked: bool
    permissions: tuple[str, ...]
    csv_uuids: dict[str, str] = field(repr=False)
    raw: JsonObject = _raw()


@dataclass(frozen=True)
class Membership:
    """One person's place in a project; `user_id` is None for a pending invitation."""

    id: TaigaId
    project_id: TaigaId
    user_id: TaigaId | None
    full_name: str
    role_id: TaigaId
    role_name: str
    is_admin: bool
    is_user_active: bool
    email: str
    raw: JsonObject = _raw()


@dataclass(frozen=True)
class CustomAttribute:
    """A project's own field; its id is unique among the attributes of one kind only."""

    kind: str
    id: TaigaId
    project_id: TaigaId
    name: str
    type: str
    description: str
    order: int
    options: tuple[str, ...]
    raw: JsonObject = _raw()


@dataclass(frozen=True)
class TaigaItem:
    """A task, user story or issue, without its attribute values (those are a resource of their own).

    `is_closed` is Taiga's computed answer; for a story it differs from `is_status_closed` while tasks are
    open. `finished_at` is null for some closed items and set for some open ones. `points` are a story's in all.
    """

    kind: str
    id: TaigaId
    ref: int
    version: int
    project_id: TaigaId
    project_name: str
    project_slug: str
    subject: str
    status_id: TaigaId | None
    status_name: str
    is_status_closed: bool
    is_closed: bool
    created_at: datetime
    modified_at: datetime
    finished_at: datetime | None
    assigned_to_id: TaigaId | None
    assigned_to_username: str
    assigned_to_name: str
    assigned_user_ids: tuple[TaigaId, ...]
    owner_id: TaigaId | None
    user_story_id: TaigaId | None
    user_story_ref: int | None
    user_story_subject: str
    milestone_id: TaigaId | None
    tags: tuple[str, ...]
    is_blocked: bool
    points: Decimal | None
    raw: JsonObject = _raw()


@dataclass(frozen=True)
class AttributeValues:
    """All attribute values of one item, keyed by attribute id as text, with a version of their own.

    The version is no lock: a smaller one is accepted and overwrites.
    """

    item_id: TaigaId
    values: dict[str, Any]
    version: int
    raw: JsonObject = _raw()


@dataclass(frozen=True)
class TimelineEntry:
    """One event of a project. `kind` is T, U or I, or "" for anything else (then `item_id` is None)."""

    id: TaigaId
    event_type: str
    action: str
    kind: str
    item_id: TaigaId | None
    item_ref: int | None
    item_subject: str
    project_id: TaigaId | None
    user_id: TaigaId | None
    username: str
    created_at: datetime
    values_diff: JsonObject
    raw: JsonObject = _raw()


@dataclass(frozen=True)
class TimelinePage:
    """One page of a timeline, newest first; `total` counts the whole timeline."""

    entries: tuple[TimelineEntry, ...]
    page: int
    total: int
    has_next: bool


@dataclass(frozen=True)
class HistoryEntry:
    """One change of an item. `diff` holds raw ids, `values_diff` names, both as [old, new]."""

    id: str
    action: str
    created_at: datetime
    user_id: TaigaId | None
    username: str
    diff: JsonObject
    values_diff: JsonObject
    comment: str
    is_hidden: bool
    comment_edited_at: datetime | None
    comment_deleted_at: datetime | None
    raw: JsonObject = _raw()


@dataclass(frozen=True)
class Webhook:
    """A project's hook; Taiga shows its key to every admin of the project."""

    id: TaigaId
    project_id: TaigaId
    name: str
    url: str
    key: str = field(repr=False)
    raw: JsonObject = _raw()


@dataclass(frozen=True)
class WebhookLog:
    """One delivery as Taiga saw it; `status` 0 means that no connection came about."""

    id: TaigaId
    webhook_id: TaigaId
    url: str
    status: int
    response_text: str
    created_at: datetime
    raw: JsonObject = _raw()
