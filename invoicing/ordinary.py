"""Which clients of a run need nothing but claiming, asked for many at once; and what keeps others waiting.

"Swept" is business time: since the period's end, or since the request when the run was asked for early.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from django.db.models import Exists, OuterRef, Q, QuerySet

from billing_console.states import EntryState, Reason, RecordState
from invoicing import drafts, refreshing
from invoicing.models import InvoiceRun, RunClient, RunClientState
from mappings.models import ProjectMapping
from mappings.rules import midnight
from sync.models import TimeEntry, WorkItem

ON_THEIR_WAY = (RecordState.PENDING, RecordState.IN_FLIGHT, RecordState.RETRY, RecordState.IN_DOUBT)


def of(rows: Sequence[RunClient]) -> list[int]:
    """Ids of those of `rows` (of one run) that wait, have no draft yet and in whose way nothing stands: five queries.

    A glance without locks: whoever claims looks again. What comes in between only joins or stays out, as it would have.
    """
    waiting = {row.client_id: row.pk for row in rows if row.state == RunClientState.WAITING}
    if not waiting:
        return []
    run = rows[0].run
    unread = WorkItem.objects.filter(taiga_project_id=OuterRef("taiga_project_id"), is_dirty=True)
    unusual: set[int | None] = {invoice.client_id for invoice in refreshing.live_invoices(run, waiting)}
    for clients in (
        unswept(run, waiting),
        _projects(waiting).filter(Exists(unread)),
        on_their_way(run, waiting),
        put_off(run, waiting),
    ):
        unusual.update(clients.order_by().values_list("client", flat=True))
    return [row_id for client_id, row_id in waiting.items() if client_id not in unusual]


def unswept(run: InvoiceRun, client_ids: Iterable[int]) -> QuerySet[ProjectMapping]:
    """Live projects of these clients that were not swept, and counted as a whole, late enough for the run."""
    since = _since(run)
    swept = Q(sweep__started_at__gt=since, sweep__counted_at__gt=since)
    projects = _projects(client_ids).select_related("sweep")
    return projects.exclude(pk__in=_projects(client_ids).filter(swept).values("pk"))


def on_their_way(run: InvoiceRun, client_ids: Iterable[int]) -> QuerySet[TimeEntry]:
    """Entries of these clients that the run bills and that are just being written into Invoice Ninja."""
    underway = Q(remote_task__isnull=True) | Q(remote_task__state__in=ON_THEIR_WAY)
    return drafts.unsynced(run.period_end).filter(underway, client__in=list(client_ids))


def put_off(run: InvoiceRun, client_ids: Iterable[int]) -> QuerySet[TimeEntry]:
    """Entries of these clients that a person put off to a next run, which this one may be."""
    return TimeEntry.objects.filter(
        client__in=list(client_ids),
        state=EntryState.HELD,
        reason=Reason.NEXT_RUN,
        work_date__lt=run.period_end,
    )


def _projects(client_ids: Iterable[int]) -> QuerySet[ProjectMapping]:
    return ProjectMapping.objects.filter(client__in=list(client_ids), is_active=True)


def _since(run: InvoiceRun) -> datetime:
    if run.is_early:
        # A business clock that stands still gives the sweep the same instant as the request.
        return run.requested_at - timedelta(microseconds=1)
    return midnight(run.period_end, run.timezone)
