"""The mirror of Taiga's items: marked dirty by deliveries and sweeps, read by one reader at a time, never set back.

A reader takes a lease, reads the item, then its values, and stores both in one transaction with the evaluation of
its hours. The dirty flag falls only when nobody marked the item again meanwhile; a reader that dies leaves it up. A
reading that is older than what is stored is dropped (design: The flow as rows).
"""

from __future__ import annotations

import datetime as dt
import logging
import uuid
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from billing_console import clock
from billing_console.errors import ConsoleError, UpstreamError
from billing_console.states import ItemKind, ItemState
from mappings.lookups import person_of
from mappings.models import Company
from sync import attributes, doorbell, entries, gate, stories, writeback
from sync.attribute_names import configured_names, is_left_behind
from sync.clients.taiga_rows import TaigaItem
from sync.models import FoundBy, Server, WorkItem
from sync.outbox import back_off
from sync.readings import Reading, fetch
from sync.texts import clean_json, clean_text
from sync.transitions import advance

logger = logging.getLogger(__name__)

BILLED_KINDS: Final = (ItemKind.TASK, ItemKind.STORY, ItemKind.ISSUE)
_STORED_TOGETHER: Final = 4
_TAKEN_AT_ONCE: Final = 16  # few, so that several readers get in each other's way only now and then
_LINK_PARTS: Final = {ItemKind.TASK: "task", ItemKind.STORY: "us", ItemKind.ISSUE: "issue"}


@dataclass(frozen=True)
class Mark:
    """An item that somebody says has changed; the ids are Taiga's."""

    kind: str
    taiga_id: int
    project_id: int | None = None


# --- marking ----------------------------------------------------------------------------------------------------------


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
        same = WorkItem.objects.filter(kind__in=BILLED_KINDS, taiga_id__in=[item.taiga_id for item in new])
        locked = same.select_for_update(no_key=True).order_by("pk")  # as every evaluation locks them
        known = WorkItem.objects.filter(pk__in=list(locked.values_list("pk", flat=True)))
        known.filter(is_dirty=True).update(dirty_at=now, not_before=None)
        known.filter(is_dirty=False).update(is_dirty=True, dirty_at=now, not_before=None, marked_by=FoundBy.SWEEP)
        WorkItem.objects.bulk_create(new, ignore_conflicts=True)


# --- reading ----------------------------------------------------------------------------------------------------------


def read_due(limit: int = 200) -> int:
    """Read dirty items, the oldest first; returns how many. Safe in several workers."""
    done = last = 0
    while done < limit:
        rows = due().filter(pk__gt=last).order_by("id")
        batch = list(rows.values_list("pk", flat=True)[: min(limit - done, _TAKEN_AT_ONCE)])
        if not batch:
            break
        for start in range(0, len(batch), _STORED_TOGETHER):
            if not gate.may_call(Server.TAIGA):
                return done  # what is dirty stays dirty, and no attempt is used up
            done += read_items(batch[start : start + _STORED_TOGETHER])
        last = batch[-1]
    return done


def due() -> QuerySet[WorkItem]:
    """The items that are to be read now and that nobody reads."""
    return WorkItem.objects.filter(_is_due(timezone.now()), is_dirty=True)


def _is_due(now: dt.datetime) -> Q:
    is_free = Q(reading_until__isnull=True) | Q(reading_until__lt=now)
    return is_free & (Q(not_before__isnull=True) | Q(not_before__lte=now))


def read_item(item_id: int) -> bool:
    """Read one item now; False when another reader has it or had it, or Taiga is left alone."""
    return bool(read_items([item_id]))


def read_items(item_ids: Iterable[int]) -> int:
    """Read these items and their values from Taiga, one after the other, and store them together; returns how many.

    Left out is what another reader has or had. A failure is a sentence on the row, which stays dirty and is tried
    again later; it is not raised. Stops where Taiga's gate closed meanwhile.
    """
    configured = configured_names(Company.current())
    count, readings = 0, []
    for item_id in item_ids:
        claimed = _claim(item_id)
        if claimed is None:
            continue
        count += 1
        item, claim = claimed
        try:
            readings.append((item, fetch(item, configured), claim))
        except ConsoleError as error:
            _postpone(item, claim, error)
            if not gate.may_call(Server.TAIGA):
                break
    store_all(readings, configured)
    return count


