"""At most UPSTREAM_CALLS_AT_A_TIME calls to a server at once, over all processes and hosts.

A slot is an advisory lock of PostgreSQL: it is gone with the connection of a killed worker, and asks Redis nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Final

from django.conf import settings
from django.db import connection

from billing_console.errors import Busy

_CLASSES: Final = {"taiga": 0x42430001, "invoice_ninja": 0x42430002}  # "BC" and a number: ours among all locks
_LEAST_SECONDS: Final = 0.2  # a call that has less time left is not begun
_PAUSES: Final = (0.01, 0.02, 0.05, 0.1)


def limit_of(server: str) -> Callable[[float], AbstractContextManager[float]]:
    """The limit for a client of `server`: waits for a slot within the call's own seconds, gives those that are left.

    Raises Busy when no slot came free in time; nothing was called then.
    """

    @contextmanager
    def limit(seconds: float) -> Iterator[float]:
        until = time.monotonic() + seconds
        slot = _take(server)
        pauses = iter(_PAUSES)
        pause = 0.0
        while slot is None:
            pause = next(pauses, pause)
            if until - time.monotonic() < pause + _LEAST_SECONDS:
                raise Busy(server)
            time.sleep(pause)
            slot = _take(server)
        try:
            yield until - time.monotonic()
        finally:
            _give_back(server, slot)

    return limit


def _take(server: str) -> int | None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT slot FROM generate_series(1, %s) slot WHERE pg_try_advisory_lock(%s, slot) LIMIT 1",
            [settings.UPSTREAM_CALLS_AT_A_TIME, _CLASSES[server]],
        )
        row = cursor.fetchone()
    return int(row[0]) if row else None


def _give_back(server: str, slot: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [_CLASSES[server], slot])
