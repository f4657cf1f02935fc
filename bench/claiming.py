"""Whether long queues stay quick with the years: 2,000 rows are due behind 200,000 finished ones, or behind 2,000."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from django.db import connection

from bench.results import Result, middle
from sync import heartbeats, ingest, outbox, work_items
from sync.models import RecordKind

NAMES = ("claim_growth_ratio",)
SMALL, LARGE, DUE, TIMES = 2_000, 200_000, 2_000, 41


class Taken(NamedTuple):
    """The median of an act in milliseconds, and as a multiple of a write that was done in between."""

    ms: float
    multiple: float


_FILL = (
    """
    INSERT INTO sync_remoterecord (
        server, kind, our_key, state, reason, sentence, desired, revision, synced_revision, seen, attempts
    ) SELECT 'invoice_ninja', 'task', 'TT' || n, %(record)s, '', '', '{}', 1, 0, '{}', 0
    FROM generate_series(%(first)s, %(last)s) n
    """,
    """
    INSERT INTO sync_webhookdelivery (
        uuid, fingerprint, raw_body, headers, received_at, verdict, event_type, action, by_username, item_kind,
        item_subject, duplicates, state, attempts, error
    ) SELECT gen_random_uuid(), encode(sha256(n::text::bytea), 'hex'), '{}', '{}', now(), 'work_item', 'task', 'change',
        'alice', 'T', 'Work', 0, %(delivery)s, 0, ''
    FROM generate_series(%(first)s, %(last)s) n
    """,
    """
    INSERT INTO sync_workitem (
        kind, taiga_id, subject, permalink, state, status_name, has_story, "values", attributes, is_dirty, dirty_at,
        needs_evaluation, read_attempts, error, closings, found_by, marked_by, closing_found_by, status_written
    ) SELECT 'T', n, 'Work', '', 'open', '', true, '{}', '{}', %(is_dirty)s, now(), false, 0, '', 0, 'sweep', 'sweep',
        '', ''
    FROM generate_series(%(first)s, %(last)s) n
    """,
)


def run() -> list[Result]:
    """Medians of 41 of each act, as multiples of a write that no queue concerns; the number is the worst growth."""
    acts: dict[str, Callable[[], object]] = {
        "record": lambda: outbox.claim_next(RecordKind.TASK),
        "deliveries": lambda: ingest._claim(5),
        "items": lambda: list(work_items.due().order_by("id").values_list("pk", flat=True)[:5]),
    }
    small, large = _measured(acts, SMALL), _measured(acts, LARGE)
    growth = max(large[name].multiple / small[name].multiple for name in acts)
    words = ", ".join(f"{name} {small[name].ms:.2f} → {large[name].ms:.2f} ms" for name in acts)
    return [Result("claim_growth_ratio", growth, ("≤", 1.5), words)]


def _measured(acts: dict[str, Callable[[], object]], finished: int) -> dict[str, Taken]:
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE sync_remoterecord, sync_webhookdelivery, sync_workitem CASCADE")
    _fill(1, finished, is_due=False)
    _fill(finished + 1, finished + DUE, is_due=True)
    return {name: _time(act) for name, act in acts.items()}


def _fill(first: int, last: int, *, is_due: bool) -> None:
    states = {
        "record": "pending" if is_due else "synced",
        "delivery": "received" if is_due else "processed",
        "is_dirty": is_due,
    }
    with connection.cursor() as cursor:
        for statement in _FILL:
            cursor.execute(statement, {**states, "first": first, "last": last})
        # Else the server does both while we measure.
        cursor.execute("VACUUM (ANALYZE) sync_remoterecord, sync_webhookdelivery, sync_workitem")
        cursor.execute("CHECKPOINT")


def _time(act: Callable[[], object]) -> Taken:
    taken, reference = [], []
    for _time in range(TIMES):
        began = time.perf_counter()
        if not act():
            raise RuntimeError("nothing was due")
        ended = time.perf_counter()
        heartbeats.note("bench")
        reference.append(time.perf_counter() - ended)
        taken.append(ended - began)
    return Taken(middle(taken) * 1000, middle(taken) / middle(reference))
