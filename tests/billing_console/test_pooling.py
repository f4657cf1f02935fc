"""Connections that threads share: what one task leaves on them must not meet the next."""

from __future__ import annotations

import psycopg
import pytest
from django.db import connection
from psycopg_pool import ConnectionPool

from billing_console import pooling
from billing_console.processes import WORKER_THREADS

HELD = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"


@pytest.mark.django_db
def test_a_lock_that_was_not_given_back_does_not_outlive_its_task() -> None:
    parameters = {key: value for key, value in connection.get_connection_params().items() if key != "pool"}
    with ConnectionPool(
        kwargs={**parameters, "autocommit": True}, open=True, **{**pooling.OPTIONS, "max_size": 1}
    ) as pool:
        with pool.connection() as first:
            backend = first.info.backend_pid
            first.execute("SELECT pg_advisory_lock(7, 7)")
            assert _one(first, HELD) == 1

        with pool.connection() as second:
            assert second.info.backend_pid == backend
            assert _one(second, HELD) == 0


def test_every_thread_of_a_worker_finds_a_connection() -> None:
    assert pooling.SIZE >= WORKER_THREADS


def _one(connection: psycopg.Connection, statement: str) -> int:
    row = connection.execute(statement).fetchone()
    assert row is not None
    return int(row[0])
