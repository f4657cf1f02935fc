"""What webhooks never say: every project's timeline, read back to where the last sweep stopped.

Tasks without a user story, cascaded deletes and whatever happened while the console was down send no delivery
(design: Catching what webhooks never say). The sweep only marks items; the reader asks Taiga what is true.
"""

from __future__ import annotations

import datetime as dt
import logging
import uuid
from dataclasses import dataclass
from typing import Final

from django.conf import settings
from django.db import OperationalError, transaction
from django.db.models import F, Max, Q
from django.db.models.expressions import Combinable
from django.db.models.functions import Least
from django.utils import timezone
from django.utils.translation import gettext as _

from billing_console import clock, stopping
from billing_console.errors import ConsoleError, NotFound, said_by
from billing_console.states import DeliveryState, EntryState, ItemKind, ItemState
from mappings.models import Membership, ProjectMapping
from sync import discovery, gate, heartbeats, leases, lists, stories, unpaid, upstreams
from sync.attribute_names import names_for
from sync.census import take as take_census
from sync.clients.taiga import TaigaClient
from sync.clients.taiga_rows import TaigaId, TimelineEntry
from sync.marks import BILLED_KINDS, Mark, mark_many
from sync.models import FoundBy, ProjectSweep, Server, Verdict, WebhookDelivery, WorkItem

logger = logging.getLogger(__name__)

PAGE_SIZE: Final = 100
RECENT: Final = 500
_AHEAD: Final = dt.timedelta(seconds=60)  # by how much Taiga's clock may differ from ours and still be believed
HEARTBEAT: Final = "sweep"


@dataclass(frozen=True)
class SweepResult:
    """`entries` timeline events looked at, `marked` items asked to be read; `error` a sentence, "" for success."""

    entries: int = 0
    marked: int = 0
    error: str = ""
    is_busy: bool = False


def sweep_all() -> int:
    """Sweep every active mapping; returns how many were swept. A project that fails leaves the others alone.

    Then, once a day, the projects that nobody pays for are compared as a whole.
    """
    lists.ensure_lists()
    swept = 0
    for mapping in ProjectMapping.objects.filter(is_active=True).order_by("pk"):
        if stopping.is_stopping():
            return swept
        if why := gate.why_not_called(Server.TAIGA):
            heartbeats.note_failure(HEARTBEAT, why)
            return swept
        result = sweep_project(mapping)
        swept += not result.error and not result.is_busy
        heartbeats.note(HEARTBEAT)  # of each: all of them together may take long
    unpaid.compare_due()
    heartbeats.note(HEARTBEAT)
    return swept


def want_census(*projects: int) -> None:
    """Compare these projects (ids of our rows; all without any) as a whole in their next sweep."""
    rows = ProjectSweep.objects.filter(project__in=projects) if projects else ProjectSweep.objects.all()
    rows.update(census_wanted=True)


def _is_census_due(sweep: ProjectSweep) -> bool:
    """Every CENSUS_SECONDS, when it is asked for, and when nothing was swept for so long that much may be missed."""
    now = timezone.now()
    return (
        sweep.census_wanted
        or sweep.census_at is None
        or now - sweep.census_at > dt.timedelta(seconds=settings.CENSUS_SECONDS)
        or sweep.succeeded_at is None
        or now - sweep.succeeded_at > dt.timedelta(seconds=settings.OUTAGE_SECONDS)
    )


def sweep_project(
    mapping: ProjectMapping, *, has_census: bool = False, since: dt.datetime | None = None
) -> SweepResult:
    """Read the project's timeline back to the last seen entry, one page further, and mark what it mentions.

    Then, when it is due or with `has_census`, take a census of the project; `since` marks what was closed since too.

    One sweep of a project at a time (lease, real time). A failure is a sentence on the ProjectSweep row, which then
    keeps its position; nothing is raised for what an upstream did.
    """
    claim, started_at = uuid.uuid4(), clock.now()
    sweep = _claim(mapping, claim)
    if sweep is None:
        return SweepResult(is_busy=True)
    try:
        taiga = upstreams.taiga_client()
        _refresh_roles(mapping, taiga)
        for kind in BILLED_KINDS:
            names_for(kind, mapping.taiga_project_id, {}, taiga)
        seen, marked = _walk(mapping, sweep, claim, taiga)
        census: dict[str, object] = {}
        if has_census or since is not None or _is_census_due(sweep):
            found = take_census(mapping.taiga_project_id, taiga, since=since, still_ours=lambda: _keep(sweep, claim))
            marked += len(found.marks)
            census = {"counted_at": started_at, "census_at": timezone.now(), "census_wanted": False}
    except OperationalError:
        raise  # the database, not this project
    except Exception as error:  # whatever it was, it must be seen, and must keep no other project back
        if isinstance(error, ConsoleError):
            logger.warning("project %s could not be swept: %s", mapping.taiga_project_id, error)
        else:
            logger.exception("project %s could not be swept", mapping.taiga_project_id)
        sentence = said_by(error).sentence
        _finish(sweep, claim, error=sentence)
        if isinstance(error, NotFound):  # deleted, or our user was put out: its items are gone for us, one by one
            with transaction.atomic():
                mark_many(_tasks_at_risk(mapping), found_by=FoundBy.SWEEP)
        return SweepResult(error=sentence)
    _finish(
        sweep,
        claim,
        last_timeline_id=max(seen | {sweep.last_timeline_id}),
        recent_ids=sorted({*sweep.recent_ids, *seen}, reverse=True)[:RECENT],
        started_at=started_at,
        finished_at=clock.now(),
        succeeded_at=timezone.now(),
        heard_at=sweep.heard_at or timezone.now(),
        **census,
        error="",
    )
    return SweepResult(len(seen), marked)


