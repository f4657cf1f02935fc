"""What a change of rates or rules would have made of the last three closed months: for information, nothing moves.

A month's figure is what was billed for the work of its days, by the printed lines. Amounts before tax.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from functools import partial
from typing import Final

from django.conf import settings
from django.db.models import Q, QuerySet, Sum

from billing_console import clock
from billing_console.batches import in_batches
from invoicing.models import InvoiceLine
from invoicing.run import DEAD
from mappings.effects import Change, Effect, Priced
from mappings.rules import Period, previous_month
from sync.effects import BATCH, name_of, would_have_been

MONTHS: Final = 3


def effect_on_closed_months(change: Change) -> list[Effect]:
    """One `Effect` for each of the last three calendar months (business time), the latest first."""
    if not change.moves_prices:
        return []
    effects = _empty_effects()
    months = [effect.period for effect in effects if effect.period is not None]
    found = would_have_been(change, Q(work_date__gte=months[-1].start, work_date__lt=months[0].end))
    for some in in_batches(found, BATCH):
        lines = {line.entry_id: line for line in _lines().filter(entry__in=[entry.pk for entry, _after in some])}
        for entry, after in some:
            line = lines.get(entry.pk)
            # Earlier cycles of an item come along with the later ones; only what is inside the months counts.
            effect = next((one for one in effects if line is not None and _is_in(line.work_date, one.period)), None)
            if line is None or effect is None:
                continue
            before = Priced(line.billed_hours, line.amount, entry.currency)
            if (before.hours, before.amount, before.currency) != (after.hours, after.amount, after.currency):
                effect.add(entry.pk, before, after, partial(name_of, entry))
    return effects


def _is_in(day: dt.date | None, period: Period | None) -> bool:
    return day is not None and period is not None and period.contains(day)


def _empty_effects() -> list[Effect]:
    """The months with what was billed for their work; one query."""
    months: list[Period] = []
    day = clock.today(settings.BILLING_TIMEZONE)
    for _count in range(MONTHS):
        months.append(previous_month(day))
        day = months[-1].start
    lines = _lines().filter(work_date__gte=months[-1].start, work_date__lt=months[0].end)
    sums: dict[Period, dict[str, Decimal]] = {month: {} for month in months}
    grouped = lines.values_list("work_date__year", "work_date__month", "invoice__currency").annotate(net=Sum("amount"))
    for year, number, currency, net in grouped:
        for month in months:
            if (month.start.year, month.start.month) == (year, number):
                sums[month][currency] = net
    return [Effect(period=month, billed=sums[month]) for month in months]


def _lines() -> QuerySet[InvoiceLine]:
    return InvoiceLine.objects.filter(is_voided=False).exclude(invoice__state__in=DEAD).order_by()
