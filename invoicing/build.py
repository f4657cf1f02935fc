"""Building the drafts of a run, client by client: prepare, wait for what is on its way, claim.

A client's drafts are built only after a sweep of its projects that began after the period's end, or after the request
when it was asked for early. A client that cannot be swept is a failed row that mends itself; the others go on.
Waiting is counted in real time; the sweep's beginning and the period's end in business time.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import DatabaseError, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from billing_console.errors import ConsoleError
from billing_console.states import EntryState, Reason, RecordState
from invoicing import by_rule, claim, drafts
from invoicing.models import InvoiceLine, InvoiceRun, RunClient, RunClientState
from invoicing.run import settle_run
from mappings.models import ProjectMapping
from mappings.rules import midnight
from sync import entries, reevaluate, sweep
from sync.models import TimeEntry, WorkItem
from sync.transitions import advance

logger = logging.getLogger(__name__)

ON_THEIR_WAY = (RecordState.PENDING, RecordState.IN_FLIGHT, RecordState.RETRY, RecordState.IN_DOUBT)


@dataclass(frozen=True)
class Obstacle:
    """Why a client's drafts are not built yet, as one sentence; `is_final` when waiting longer would not help."""

    sentence: str
    is_final: bool = False


def build_due(limit: int = 200) -> int:
    """Build what waits, oldest run first, and what failed but could be built now; returns how many clients were built.

    Calls Taiga (a sweep) for a project that was not swept yet. Safe in several workers at once.
    """
    rows = (
        RunClient.objects.filter(state__in=(RunClientState.WAITING, RunClientState.FAILED))
        .exclude(run__state="cancelled")
        .select_related("run", "client")
        .order_by("run__period_end", "run_id", "client__name", "id")
    )
    built = 0
    for row in rows[:limit]:
        try:
            built += build_client(row)
        except (ConsoleError, DatabaseError) as error:
            logger.exception("drafts of %s could not be built", row)
            _fail(row, _sentence_of(error))
    return built


def build_client(row: RunClient) -> bool:
    """Build one client's drafts if nothing stands in the way; True when they were built now.

    Otherwise the row keeps waiting, or fails with a sentence. Locks the row while it claims.
    """
    if row.state == RunClientState.FAILED and not _wait_again(row):
        return False
    _prepare(row)
    obstacle = _sweep_obstacle(row) or _work_obstacle(row)
    if obstacle is None:
        was_built = _claim(row)
        if was_built:
            by_rule.approve_clean(RunClient.objects.select_related("rule_set").get(pk=row.pk))
    else:
        was_built = False
        if obstacle.is_final or _waited_too_long(row):
            _fail(row, obstacle.sentence)
        else:
            RunClient.objects.filter(pk=row.pk, state=RunClientState.WAITING).update(sentence=obstacle.sentence)
    settle_run(row.run)
    return was_built


# --- before -------------------------------------------------------------------------------------------------------


def _wait_again(row: RunClient) -> bool:
    """Let a failed row wait once more when what stood in its way is gone; True when it waits now."""
    if _sweep_obstacle(row) is not None:
        return False
    asked_at = timezone.now()
    failed = RunClient.objects.filter(pk=row.pk, state=RunClientState.FAILED)
    if failed.update(state=RunClientState.WAITING, asked_at=asked_at, sentence="") != 1:
        return False
    row.state, row.asked_at = RunClientState.WAITING, asked_at
    return True


def _prepare(row: RunClient) -> None:
    """Free what waited for this run, and re-evaluate what a changed rate or rule or a stale draft concerns."""
    while reevaluate.evaluate_marked():
        pass  # no entry is claimed at a price that a saved change made old
    with transaction.atomic():
        if items := drafts.release_changed_lines(row) | free_put_off(row.run, row.client_id):
            entries.evaluate_many(items)


def free_put_off(run: InvoiceRun, client_id: int) -> set[int]:
    """Make entries ready that a person put off from an earlier run; returns their items, to be evaluated again.

    What was put off from this very run, or a later one, stays out.
    """
    not_earlier = Q(invoice__period_end__gt=run.period_end) | Q(
        invoice__period_end=run.period_end, invoice__sequence__gte=run.sequence
    )
    put_off_here = InvoiceLine.objects.filter(not_earlier, is_voided=True, voided_by__isnull=False)
    waiting = TimeEntry.objects.filter(
        client_id=client_id, state=EntryState.HELD, reason=Reason.NEXT_RUN, work_date__lt=run.period_end
    ).exclude(pk__in=put_off_here.filter(entry__isnull=False).values("entry_id"))
    claim.lock_work(waiting.values_list("item_id", flat=True))
    free: dict[str, Any] = {"reason": "", "reason_note": "", "reason_sentence": "", "held_by_person": False}
    return {entry.item_id for entry in waiting if advance(entry, EntryState.READY, why=_("the next run began"), **free)}


