"""What a run would bill right now. Reads only: nothing is claimed, nothing is written.

Hours are Decimal hours, amounts before tax in the currency beside them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from django.db.models import Count, F, Q, Sum

from billing_console import money
from billing_console.states import EntryState, Reason, RecordState
from invoicing.run import billable_before
from mappings.models import Client, RuleSet
from mappings.rules import Period
from sync.models import TimeEntry


@dataclass(frozen=True)
class PreviewRow:
    """One client and currency: what would be billed, and how many entries would stay out and why."""

    client: Client
    currency: str
    lines: int
    raw_hours: Decimal
    billed_hours: Decimal
    net: Decimal
    late: int
    unsynced: int
    held: int

    @property
    def uplift(self) -> Decimal:
        """Hours that rounding and the minimum put on top."""
        return self.billed_hours - self.raw_hours


def preview(period: Period, chosen: Mapping[Client, RuleSet]) -> list[PreviewRow]:
    """The rows of a run of `period` over these clients, by client: two queries. Clients with nothing are left out."""
    proven = Q(remote_task__state=RecordState.SYNCED, remote_task__synced_revision=F("remote_task__revision"))
    is_in = billable_before(period.end) & (proven | Q(state=EntryState.HELD))
    before = TimeEntry.objects.filter(client__in=chosen, work_date__lt=period.end).order_by()
    held = dict(
        before.filter(state=EntryState.HELD)
        .exclude(reason=Reason.NEXT_RUN)
        .values_list("client")
        .annotate(count=Count("pk"))
    )
    grouped = (
        before.filter(billable_before(period.end))
        .values("client", "currency")
        .annotate(
            included=Count("pk", filter=is_in),
            raw=Sum("raw_hours", filter=is_in),
            billed=Sum("billed_hours", filter=is_in),
            net=Sum("amount", filter=is_in),
            late=Count("pk", filter=is_in & Q(work_date__lt=period.start)),
            unsynced=Count("pk", filter=~proven & Q(state=EntryState.READY)),
        )
    )
    by_id = {client.pk: client for client in chosen}
    rows = [
        PreviewRow(
            client=by_id[row["client"]],
            currency=row["currency"],
            lines=row["included"],
            raw_hours=row["raw"] or money.ZERO,
            billed_hours=row["billed"] or money.ZERO,
            net=row["net"] or money.ZERO,
            late=row["late"],
            unsynced=row["unsynced"],
            held=held.get(row["client"], 0),
        )
        for row in grouped
    ]
    return sorted(rows, key=lambda row: (str(row.client).casefold(), row.currency))
