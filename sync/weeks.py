"""Weeks in which a person has more hours than plausible: a warning for who bills, never a hold.

All typed hours count, billed or not, by work date (the day of closing) in ISO weeks. A week has 168 hours; what is
plausible is a setting of the company.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Final
from urllib.parse import urlencode

from django.db.models import Sum
from django.db.models.functions import TruncWeek
from django.urls import reverse
from django.utils.translation import gettext as _

from billing_console import formats
from mappings.models import Company, Person
from sync.models import TimeEntry

HOURS_OF_A_WEEK: Final = Decimal(168)
WEEK: Final = dt.timedelta(days=7)


@dataclass(frozen=True)
class LongWeek:
    """One person's week with `hours` > `limit`; `monday` is its first day."""

    person: Person
    monday: dt.date
    hours: Decimal
    limit: Decimal

    @property
    def sentence(self) -> str:
        """Who, when, how much, and beyond what."""
        facts = {
            "person": self.person,
            "day": formats.day(self.monday),
            "hours": formats.hours(self.hours),
            "limit": formats.hours(self.limit),
        }
        if self.hours > HOURS_OF_A_WEEK:
            return _("%(person)s has %(hours)s in the week of %(day)s, more than a week has.") % facts
        return _("%(person)s has %(hours)s in the week of %(day)s, more than the plausible %(limit)s.") % facts

    @property
    def url(self) -> str:
        """The list of exactly these entries."""
        query = {
            "person__id__exact": self.person.pk,
            "work_date_from": self.monday.isoformat(),
            "work_date_to": (self.monday + WEEK - dt.timedelta(days=1)).isoformat(),
        }
        return f"{reverse('admin:sync_timeentry_changelist')}?{urlencode(query)}"


def monday_of(day: dt.date) -> dt.date:
    """The Monday of the day's ISO week."""
    return day - dt.timedelta(days=day.weekday())


def long_weeks(first: dt.date, last: dt.date, people: Iterable[int | None] | None = None) -> list[LongWeek]:
    """The long weeks that touch the days from `first` to `last`, of these people (None: all), the latest first.

    Two queries, three where there is one.
    """
    limit = Company.current().week_hours
    entries = TimeEntry.objects.filter(
        person__isnull=False, work_date__gte=monday_of(first), work_date__lt=monday_of(last) + WEEK
    )
    if people is not None:
        entries = entries.filter(person__in={person for person in people if person is not None})
    grouped = entries.order_by().values("person", week=TruncWeek("work_date")).annotate(hours=Sum("raw_hours"))
    rows = list(grouped.filter(hours__gt=limit).order_by("-week", "-hours", "person"))
    if not rows:
        return []
    by_id = Person.objects.in_bulk([row["person"] for row in rows])
    return [LongWeek(by_id[row["person"]], row["week"], row["hours"], limit) for row in rows]


def week_of(entry: TimeEntry) -> LongWeek | None:
    """The entry's own week, where it is a long one."""
    if entry.person_id is None or entry.work_date is None:
        return None
    found = long_weeks(entry.work_date, entry.work_date, [entry.person_id])
    return found[0] if found else None
