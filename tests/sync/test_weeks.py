"""Weeks with more hours than plausible: shown on the entry, in Needs attention and on the draft; nothing is held."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

from accounts.groups import update_groups
from billing_console import clock
from billing_console.states import EntryState
from mappings.models import Company
from sync import weeks
from sync.models import TimeEntry
from tests.people import browser_of
from tests.sync.making import Office

pytestmark = pytest.mark.django_db
MONDAY = dt.date(2025, 12, 1)


def typed(office: Office, number: int, hours: str, day: dt.date = MONDAY, **raw: object) -> TimeEntry:
    """Hours of alice, closed at noon of that day."""
    item = office.item(number, who=raw.pop("who", office.alice), hours=Decimal(hours), **raw)
    item.finished_at = item.closed_seen_at = dt.datetime.combine(day, dt.time(12), dt.UTC)
    item.save()
    return office.entry(item)


@pytest.mark.parametrize(
    ("hours", "limit", "words"),
    [
        (["20", "20", "20", "20"], 80, ""),
        (["20", "20", "20", "20", "0.25"], 80, "more than the plausible 80.00 h"),
        (["24"] * 7, 168, ""),
        (["24"] * 7 + ["0.25"], 168, "more than a week has"),
        (["24"] * 7 + ["0.25"], 80, "more than a week has"),
    ],
)
def test_a_week_is_long_beyond_the_limit(office: Office, hours: list[str], limit: int, words: str) -> None:
    Company.objects.update(week_hours=limit)
    for number, each in enumerate(hours, 1):
        # A week begins on Monday; the local day counts, not the instant's.
        typed(office, number, each, MONDAY + dt.timedelta(days=number % 7))
    found = weeks.long_weeks(MONDAY, MONDAY)
    assert [(week.person, week.monday, week.hours) for week in found] == (
        [(office.alice, MONDAY, sum(map(Decimal, hours)))] if words else []
    )
    assert all(words in week.sentence.replace("\xa0", " ") for week in found)
    assert not TimeEntry.objects.exclude(state=EntryState.READY).exists()


def test_weeks_and_people_are_apart_and_what_is_not_billable_counts(office: Office) -> None:
    Company.objects.update(week_hours=40)
    typed(office, 1, "24", MONDAY + dt.timedelta(days=6))
    typed(office, 2, "24", MONDAY + dt.timedelta(days=7))
    typed(office, 3, "24", who=office.carol)
    assert weeks.long_weeks(MONDAY, MONDAY + dt.timedelta(days=13)) == []
    last = typed(office, 4, "17", MONDAY + dt.timedelta(days=7), billable=False)
    assert [week.hours for week in weeks.long_weeks(MONDAY, MONDAY + dt.timedelta(days=7))] == [41]
    assert weeks.week_of(last) is not None
    assert weeks.week_of(TimeEntry.objects.get(item__taiga_id=1)) is None
    assert weeks.long_weeks(MONDAY, MONDAY + dt.timedelta(days=7), [office.carol.pk, None]) == []


def test_the_warning_stands_on_the_entry_and_under_needs_attention(office: Office) -> None:
    Company.objects.update(week_hours=40)
    update_groups("sync")
    entry, _other = [typed(office, number, "21") for number in (1, 2)]
    browser = browser_of("viewer")
    sentence = "Alice has 42.00 h in the week of 1 Dec 2025, more than the plausible 40.00 h."
    page = browser.get(f"/admin/sync/timeentry/{entry.pk}/change/").content.decode()
    assert sentence in page.replace("\xa0", " ")
    with clock.set_to(dt.datetime(2025, 12, 20, tzinfo=dt.UTC)):
        page = browser.get("/admin/sync/attention/").content.decode().replace("\xa0", " ")
        assert sentence in page
        assert "Nothing is stuck" not in page
        (week,) = weeks.long_weeks(MONDAY, MONDAY)
        assert browser.get(week.url).context_data["cl"].queryset.count() == 2
    with clock.set_to(dt.datetime(2026, 6, 20, tzinfo=dt.UTC)):
        assert sentence not in browser.get("/admin/sync/attention/").content.decode().replace("\xa0", " ")
