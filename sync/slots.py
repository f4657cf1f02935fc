"""At most UPSTREAM_CALLS_AT_A_TIME calls to a server at once, over all processes and hosts; and the journal of them.

A call of a turn, such as one bulk action, is moreover made alone: Invoice Ninja refuses the same action within a second
(5.10.42), and in 2026 also while one runs. The turn is a lock of the same kind, and the journal knows when the last one
began.

A slot is an advisory lock of PostgreSQL: it is gone with the connection of a killed worker, and asks Redis nothing.
Who sleeps with one in hand (its machine is paused) has it taken away, with its connection, by whoever waits in vain.
Where a slot may not have been given back its connection is given up, because the next task would go on with both.
The statement that takes it says, for a call under a claim, whether the claim's lease lasts as long as the call may take
(`leases`): a worker that slept past it calls nobody.
It is given back by the statement that writes the call into the journal, notes that its server answered, and asks how
often that one failed: a call costs two statements. That one does not wait for the disk: after a power cut the journal
may lack its last second, and nothing is decided by it.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from typing import Any, Final, TypeVar

from django.conf import settings
from django.db import connection
from django.utils import timezone

from billing_console.errors import Busy, ClaimLost
from sync import gate
from sync.clients.http import Call
from sync.leases import Fence
from sync.models import UpstreamCall

logger = logging.getLogger(__name__)

Taken = TypeVar("Taken")

_CLASSES: Final = {"taiga": 0x42430001, "invoice_ninja": 0x42430002}  # "BC" and a number: ours among all locks
_TURNS: Final = {"taiga": 0x42430011, "invoice_ninja": 0x42430012}
_freed: Final = {server: threading.Condition() for server in _CLASSES}
_APART_SECONDS: Final = 1.1  # of the beginnings of two calls of a turn; the server remembers one for a second
_PAUSES: Final = (0.01, 0.02, 0.05, 0.1)
_PATH_LENGTH: Final = 500
_SIGN_OF_LIFE: Final = timedelta(seconds=10)  # so old is a server's heartbeat when an answer renews it
# A slot is tried only where the claim holds: CASE decides it before the lock, which a WHERE would not.
_TAKE: Final = """
    WITH fence AS MATERIALIZED (SELECT {condition} AS holds)
    SELECT holds, (SELECT slot FROM generate_series(1, %s) slot
        WHERE CASE WHEN holds THEN pg_try_advisory_lock(%s, slot) ELSE false END LIMIT 1) FROM fence
"""
# A session waits for its call at most as long as one may take. One that is idle for longer, with a slot or a turn of
# ours in hand, belongs to a worker that sleeps.
_END_SLEEPERS: Final = """
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE state = 'idle'
        AND state_change < clock_timestamp() - %s AND pid IN (
            SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 2
                AND classid = ANY(%s::oid[])
                AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        )
"""
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
    """What the calls of one client have in common; gives the client its `limit`, `journal` and `before_write`.

    Where `fence` is given its calls are made under that claim, and none begins, or writes, once its lease is over.
    `item_id`, `correlation_id` and `attempt` stand in the journal beside each call. For one thread, as the client is.
    """

    def __init__(
        self,
        server: str,
        *,
        item_id: int | None = None,
        correlation_id: uuid.UUID | None = None,
        attempt: int = 1,
        fence: Fence | None = None,
    ) -> None:
        self.server = server
        self._fence = fence
        self._about = (attempt, item_id, correlation_id)
        self._call: Call | None = None

    def journal(self, call: Call) -> None:
        """Keep the call; it is written when its slot is given back."""
        self._call = call

    def before_write(self) -> None:
        """The bytes of a write are about to leave: it is noted. Raises ClaimLost where they must not."""
        if self._fence is not None:
            self._fence.about_to_write()

    @contextmanager
    def limit(self, turn: str = "") -> Iterator[None]:
        """Wait for the turn, where there is one, and for a slot, as long as a call may take; hold them meanwhile.

        `turn` is the path of its calls as the journal keeps it. Raises Busy when it took too long, ClaimLost when
        too little is left of the lease; nothing was called then. The time of the call itself only begins when both are
        there.
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
                self._end_sleepers()
                raise Busy(self.server)
            with _freed[self.server]:  # until another thread of this process is done; of others only time tells
                _freed[self.server].wait(pause)
        return taken

    def _end_sleepers(self) -> None:
        with _or_no_connection(), connection.cursor() as cursor:
            idle: Any = timedelta(seconds=2 * settings.CALL_DEADLINE_SECONDS)
            cursor.execute(_END_SLEEPERS, [idle, [_CLASSES[self.server], _TURNS[self.server]]])
            if count := cursor.fetchone()[0]:
                logger.error("%s sleeping sessions held the slots of %s and were ended", count, self.server)

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
        condition = "true"
        values: list[Any] = []
        if self._fence is not None:
            condition, values = self._fence.condition(timedelta(seconds=settings.CALL_DEADLINE_SECONDS))
        with _or_no_connection(), connection.cursor() as cursor:
            slots = [settings.UPSTREAM_CALLS_AT_A_TIME, _CLASSES[self.server]]
            cursor.execute(_TAKE.format(condition=condition), [*values, *slots])
            holds, slot = cursor.fetchone()
        if not holds:
            raise ClaimLost
        return None if slot is None else int(slot)

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
