"""Storing what Taiga said of items, and evaluating their hours, in one transaction; never an older state over a newer.

The dirty flag falls only when nobody marked the item again meanwhile. A reading that is older than what is stored, or
whose claim was lost, is dropped (design: The flow as rows).
"""

from __future__ import annotations

import datetime as dt
import functools
import logging
import uuid
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from billing_console import clock
from billing_console.errors import UpstreamError, said_by
from billing_console.states import ItemKind, ItemState
from mappings.lookups import person_of
from mappings.models import ProjectMapping
from sync import attributes, entries, rests, stories, writeback
from sync.attribute_names import is_left_behind
from sync.bounds import bounded_values
from sync.clients.lacks import MachineExhausted
from sync.clients.taiga_rows import TaigaItem
from sync.marks import Mark, mark_many
from sync.models import WebhookDelivery, WorkItem
from sync.readings import Reading
from sync.texts import clean_json, clean_text
from sync.transitions import advance
from sync.waits import back_off, wait_after

logger = logging.getLogger(__name__)

# So often a reading may be older than what a delivery told: then an older backup was restored there.
_BELIEVED_AFTER: Final = 10
_LINK_PARTS: Final = {ItemKind.TASK: "task", ItemKind.STORY: "us", ItemKind.ISSUE: "issue"}


def store_all(readings: Sequence[tuple[WorkItem, Reading, uuid.UUID]], configured: Mapping[str, str]) -> None:
    """Write readings and evaluate their hours, all in one transaction: its cost is shared. Each is the row as it was
    when its reading began, the reading, and the claim.

    Where they cannot be written together, each is written alone, so that one that fails keeps nobody else back: it
    stays dirty, with a sentence, and is tried again later.
    """
    if len(readings) > 1 and _are_stored_together(readings, configured):
        return
    for reading in readings:
        item, _reading, claim = reading
        try:
            _store([reading], configured)
        except Exception as error:  # whatever it was, it must be seen, and must not come back with each beat
            logger.exception("%s %s could not be stored", item.kind, item.taiga_id)
            postpone(item, claim, error)


def _are_stored_together(
    readings: Sequence[tuple[WorkItem, Reading, uuid.UUID]], configured: Mapping[str, str]
) -> bool:
    try:
        _store(readings, configured)
    except Exception:
        logger.exception("%d readings could not be stored together", len(readings))
        return False
    return True


def postpone(item: WorkItem, claim: uuid.UUID, error: Exception) -> None:
    """Let the item wait and be read again, with what went wrong as its sentence, if it is still ours by `claim`."""
    attempts = item.read_attempts + 1
    wait = back_off(attempts)
    if isinstance(error, MachineExhausted):
        wait = wait_after(error, attempts)
    elif isinstance(error, UpstreamError) and error.wait_seconds is not None:
        wait = max(wait, min(dt.timedelta(seconds=error.wait_seconds), rests.LONGEST))
    WorkItem.objects.filter(pk=item.pk, reading_claim=claim).update(
        reading_claim=None,
        reading_until=None,
        read_attempts=attempts,
        not_before=timezone.now() + wait,
        error=said_by(error).sentence,
    )


def _store(readings: Sequence[tuple[WorkItem, Reading, uuid.UUID]], configured: Mapping[str, str]) -> None:
    seen = {row.pk: (row, reading, claim) for row, reading, claim in readings}
    items = [reading.item for _row, reading, _claim in readings if reading.item is not None]
    joined = [item.user_story_id for item in items]
    known_there, stored = [], []
    with transaction.atomic():
        known = _Known(configured, {item.project_id for item in items})
        family = stories.with_family(seen, *joined)
        locked = WorkItem.objects.select_for_update(of=("self",), no_key=True).filter(pk__in=family).order_by("pk")
        for item in locked:
            if item.pk in seen and _store_one(item, *seen[item.pk], known):
                stored.append(item.pk)
                if seen[item.pk][1].is_known_there:
                    known_there.append(item.pk)
        if stored:
            entries.evaluate_many(stored, known_there=known_there)


class _Known:
    """What our own rows say of the projects of a batch, asked once: their mappings, and whether stories are billed."""

    def __init__(self, configured: Mapping[str, str], project_ids: Collection[int]) -> None:
        mapped = ProjectMapping.objects.filter(taiga_project_id__in=project_ids)
        self.configured = configured
        self.mappings = {mapping.taiga_project_id: mapping for mapping in mapped}
        self.may_bill_stories = functools.cache(functools.partial(stories.may_be_billed, ItemKind.STORY))


