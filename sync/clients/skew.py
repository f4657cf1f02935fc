"""How far a server's clock is from ours, by the Date of its last answer."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sync.clients.http import JsonClient


def skew_of(headers: Mapping[str, str], now: datetime) -> timedelta | None:
    """Their clock minus ours, to a second; None where the answer names no time or comes out of a cache."""
    text = headers.get("Date", "")
    if not text or headers.get("Age"):
        return None
    try:
        theirs = parsedate_to_datetime(text)
    except ValueError:
        return None
    return theirs - now if theirs.tzinfo is not None else None


class Clocked:
    """The part of a client that knows what time it is at the server."""

    _http: JsonClient

    @property
    def skew(self) -> timedelta | None:
        """The server's clock minus ours at the last answer; None where none came or it named no time."""
        return self._http.skew
