"""How far a server's clock is from ours, by the Date of its last answer."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sync.clients.http import JsonClient


def http_date(text: str) -> datetime | None:
    """A time out of a header, in UTC; None for whatever is none, or has no zone. Never raises."""
    try:
        moment = parsedate_to_datetime(text)
        return moment.astimezone(UTC) if moment.tzinfo is not None else None
    except (ValueError, OverflowError, TypeError, IndexError):
        return None  # a year of eleven digits, a zone beyond a day, half a date


def skew_of(headers: Mapping[str, str], now: datetime) -> timedelta | None:
    """Their clock minus ours, to a second; None where the answer names no time or comes out of a cache."""
    text = headers.get("Date", "")
    theirs = http_date(text) if text and not headers.get("Age") else None
    return theirs - now if theirs is not None else None


class Clocked:
    """The part of a client that knows what time it is at the server."""

    _http: JsonClient

    @property
    def skew(self) -> timedelta | None:
        """The server's clock minus ours at the last answer; None where none came or it named no time."""
        return self._http.skew
