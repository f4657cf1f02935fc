"""Marking items of Taiga dirty: whatever says that one has changed asks here for it to be read, soon."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from billing_console.states import ItemKind
from sync import doorbell
from sync.models import FoundBy, WorkItem

BILLED_KINDS: Final = (ItemKind.TASK, ItemKind.STORY, ItemKind.ISSUE)


@dataclass(frozen=True)
class Mark:
    """An item that somebody says has changed; the ids are Taiga's."""

    kind: str
    taiga_id: int
    project_id: int | None = None


def mark_dirty(
    kind: str,
    taiga_id: int,
    *,
    found_by: str,
    project_id: int | None = None,
    correlation_id: uuid.UUID | None = None,
) -> None:
    """Ask for an item to be read, soon; makes its row when it is new. Runs in the caller's transaction."""
    mark_many([Mark(kind, taiga_id, project_id)], found_by=found_by, correlation_id=correlation_id)


def mark_many(marks: Iterable[Mark], *, found_by: str, correlation_id: uuid.UUID | None = None) -> None:
    """`mark_dirty` for many items, in at most four statements. A webhook's mark stands before a sweep's."""
    unique = {(mark.kind, mark.taiga_id): mark for mark in marks if mark.kind in BILLED_KINDS}
    if not unique:
        return
    now = timezone.now()
    new = [
        WorkItem(
            kind=mark.kind,
            taiga_id=mark.taiga_id,
            taiga_project_id=mark.project_id,
            is_dirty=True,
            dirty_at=now,
            found_by=found_by,
            marked_by=found_by,
            correlation_id=correlation_id,
        )
        for mark in sorted(unique.values(), key=lambda mark: (mark.kind, mark.taiga_id))
    ]
    if found_by == FoundBy.SWEEP:
        _mark_for_sweep(new, now)
    else:
        WorkItem.objects.bulk_create(
            new,
            update_conflicts=True,
            unique_fields=["kind", "taiga_id"],
            update_fields=["is_dirty", "dirty_at", "not_before", "marked_by", "correlation_id"],
        )
    transaction.on_commit(lambda: doorbell.ring("items"))


def _mark_for_sweep(new: list[WorkItem], now: dt.datetime) -> None:
    """What a webhook announced and is still to be read stays announced by it: webhook coverage is counted."""
    with transaction.atomic():
        same = Q(pk__in=[])
        for kind in {item.kind for item in new}:
            same |= Q(kind=kind, taiga_id__in=[item.taiga_id for item in new if item.kind == kind])
        # As every evaluation locks them.
        locked = WorkItem.objects.filter(same).select_for_update(no_key=True).order_by("pk")
        known = WorkItem.objects.filter(pk__in=list(locked.values_list("pk", flat=True)))
        known.filter(is_dirty=True).update(dirty_at=now, not_before=None)
        known.filter(is_dirty=False).update(is_dirty=True, dirty_at=now, not_before=None, marked_by=FoundBy.SWEEP)
        WorkItem.objects.bulk_create(new, ignore_conflicts=True)