def _claim(item_id: int) -> tuple[WorkItem, uuid.UUID] | None:
    claim = uuid.uuid4()
    now = timezone.now()
    until = now + dt.timedelta(seconds=settings.LEASE_SECONDS)
    is_free = Q(reading_until__isnull=True) | Q(reading_until__lt=now)
    # Still dirty: of two readers that saw it so, the slower one would read it a second time for nothing.
    rows = WorkItem.objects.filter(is_free, pk=item_id, is_dirty=True)
    if not rows.update(reading_claim=claim, reading_until=until):
        return None
    # Read after the claim: a mark that comes later than this leaves another dirty_at, and the flag stays up.
    return WorkItem.objects.get(pk=item_id), claim


def _postpone(item: WorkItem, claim: uuid.UUID, error: ConsoleError) -> None:
    wait = back_off(item.read_attempts + 1)
    if isinstance(error, UpstreamError) and error.wait_seconds is not None:
        wait = max(wait, dt.timedelta(seconds=error.wait_seconds))
    logger.warning("%s %s could not be read: %s", item.kind, item.taiga_id, error.sentence)
    WorkItem.objects.filter(pk=item.pk, reading_claim=claim).update(
        reading_claim=None,
        reading_until=None,
        read_attempts=item.read_attempts + 1,
        not_before=timezone.now() + wait,
        error=error.sentence,
    )


# --- storing ----------------------------------------------------------------------------------------------------------


def store_all(readings: Sequence[tuple[WorkItem, Reading, uuid.UUID]], configured: Mapping[str, str]) -> None:
    """Write readings and evaluate their hours, all in one transaction: its cost is shared. Each is the row as it was
    when its reading began, the reading, and the claim.

    Where they cannot be written together, each is written alone, so that one that fails keeps nobody else back; its
    failure is raised after the others.
    """
    if len(readings) < 2:
        return _store(readings, configured)
    try:
        _store(readings, configured)
    except Exception:
        logger.exception("%d readings could not be stored together", len(readings))
        with ExitStack() as failures:  # raises what was raised last, when all were tried
            for reading in readings:
                failures.callback(_store, [reading], configured)


def _store(readings: Sequence[tuple[WorkItem, Reading, uuid.UUID]], configured: Mapping[str, str]) -> None:
    seen = {row.pk: (row, reading, claim) for row, reading, claim in readings}
    joined = [reading.item.user_story_id if reading.item else None for _row, reading, _claim in readings]
    known_there, stored = [], []
    with transaction.atomic():
        family = stories.with_family(seen, *joined)
        locked = WorkItem.objects.select_for_update(of=("self",), no_key=True).filter(pk__in=family).order_by("pk")
        for item in locked:
            if item.pk in seen and _store_one(item, *seen[item.pk], configured):
                stored.append(item.pk)
                if seen[item.pk][1].is_known_there:
                    known_there.append(item.pk)
        if stored:
            entries.evaluate_many(stored, known_there=known_there)


def _store_one(
    item: WorkItem, seen: WorkItem, reading: Reading, claim: uuid.UUID, configured: Mapping[str, str]
) -> bool:
    """Write a reading on the (locked) item; False when the claim was lost or the reading is old."""
    if item.reading_claim != claim:
        logger.warning("reading %s of %s %s came too late and is dropped", claim, seen.kind, seen.taiga_id)
        return False
    if _is_older(item, reading):
        # Somebody, our own write-back included, stored something newer while this was on its way: read again.
        item.reading_claim = item.reading_until = None
        item.read_attempts += 1
        item.not_before = timezone.now() + back_off(item.read_attempts)
        item.error = _("Taiga answered with an older state than the one we have. It is read again by itself.")
        item.save()
        return False
    if item.dirty_at == seen.dirty_at:
        item.is_dirty = False
    item.reading_claim = item.reading_until = item.not_before = None
    item.read_attempts, item.error, item.read_at = 0, "", timezone.now()
    if reading.item is None:
        _store_gone(item)
    else:
        _store_item(item, reading, reading.item, configured)
    return True


def _is_older(item: WorkItem, reading: Reading) -> bool:
    if reading.item is None or reading.values is None:
        return False
    return (item.task_version is not None and reading.item.version < item.task_version) or (
        item.values_version is not None and reading.values.version < item.values_version
    )


