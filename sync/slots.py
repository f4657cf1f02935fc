"""At most UPSTREAM_CALLS_AT_A_TIME calls to a server at once, over all processes and hosts; and the journal of them.

A slot is an advisory lock of PostgreSQL: it is gone with the connection of a killed worker, and asks Redis nothing.
Where a slot may not have been given back its connection is given up, because the next task would go on with both.
It is given back by the statement that writes the call into the journal, notes that its server answered, and asks how
often that one failed: a call costs two statements. That one does not wait for the disk: after a power cut the journal
may lack its last second, and nothing is decided by it.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Final

from django.conf import settings
from django.db import connection
from django.utils import timezone

from billing_console.errors import Busy
from sync import gate
from sync.clients.http import Call

_CLASSES: Final = {"taiga": 0x42430001, "invoice_ninja": 0x42430002}  # "BC" and a number: ours among all locks
_freed: Final = {server: threading.Condition() for server in _CLASSES}
_LEAST_SECONDS: Final = 0.2  # a call that has less time left is not begun
_PAUSES: Final = (0.01, 0.02, 0.05, 0.1)
_PATH_LENGTH: Final = 500
_SIGN_OF_LIFE: Final = timedelta(seconds=10)  # so old is a server's heartbeat when an answer renews it
_WRITE: Final = """
    WITH written AS (
        INSERT INTO sync_upstreamcall
            (upstream, method, path, status, duration_ms, error, attempt, item_id, correlation_id, at)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
    ), answered AS (
        INSERT INTO sync_heartbeat (name, at, detail) SELECT %s, %s, '' WHERE %s AND NOT EXISTS (
            SELECT FROM sync_heartbeat WHERE name = %s AND at > %s
        ) ON CONFLICT (name) DO UPDATE SET at = EXCLUDED.at
    ) SELECT coalesce((SELECT failures FROM sync_upstreamgate WHERE server = %s), 0),
        pg_advisory_unlock(%s, %s), set_config('synchronous_commit', 'off', true)
"""


@contextmanager
def _or_no_connection() -> Iterator[None]:
    """Where it fails the connection ends for good: an advisory lock outlives the statement and its transaction."""
    try:
        yield
    except BaseException:
        if connection.connection is not None:
            connection.connection.close()  # else a pool would lend it again
            connection.close()
        raise


class Line:
    """What the calls of one client have in common; gives the client its `limit` and its `journal`.

    `item_id`, `correlation_id` and `attempt` stand in the journal beside each call. For one thread, as the client is.
    """

    def __init__(
        self,
        server: str,
        *,
        item_id: int | None = None,
        correlation_id: uuid.UUID | None = None,
        attempt: int = 1,
    ) -> None:
        self.server = server
        self._about = (attempt, item_id, correlation_id)
        self._call: Call | None = None

    def journal(self, call: Call) -> None:
        """Keep the call; it is written when its slot is given back."""
        self._call = call

    @contextmanager
    def limit(self, seconds: float) -> Iterator[float]:
        """Wait for a slot within the call's own seconds; gives those that are left.

        Raises Busy when no slot came free in time; nothing was called then.
        """
        until = time.monotonic() + seconds
        slot = self._take()
        pauses = iter(_PAUSES)
        pause = 0.0
        while slot is None:
            pause = next(pauses, pause)
            if until - time.monotonic() < pause + _LEAST_SECONDS:
                raise Busy(self.server)
            self._wait(pause)
            slot = self._take()
        try:
            yield until - time.monotonic()
        finally:
            with _or_no_connection():
                self._give_back(slot)
            with _freed[self.server]:
                _freed[self.server].notify()

    def _wait(self, seconds: float) -> None:
        """Until another thread of this process gives a slot back; of other processes only time tells."""
        with _freed[self.server]:
            _freed[self.server].wait(seconds)

    def _take(self) -> int | None:
        with _or_no_connection(), connection.cursor() as cursor:
            cursor.execute(
                "SELECT slot FROM generate_series(1, %s) slot WHERE pg_try_advisory_lock(%s, slot) LIMIT 1",
                [settings.UPSTREAM_CALLS_AT_A_TIME, _CLASSES[self.server]],
            )
            row = cursor.fetchone()
        return int(row[0]) if row else None

    def _give_back(self, slot: int) -> None:
        call, self._call = self._call, None
        lock = [_CLASSES[self.server], slot]
        with connection.cursor() as cursor:
            if call is None:
                cursor.execute("SELECT pg_advisory_unlock(%s, %s)", lock)
                return
            attempt, item_id, correlation_id = self._about
            what = [call.upstream, call.method, call.path[:_PATH_LENGTH], call.status, call.duration_ms, call.error]
            now = timezone.now()
            about = (attempt, item_id, correlation_id, call.at)
            answered = (call.upstream, now, gate.is_answered(call), call.upstream, now - _SIGN_OF_LIFE)
            cursor.execute(_WRITE, [*what, *about, *answered, call.upstream, *lock])
            failures = int(cursor.fetchone()[0])
        gate.note_call(call, failures=failures)
