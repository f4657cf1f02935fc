"""How far a server's clock is from ours: read from the Date of its answer, and only where that says something."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

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
        ({}, None),
    ],
)
def test_the_skew_is_theirs_minus_ours(headers: dict[str, str], seconds: int | None) -> None:
    assert skew_of(headers, NOW) == (None if seconds is None else timedelta(seconds=seconds))
