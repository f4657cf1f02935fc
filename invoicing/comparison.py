"""A draft against what the same client was billed before: up to three earlier periods of the same rhythm and group.

Amounts are before tax in the invoice's currency.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.db.models import Sum
from django.utils import formats
from django.utils.translation import gettext as _

from billing_console import money
from billing_console.plots import BarPlot, Column, Series, stack_bars
from invoicing.models import Invoice
from invoicing.run import DEAD, UNAPPROVED
from mappings.models import Frequency

PERIODS = 3
_LOOK_BACK = dt.timedelta(days=400)


@dataclass(frozen=True)
class Past:
    """What one earlier period came to."""

    start: dt.date
    end: dt.date
    net: Decimal


@dataclass(frozen=True)
class Comparison:
    """`past` oldest first, at most three; `net` is the draft itself."""

    net: Decimal
    currency: str
    past: tuple[Past, ...] = ()

    @property
    def average(self) -> Decimal | None:
        """Mean of the earlier periods; None when there are none."""
        if not self.past:
            return None
        return money.quantize(money.total(one.net for one in self.past) / len(self.past), self.currency)

    @property
    def change(self) -> Decimal | None:
        """The draft minus the average."""
        return None if self.average is None else self.net - self.average

    @property
    def change_percent(self) -> Decimal | None:
        """The change in per cent of the average."""
        return self.change / self.average * 100 if self.change is not None and self.average else None


def compare(invoices: Sequence[Invoice]) -> dict[int, Comparison]:
    """Each invoice, by id, against its client's earlier periods: one query, however many there are.

    Earlier are periods that ended before this one began, of runs of the same frequency, with whatever was billed
    in them but drafts and what was rejected or cancelled.
    """
    if not invoices:
        return {}
    starts = [invoice.period_start for invoice in invoices]
    rows = (
        Invoice.objects.filter(
            client__in={invoice.client_id for invoice in invoices},
            period_end__lte=max(starts),
            period_end__gt=min(starts) - _LOOK_BACK,
        )
        .exclude(state__in=(*DEAD, *UNAPPROVED))
        .order_by("period_start", "period_end")
        .values_list("client", "currency", "group_key", "run__frequency", "period_start", "period_end")
        .annotate(total=Sum("net"))
    )
    billed: dict[tuple[object, ...], list[Past]] = defaultdict(list)
    for client, currency, group_key, frequency, start, end, total in rows:
        billed[client, currency, group_key, frequency].append(Past(start, end, total))
    found = {}
    for invoice in invoices:
        key = (invoice.client_id, invoice.currency, invoice.group_key, invoice.run.frequency)
        past = [one for one in billed.get(key, ()) if one.end <= invoice.period_start]
        found[invoice.pk] = Comparison(invoice.net, invoice.currency, tuple(past[-PERIODS:]))
    return found


def plot(invoice: Invoice, comparison: Comparison) -> BarPlot | None:
    """Up to four bars, the draft's last; None with fewer than three numbers, which are written out instead."""
    if len(comparison.past) + 1 < PERIODS:
        return None
    columns = [Column(label(one.start, invoice.run.frequency), (max(one.net, money.ZERO),)) for one in comparison.past]
    own = max(comparison.net, money.ZERO)
    columns.append(Column(label(invoice.period_start, invoice.run.frequency), (own,), is_current=True))
    title = _("%(client)s, before tax, %(currency)s") % {"client": invoice.client, "currency": invoice.currency}
    return stack_bars(title, [Series("paid", _("Billed before tax"))], columns, height=96)


def label(start: dt.date, frequency: str) -> str:
    """A period in one or two words: its month, or the day it began."""
    return formats.date_format(start, "M" if frequency == Frequency.MONTHLY else "j M")
