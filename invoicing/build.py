"""Building the drafts of a run, client by client: prepare, wait for what is on its way, claim.

A client's drafts are built only after a sweep of its projects that began after the period's end, or after the request
when it was asked for early. A client that cannot be swept is a failed row that mends itself; the others go on.
Waiting is counted in real time; the sweep's beginning and the period's end in business time.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby, islice
from typing import Any

from django.conf import settings
from django.db import DatabaseError, transaction
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from billing_console import stopping
from billing_console.errors import ConsoleError
from billing_console.states import EntryState
from invoicing import by_rule, claim, drafts, ordinary, refreshing
from invoicing.models import InvoiceLine, InvoiceRun, RunClient, RunClientState
from invoicing.run import settle_run
from mappings.models import ProjectMapping
from sync import entries, reevaluate, sweep
from sync.models import WorkItem
from sync.transitions import advance

logger = logging.getLogger(__name__)

TOGETHER = 100  # clients in one transaction: few enough that the page shows the run growing


@dataclass(frozen=True)
class Obstacle:
    """Why a client's drafts are not built yet, as one sentence; `is_final` when waiting longer would not help."""

    sentence: str
    is_final: bool = False


def build_due(limit: int = 1000) -> int:
    """Build what waits, oldest run first, then what failed but could be built now; returns how many were built.

    Calls Taiga (a sweep) for a project that was not swept yet. Safe in several workers at once. Clients with nothing
    unusual are built together; whatever goes wrong with one of them, the others are built one by one.
    """
    rows = (
        RunClient.objects.filter(state__in=(RunClientState.WAITING, RunClientState.FAILED))
        .exclude(run__state="cancelled")
        .select_related("run", "client", "rule_set")
        .order_by(F("state").desc(), "run__period_end", "run_id", "client__name", "id")
    )
    built = 0
    for _run_id, of_run in groupby(rows[:limit], key=lambda row: row.run_id):
        for some in batched(of_run, TOGETHER):
            if stopping.is_stopping():
                return built
            done = _build_together(some)
            built += len(done)
            built += sum(_build_alone(row) for row in some if row.pk not in done)
    return built


def _build_together(rows: Sequence[RunClient]) -> set[int]:
    """Build those of `rows` (of one run) that need nothing but claiming; returns which. None where one goes wrong."""
    try:
        while reevaluate.evaluate_marked():
            pass  # no entry is claimed at a price that a saved change made old
        done = _claim(ordinary.of(rows))
    except Exception:  # whatever it was: each is tried alone, and only its own row says what is wrong with it
        logger.warning("%s clients could not be built together", len(rows), exc_info=True)
        return set()
    for row in rows:
        if row.pk in done:
            _approve_by_rule(row)
    if done:
        settle_run(rows[0].run)
    return done


def _approve_by_rule(row: RunClient) -> None:
    try:
        by_rule.approve_clean(row)
    except Exception:  # its draft stands; whatever kept it from being approved by rule, a person approves it
        logger.exception("drafts of %s could not be approved by rule", row)


def _build_alone(row: RunClient) -> bool:
    try:
        return build_client(row)
    except Exception as error:  # one client's failure, whatever it is, never stops the others
        logger.exception("drafts of %s could not be built", row)
        _fail(row, _sentence_of(error))
        return False


def build_client(row: RunClient) -> bool:
    """Build one client's drafts if nothing stands in the way; True when they were built now.

    Otherwise the row keeps waiting, or fails with a sentence. Locks the row while it claims.
    """
    if row.state == RunClientState.FAILED and not _wait_again(row):
        return False
    _prepare(row)
    obstacle = _sweep_obstacle(row) or _work_obstacle(row)
    if obstacle is None:
        was_built = bool(_claim([row.pk]))
        if was_built:
            _approve_by_rule(RunClient.objects.select_related("rule_set").get(pk=row.pk))
    else:
        was_built = False
        if obstacle.is_final or _waited_too_long(row):
            _fail(row, obstacle.sentence)
        else:
            RunClient.objects.filter(pk=row.pk, state=RunClientState.WAITING).update(sentence=obstacle.sentence)
    settle_run(row.run)
    return was_built


