"""The connections to PostgreSQL that the threads of one process share."""

from __future__ import annotations

from typing import Any, Final

import psycopg

SIZE: Final = 10  # connections of one process: its threads, and some to spare


def _give_up_locks(connection: psycopg.Connection[Any]) -> None:
    """Before a connection is shared again: a lock that was not given back would last as long as the connection."""
    connection.execute("SELECT pg_advisory_unlock_all()")


OPTIONS: Final[dict[str, Any]] = {"min_size": 1, "max_size": SIZE, "timeout": 10, "reset": _give_up_locks}
