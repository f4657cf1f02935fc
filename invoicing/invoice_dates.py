"""Which date an invoice may bear: from the last invoice date of the company, and the first open day, to today.

Local days of the invoice's zone (billing-rules: Figures as at a day, and closing; Invoice date).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from django.db.models import Max
from django.utils.translation import gettext as _

from billing_console import clock, formats
from billing_console.errors import NotAllowed
from billing_console.states import InvoiceState
from billing_console.values import day_of
from invoicing.books import closed
from invoicing.models import Invoice
from mappings.models import Company, InvoiceDate
from mappings.rules import ONE_DAY

# Invoices that never got a number there leave no gap behind.
_WITHOUT_NUMBER = (InvoiceState.DRAFT, InvoiceState.HELD, InvoiceState.REJECTED)


@dataclass(frozen=True)
class Bounds:
    """The dates that a draft may get, both included, and the one that is proposed."""

    first: dt.date
    last: dt.date
    proposed: dt.date

    def check(self, day: dt.date) -> dt.date:
        """`day` itself. Raises NotAllowed where it lies beyond."""
        if self.first <= day <= self.last:
            return day
        words = {"day": formats.day(day), "first": formats.day(self.first), "last": formats.day(self.last)}
        raise NotAllowed(
            _(
                "%(day)s cannot be the invoice date: it must lie between %(first)s (the last invoice date, or the day "
                "after the last closed month) and %(last)s."
            )
            % words
        )


def read(typed: str) -> dt.date | None:
    """A day as a form sends it, ISO; None where nothing was typed. Raises NotAllowed."""
    if not typed.strip():
        return None
    if (day := day_of(typed)) is None:
        raise NotAllowed(_("“%(typed)s” is no date. Take one from the calendar.") % {"typed": typed[:40]})
    return day


def bounds(invoice: Invoice) -> Bounds:
    """What the draft may be dated; two queries."""
    return bounds_of([invoice])[invoice.pk]


def bounds_of(invoices: list[Invoice]) -> dict[int, Bounds]:
    """The same of many drafts (with their runs), by their ids; three queries."""
    open_from = closed.open_from()
    latest = Invoice.objects.exclude(state__in=_WITHOUT_NUMBER).aggregate(last=Max("invoice_date"))["last"]
    rule = Company.objects.values_list("invoice_date", flat=True).first() or InvoiceDate.APPROVAL
    found = {}
    for invoice in invoices:
        today = clock.today(invoice.timezone)
        # A zone that is ahead may have dated its last invoice tomorrow.
        first = min(max((day for day in (open_from, latest) if day is not None), default=dt.date.min), today)
        found[invoice.pk] = Bounds(first, today, min(max(_wanted(invoice, rule, today), first), today))
    return found


def _wanted(invoice: Invoice, rule: str, today: dt.date) -> dt.date:
    if rule == InvoiceDate.RUN:
        return clock.local_date(invoice.run.requested_at, invoice.timezone)
    return invoice.period_end - ONE_DAY if rule == InvoiceDate.PERIOD_END else today
