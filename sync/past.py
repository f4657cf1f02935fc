"""What was billed before, for the brakes: each question is answered for a whole batch of items by one query.

Asked only when a brake needs it. What is "billed" here is ready, in a draft or invoiced; amounts are before tax.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from statistics import median
from typing import Any, Final

from django.db import connection
from django.db.models import Sum
from django.db.models.functions import TruncMonth

from billing_console import money
from billing_console.cached import remember
from billing_console.states import EntryState
from mappings.models import Client, ProjectMapping
from sync.models import TimeEntry, WorkItem

BILLED: Final = (EntryState.READY, EntryState.CLAIMED, EntryState.INVOICED)
MONTHS_BACK: Final = 12
FEWEST_MONTHS: Final = 3
# Earlier months hardly change; how much the present one has come to is never remembered.
REMEMBER_SECONDS: Final = 600

_PREVIOUS: Final = """
SELECT asked.item, before.rate, before.currency, before.ref
FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::timestamptz[])
     AS asked(item, entry, person, project, at)
CROSS JOIN LATERAL (
    SELECT e.rate, e.currency, i.ref
    FROM sync_timeentry e JOIN sync_workitem i ON i.id = e.item_id
    WHERE e.person_id = asked.person AND e.project_id = asked.project AND e.first_closed_at <= asked.at
      AND e.id <> asked.entry AND e.state = ANY(%s) AND e.rate > 0
    ORDER BY e.first_closed_at DESC, e.id DESC LIMIT 1
) AS before
"""

MonthKey = tuple[int, str, dt.date]


@dataclass(frozen=True)
class Previous:
    """What the same person's work in the same project was last billed at, and on which item (its number in Taiga)."""

    rate: Decimal
    currency: str
    ref: int | None


class Past:
    """The past of the items of one batch. The batch's own entries count as they stand while it is evaluated."""

    def __init__(
        self, items: Iterable[WorkItem], entries: Iterable[TimeEntry], mappings: dict[int, ProjectMapping]
    ) -> None:
        self._items = list(items)
        self._mappings = mappings
        self._open: dict[int, TimeEntry] = {}
        for entry in sorted(entries, key=lambda row: row.cycle):
            self._open[entry.item_id] = entry
        self._own = {pk: _share(entry) for pk, entry in self._open.items()}
        self._clients = {mapping.client_id for mapping in mappings.values()}
        self._previous: dict[int, Previous] | None = None
        self._months: dict[tuple[int, str], dict[dt.date, Decimal]] | None = None
        self._so_far: dict[dt.date, dict[tuple[int, str], Decimal]] = {}

    def previous_rate(self, item: WorkItem) -> Previous | None:
        """At what the person's latest earlier entry in this project was billed; None for the first one."""
        if self._previous is None:
            self._previous = self._read_previous()
        return self._previous.get(item.pk)

    def usual_month(self, client: Client, currency: str, before: dt.date) -> Decimal | None:
        """The median of the client's months with work among the twelve before the month `before`.

        None where there are fewer than three.
        """
        if self._months is None:
            self._clients |= {client.pk}
            self._months = _read_months(self._clients)
        first = dt.date(before.year - MONTHS_BACK // 12, before.month, 1)
        months = self._months.get((client.pk, currency), {})
        amounts = [amount for month, amount in months.items() if first <= month < before and amount > 0]
        return median(amounts) if len(amounts) >= FEWEST_MONTHS else None

    def month_so_far(self, item: WorkItem, client: Client, currency: str, month: dt.date) -> Decimal:
        """What the client's work of this month comes to without the cycle of `item` that is being priced."""
        if month not in self._so_far:
            self._clients |= {client.pk}
            self._so_far[month] = _read_month(self._clients, month)
        total = self._so_far[month].get((client.pk, currency), money.ZERO)
        own = self._own.get(item.pk)
        return total - own[1] if own is not None and own[0] == (client.pk, currency, month) else total

    def note(self, entry: TimeEntry) -> None:
        """An entry of the batch was written: what is priced after it counts it as it is now."""
        old, new = self._own.get(entry.item_id), _share(entry)
        for share, sign in ((old, -1), (new, 1)):
            if share is not None and share[0][2] in self._so_far:
                sums = self._so_far[share[0][2]]
                key = share[0][:2]
                sums[key] = sums.get(key, money.ZERO) + sign * share[1]
        self._own[entry.item_id] = new

    def _read_previous(self) -> dict[int, Previous]:
        asked: list[tuple[int, int, int, int, dt.datetime]] = []
        for item in self._items:
            entry = self._open.get(item.pk)
            if entry is not None and entry.state in (EntryState.CLAIMED, EntryState.INVOICED):
                entry = None  # what is priced is the next cycle, which is not there yet
            mapping = self._mappings.get(item.taiga_project_id or 0)
            person = entry.person_id if entry else item.assignee_id
            at = (entry.first_closed_at if entry else None) or item.finished_at or item.closed_seen_at
            if mapping is not None and person is not None and at is not None:
                asked.append((item.pk, (entry.pk if entry else None) or 0, person, mapping.pk, at))
        if not asked:
            return {}
        with connection.cursor() as cursor:
            cursor.execute(_PREVIOUS, [*(list(column) for column in zip(*asked, strict=True)), list(BILLED)])
            return {row[0]: Previous(*row[1:]) for row in cursor.fetchall()}


def _share(entry: TimeEntry) -> tuple[MonthKey, Decimal] | None:
    """What the entry adds to which month; None while nothing of it is billed."""
    if entry.state not in BILLED or entry.client_id is None or entry.work_date is None or entry.amount is None:
        return None
    return (entry.client_id, entry.currency, entry.work_date.replace(day=1)), entry.amount


def _read_months(clients: set[int]) -> dict[tuple[int, str], dict[dt.date, Decimal]]:
    def read() -> list[list[Any]]:  # as the cache keeps it: JSON
        rows = TimeEntry.objects.filter(client__in=clients, state__in=BILLED).order_by()
        grouped = rows.values("client", "currency", month=TruncMonth("work_date")).annotate(amount=Sum("amount"))
        return [[row["client"], row["currency"], str(row["month"]), str(row["amount"])] for row in grouped]

    digest = hashlib.sha256(",".join(map(str, sorted(clients))).encode()).hexdigest()
    found: dict[tuple[int, str], dict[dt.date, Decimal]] = {}
    for client, currency, month, amount in remember(f"sync.past.months:{digest}", REMEMBER_SECONDS, read):
        found.setdefault((client, currency), {})[dt.date.fromisoformat(month)] = Decimal(amount)
    return found


def _read_month(clients: set[int], month: dt.date) -> dict[tuple[int, str], Decimal]:
    after = (month + dt.timedelta(days=31)).replace(day=1)
    rows = TimeEntry.objects.filter(
        client__in=clients, state__in=BILLED, work_date__gte=month, work_date__lt=after
    ).order_by()
    grouped = rows.values("client", "currency").annotate(amount=Sum("amount"))
    return {(row["client"], row["currency"]): row["amount"] for row in grouped}
