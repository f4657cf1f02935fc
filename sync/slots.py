"""At most UPSTREAM_CALLS_AT_A_TIME calls to a server at once, over all processes and hosts; and the journal of them.

A call of a turn, such as one bulk action, is moreover made alone: Invoice Ninja refuses the same action within a second
(5.10.42), and in 2026 also while one runs. The turn is a lock of the same kind, and the journal knows when the last one
began.

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
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from typing import Final, TypeVar

from django.conf import settings
from django.db import connection
from django.utils import timezone

from billing_console.errors import Busy
from sync import gate
from sync.clients.http import Call
from sync.models import UpstreamCall

Taken = TypeVar("Taken")

_CLASSES: Final = {"taiga": 0x42430001, "invoice_ninja": 0x42430002}  # "BC" and a number: ours among all locks
_TURNS: Final = {"taiga": 0x42430011, "invoice_ninja": 0x42430012}
_freed: Final = {server: threading.Condition() for server in _CLASSES}
_APART_SECONDS: Final = 1.1  # of the beginnings of two calls of a turn; the server remembers one for a second
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
    ) SELECT coalesce((SELECT failures + rests FROM sync_upstreamgate WHERE server = %s), 0),
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
    def limit(self, turn: str = "") -> Iterator[None]:
        """Wait for the turn, where there is one, and for a slot, as long as a call may take; hold them meanwhile.

        `turn` is the path of its calls as the journal keeps it. Raises Busy when it took too long; nothing was called
        then. The time of the call itself only begins when both are there.
        """
        until = time.monotonic() + settings.CALL_DEADLINE_SECONDS
        with self._turn(turn, until) if turn else nullcontext():
            slot = self._wait_for(self._take_slot, until)
            try:
                yield
            finally:
                with _or_no_connection():
                    self._give_back(slot)
                self._wake()

    def _turn(self, turn: str, until: float) -> AbstractContextManager[None]:
        key = [_TURNS[self.server], zlib.crc32(turn.encode()) & 0x7FFFFFFF]

        @contextmanager
        def hold() -> Iterator[None]:
            self._wait_for(lambda: self._lock(key), until)
            try:
                self._wait_for(lambda: self._is_apart(turn), until)
                yield
            finally:
                with _or_no_connection(), connection.cursor() as cursor:
                    cursor.execute("SELECT pg_advisory_unlock(%s, %s)", key)
                self._wake()

        return hold()

    def _wait_for(self, take: Callable[[], Taken | None], until: float) -> Taken:
        pauses, pause = iter(_PAUSES), 0.0
        while (taken := take()) is None:
            pause = next(pauses, pause)
            if time.monotonic() + pause > until:
                raise Busy(self.server)
            with _freed[self.server]:  # until another thread of this process is done; of others only time tells
                _freed[self.server].wait(pause)
        return taken

    def _wake(self) -> None:
        with _freed[self.server]:
            _freed[self.server].notify()

    def _lock(self, key: list[int]) -> bool | None:
        with _or_no_connection(), connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", key)
            return cursor.fetchone()[0] or None

    def _is_apart(self, turn: str) -> bool | None:
        now = timezone.now()
        calls = UpstreamCall.objects.filter(upstream=self.server, path=turn)
        began = calls.filter(at__gt=now - timedelta(seconds=_APART_SECONDS), at__lte=now)
        return None if began.exists() else True

    def _take_slot(self) -> int | None:
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
