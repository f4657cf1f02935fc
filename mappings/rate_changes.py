"""What may be changed about a rate that has already priced something (billing-rules: Rate)."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any, Final, NamedTuple

from django.db.models import Count, F, Max, Min, Q
from django.utils.formats import date_format
from django.utils.translation import ngettext

from billing_console.states import EntryState
from mappings.models import Rate
from mappings.models.rates import LEVEL_KEYS, RateLevel
from mappings.rules import ONE_DAY

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


def predecessor_of(rate: Rate) -> Rate | None:
    """The rate of the same kind that holds on the first day of `rate` (not stored yet) and began before it; one query.

    None where it would go on after `rate` ends: ending it would leave days without a rate that have one now.
    """
    if rate.valid_from is None:
        return None
    goes_on = Q(valid_to__isnull=True) | Q(valid_to__gt=rate.valid_from)
    has_begun = Q(valid_from__isnull=True) | Q(valid_from__lt=rate.valid_from)
    found = Rate.objects.filter(goes_on, has_begun, **_kind_of(rate)).exclude(pk=rate.pk).first()
    if found is None or (rate.valid_to is not None and found.valid_to is not None and rate.valid_to < found.valid_to):
        return None
    return found


def next_rate_from(rate: Rate, today: dt.date, *, is_soonest: bool = False) -> Rate:
    """A rate that follows the stored `rate`, not stored: the same in all but its days, from the first free day.

    That is the day after the last entry in a draft or on an invoice that was priced with it, or `today` if that is
    later (not with `is_soonest`); it ends where `rate` ends. One that has ended is followed from the day on which it
    ended. One query.
    """
    used = _use_of(rate)
    begins = today
    if used is not None:
        begins = used.last + ONE_DAY if is_soonest else max(today, used.last + ONE_DAY)
    if rate.valid_from is not None:
        begins = max(begins, rate.valid_from + ONE_DAY)
    ends = rate.valid_to
    if ends is not None and ends <= begins:
        begins, ends = ends, None
    return Rate(amount=rate.amount, currency=rate.currency, valid_from=begins, valid_to=ends, **_kind_of(rate))


def overlapping(rate: Rate) -> list[Rate]:
    """Stored rates of the same kind that hold on some day of `rate` (not stored yet), the earliest first; one query."""
    rows = Rate.objects.filter(**_kind_of(rate)).exclude(pk=rate.pk)
    if rate.valid_from is not None:
        rows = rows.filter(Q(valid_to__isnull=True) | Q(valid_to__gt=rate.valid_from))
    if rate.valid_to is not None:
        rows = rows.filter(Q(valid_from__isnull=True) | Q(valid_from__lt=rate.valid_to))
    return list(rows.order_by(F("valid_from").asc(nulls_first=True)))


def _kind_of(rate: Rate) -> dict[str, Any]:
    keys = {f"{key}_id": getattr(rate, f"{key}_id") for key in LEVEL_KEYS[RateLevel(rate.level)]}
    return {"level": rate.level, **keys}


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
    ) % {"count": used.entries, "day": date_format(used.last + ONE_DAY, "j M Y")}
