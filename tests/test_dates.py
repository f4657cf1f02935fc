"""The clocks that `make test-dates` runs the suite under."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pytest

from tests.dates import DATES

OFFICE = ZoneInfo("Europe/Brussels")


def test_the_days_that_once_were_trouble_are_among_them() -> None:
    days = {(begin.astimezone(OFFICE).month, begin.astimezone(OFFICE).day) for begin in DATES.values()}

    assert days >= {(12, 1), (12, 9), (12, 10), (2, 28), (2, 29), (3, 31), (10, 25), (12, 31), (1, 15)}
    assert any(begin.astimezone(OFFICE).year == 2027 and begin.month == 1 for begin in DATES.values())


@pytest.mark.parametrize("zone", [OFFICE, dt.UTC])
def test_a_run_of_minutes_passes_midnight_of_each_zone(zone: dt.tzinfo) -> None:
    nights = [begin for begin in DATES.values() if is_night(begin.astimezone(zone))]

    assert nights, "none begins within two minutes before midnight"


def is_night(local: dt.datetime) -> bool:
    return local.date() != (local + dt.timedelta(minutes=2)).date()