def _store_gone(item: WorkItem) -> None:
    item.save()
    if item.state != ItemState.GONE:
        advance(item, ItemState.GONE, why=_("Taiga does not have it any more"))
        _read_story_of(item, {item.story_taiga_id})


def _store_item(item: WorkItem, reading: Reading, row: TaigaItem, configured: Mapping[str, str]) -> None:
    values: dict[str, Any] = clean_json(reading.values.values) if reading.values else {}
    before = item.values_version
    was_closed, finished_before = item.state == ItemState.CLOSED, item.finished_at
    was_gone, story_before = item.state == ItemState.GONE, item.story_taiga_id
    had_no_attribute = before is not None and item.status_attribute_id is None
    found = attributes.find_attributes(reading.names or {}, values, configured)
    item.taiga_project_id, item.project = row.project_id, reading.mapping
    item.ref, item.subject = row.ref, clean_text(row.subject, 500)
    item.permalink = permalink(item.kind, row.project_slug, row.ref)
    item.status_name = clean_text(row.status_name, 255)
    item.story_taiga_id = row.user_story_id
    item.has_story = row.user_story_id is not None or item.kind != ItemKind.TASK
    item.assignee = _assignee(row)
    item.task_version, item.values_version = row.version, reading.values.version if reading.values else 0
    item.values, item.attributes, item.status_attribute_id = values, found.raw, found.status_attribute_id
    item.estimate_hours = attributes.parse_estimate(found.raw.get(attributes.ESTIMATE))
    item.points = row.points
    if is_left_behind(item.kind, reading.names or {}, values):
        item.attributes[attributes.LEFT_BEHIND] = True
    item.finished_at = row.finished_at
    if row.is_closed and (
        not was_closed or (finished_before and row.finished_at and finished_before != row.finished_at)
    ):
        # Closed again between two readings shows only in another finished_date.
        item.closings += 1
        item.closed_seen_at = clock.now()
        item.closing_found_by = item.marked_by
    item.save()
    wanted = ItemState.CLOSED if row.is_closed else ItemState.OPEN
    if item.state != wanted:
        advance(item, wanted, why=_("Taiga says so: %(status)s") % {"status": item.status_name or wanted})
        _read_story_of(item, {story_before, item.story_taiga_id})
    elif story_before != item.story_taiga_id:
        joined = item.story_taiga_id if stories.is_closed(item.story_taiga_id) else None
        _read_story_of(item, {story_before, joined})
    if was_gone or (had_no_attribute and item.status_attribute_id is not None):
        writeback.reassert_status(item)  # what we wanted to say of it could not be written
    elif before is not None and item.values_version > before:
        _reassert_status(item)


def _read_story_of(item: WorkItem, story_ids: set[int | None]) -> None:
    """A story closes and opens with its tasks, and Taiga tells nobody: read it again."""
    ids = [story for story in story_ids if story is not None]
    if item.kind == ItemKind.TASK and ids and stories.may_be_billed(ItemKind.STORY, item.taiga_project_id):
        marks = [Mark(ItemKind.STORY, story, item.taiga_project_id) for story in sorted(ids)]
        mark_many(marks, found_by=item.marked_by, correlation_id=item.correlation_id)


def _assignee(row: TaigaItem) -> Any:
    if row.assigned_to_id is None:
        return None
    names = clean_text(row.assigned_to_username, 255), clean_text(row.assigned_to_name, 255)
    return person_of(row.assigned_to_id, *names)


def _reassert_status(item: WorkItem) -> None:
    """Write our status once more where a stale page undid it: once per change, and never over "Not Billable"."""
    now = item.attributes.get(attributes.STATUS)
    is_undone = bool(item.status_written) and now != item.status_written
    if is_undone and attributes.parse_status(now) != attributes.NOT_BILLABLE:
        writeback.reassert_status(item)


def permalink(kind: str, slug: str, ref: int | None) -> str:
    """The item's page in Taiga; "" while its project's slug is not known."""
    site = settings.TAIGA_API.strip().rstrip("/").removesuffix("/api/v1")
    return f"{site}/project/{slug}/{_LINK_PARTS[ItemKind(kind)]}/{ref}"[:500] if slug and ref else ""
