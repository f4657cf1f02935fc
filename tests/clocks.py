"""A process whose clock is wrong, while PostgreSQL's is right; and what the database holds, to compare."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from billing_console import clock, fitness

_LEFT_OUT = ("django_migrations", "django_session", "sync_consoleprocess")


@contextmanager
def own_clock(ahead: timedelta) -> Iterator[None]:
    """This process's clock is `ahead` of PostgreSQL's in the block: the real one, and business time with it."""
    seconds, real, now = ahead.total_seconds(), time.time, timezone.now
    with pytest.MonkeyPatch.context() as patch, clock.set_to(clock.now() + ahead):
        patch.setattr(time, "time", lambda: real() + seconds)
        patch.setattr(timezone, "now", lambda: now() + ahead)
        try:
            yield
        finally:
            fitness.forget()


def contents() -> dict[str, str]:
    """A hash of what each table holds."""
    found = {}
    with connection.cursor() as cursor:
        for name in sorted(set(connection.introspection.table_names(cursor)) - set(_LEFT_OUT)):
            cursor.execute(f"SELECT md5(coalesce(string_agg(t::text, chr(10) ORDER BY t::text), '')) FROM \"{name}\" t")  # noqa: S608
            found[name] = cursor.fetchone()[0]
    return found
