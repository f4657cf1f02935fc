"""How far the changes in Invoice Ninja have been read: positions in its own time, which is believed up to ours alone.

A server whose clock was ahead leaves times that have not come yet. A position that followed them would pass by all that
happens until then, so none lies after our own present, nor after the server's (the Date of its answers). What has such
a time is read again and again until it has come, and is said (`PollCursor.ahead_until`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Final, Protocol

from billing_console import clock
from invoicing.models import PollCursor

# A change gets its time when it begins there, and is seen when it ends: a bulk action takes minutes.
OVERLAP: Final = dt.timedelta(minutes=5)
# By how much two clocks may differ before anything is said: as the doctor sees it.
AHEAD: Final = dt.timedelta(seconds=60)
_STEP: Final = dt.timedelta(seconds=2)  # a clock that is set right by so little went nowhere


class Dated(Protocol):
    """A row with the time of its last change there (UTC)."""

    @property
    def updated_at(self) -> dt.datetime | None: ...


class Position:
    """One reading of what changed: `since` is where to ask from (UTC; None is all of it).

    All of it, too, where the last reading ended in our future: our own clock was ahead then, and nobody knows what
    happened since it was set right.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._began = clock.now()
        self._newest: dt.datetime | None = None
        cursor = PollCursor.objects.filter(name=name).first()
        is_known = cursor is not None and cursor.seen_until <= self._began + _STEP
        self.since = cursor.seen_until - OVERLAP if cursor is not None and is_known else None

    def note(self, rows: Iterable[Dated]) -> None:
        """Remember what was read."""
        known = [row.updated_at for row in rows if row.updated_at is not None]
        self._newest = max([*known, self._newest] if self._newest else known, default=None)

    def end(self, skew: dt.timedelta | None, *, before: dt.datetime | None = None) -> None:
        """The next reading goes on after the newest row, but never after our present, theirs, or `before`.

        `skew` is their clock minus ours by the last answer, None where it named no time.
        """
        ahead = self._newest if self._newest and self._newest > self._began + AHEAD else None
        if self._newest is not None:
            present = self._began + min(skew or dt.timedelta(), dt.timedelta())
            until = min(self._newest, present, before or self._newest)
            PollCursor.objects.update_or_create(name=self._name, defaults={"seen_until": until, "ahead_until": ahead})
        else:
            self.say(None)

    def say(self, ahead: dt.datetime | None = None) -> None:
        """Keep the position as it is."""
        PollCursor.objects.filter(name=self._name).update(ahead_until=ahead)


def is_older(theirs: dt.datetime | None, known: dt.datetime | None) -> bool:
    """Whether a reading is older than what is known, by the times of change there.

    A known time that has not come yet proves nothing: their clock was ahead.
    """
    return theirs is not None and known is not None and theirs < known <= clock.now() + AHEAD


def as_known(theirs: dt.datetime | None) -> dt.datetime | None:
    """A time of change to remember: our present at the latest, so that no later reading looks older."""
    return min(theirs, clock.now()) if theirs is not None else None
