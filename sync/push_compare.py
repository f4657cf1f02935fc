"""A task in Invoice Ninja against what we want there: what is sent, what differs, what is kept as proof. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from sync.clients.ninja_rows import NinjaTask


def task_body(desired: Mapping[str, Any], mark: str = "") -> dict[str, Any]:
    """The request body, complete: a missing `time_log` or `number` would be wiped or replaced by the server.

    `mark` says whose the task is (sync/whose.py); "" leaves what is there.
    """
    start, end = desired["time_log"]
    return {
        "number": desired["number"],
        "client_id": desired["client_id"],
        "project_id": desired["project_id"],
        "description": desired["description"],
        # The server wants JSON inside a string; a real list is a 500 there. The fourth element is "billable".
        "time_log": json.dumps([[start, end, "", True]]),
        "rate": Decimal(desired["rate"]),
        **({"custom_value4": mark} if mark else {}),
    }


def mismatches(task: NinjaTask, desired: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Fields of `task` that are not as wanted: name → (wanted, there). Of an archived one only that is compared.

    Somebody else's deleting, or billing, of a task that we want archived is as good: it is left alone.
    """
    if desired["archived"]:
        is_gone = is_archived(task) or task.is_deleted or bool(task.invoice_id)
        return {} if is_gone else {"archived": ("yes", "no")}
    pairs: dict[str, tuple[Any, Any]] = {
        "number": (desired["number"], task.number),
        "client": (desired["client_id"], task.client_id),
        "project": (desired["project_id"], task.project_id),
        "description": (desired["description"], task.description),
        "times": (desired["time_log"], segment_of(task)),
        "rate": (Decimal(desired["rate"]), task.rate),
        "deleted": (False, task.is_deleted),
        "archived": (False, is_archived(task)),
    }
    return {name: (str(wanted), str(there)) for name, (wanted, there) in pairs.items() if wanted != there}


def is_archived(task: NinjaTask) -> bool:
    """Whether the task is archived there."""
    return task.archived_at is not None


def segment_of(task: NinjaTask) -> list[int] | str:
    """Start and end of the task's only segment in unix seconds; its raw time log when it has another form."""
    try:
        segments = json.loads(task.time_log)
        return list(segments[0][:2]) if len(segments) == 1 else task.time_log
    except (ValueError, TypeError, IndexError, KeyError):
        return task.time_log


def facts_of(task: NinjaTask) -> dict[str, Any]:
    """What is kept of a task that was read back (JSON values)."""
    return {
        "client_id": task.client_id,
        "project_id": task.project_id,
        "number": task.number,
        "rate": str(task.rate),
        "time_log": task.time_log,
        "description": task.description,
        "invoice_id": task.invoice_id,
        "is_archived": is_archived(task),
    }