def _claim(mapping: ProjectMapping, claim: uuid.UUID) -> ProjectSweep | None:
    sweep, _is_new = ProjectSweep.objects.get_or_create(project=mapping)
    if not ProjectSweep.objects.filter(leases.is_free(), pk=sweep.pk).update(claim_id=claim, lease_until=_lease_end()):
        return None
    sweep.refresh_from_db()
    return sweep


def _lease_end() -> Combinable:
    return leases.end_of(max(leases.length(), dt.timedelta(seconds=settings.CALL_DEADLINE_SECONDS * 2)))


def _finish(sweep: ProjectSweep, claim: uuid.UUID, **changes: object) -> None:
    ProjectSweep.objects.filter(pk=sweep.pk, claim_id=claim).update(claim_id=None, lease_until=None, **changes)


def _refresh_roles(mapping: ProjectMapping, taiga: TaigaClient) -> None:
    limit = timezone.now() - discovery.MAX_AGE
    fresh = Membership.objects.filter(taiga_project_id=mapping.taiga_project_id, refreshed_at__gte=limit)
    if not fresh.exists():
        discovery.refresh_project(mapping)


def _walk(mapping: ProjectMapping, sweep: ProjectSweep, claim: uuid.UUID, taiga: TaigaClient) -> tuple[set[int], int]:
    """Go back to the last seen entry and one page further; returns the entries' ids and how many items were marked."""
    seen: set[int] = set()
    marked, page, pages_left = 0, 1, -1
    while pages_left != 0:
        answer = taiga.timeline(TaigaId(mapping.taiga_project_id), page, PAGE_SIZE)
        marked += _mark(mapping, [entry for entry in answer.entries if not _was_seen(entry, sweep)])
        seen |= {entry.id for entry in answer.entries}
        if not answer.has_next:
            break
        pages_left -= 1
        if pages_left < 0 and any(entry.id <= sweep.last_timeline_id for entry in answer.entries):
            # One page more: an entry may turn up behind others, at an older time or with a smaller number.
            pages_left = 1
        page += 1
        _keep(sweep, claim)
    return seen, marked


def _keep(sweep: ProjectSweep, claim: uuid.UUID) -> None:
    """Prolong the lease of this sweep. Raises ConsoleError when another worker has it."""
    if not ProjectSweep.objects.filter(pk=sweep.pk, claim_id=claim).update(lease_until=_lease_end()):
        raise ConsoleError(_("Another worker took this sweep over."))


def _was_seen(entry: TimelineEntry, sweep: ProjectSweep) -> bool:
    if entry.id in sweep.recent_ids:
        return True
    return bool(sweep.recent_ids) and entry.id < min(sweep.recent_ids) and len(sweep.recent_ids) >= RECENT


def _mark(mapping: ProjectMapping, events: list[TimelineEntry]) -> int:
    """Mark the items of these events of which no delivery told us; returns how many."""
    latest: dict[tuple[str, int], dt.datetime] = {}
    kinds = {kind for kind in BILLED_KINDS if stories.may_be_billed(kind, mapping.taiga_project_id)}
    for event in events:
        if event.item_id is not None and event.kind in kinds:
            key = (event.kind, event.item_id)
            latest[key] = max(latest.get(key, event.created_at), event.created_at)
    told = _told_by_deliveries(latest)
    marks = [
        Mark(kind, taiga_id, mapping.taiga_project_id)
        for (kind, taiga_id), at in latest.items()
        if (kind, taiga_id) not in told or told[kind, taiga_id] < at
    ]
    if any(event.kind == ItemKind.STORY and event.action == "delete" for event in events):
        marks += _tasks_at_risk(mapping)
    with transaction.atomic():
        mark_many(marks, found_by=FoundBy.SWEEP)
    return len(marks)


def _told_by_deliveries(latest: dict[tuple[str, int], dt.datetime]) -> dict[tuple[str, int], dt.datetime]:
    """When (Taiga's time) the newest event happened that a delivery told of, by item; failed deliveries told nothing.

    A clock that is off here or there loses nothing: both times are Taiga's own, but one that had not come yet when the
    delivery arrived, or has not come now, would hide what happens until then, and is not believed.
    """
    ids = [taiga_id for _kind, taiga_id in latest]
    told = WebhookDelivery.objects.filter(
        ~Q(state=DeliveryState.FAILED),
        item_taiga_id__in=ids,
        item_kind__in=BILLED_KINDS,
        verdict__in=(Verdict.WORK_ITEM, Verdict.ECHO),
    )
    now = clock.now()
    heard = F("received_at") + (now - timezone.now() + _AHEAD)  # in business time, as Taiga's own in the sandbox
    believed = told.filter(event_at__lte=now + _AHEAD).annotate(at=Least(F("event_at"), heard))
    rows = believed.values_list("item_kind", "item_taiga_id").annotate(newest=Max("at"))
    return {(kind, taiga_id): newest for kind, taiga_id, newest in rows if newest is not None}


def _tasks_at_risk(mapping: ProjectMapping) -> list[Mark]:
    """Items with unclaimed hours in a project where a story, or all of it, was deleted: they may have vanished too."""
    waiting = WorkItem.objects.filter(
        ~Q(state=ItemState.GONE),
        taiga_project_id=mapping.taiga_project_id,
        entries__state__in=(EntryState.HELD, EntryState.READY),
    )
    return [
        Mark(kind, taiga_id, mapping.taiga_project_id)
        for kind, taiga_id in waiting.values_list("kind", "taiga_id").distinct()
    ]
