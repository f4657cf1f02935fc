"""billing-rules: Work date and time zone, When a run bills what, Terms."""

from __future__ import annotations

import datetime as dt
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.rules import (
    Period,
    PlainSchedule,
    Terms,
    biweekly,
    due_runs,
    iso_week,
    last_run_on_or_before,
    month,
    next_run_after,
    previous_month,
    read_terms,
    run_day,
)

ZONES = ["Europe/Brussels", "America/New_York"]
DAY = dt.timedelta(days=1)


def day(text: str) -> dt.date:
    return dt.date.fromisoformat(text)


def utc(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


def test_december_ends_at_local_midnight() -> None:
    start, end = month(2025, 12).bounds("Europe/Brussels")
    assert (start, end) == (utc("2025-11-30T23:00:00"), utc("2025-12-31T23:00:00"))
    assert utc("2025-12-31T22:59:59") < end
    assert not utc("2025-12-31T23:00:00") < end


@pytest.mark.parametrize(
    ("monday", "zone", "hours"),
    [
        ("2026-03-23", "Europe/Brussels", 167),
        ("2026-10-19", "Europe/Brussels", 169),
        ("2026-03-02", "America/New_York", 167),
        ("2026-10-26", "America/New_York", 169),
        ("2026-06-01", "Europe/Brussels", 168),
        ("2026-03-23", "UTC", 168),
    ],
)
def test_weeks_of_a_clock_change(monday: str, zone: str, hours: int) -> None:
    start, end = iso_week(day(monday)).bounds(zone)
    assert (end - start) == dt.timedelta(hours=hours)


def test_a_midnight_that_does_not_exist_is_the_moment_of_the_change() -> None:
    start, _ = Period(day("2018-11-04"), day("2018-11-05")).bounds("America/Sao_Paulo")
    assert start == utc("2018-11-04T03:00:00")


@pytest.mark.parametrize(
    ("on", "start", "end"),
    [("2026-01-31", "2025-12-01", "2026-01-01"), ("2026-03-01", "2026-02-01", "2026-03-01")],
)
def test_previous_month(on: str, start: str, end: str) -> None:
    assert previous_month(day(on)) == Period(day(start), day(end))


def test_a_period_names_its_days() -> None:
    december = month(2025, 12)
    assert december.last_day == day("2025-12-31")
    assert december.contains(day("2025-12-31"))
    assert not december.contains(day("2026-01-01"))


@pytest.mark.parametrize(
    ("year", "number", "configured", "expected"),
    [
        (2026, 1, 31, "2026-01-31"),
        (2026, 2, 31, "2026-02-28"),
        (2028, 2, 31, "2028-02-29"),
        (2026, 3, 31, "2026-03-31"),
        (2026, 4, 31, "2026-04-30"),
        (2026, 4, 1, "2026-04-01"),
    ],
)
def test_run_day_is_always_from_the_configured_day(year: int, number: int, configured: int, expected: str) -> None:
    assert run_day(year, number, configured) == day(expected)


@pytest.mark.parametrize(
    ("schedule", "today", "run_on", "start", "last"),
    [
        (PlainSchedule("monthly", 1), "2026-01-01", "2026-01-01", "2025-12-01", "2025-12-31"),
        (PlainSchedule("monthly", 15), "2026-01-14", "2025-12-15", "2025-11-01", "2025-11-30"),
        (PlainSchedule("monthly", 31), "2026-03-30", "2026-02-28", "2026-01-01", "2026-01-31"),
        (PlainSchedule("weekly", generation_weekday=1), "2026-01-05", "2026-01-05", "2025-12-29", "2026-01-04"),
        (PlainSchedule("weekly", generation_weekday=5), "2026-01-08", "2026-01-02", "2025-12-22", "2025-12-28"),
        (
            PlainSchedule("biweekly", anchor_date=dt.date(2026, 1, 5)),
            "2026-01-19",
            "2026-01-19",
            "2026-01-05",
            "2026-01-18",
        ),
        (
            PlainSchedule("biweekly", anchor_date=dt.date(2026, 1, 5)),
            "2026-01-18",
            "2026-01-05",
            "2025-12-22",
            "2026-01-04",
        ),
    ],
)
def test_the_run_that_is_due(schedule: PlainSchedule, today: str, run_on: str, start: str, last: str) -> None:
    found, period = last_run_on_or_before(schedule, day(today))
    assert (found, period.start, period.last_day) == (day(run_on), day(start), day(last))
    assert due_runs(schedule, None, day(today)) == [(found, period)]


def test_next_run_of_the_form() -> None:
    assert next_run_after(PlainSchedule("monthly", 31), day("2026-01-15")) == (day("2026-01-31"), month(2025, 12))
    assert next_run_after(PlainSchedule("monthly", 1), day("2025-12-01")) == (day("2026-01-01"), month(2025, 12))
    assert next_run_after(PlainSchedule("monthly", 31), day("2026-01-31")) == (day("2026-02-28"), month(2026, 1))


def test_missed_days_are_caught_up_in_order() -> None:
    runs = due_runs(PlainSchedule("monthly", 31), day("2026-01-31"), day("2026-04-30"))
    assert runs == [
        (day("2026-02-28"), month(2026, 1)),
        (day("2026-03-31"), month(2026, 2)),
        (day("2026-04-30"), month(2026, 3)),
    ]
    assert due_runs(PlainSchedule("monthly", 31), day("2026-04-30"), day("2026-05-30")) == []


def test_biweekly_without_anchor_is_refused() -> None:
    with pytest.raises(ValueError, match="anchor"):
        last_run_on_or_before(PlainSchedule("biweekly"), day("2026-01-01"))


def test_unknown_frequency_is_refused() -> None:
    with pytest.raises(ValueError, match="yearly"):
        last_run_on_or_before(PlainSchedule("yearly"), day("2026-01-01"))


schedules = st.builds(
    PlainSchedule,
    st.sampled_from(["monthly", "weekly", "biweekly"]),
    st.integers(1, 31),
    st.integers(1, 7),
    st.dates(dt.date(2020, 1, 1), dt.date(2030, 12, 31)),
)


@given(schedules)
def test_periods_tile_ten_years(schedule: PlainSchedule) -> None:
    runs = due_runs(schedule, dt.date(2020, 1, 1), dt.date(2030, 1, 1))
    assert len(runs) >= 119
    for (run_on, period), (next_on, following) in pairwise(runs):
        assert run_on < next_on
        assert period.end == following.start
        assert period.end <= run_on
    for zone in ZONES:
        for (_, period), (_, following) in pairwise(runs):
            assert period.bounds(zone)[1] == following.bounds(zone)[0]


@pytest.mark.parametrize("zone", ZONES)
@given(schedules, st.integers(0, 10 * 365 * 86_400 - 1))
def test_every_instant_of_ten_years_is_billed_by_exactly_one_run(
    zone: str, schedule: PlainSchedule, second: int
) -> None:
    instant = utc("2021-01-01T00:00:00") + dt.timedelta(seconds=second)
    runs = due_runs(schedule, dt.date(2020, 1, 1), dt.date(2032, 3, 1))
    holding = [period for _, period in runs if period.bounds(zone)[0] <= instant < period.bounds(zone)[1]]
    assert len(holding) == 1
    assert holding[0].contains(instant.astimezone(ZoneInfo(zone)).date())


@given(schedules, st.dates(dt.date(2020, 1, 1), dt.date(2030, 1, 1)), st.integers(0, 400))
def test_catching_up_in_pieces_is_catching_up_at_once(schedule: PlainSchedule, after: dt.date, gap: int) -> None:
    middle, end = after + dt.timedelta(days=gap), after + dt.timedelta(days=2 * gap)
    assert due_runs(schedule, after, middle) + due_runs(schedule, middle, end) == due_runs(schedule, after, end)


@given(schedules, st.dates(dt.date(2020, 1, 1), dt.date(2030, 1, 1)))
def test_next_and_last_run_agree(schedule: PlainSchedule, today: dt.date) -> None:
    following = next_run_after(schedule, today)
    assert following[0] > today
    assert last_run_on_or_before(schedule, following[0]) == following
    assert last_run_on_or_before(schedule, following[0] - DAY)[0] <= today


@given(st.dates(dt.date(2000, 1, 1), dt.date(2040, 1, 1)), st.dates(dt.date(2000, 1, 1), dt.date(2040, 1, 1)))
def test_every_day_is_in_its_two_weeks(anchor: dt.date, on: dt.date) -> None:
    period = biweekly(anchor, on)
    assert period.contains(on)
    assert (period.start - anchor).days % 14 == 0
    assert (period.end - period.start).days == 14


@pytest.mark.parametrize(
    ("terms", "days"), [("net30", 30), ("net0", 0), ("NET14", 14), ("net999", 999), ("due_on_receipt", 0)]
)
def test_payment_terms(terms: str, days: int) -> None:
    assert read_terms(terms) == Terms(days)


@pytest.mark.parametrize(
    ("terms", "days"),
    [
        ("net 30 end of month", 30),
        ("net30 end of month", 30),
        ("NET 0  End of Month", 0),
        ("net 999 end of month", 999),
    ],
)
def test_payment_terms_with_the_end_of_the_month(terms: str, days: int) -> None:
    assert read_terms(terms) == Terms(days, is_end_of_month=True)


@pytest.mark.parametrize(
    "terms", ["net-5", "net1000", "30", "net 30", "", "net", "net3.5", "net٣", "net end of month", "net 30 end of year"]
)
def test_payment_terms_that_are_none(terms: str) -> None:
    with pytest.raises(ValueError, match="no payment term"):
        read_terms(terms)


@pytest.mark.parametrize(
    ("invoiced", "terms", "due"),
    [
        ("2026-01-02", "net30", "2026-02-01"),
        ("2026-01-31", "net0", "2026-01-31"),
        ("2026-01-31", "due_on_receipt", "2026-01-31"),
        ("2028-02-28", "net1", "2028-02-29"),
        ("2026-03-28", "net2", "2026-03-30"),  # over the change to summer time
        ("2025-12-15", "net60", "2026-02-13"),
        ("2026-01-01", "net999", "2028-09-26"),
        ("2026-01-02", "net 30 end of month", "2026-02-28"),
        ("2026-01-01", "net 30 end of month", "2026-01-31"),
        ("2026-01-31", "net 30 end of month", "2026-03-31"),
        ("2028-01-31", "net 29 end of month", "2028-02-29"),
        ("2025-12-15", "net 0 end of month", "2025-12-31"),
        ("2025-11-15", "net 45 end of month", "2025-12-31"),
    ],
)
def test_due_date_counts_calendar_days(invoiced: str, terms: str, due: str) -> None:
    assert read_terms(terms).due_date(day(invoiced)) == day(due)


@given(st.integers(0, 999))
def test_every_number_of_days_is_a_term(days: int) -> None:
    assert read_terms(f"net{days}") == Terms(days)
    assert Terms(days).due_date(day("2026-01-01")) - day("2026-01-01") == dt.timedelta(days=days)


@given(st.dates(dt.date(2000, 1, 1), dt.date(2090, 1, 1)), st.integers(0, 999))
def test_the_end_of_the_month_is_the_last_day_of_the_month_in_which_the_days_end(on: dt.date, days: int) -> None:
    due, plain = Terms(days, is_end_of_month=True).due_date(on), Terms(days).due_date(on)
    assert due >= plain
    assert (due.year, due.month) == (plain.year, plain.month)
    assert (due + DAY).day == 1


def test_terms_text() -> None:
    assert Terms(30).text == "Payment due within 30 days"
    assert Terms(1).text == "Payment due within 1 day"
    assert Terms(0).text == "Payment due on receipt"
    assert Terms(30, is_end_of_month=True).text == "Payment due 30 days, end of month"
    assert Terms(1, is_end_of_month=True).text == "Payment due 1 day, end of month"
    assert Terms(0, is_end_of_month=True).text == "Payment due end of month"
