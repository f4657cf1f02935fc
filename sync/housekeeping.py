"""What is thrown away after a while, and what of it stays: bodies of deliveries, the journal of calls, old logs.

A delivery keeps its row: its fingerprint still recognises a resend, its verdict still counts. Calls become one row for
each day, server, method and status. Everything goes in batches, each in a transaction of its own. Real time.
"""

from __future__ import annotations

import datetime as dt
import gzip
import logging
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from django.conf import settings
from django.db import connection
from django.utils import timezone
from django.utils.translation import gettext as _

from billing_console.private_files import open_private
from billing_console.states import DeliveryState
from sync import heartbeats
from sync.models import RejectedDelivery, WebhookDelivery

logger = logging.getLogger(__name__)

BATCH: Final = 5000
HEARTBEAT: Final = "housekeeping"
_DONE: Final = (DeliveryState.PROCESSED, DeliveryState.IGNORED)
# One statement: what is deleted is counted, whatever happens in between.
_SUM_UP: Final = """
    WITH old AS (
        DELETE FROM sync_upstreamcall WHERE id IN (
            SELECT id FROM sync_upstreamcall WHERE at < %s ORDER BY at LIMIT %s
        ) RETURNING (at AT TIME ZONE 'UTC')::date AS day, upstream, method, status, duration_ms
    ), summed AS (
        INSERT INTO sync_callsummary (day, upstream, method, status, calls, total_ms)
        SELECT day, upstream, method, COALESCE(status, 0), count(*), sum(duration_ms) FROM old GROUP BY 1, 2, 3, 4
        ON CONFLICT (day, upstream, method, status) DO UPDATE
        SET calls = sync_callsummary.calls + excluded.calls, total_ms = sync_callsummary.total_ms + excluded.total_ms
    ) SELECT count(*) FROM old
"""


@dataclass(frozen=True)
class Swept:
    """How much one round threw away."""

    bodies: int
    calls: int
    refused: int
    logs: int


def keep_house() -> Swept:
    """Throw away what is older than KEEP_BODIES_DAYS and KEEP_CALLS_DAYS (0: never), and put old logs by."""
    swept = Swept(_empty_bodies(), _sum_up_calls(), _forget_refused(), archive_logs())
    words = _(
        "%(bodies)d bodies of deliveries, %(calls)d calls, %(refused)d counts of refused deliveries, %(logs)d logs"
    )
    heartbeats.note(HEARTBEAT, words % vars(swept))
    logger.info("housekeeping: %s", swept)
    return swept


def _empty_bodies() -> int:
    if not settings.KEEP_BODIES_DAYS:
        return 0
    old = WebhookDelivery.objects.filter(
        state__in=_DONE, is_emptied=False, received_at__lt=_days_ago(settings.KEEP_BODIES_DAYS)
    )
    done = 0
    while ids := list(old.order_by("received_at").values_list("pk", flat=True)[:BATCH]):
        done += WebhookDelivery.objects.filter(pk__in=ids).update(raw_body=b"", headers={}, is_emptied=True)
    return done


def _sum_up_calls() -> int:
    if not settings.KEEP_CALLS_DAYS:
        return 0
    before, done = _days_ago(settings.KEEP_CALLS_DAYS), 0
    while True:
        with connection.cursor() as cursor:
            cursor.execute(_SUM_UP, [before, BATCH])
            count: int = cursor.fetchone()[0]
        done += count
        if count < BATCH:
            return done


def _forget_refused() -> int:
    if not settings.KEEP_CALLS_DAYS:
        return 0
    return RejectedDelivery.objects.filter(minute__lt=_days_ago(settings.KEEP_CALLS_DAYS)).delete()[0]


def _days_ago(days: int) -> dt.datetime:
    return timezone.now() - dt.timedelta(days=days)


def archive_logs() -> int:
    """Put webhook.log by when it began in an earlier month, and compress what was put by before; returns how many.

    The log's handlers notice that the file is gone and begin a new one. It is compressed only in the next round: a
    process may still be writing its last line.
    """
    if not settings.LOG_DIR:
        return 0
    folder, done = Path(settings.LOG_DIR), 0
    for path in sorted(folder.glob("webhook-*.log")):
        with (
            path.open("rb") as plain,
            open_private(Path(f"{path}.gz"), "ab") as file,
            gzip.open(file, "ab") as packed,
        ):
            shutil.copyfileobj(plain, packed)
        path.unlink()
        done += 1
    current = folder / "webhook.log"
    if (month := _month_of(current)) and month < f"{timezone.now():%Y-%m}":
        current.rename(folder / f"webhook-{month}.log")
    return done


def _month_of(path: Path) -> str:
    """The month in which the log begins, as 2025-12; "" where there is none."""
    if not path.exists():
        return ""
    with path.open(encoding="utf-8", errors="replace") as file:
        found = re.match(r"\d{4}-\d{2}", file.readline())
    return found[0] if found else ""
