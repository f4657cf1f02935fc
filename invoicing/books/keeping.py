"""Keep the books: add to them what changed since they were last kept. One at a time; safe to run at any moment."""

from __future__ import annotations

from typing import Final

from django.conf import settings
from django.db import transaction

from billing_console import clock
from invoicing.books import closed, dating, facts, unbilled
from invoicing.models import Posting
from sync import heartbeats

HEARTBEAT: Final = "books"
BATCH: Final = 2000


def keep() -> int:
    """Book every change of an invoice and of unbilled work; returns how many. Waits for whoever keeps them just now.

    Each batch is a transaction of its own, or part of the caller's.
    """
    changes = count = _keep_batch()
    while count >= BATCH:
        count = _keep_batch()
        changes += count
    heartbeats.note(HEARTBEAT)
    return changes


def _keep_batch() -> int:
    zone = settings.BILLING_TIMEZONE
    with transaction.atomic():
        closed.lock()
        calendar = dating.Calendar(clock.today(zone), closed.open_from())
        changes = list(facts.differences(BATCH))
        rows = [
            posting
            for change in changes
            for posting in dating.postings(change, calendar, clock.date_of(change.at, zone) if change.at else None)
        ]
        Posting.objects.bulk_create(rows, batch_size=500)
        return len(changes) + unbilled.keep(calendar, BATCH)