def batched(rows: Iterable[RunClient], size: int) -> Iterator[list[RunClient]]:
    """`rows` in lists of at most `size`."""
    source = iter(rows)
    while some := list(islice(source, size)):
        yield some


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
        if items := refreshing.release_changed_lines(row) | free_put_off(row.run, row.client_id):
            entries.evaluate_many(items)


def free_put_off(run: InvoiceRun, client_id: int) -> set[int]:
    """Make entries ready that a person put off from an earlier run; returns their items, to be evaluated again.

    What was put off from this very run, or a later one, stays out.
    """
    not_earlier = Q(invoice__period_end__gt=run.period_end) | Q(
        invoice__period_end=run.period_end, invoice__sequence__gte=run.sequence
    )
    put_off_here = InvoiceLine.objects.filter(not_earlier, is_voided=True, voided_by__isnull=False)
    waiting = ordinary.put_off(run, [client_id]).exclude(
        pk__in=put_off_here.filter(entry__isnull=False).values("entry_id")
    )
    claim.lock_work(waiting.values_list("item_id", flat=True))
    free: dict[str, Any] = {"reason": "", "reason_note": "", "reason_sentence": "", "held_by_person": False}
    return {entry.item_id for entry in waiting if advance(entry, EntryState.READY, why=_("the next run began"), **free)}


# --- what stands in the way ---------------------------------------------------------------------------------------


def _sweep_obstacle(row: RunClient) -> Obstacle | None:
    """The first project of the client that was not swept since the period's end (early: since the request).

    Sweeps it now when the row waits, so that no one depends on when the next sweep comes by itself.
    """
    for mapping in ordinary.unswept(row.run, [row.client_id]).order_by("pk"):
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
    unsynced = ordinary.on_their_way(row.run, [row.client_id]).count()
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


def _claim(row_ids: Iterable[int]) -> set[int]:
    """Build the drafts of these rows of one run as far as they still wait; returns which. Locks the rows."""
    with transaction.atomic():
        fresh = list(
            RunClient.objects.select_for_update(of=("self",), no_key=True)
            .select_related("run", "client", "rule_set")
            .filter(pk__in=list(row_ids), state=RunClientState.WAITING)  # else another worker built it while we looked
            .order_by("pk")
        )
        if not fresh:
            return set()
        plain: dict[str, list[int]] = {RunClientState.BUILT: [], RunClientState.EMPTY: []}
        for row_id, outcome in drafts.build_drafts(fresh).items():
            state = RunClientState.BUILT if outcome.invoices else RunClientState.EMPTY
            if outcome.sentence:
                _set_built([row_id], state, outcome.sentence)
            else:
                plain[state].append(row_id)
        for plain_state, ids in plain.items():
            if ids:
                _set_built(ids, plain_state, "")
    return {row.pk for row in fresh}


def _set_built(row_ids: list[int], state: str, sentence: str) -> None:
    RunClient.objects.filter(pk__in=row_ids).update(state=state, sentence=sentence, built_at=timezone.now())


def _fail(row: RunClient, sentence: str) -> None:
    RunClient.objects.filter(pk=row.pk, state__in=(RunClientState.WAITING, RunClientState.FAILED)).update(
        state=RunClientState.FAILED, sentence=sentence
    )
    settle_run(row.run)


def _sentence_of(error: Exception) -> str:
    if isinstance(error, ConsoleError):
        return error.sentence
    if isinstance(error, DatabaseError):
        return _("The database refused to build the drafts (%(error)s). It is tried again by itself.") % {
            "error": type(error).__name__
        }
    return _(
        "The drafts could not be built (%(error)s); the log says where. It is tried again by itself, "
        "or build the client again here."
    ) % {"error": type(error).__name__}
