"""The tables of the stand-in Taiga, its time, and what is looked up everywhere."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sandbox.clock import Clock
from sandbox.memory import Memory, Row, Table
from sandbox.taiga.kinds import KINDS, Kind

FRONT = "http://taiga.sandbox.test"


@dataclass
class Settings:
    """What an administrator of a Taiga server sets; the defaults fit a stand-in on a loopback address.

    are_webhooks_enabled: without it nothing is sent but tests and resends. worker_count: how many calls it works on
    at once, the rest wait (None: all); a worker that is still at it after worker_timeout_seconds because a webhook's
    receiver is slow is killed.
    """

    are_webhooks_enabled: bool = True
    allow_private_address: bool = True
    allow_redirects: bool = False
    worker_timeout_seconds: float = 30.0
    is_broker_down: bool = False
    worker_count: int | None = None


class Store:
    """Memory, clock and settings of one stand-in Taiga."""

    def __init__(self, memory: Memory, clock: Clock) -> None:
        self.memory = memory
        self.clock = clock
        self.settings = Settings()
        by_project = ("project",)
        self.users = memory.table("users", indexes=("username",))
        self.projects = memory.table("projects")
        self.roles = memory.table("roles", indexes=by_project)
        self.memberships = memory.table("memberships", indexes=("project", "user"))
        self.milestones = memory.table("milestones", indexes=by_project)
        self.points = memory.table("points", indexes=by_project)
        for name in ("task_statuses", "us_statuses", "issue_statuses", "epic_statuses"):
            memory.table(name, indexes=by_project)
        for name in ("issue_types", "priorities", "severities", "epic_attributes"):
            memory.table(name, indexes=by_project)
        for kind in KINDS.values():
            story = ("user_story",) if kind.name == "task" else ()
            memory.table(kind.path, indexes=("project", "milestone", *story))
            memory.table(kind.attributes, indexes=by_project)
            memory.table(kind.values)
        self.history = memory.table("history", indexes=("key",))
        self.timeline = memory.table("timeline", indexes=by_project)
        self.webhooks = memory.table("webhooks", indexes=by_project)
        self.webhooklogs = memory.table("webhooklogs", indexes=("webhook",))
        self.deliveries = memory.table("deliveries")
        self.denied_tokens = memory.table("denied_tokens")
        self.applications = memory.table("applications")
        self.application_tokens = memory.table("application_tokens", indexes=("token",))

    def now(self) -> datetime:
        """The stand-in's present, aware, UTC."""
        return self.clock.now()

    def now_ms(self) -> int:
        """The present in milliseconds, which Taiga uses as a default order."""
        return int(self.now().timestamp() * 1000)

    def items(self, kind: Kind) -> Table:
        """The table of a kind's items."""
        return self.memory.table(kind.path)

    def values(self, kind: Kind) -> Table:
        """The table of a kind's attribute values, by item id."""
        return self.memory.table(kind.values)

    def attributes(self, kind: Kind) -> Table:
        """The table of a kind's custom attributes."""
        return self.memory.table(kind.attributes)

    def project_rows(self, table: str, project: int) -> list[Row]:
        """A project's rows of a table, by their order and id."""
        rows = self.memory.table(table).find(project=project)
        return sorted(rows, key=lambda row: (row.get("order", 0), row["id"]))

    def status(self, kind: Kind, row: Row) -> Row | None:
        """The status row of an item, None where it has none."""
        return self.memory.table(kind.statuses).get(row["status"])

    def is_closed(self, kind: Kind, row: Row) -> bool:
        """Whether an item counts as closed: a story by its tasks, the others by their status."""
        if kind.name == "userstory":
            return bool(row["is_closed"])
        status = self.status(kind, row)
        return status is not None and status["is_closed"]

    def membership(self, user_id: int | None, project_id: int) -> Row | None:
        """The membership of a user in a project, or None."""
        if user_id is None:
            return None
        return next((m for m in self.memberships.find(user=user_id) if m["project"] == project_id), None)


def wire_time(instant: datetime | None) -> str | None:
    """An instant as Taiga's JSON says it: milliseconds, left out where they are zero, and Z."""
    if instant is None:
        return None
    text = instant.astimezone(UTC).isoformat()
    if instant.microsecond:
        text = text[:23] + text[26:]
    return text.replace("+00:00", "Z")


def gravatar(user: Row) -> str:
    """The id that Taiga makes of an address."""
    return hashlib.md5(user["email"].lower().encode(), usedforsecurity=False).hexdigest()


def person(user: Row | None) -> dict[str, Any] | None:
    """A user inside another row (`owner_extra_info` and the like)."""
    if user is None:
        return None
    return {
        "username": user["username"],
        "full_name_display": display_name(user),
        "photo": None,
        "big_photo": None,
        "gravatar_id": gravatar(user),
        "is_active": user["is_active"],
        "id": user["id"],
    }


def display_name(user: Row) -> str:
    """The full name, or the user name where there is none."""
    return str(user["full_name"] or user["username"])


def html_of(text: str) -> str:
    """A text as Taiga's markdown renders a plain paragraph."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    escaped = re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", escaped)
    return "".join(f"<p>{part}</p>" for part in escaped.split("\n\n") if part) if text else ""
