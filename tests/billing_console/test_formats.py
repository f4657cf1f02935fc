from __future__ import annotations

import datetime as dt
from decimal import Decimal as D

import pytest
from django.utils import translation

from billing_console import clock
from billing_console.formats import (
    age,
    amount,
    day,
    hours,
    moment,
    money,
    percent,
    period,
    period_name,
    rate,
    raw_to_billed,
    time_of_day,
)

NBSP = "\u00a0"
MINUS = "\u2212"


@pytest.mark.parametrize(
    ("value", "currency", "expected"),
    [
        (D("14212.5"), "EUR", f"14,212.50{NBSP}EUR"),
        (D("0"), "EUR", f"0.00{NBSP}EUR"),
        (D("12.345"), "EUR", f"12.35{NBSP}EUR"),
        (D("-46.17"), "EUR", f"{MINUS}46.17{NBSP}EUR"),
        (D("1234.5"), "JPY", f"1,235{NBSP}JPY"),
        (D("1.2345"), "KWD", f"1.235{NBSP}KWD"),
        (D("1000000"), "USD", f"1,000,000.00{NBSP}USD"),
        (None, "EUR", "–"),
    ],
)
def test_money_has_the_currency_behind_a_no_break_space_and_its_own_decimals(
    value: D | None, currency: str, expected: str
) -> None:
    assert money(value, currency) == expected


def test_changes_carry_their_sign() -> None:
    assert money(D("46.17"), "EUR", is_signed=True) == f"+46.17{NBSP}EUR"
    assert money(D("-46.17"), "EUR", is_signed=True) == f"{MINUS}46.17{NBSP}EUR"
    assert money(D("0"), "EUR", is_signed=True) == f"0.00{NBSP}EUR"
    assert percent(D("0.849"), is_signed=True) == f"+0.8{NBSP}%"
    assert percent(D("0.85"), is_signed=True) == f"+0.9{NBSP}%"
    assert percent(D("-12.5"), is_signed=True) == f"{MINUS}12.5{NBSP}%"


def test_a_column_of_one_currency_leaves_the_code_out() -> None:
    assert amount(D("5478.75"), "EUR") == "5,478.75"
    assert amount(None, "EUR") == "–"


@pytest.mark.parametrize(
    ("value", "expected"),
    [(D("95"), f"95.00{NBSP}EUR"), (D("87.125"), f"87.125{NBSP}EUR"), (D("87.500"), f"87.50{NBSP}EUR")],
)
def test_a_rate_is_never_shown_rounded(value: D, expected: str) -> None:
    assert rate(value, "EUR") == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (D("2.25"), "2.25"),
        (D("2.100000"), "2.10"),
        (D("0.333333"), "0.333333"),
        (D("100"), "100.00"),
        (D("0"), "0.00"),
        (D("1234.5"), "1,234.50"),
    ],
)
def test_hours_have_two_decimals_and_more_only_where_they_matter(value: D, expected: str) -> None:
    assert hours(value) == f"{expected}{NBSP}h"


def test_raw_to_billed_shows_the_step_or_that_there_was_none() -> None:
    assert raw_to_billed(D("2.10"), D("2.25")) == (
        f'<span class="bc-num">2.10 → <strong>2.25{NBSP}h</strong><span class="bc-sub">+0.15{NBSP}h</span></span>'
    )
    assert f'<strong>2.25{NBSP}h</strong><span class="bc-sub">exact</span>' in raw_to_billed(D("2.25"), D("2.25"))
    assert f"{MINUS}0.10{NBSP}h" in raw_to_billed(D("2.10"), D("2.00"))
    assert raw_to_billed(D("2.10"), None) == f'<span class="bc-num">2.10{NBSP}h</span>'
    assert "–" in raw_to_billed(None, None)


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        ("en-gb", f"14,212.50{NBSP}EUR"),
        ("fr", f"14{NBSP}212,50{NBSP}EUR"),
        ("nl", f"14.212,50{NBSP}EUR"),
        ("de", f"14.212,50{NBSP}EUR"),
    ],
)
def test_money_in_every_language(language: str, expected: str) -> None:
    with translation.override(language):
        # French groups with a narrow no-break space in some versions of Django.
        assert money(D("14212.5"), "EUR").replace("\u202f", NBSP) == expected


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (dt.date(2025, 12, 1), dt.date(2026, 1, 1), "1–31 Dec 2025"),
        (dt.date(2025, 11, 1), dt.date(2026, 1, 1), "1 Nov – 31 Dec 2025"),
        (dt.date(2025, 12, 29), dt.date(2026, 1, 12), "29 Dec 2025 – 11 Jan 2026"),
        (dt.date(2025, 12, 1), dt.date(2025, 12, 2), "1 Dec 2025"),
    ],
)
def test_a_half_open_period_is_said_with_its_last_day(start: dt.date, end: dt.date, expected: str) -> None:
    assert period(start, end) == expected


@pytest.mark.parametrize(
    ("start", "end", "language", "expected"),
    [
        (dt.date(2025, 12, 1), dt.date(2026, 1, 1), "en-gb", "December 2025"),
        (dt.date(2025, 12, 1), dt.date(2026, 1, 1), "fr", "décembre 2025"),
        (dt.date(2026, 2, 1), dt.date(2026, 3, 1), "nl", "februari 2026"),
        (dt.date(2025, 10, 6), dt.date(2025, 10, 13), "en-gb", "week 41 of 2025"),
        (dt.date(2025, 12, 29), dt.date(2026, 1, 5), "en-gb", "week 1 of 2026"),
        (dt.date(2025, 9, 29), dt.date(2025, 10, 13), "en-gb", "29 Sep – 12 Oct 2025"),
        (dt.date(2025, 12, 1), dt.date(2025, 12, 15), "en-gb", "1–14 Dec 2025"),
        (dt.date(2026, 2, 2), dt.date(2026, 3, 1), "en-gb", "2–28 Feb 2026"),
    ],
)
def test_a_period_has_a_name_that_no_other_one_has(start: dt.date, end: dt.date, language: str, expected: str) -> None:
    with translation.override(language):
        assert period_name(start, end) == expected


def test_dates_and_moments() -> None:
    noon = dt.datetime(2026, 1, 12, 23, 30, tzinfo=dt.UTC)

    assert day(dt.date(2026, 1, 12)) == "12 Jan 2026"
    assert day(None) == "–"
    assert moment(noon, "Europe/Brussels") == "13 Jan 2026 00:30"
    assert moment(noon, "Europe/Brussels", has_zone=True) == "13 Jan 2026 00:30 Europe/Brussels"
    assert time_of_day(None, "UTC") == "never"
    assert time_of_day(noon, "UTC") == "12 Jan 2026 23:30"
    assert time_of_day(dt.datetime.now(dt.UTC), "UTC").count(":") == 1


def test_the_age_of_a_date_follows_the_business_clock() -> None:
    with clock.set_to(dt.datetime(2026, 1, 12, 23, 30, tzinfo=dt.UTC)):
        assert age(dt.date(2026, 1, 12)) == "today"
        assert age(dt.date(2026, 1, 12), "Europe/Brussels") == "1 day"
        assert age(dt.date(2026, 1, 6)) == "6 days"
        assert age(dt.date(2026, 2, 1)) == "today"
        assert age(None) == "–"


def test_the_age_of_an_instant_follows_real_time() -> None:
    with clock.set_to(dt.datetime(2020, 1, 1, tzinfo=dt.UTC)):
        assert age(dt.datetime.now(dt.UTC) - dt.timedelta(days=3)) == "3 days"
