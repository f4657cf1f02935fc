"""Numbers, days and months of forms and addresses: read, or None; never an error."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_console import values


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("12", 12),
        (str(2**63 - 1), 2**63 - 1),
        (str(2**63), None),
        ("9" * 5000, None),
        ("-1", None),
        ("+1", None),
        ("²", None),
        ("٣", None),
        (" 1", None),
        ("1.0", None),
        ("\0", None),
        ("", None),
        (None, None),
    ],
)
def test_a_number_is_what_a_column_holds(text: str | None, number: int | None) -> None:
    assert values.number_of(text) == number


def test_of_many_those_that_are_numbers_are_taken() -> None:
    assert values.numbers_of(["1", "x", "9" * 30, "2"]) == [1, 2]


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2026-02-28", dt.date(2026, 2, 28)),
        (" 1970-01-01 ", dt.date(1970, 1, 1)),
        ("2199-12-31", dt.date(2199, 12, 31)),
        ("1969-12-31", None),
        ("9999-12-31", None),
        ("0001-01-01", None),
        ("2026-02-30", None),
        ("2026", None),
        ("\0", None),
        (None, None),
    ],
)
def test_a_day_is_one_that_somebody_can_mean(text: str | None, day: dt.date | None) -> None:
    assert values.day_of(text) == day


@pytest.mark.parametrize(
    ("text", "month"),
    [("2025-12", (2025, 12)), ("2025-13", None), ("9999-12", None), ("0000-01", None), ("2025-1", None), ("", None)],
)
def test_a_month_is_one_that_somebody_can_mean(text: str, month: Any) -> None:
    assert values.month_of(text) == month


@given(st.text())
def test_no_text_raises(text: str) -> None:
    values.number_of(text)
    values.day_of(text)
    values.month_of(text)
