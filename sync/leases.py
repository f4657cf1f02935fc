"""Leases, judged by PostgreSQL's clock alone: who slept, and whose clock is wrong, learn of it before anything leaves.

A machine that was paused finds its own clocks where they were. So no lease is begun, prolonged or judged by the clock
of a process: whoever takes a row writes when its lease ends as PostgreSQL sees it, and PostgreSQL says whether it still
runs, in the statement that gives a call its slot and once more when the bytes of a write are about to leave.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final

from django.conf import settings
from django.db import OperationalError, connection
from django.db.models import Model, Q
from django.db.models.expressions import Combinable
from django.db.models.functions import Now

from billing_console.errors import ClaimLost, UpstreamError

logger = logging.getLogger(__name__)

COLUMN: Final = "lease_until"
_OUTAGE_SECONDS: Final = 10.0  # after a longer one the lease is over, and whoever finds it looks the thing up
_PAUSE_SECONDS: Final = 0.5


def length() -> timedelta:
    """How long a lease runs: LEASE_SECONDS of PostgreSQL's time."""
    return timedelta(seconds=settings.LEASE_SECONDS)


def end_of(lease: timedelta | None = None) -> Combinable:
    """What to write where a lease begins now, or is prolonged: when it ends, by PostgreSQL's clock."""
    return Now() + (length() if lease is None else lease)


def is_free(column: str = COLUMN) -> Q:
    """Nobody has the row, or whoever had it let its lease run out."""
    return Q(**{f"{column}__isnull": True}) | has_ended(column)


def has_ended(column: str = COLUMN) -> Q:
    """The lease ran out: its worker is dead, asleep or cut off."""
    return Q(**{f"{column}__lt": Now()})


def runs(column: str = COLUMN, *, at_least: timedelta = timedelta(0)) -> Q:
    """Somebody has the row, for longer than `at_least` from now on."""
    return Q(**{f"{column}__gt": Now() + at_least})


class Fence:
    """One claim on one row of `model`, and whether anything was written under it. For one thread.

    `wrote`: the bytes of a call that may change a server were about to leave, so that its outcome may be unknown.
    """

    def __init__(self, model: type[Model], pk: int, claim_id: uuid.UUID | None) -> None:
        self.wrote = False
        self._row = [pk, claim_id]
        self._sql = f"""
            SELECT FROM {model._meta.db_table} WHERE id = %s AND claim_id = %s AND lease_until > clock_timestamp() + %s
        """  # noqa: S608 -- the name of a table of ours

    def condition(self, at_least: timedelta) -> tuple[str, list[Any]]:
        """SQL that is true while the lease runs for longer than `at_least`, and its values."""
        return f"EXISTS ({self._sql})", [*self._row, at_least]

    def about_to_write(self) -> None:
        """The bytes of a writing call are about to leave. Raises ClaimLost where the lease has run out by now."""
        condition, values = self.condition(timedelta(0))
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {condition}", values)
            if not cursor.fetchone()[0]:
                raise ClaimLost
        self.wrote = True


@contextmanager
def taken_back(fence: Fence, take_back: Callable[[], None], what: str) -> Iterator[None]:
    """Whoever surely did not call takes back that it was about to, and nobody is asked what became of it.

    The lease ran out, the answer to the commit was lost, it was stopped, or had no memory or thread to call with: no
    byte of the call left. What an UpstreamError means is the block's own business. `what` is for the log.
    """
    try:
        yield
    except UpstreamError:
        raise
    except BaseException as error:
        if not fence.wrote:
            logger.warning("%s: nothing was called: %s", what, error or type(error).__name__)
            after_the_outage(take_back)
        raise


def after_the_outage(act: Callable[[], None]) -> None:
    """Do `act`, which writes what must be known, on a connection that works: now, or as soon as the database is back.

    Raises OperationalError, or OSError, when it is not back within ten seconds of real time.
    """
    until = time.monotonic() + _OUTAGE_SECONDS
    while True:
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()
        try:
            act()
        except (OperationalError, OSError):  # OSError: no descriptor even to wait for a connection with
            if time.monotonic() >= until:
                raise
            time.sleep(_PAUSE_SECONDS)
        else:
            return
