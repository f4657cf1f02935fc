"""What a restored database must know: both servers went on without it, and may hold what it has forgotten.

Nothing is written until `reconcile` passes. Claims of workers that no longer exist are in doubt and looked up; every
project is compared as a whole; tasks and invoices are looked up by their keys before anything is made.
"""

from __future__ import annotations

from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext as _

from billing_console.states import EntryState, RecordState
from sync import gate
from sync.models import ProjectSweep, RecordKind, RemoteRecord, Server, WorkItem
from sync.transitions import advance


def after_restore() -> None:
    """Pause, and ask for everything to be looked at again. Runs in the transaction of the restore."""
    for server in Server.values:
        gate.pause(
            server,
            _("A backup was restored. Writing goes on when `manage.py reconcile` finds that a month balances."),
            until_reconciled=True,
        )
    now = timezone.now()
    RemoteRecord.objects.filter(state=RecordState.IN_FLIGHT).update(lease_until=Now())
    # An attempt that this database does not remember may have been made: the next one looks up first.
    RemoteRecord.objects.filter(state=RecordState.PENDING, attempts=0).update(attempts=1)
    # What is to be billed may be billed already, by an invoice that this database does not remember: look at each task.
    unclaimed = RemoteRecord.objects.filter(
        kind=RecordKind.TASK, state=RecordState.SYNCED, entry__state__in=(EntryState.READY, EntryState.HELD)
    )
    for record in unclaimed.iterator():
        advance(record, RecordState.PENDING, why=_("a backup was restored"), not_before=None)
    ProjectSweep.objects.update(
        claim_id=None, lease_until=None, last_timeline_id=0, recent_ids=[], census_wanted=True, started_at=None
    )
    WorkItem.objects.update(is_dirty=True, dirty_at=now, not_before=None, reading_claim=None, reading_until=None)
