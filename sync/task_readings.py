"""What Invoice Ninja was read to hold of tasks of ours, noted by whoever read them on the way to something else."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction
from django.utils import timezone

from billing_console.states import RecordState
from sync.clients.ninja_rows import NinjaTask
from sync.models import RecordKind, RemoteRecord, Server
from sync.push_compare import facts_of


def note(tasks: Sequence[NinjaTask]) -> None:
    """Keep these readings with our records of the tasks: what the page of an entry says is as of then.

    Two statements. A record that is being written is left alone: its own proof is newer. Locks the records.
    """
    by_id = {str(task.id): task for task in tasks}
    now = timezone.now()
    with transaction.atomic():
        rows = RemoteRecord.objects.select_for_update(no_key=True).filter(
            server=Server.NINJA, kind=RecordKind.TASK, remote_id__in=by_id, state=RecordState.SYNCED
        )
        records = list(rows.order_by("pk"))
        for record in records:
            record.seen, record.seen_at = facts_of(by_id[str(record.remote_id)]), now
        RemoteRecord.objects.bulk_update(records, ["seen", "seen_at"], batch_size=500)
