"""How far a server's clock is from ours: read from the Date of its answer, and only where that says something."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sync.clients.answers import wait_seconds_of
from sync.clients.skew import skew_of

NOW = datetime(2026, 1, 12, 8, 12, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Date": "Mon, 12 Jan 2026 08:12:30 GMT"}, 0),
        ({"Date": "Mon, 12 Jan 2026 08:13:30 GMT"}, 60),
        ({"Date": "Mon, 12 Jan 2026 07:12:30 GMT"}, -3600),
        ({"Date": "Mon, 12 Jan 2026 09:12:30 +0100"}, 0),
        ({"Date": "Mon, 12 Jan 2026 07:12:30 GMT", "Age": "3600"}, None),
        ({"Date": "yesterday"}, None),
        ({"Date": ""}, None),
        ({"Date": "Mon, 12 Jan 99999999999 08:12:30 GMT"}, None),
        ({"Date": "Fri, 31 Dec 9999 23:59:59 -2359"}, None),
        ({}, None),
    ],
)
def test_the_skew_is_theirs_minus_ours(headers: dict[str, str], seconds: int | None) -> None:
    assert skew_of(headers, NOW) == (None if seconds is None else timedelta(seconds=seconds))


WORDS = st.sampled_from(
    ["Mon,", "12", "Jan", "2026", "99999999999", "08:12:30", "99:99:99", "GMT", "+0100", "-9999", "Z"]
)


@given(st.one_of(st.text(max_size=60), st.lists(WORDS, max_size=8).map(" ".join), st.integers().map(str)))
@example("Mon, 12 Jan 99999999999 08:12:30 GMT")
@example("12 Jan 0000 00:00:00 +0100")
def test_whatever_a_header_says_is_a_time_or_nothing(text: str) -> None:
    wait = wait_seconds_of({"Retry-After": text})
    skew = skew_of({"Date": text}, NOW)

    assert wait is None or 0 <= wait <= 86_400
    assert skew is None or abs(skew) < timedelta(days=4_000_000)
