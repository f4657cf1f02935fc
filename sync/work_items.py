"""Reading Taiga's items that were marked dirty: one reader at a time each, by a lease.

A reader claims a few, reads each item, then its values, and has them stored together with the evaluation of their
hours. One that dies leaves its items dirty, for the next when its lease is over (design: The flow as rows).
"""

from __future__ import annotations

import datetime as dt
import logging
import time
import uuid
from collections.abc import Iterable
from typing import Any, Final

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from billing_console import stopping
from billing_console.errors import ConsoleError
from mappings.models import Company
from sync import gate, leases
from sync.attribute_names import configured_names
from sync.models import Server, WorkItem
from sync.readings import Batch, Reading, fetch
from sync.storing import postpone, store_all

logger = logging.getLogger(__name__)

_LEASE: Final = "reading_until"
_STORED_TOGETHER: Final = 8  # what a transaction costs is shared; and pushing begins while others are still read
_TAKEN_AT_ONCE: Final = 16  # few, so that several readers get in each other's way only now and then


def read_due(limit: int = 200) -> int:
    """Read dirty items, the oldest first; returns how many. Safe in several workers."""
    done = last = 0
    while done < limit:
        rows = due().filter(pk__gt=last).order_by("id")
        batch = list(rows.values_list("pk", flat=True)[: min(limit - done, _TAKEN_AT_ONCE)])
        if not batch:
            break
        for start in range(0, len(batch), _STORED_TOGETHER):
            if stopping.is_stopping() or not gate.may_call(Server.TAIGA):
                return done  # what is dirty stays dirty, and no attempt is used up
            done += read_items(batch[start : start + _STORED_TOGETHER])
        last = batch[-1]
    return done


def due() -> QuerySet[WorkItem]:
    """The items that are to be read now and that nobody reads."""
    return WorkItem.objects.filter(_is_due(timezone.now()), is_dirty=True)


def readers() -> QuerySet[WorkItem, Any]:
    """One row for each reader at work now."""
    rows = WorkItem.objects.filter(leases.runs(_LEASE), is_dirty=True)
    return rows.values("reading_claim").distinct()


def _is_due(now: dt.datetime) -> Q:
    return leases.is_free(_LEASE) & (Q(not_before__isnull=True) | Q(not_before__lte=now))


def read_item(item_id: int) -> bool:
    """Read one item now; False when another reader has it or had it, or Taiga is left alone."""
    return bool(read_items([item_id]))


def read_items(item_ids: Iterable[int]) -> int:
    """Read these items and their values from Taiga, one after the other, and store them together; returns how many.

    Left out is what another reader has or had. A failure is a sentence on the row, which stays dirty and is tried
    again later; it is not raised. Stops where Taiga's gate closed meanwhile, and before the lease is too short.
    """
    batch = Batch(configured_names(Company.current()))
    until = time.monotonic() + settings.LEASE_SECONDS
    claim, items = _claim(item_ids)
    readings: list[tuple[WorkItem, Reading, uuid.UUID]] = []
    for count, item in enumerate(items):
        if stopping.is_stopping() or _is_too_late(until):
            _let_go(items[count:], claim)
            items = items[:count]
            break
        try:
            readings.append((item, fetch(item, batch), claim))
        except Exception as error:  # whatever it was, it must be seen, and must keep nobody else back
            if isinstance(error, ConsoleError):
                logger.warning("%s %s could not be read: %s", item.kind, item.taiga_id, error)
            else:
                logger.exception("%s %s could not be read", item.kind, item.taiga_id)
            postpone(item, claim, error)
            if not gate.may_call(Server.TAIGA):
                _let_go(items[count + 1 :], claim)
                items = items[: count + 1]
                break
    store_all(readings, batch.configured)
    return len(items)


def _claim(item_ids: Iterable[int]) -> tuple[uuid.UUID, list[WorkItem]]:
    """The claim, and which of these items are ours by it, as they are now.

    A mark that comes later than this leaves another dirty_at, and the flag stays up.
    """
    claim = uuid.uuid4()
    # Still dirty: of two readers that saw it so, the slower one would read it a second time for nothing.
    rows = WorkItem.objects.filter(leases.is_free(_LEASE), pk__in=list(item_ids), is_dirty=True)
    with transaction.atomic():
        items = list(rows.select_for_update(no_key=True).order_by("pk"))
        WorkItem.objects.filter(pk__in=[item.pk for item in items]).update(
            reading_claim=claim, reading_until=leases.end_of()
        )
    return claim, items


def _is_too_late(until: float) -> bool:
    """Whether less of the lease is left than the call that would start now may take, the wait for its slot included.

    Only so that no call is made in vain: whether the claim held is judged when what was read is stored.
    """
    return time.monotonic() + 2 * settings.CALL_DEADLINE_SECONDS >= until


def _let_go(items: Iterable[WorkItem], claim: uuid.UUID) -> None:
    """Leave what was claimed and not read to the next reader."""
    rows = WorkItem.objects.filter(pk__in=[item.pk for item in items], reading_claim=claim)
    rows.update(reading_claim=None, reading_until=None)