def _store_one(item: WorkItem, seen: WorkItem, reading: Reading, claim: uuid.UUID, known: _Known) -> bool:
    """Write a reading on the (locked) item; False when the claim was lost or the reading is old."""
    if item.reading_claim != claim:
        logger.warning("reading %s of %s %s came too late and is dropped", claim, seen.kind, seen.taiga_id)
        return False
    if _is_older(item, reading):
        # Somebody, our own write-back included, stored something newer while this was on its way: read again.
        item.read_attempts += 1
        wait = back_off(item.read_attempts)
        _read_again(
            item, wait, _("Taiga answered with an older state than the one we have. It is read again by itself.")
        )
        return False
    if _is_missed_once(item, reading):
        item.missed_at = item.missed_at or timezone.now()
        _read_again(item, _look_again_after(), _("Taiga does not show it. It is asked for once more, some time later."))
        return False
    if item.dirty_at == seen.dirty_at:
        item.is_dirty = False
    item.reading_claim = item.reading_until = item.not_before = item.missed_at = None
    item.read_attempts, item.error, item.read_at = 0, "", timezone.now()
    if reading.item is None:
        _store_gone(item, known)
    else:
        _store_item(item, reading, reading.item, known)
    return True


def _read_again(item: WorkItem, wait: dt.timedelta, why: str) -> None:
    item.reading_claim = item.reading_until = None
    item.not_before, item.error = timezone.now() + wait, why
    item.save()


def _is_missed_once(item: WorkItem, reading: Reading) -> bool:
    """Whether nothing but this reading says that it is gone: a copy of Taiga that is older than the item may say so."""
    if reading.item is not None or item.state == ItemState.GONE or not settings.LOOK_UP_AFTER_SECONDS:
        return False
    if item.missed_at is not None and item.missed_at <= timezone.now() - _look_again_after():
        return False
    told = WebhookDelivery.objects.filter(item_kind=item.kind, item_taiga_id=item.taiga_id, action="delete")
    return not told.exists()


def _look_again_after() -> dt.timedelta:
    return dt.timedelta(seconds=settings.LOOK_UP_AFTER_SECONDS)


def _is_older(item: WorkItem, reading: Reading) -> bool:
    if reading.item is None or reading.values is None:
        return False
    changed = reading.item.modified_at
    if item.told_at is not None and changed is not None and changed < item.told_at:
        return item.read_attempts < _BELIEVED_AFTER
    return (item.task_version is not None and reading.item.version < item.task_version) or (
        item.values_version is not None and reading.values.version < item.values_version
    )


def _store_gone(item: WorkItem, known: _Known) -> None:
    if item.state != ItemState.GONE:
        item.changed_at = timezone.now()
    if _save(item, ItemState.GONE, _("Taiga does not have it any more")):
        _read_story_of(item, {item.story_taiga_id}, known)


def _store_item(item: WorkItem, reading: Reading, row: TaigaItem, known: _Known) -> None:
    values: dict[str, Any] = bounded_values(clean_json(reading.values.values)) if reading.values else {}
    before, said_before = item.values_version, _said(item)
    was_closed, finished_before = item.state == ItemState.CLOSED, item.finished_at
    was_gone, story_before = item.state == ItemState.GONE, item.story_taiga_id
    had_no_attribute = before is not None and item.status_attribute_id is None
    found = attributes.find_attributes(reading.names or {}, values, known.configured)
    item.taiga_project_id, item.project = row.project_id, known.mappings.get(row.project_id)
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
    wanted = ItemState.CLOSED if row.is_closed else ItemState.OPEN
    if _said(item, wanted) != said_before:
        item.changed_at = timezone.now()
    if _save(item, wanted, _("Taiga says so: %(status)s") % {"status": item.status_name or wanted}):
        _read_story_of(item, {story_before, item.story_taiga_id}, known)
    elif story_before != item.story_taiga_id:
        joined = item.story_taiga_id if stories.is_closed(item.story_taiga_id) else None
        _read_story_of(item, {story_before, joined}, known)
    if was_gone or (had_no_attribute and item.status_attribute_id is not None):
        writeback.reassert_status(item)  # what we wanted to say of it could not be written
    elif before is not None and item.values_version > before:
        _reassert_status(item)


def _said(item: WorkItem, state: str = "") -> tuple[str, int | None, str]:
    """What Taiga said of an item that is compared with its lists."""
    return state or item.state, item.taiga_project_id, attributes.quote(item.attributes.get(attributes.HOURS))


def _save(item: WorkItem, state: ItemState, why: str) -> bool:
    """Write the (locked) item and its state by one statement; whether the state is another one than before."""
    if item.state == state:
        item.save()
        return False
    columns = {field.attname for field in item._meta.concrete_fields if not field.primary_key} - {"state"}
    return advance(item, state, why=why, **{name: getattr(item, name) for name in columns})


def _read_story_of(item: WorkItem, story_ids: set[int | None], known: _Known) -> None:
    """A story closes and opens with its tasks, and Taiga tells nobody: read it again."""
    ids = [story for story in story_ids if story is not None]
    if item.kind == ItemKind.TASK and ids and known.may_bill_stories(item.taiga_project_id):
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
