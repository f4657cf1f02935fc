"""Many hands for much work: a task that finds a long queue calls others to drain it beside itself.

Each takes rows by claims of its own, so any number may work at once; how many calls run at a time is bounded by the
slots of the servers. Without a broker nobody comes, and the work is done one after the other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from django.db.models import QuerySet

from sync import doorbell, outbox
from sync.models import RecordKind

MOST_HELPERS: Final = 11  # with the one that calls them, more than calls at a time: some do their own work
SHARE: Final = 4  # rows that are worth a helper
# Reading, pushing and writing back follow each other: who reads with all threads keeps what was read from being pushed.
STAGE_HELPERS: Final = 4


def drain_together(
    bell: str,
    drain: Callable[[], int],
    due: QuerySet,
    *,
    busy: QuerySet,
    is_helper: bool,
    most: int = MOST_HELPERS,
) -> int:
    """Drain, with a helper for every few rows of `due`, at most `most`; returns how many this one did itself.

    `busy` are the rows that somebody works on, by a claim: so many hands fewer are called. This one drains whatever
    they say, for a claim may be of somebody who died. A helper calls nobody. What is left when this one has done its
    share is rung for again.
    """
    if is_helper:
        return drain()
    waiting = due.order_by()[: most * SHARE].count()
    doorbell.call_helpers(bell, max(0, min(waiting // SHARE, most - busy.order_by().count())))
    done = drain()
    if done and due.exists():
        doorbell.ring(bell)
    return done


def drain_records(
    bell: str, kind: RecordKind, drain: Callable[[], int], *, is_helper: bool, most: int = MOST_HELPERS
) -> int:
    """`drain_together` for the records of the outbox of one kind."""
    due, busy = outbox.due(kind), outbox.in_flight(kind)
    return drain_together(bell, drain, due, busy=busy, is_helper=is_helper, most=most)