# --- what stands in the way ---------------------------------------------------------------------------------------


def _sweep_obstacle(row: RunClient) -> Obstacle | None:
    """The first project of the client that was not swept since the period's end (early: since the request).

    Sweeps it now when the row waits, so that no one depends on when the next sweep comes by itself.
    """
    if row.run.is_early:
        # A business clock that stands still gives the sweep the same instant as the request.
        since = row.run.requested_at - timedelta(microseconds=1)
    else:
        since = midnight(row.run.period_end, row.run.timezone)
    for mapping in _unswept(row, since):
        error = mapping.sweep.error if hasattr(mapping, "sweep") else ""
        if row.state == RunClientState.WAITING:
            result = sweep.sweep_project(mapping, has_census=True)
            if not result.error and not result.is_busy:
                continue
            error = result.error
            # The next sweep by itself is to be as complete as ours would have been, or the row stays failed for a day.
            sweep.want_census(mapping.pk)
        if error:
            sentence = _("%(project)s could not be swept: %(error)s") % {"project": mapping, "error": error}
            return Obstacle(sentence, is_final=True)
        return Obstacle(
            _("Waiting for the sweep of %(project)s. If it does not come, check that the worker runs.")
            % {"project": mapping}
        )
    return None


def _unswept(row: RunClient, since: datetime) -> list[ProjectMapping]:
    projects = ProjectMapping.objects.filter(client=row.client_id, is_active=True).select_related("sweep")
    swept = projects.filter(sweep__started_at__gt=since, sweep__counted_at__gt=since)
    return list(projects.exclude(pk__in=swept.values("pk")).order_by("pk"))


def _work_obstacle(row: RunClient) -> Obstacle | None:
    """What the sweep found and is not yet read or not yet in Invoice Ninja; not waited for beyond the time limit."""
    if _waited_too_long(row):
        return None
    projects = ProjectMapping.objects.filter(client=row.client_id, is_active=True)
    unread = WorkItem.objects.filter(taiga_project_id__in=projects.values("taiga_project_id"), is_dirty=True).count()
    if unread:
        return Obstacle(
            ngettext("Reading %(count)d changed item.", "Reading %(count)d changed items.", unread) % {"count": unread}
        )
    on_their_way = Q(remote_task__isnull=True) | Q(remote_task__state__in=ON_THEIR_WAY)
    unsynced = drafts.unsynced(row.run.period_end).filter(on_their_way, client=row.client_id).count()
    if unsynced:
        return Obstacle(
            ngettext(
                "Writing %(count)d task into Invoice Ninja.", "Writing %(count)d tasks into Invoice Ninja.", unsynced
            )
            % {"count": unsynced}
        )
    return None


def _waited_too_long(row: RunClient) -> bool:
    asked_at = row.asked_at or row.run.requested_at
    return timezone.now() - asked_at > timedelta(seconds=settings.RUN_WAIT_SECONDS)


# --- claiming -----------------------------------------------------------------------------------------------------


def _claim(row: RunClient) -> bool:
    with transaction.atomic():
        fresh = (
            RunClient.objects.select_for_update(of=("self",), no_key=True)
            .select_related("run", "client", "rule_set")
            .get(pk=row.pk)
        )
        if fresh.state != RunClientState.WAITING:
            return False  # another worker built it while we looked
        outcome = drafts.build_drafts(fresh)
        RunClient.objects.filter(pk=fresh.pk).update(
            state=RunClientState.BUILT if outcome.invoices else RunClientState.EMPTY,
            sentence=outcome.sentence,
            built_at=timezone.now(),
        )
    return True


def _fail(row: RunClient, sentence: str) -> None:
    RunClient.objects.filter(pk=row.pk, state__in=(RunClientState.WAITING, RunClientState.FAILED)).update(
        state=RunClientState.FAILED, sentence=sentence
    )
    settle_run(row.run)


def _sentence_of(error: Exception) -> str:
    if isinstance(error, ConsoleError):
        return error.sentence
    return _("The database refused to build the drafts (%(error)s). It is tried again by itself.") % {
        "error": type(error).__name__
    }
