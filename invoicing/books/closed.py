"""Which months are closed, and the lock of the books: nothing is dated into a closed month."""

from __future__ import annotations

import datetime as dt
from typing import Final

from django.db import connection
from django.db.models import Max

from invoicing.models import Closing

_LOCK: Final = 7_031_994_201  # of this console's advisory locks, the books'


def open_from() -> dt.date | None:
    """The first day after the last closed month; None where none is closed."""
    found: dt.date | None = Closing.objects.filter(reopened_at__isnull=True).aggregate(last=Max("period_end"))["last"]
    return found


def is_closed(day: dt.date) -> bool:
    """Whether `day` lies before the first open one."""
    first = open_from()
    return first is not None and day < first


def lock() -> None:
    """Nobody else adds to the books, closes or reopens a month, or dates an invoice until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])


def share() -> None:
    """No month is closed until the caller's transaction ends; others may date invoices at the same time."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock_shared(%s)", [_LOCK])
