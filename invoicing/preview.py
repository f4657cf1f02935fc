"""What a run would bill right now. Reads only: nothing is claimed, nothing is written.

Hours are Decimal hours, amounts before tax in the currency beside them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from django.db.models import Count, F, Q, Sum

from billing_console import money
from billing_console.states import EntryState, Reason, RecordState
from invoicing import regrouping
from invoicing.models import InvoiceRun
from invoicing.refreshing import live_invoices
from invoicing.run import UNAPPROVED, billable_before
from mappings.models import Client, Grouping, RuleSet
from mappings.rules import Period
from sync.models import TimeEntry


@dataclass
class PreviewRow:
    """One client and currency: what would be billed, what would not, and how many entries would stay out and why.

    `drafts` are those that would be made or grow. `came_later` is the amount of the entries whose invoice of this
    period is approved already: this run leaves them, a supplement or the next run bills them.
    """

    client: Client
    currency: str
    drafts: int = 0
    lines: int = 0
    raw_hours: Decimal = money.ZERO
    billed_hours: Decimal = money.ZERO
    net: Decimal = money.ZERO
    late: int = 0
    unsynced: int = 0
    held: int = 0
    came_later: Decimal = money.ZERO

    @property
    def uplift(self) -> Decimal:
        """Hours that rounding and the minimum put on top."""
        return self.billed_hours - self.raw_hours


def preview(period: Period, chosen: Mapping[Client, RuleSet], run: InvoiceRun | None = None) -> list[PreviewRow]:
    """The rows of a run of `period` over these clients, by client: four queries. Clients with nothing are left out.

    `run` is the run that starting it would ask again, None where it would be a new one: what its approved invoices
    do not take is not offered (billing-rules, When a run bills what: after approval it changes nothing).
    """
    proven = Q(remote_task__state=RecordState.SYNCED, remote_task__synced_revision=F("remote_task__revision"))
    is_in = billable_before(period.end) & (proven | Q(state=EntryState.HELD))
    before = TimeEntry.objects.filter(client__in=chosen, work_date__lt=period.end).order_by()
    held = dict(
        before.filter(state=EntryState.HELD)
        .exclude(reason=Reason.NEXT_RUN)
        .values_list("client")
        .annotate(count=Count("pk"))
    )
    by_project = (
        before.filter(billable_before(period.end))
        .values("client", "currency", "project")
        .annotate(
            included=Count("pk", filter=is_in),
            raw=Sum("raw_hours", filter=is_in, default=money.ZERO),
            billed=Sum("billed_hours", filter=is_in, default=money.ZERO),
            net=Sum("amount", filter=is_in, default=money.ZERO),
            late=Count("pk", filter=is_in & Q(work_date__lt=period.start)),
            unsynced=Count("pk", filter=~proven & Q(state=EntryState.READY)),
        )
    )
    approved = _approved_groups(run, chosen)
    covered = regrouping.covered(run, [client.pk for client in chosen]) if run is not None else set()
    by_id = {client.pk: (client, rules.grouping) for client, rules in chosen.items()}
    rows: dict[tuple[int, str], PreviewRow] = {}
    drafts: dict[tuple[int, str, str], Decimal] = {}
    for found in by_project:
        client, grouping = by_id[found["client"]]
        row = rows.setdefault(
            (client.pk, found["currency"]), PreviewRow(client, found["currency"], held=held.get(client.pk, 0))
        )
        group = (client.pk, row.currency, str(found["project"] or "") if grouping == Grouping.PROJECT else "")
        if group in approved or group[:2] in covered:
            row.came_later += found["net"]
            continue
        drafts[group] = drafts.get(group, money.ZERO) + found["net"]
        row.lines += found["included"]
        row.raw_hours += found["raw"]
        row.billed_hours += found["billed"]
        row.net += found["net"]
        row.late += found["late"]
        row.unsynced += found["unsynced"]
    for (client_id, currency, _group), net in drafts.items():
        rows[client_id, currency].drafts += net != 0  # entries that come to 0.00 make no invoice
    return sorted(rows.values(), key=lambda row: (str(row.client).casefold(), row.currency))


def _approved_groups(run: InvoiceRun | None, clients: Iterable[Client]) -> set[tuple[int, str, str]]:
    """Client, currency and group of the invoices that the run changes no more."""
    if run is None:
        return set()
    living = live_invoices(run, [client.pk for client in clients])
    return {(each.client_id, each.currency, each.group_key) for each in living if each.state not in UNAPPROVED}
