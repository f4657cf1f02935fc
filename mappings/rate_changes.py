"""What may be changed about a rate that has already priced something (billing-rules: Rate)."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Final, NamedTuple

from django.db.models import Count, Max, Min
from django.utils.formats import date_format
from django.utils.translation import ngettext

from billing_console.states import EntryState
from mappings.models import Rate
from mappings.models.rates import LEVEL_KEYS, RateLevel

FIXED_STATES: Final = (EntryState.CLAIMED, EntryState.INVOICED)


def refusal_of_change(
    rate: Rate, *, amount: Decimal, currency: str, valid_from: dt.date | None, valid_to: dt.date | None
) -> str | None:
    """Why the stored `rate` cannot take these values, in one sentence; None where it can. One query.

    A rate that priced an entry in a draft or on an invoice keeps its amount, and stays valid on the days of those
    entries; ending it after the last of them is fine.
    """
    used = _use_of(rate)
    if used is None:
        return None
    keeps_price = (amount, currency) == (rate.amount, rate.currency)
    keeps_days = (valid_from is None or valid_from <= used.first) and (valid_to is None or used.last < valid_to)
    return None if keeps_price and keeps_days else _refusal(used)


def open_predecessor(rate: Rate) -> Rate | None:
    """The rate of the same kind that is open-ended and began before `rate` (not stored yet) does; one query."""
    if rate.valid_from is None:
        return None
    keys = {f"{key}_id": getattr(rate, f"{key}_id") for key in LEVEL_KEYS[RateLevel(rate.level)]}
    earlier = Rate.objects.filter(level=rate.level, valid_to__isnull=True, **keys).exclude(pk=rate.pk)
    found = earlier.first()
    if found is None or (found.valid_from is not None and found.valid_from >= rate.valid_from):
        return None
    return found


class _Use(NamedTuple):
    entries: int
    first: dt.date
    last: dt.date


def _use_of(rate: Rate) -> _Use | None:
    fixed = Rate.objects.filter(pk=rate.pk, entries__state__in=FIXED_STATES)
    used = fixed.aggregate(count=Count("entries"), first=Min("entries__work_date"), last=Max("entries__work_date"))
    return _Use(used["count"], used["first"], used["last"]) if used["count"] else None


def _refusal(used: _Use) -> str:
    return ngettext(
        "%(count)s entry in a draft or on an invoice was priced with this rate, so it stays as it is. "
        "Add a new rate from %(day)s instead.",
        "%(count)s entries in drafts or on invoices were priced with this rate, so it stays as it is. "
        "Add a new rate from %(day)s instead.",
        used.entries,
    ) % {"count": used.entries, "day": date_format(used.last + dt.timedelta(days=1), "j M Y")}
