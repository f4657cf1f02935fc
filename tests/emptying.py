"""Emptying the database after a test whose commits are commits: one transaction, milliseconds.

Django's own way truncates every table and makes permissions and groups anew, which takes seconds a test.
"""

from __future__ import annotations

from typing import Any

from django.db import connection, transaction
from django.test import TransactionTestCase

from sync import gate

# Rows of the console's own and of whoever signed in; permissions, groups and migrations stay.
OURS = (
    "accounts_user",
    "mappings_",
    "sync_",
    "invoicing_",
    "django_celery_beat_",
    "django_session",
    "django_admin_log",
)


def our_tables() -> list[str]:
    """The tables with rows of the console's own."""
    return [name for name in connection.introspection.table_names() if name.startswith(OURS)]


def empty_our_tables() -> None:
    """Delete every row of our tables but those that a migration makes."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")
        cursor.execute(";".join(f'DELETE FROM "{name}"' for name in our_tables()))
        gate.on_migrate()


def empty_instead_of_flushing() -> None:
    """From now on, a test with real commits is cleaned up after by `empty_our_tables`."""

    def teardown(self: Any) -> None:
        empty_our_tables()

    TransactionTestCase._fixture_teardown = teardown  # type: ignore[method-assign]
