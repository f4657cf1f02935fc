"""Work on no invoice, as it stood at the end of each day: compared with the books by one statement, and written down.

In a draft hours and amount are what is printed. Work leaves on the date of its invoice, comes back on the day on which
that ended, and has another price from the day on which it was priced anew. Days are business days in the console's
zone; amounts before tax, in the currency of the work.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from typing import Any, Final

from django.conf import settings
from django.db import connection
from django.db.models import Q, QuerySet

from billing_console import clock
from billing_console.states import EntryState
from invoicing.books.dating import Calendar
from invoicing.books.facts import THERE
from invoicing.models import InvoiceLine, UnbilledWork
from sync.attributes import QUOTE_LENGTH
from sync.models import TimeEntry

COLUMNS: Final = (
    *("item_id", "entry_id", "stage", "client_id", "project_id", "person_id", "work_date"),
    *("hours", "currency", "amount", "typed"),
)
# An item that is open waits only where other hours are typed than its last cycle was billed for.
_STATEMENT: Final = """
WITH now AS (
    SELECT entry.item_id, entry.id AS entry_id,
           CASE WHEN entry.state = 'claimed' THEN 'draft' WHEN entry.amount IS NULL THEN 'no_price'
                ELSE entry.state END AS stage,
           entry.client_id, entry.project_id, entry.person_id, entry.work_date,
           coalesce(line.billed_hours, entry.billed_hours, entry.raw_hours)::numeric(12, 6) AS hours,
           coalesce(invoice.currency, entry.currency) AS currency,
           coalesce(line.amount, entry.amount) AS amount, '' AS typed,
           greatest(entry.state_since, entry.evaluated_at, line.adjusted_at) AS at
    FROM sync_timeentry entry
    LEFT JOIN invoicing_invoiceline line ON line.entry_id = entry.id AND NOT line.is_voided
    LEFT JOIN invoicing_invoice invoice ON invoice.id = line.invoice_id
    WHERE entry.state IN ('held', 'ready', 'claimed')
UNION ALL
    SELECT item.id, NULL, 'open', project.client_id, item.project_id, item.assignee_id, NULL, NULL, '', NULL,
           left(item.attributes ->> 'hours', %(length)s), item.changed_at
    FROM sync_workitem item LEFT JOIN mappings_projectmapping project ON project.id = item.project_id
    WHERE item.state = 'open' AND coalesce(item.attributes ->> 'hours', '') <> ''
      AND NOT EXISTS (SELECT 1 FROM sync_timeentry entry WHERE entry.item_id = item.id
                      AND trim('"' FROM entry.raw_value) = left(item.attributes ->> 'hours', %(length)s))
), booked AS (
    SELECT * FROM invoicing_unbilledwork WHERE ends_on IS NULL
)
SELECT now.item_id, now.entry_id, now.stage, now.client_id, now.project_id, now.person_id, now.work_date, now.hours,
       now.currency, now.amount, now.typed, now.at, booked.id, booked.item_id, booked.entry_id, booked.starts_on
FROM now FULL JOIN booked
  ON booked.item_id = now.item_id AND coalesce(booked.entry_id, 0) = coalesce(now.entry_id, 0)
WHERE (now.stage, now.client_id, now.project_id, now.person_id, now.work_date, now.hours, now.currency, now.amount,
       now.typed)
      IS DISTINCT FROM
      (booked.stage, booked.client_id, booked.project_id, booked.person_id, booked.work_date, booked.hours,
       booked.currency, booked.amount, booked.typed)
LIMIT %(limit)s
"""


def as_at(day: dt.date) -> QuerySet[UnbilledWork]:
    """What stood unbilled at the end of `day` of the work up to it; open items and what has no price are among it."""
    lasting = Q(ends_on__isnull=True) | Q(ends_on__gt=day)
    worked = Q(work_date__isnull=True) | Q(work_date__lte=day)
    return UnbilledWork.objects.filter(lasting & worked, starts_on__lte=day)


def keep(calendar: Calendar, limit: int) -> int:
    """Write down at most `limit` changes; returns how many. The caller holds the lock of the books."""
    with connection.cursor() as cursor:
        cursor.execute(_STATEMENT, {"length": QUOTE_LENGTH, "limit": limit})
        rows = cursor.fetchall()
    left = _left_on([row[14] for row in rows if row[0] is None and row[14] is not None])
    ended: dict[dt.date, list[int]] = defaultdict(list)
    fresh, gone = [], []
    for row in rows:
        values, at = dict(zip(COLUMNS, row[: len(COLUMNS)], strict=True)), row[11]
        booked_id, item_id, entry_id, starts_on = row[12:]
        day = _day(calendar, at if row[0] is not None else left.get(entry_id))
        if booked_id is not None and starts_on < day:
            ended[day].append(booked_id)
        elif booked_id is not None and starts_on == day:
            gone.append(booked_id)  # nobody saw the end of this day yet
        elif booked_id is not None:
            _end_before(day, Q(entry=entry_id) if entry_id is not None else Q(item=item_id, entry__isnull=True))
        if row[0] is not None:
            fresh.append(UnbilledWork(starts_on=day, **values))
    UnbilledWork.objects.filter(pk__in=gone).delete()
    for day, ids in ended.items():
        UnbilledWork.objects.filter(pk__in=ids).update(ends_on=day)
    UnbilledWork.objects.bulk_create(fresh, batch_size=500)
    return len(rows)


def _day(calendar: Calendar, when: dt.datetime | dt.date | None) -> dt.date:
    """The day from which a change counts: of what happened `when`, real time or a business day; at the latest today."""
    day = clock.date_of(when, settings.BILLING_TIMEZONE) if isinstance(when, dt.datetime) else when
    return calendar.counts_on(min(day or calendar.today, calendar.today))


def _left_on(entry_ids: list[int]) -> dict[int, dt.datetime | dt.date | None]:
    """When these entries ceased to be unbilled: the date of the invoice that bills them, else that of their state."""
    rows = TimeEntry.objects.filter(pk__in=entry_ids).values_list("pk", "state", "state_since")
    found: dict[int, Any] = {pk: since for pk, _state, since in rows}
    billed = [pk for pk, state, _since in rows if state == EntryState.INVOICED]
    lines = InvoiceLine.objects.filter(entry__in=billed, is_voided=False, invoice__state__in=THERE)
    return found | dict(lines.exclude(invoice__invoice_date=None).values_list("entry_id", "invoice__invoice_date"))


def _end_before(day: dt.date, which: Q) -> None:
    """Let what is booked of one entry or item end before `day`, which lies before its last row began."""
    UnbilledWork.objects.filter(which, starts_on__gte=day).delete()
    UnbilledWork.objects.filter(which, Q(ends_on__isnull=True) | Q(ends_on__gt=day)).update(ends_on=day)
