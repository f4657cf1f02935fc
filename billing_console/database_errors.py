"""What a person is told when a command cannot use the database: one sentence instead of a traceback.

Imports no settings, so that manage.py may use it around everything.
"""

from __future__ import annotations

import re
from typing import Final

import psycopg
from django.db.utils import OperationalError, ProgrammingError

NO_TABLES = (
    "The database has no tables of this version of the console yet ({table} is missing): "
    "run `manage.py prepare` first, then this again."
)
UNREACHABLE = "The database cannot be reached: {reason}. Check DATABASE_URL, and that PostgreSQL runs."


AILMENTS: Final = {
    "25006": "read-only: it is a standby, or default_transaction_read_only is on; nothing can be stored",
    "53100": "its disk is full: make space there, all goes on by itself",
    "53200": "out of memory: give PostgreSQL's machine more",
    "53300": "no free connection: raise max_connections, or stop who holds them",
    "57P03": "starting up or recovering: wait a moment",
}


def explain(error: Exception) -> str | None:
    """Return the sentence for a database without our tables, or that lets nobody in; None for anything else."""
    cause = error.__cause__
    if isinstance(error, ProgrammingError) and isinstance(cause, psycopg.errors.UndefinedTable):
        found = re.search(r'relation "([^"]+)"', str(error))
        return NO_TABLES.format(table=found[1] if found else "one")
    if isinstance(error, OperationalError) and is_connecting(cause):
        return UNREACHABLE.format(reason=reason_of(error))
    return None


def ailment_of(error: Exception) -> str:
    """What ails the database, in a few words with what to do, by PostgreSQL's own code."""
    code = getattr(error.__cause__, "sqlstate", None) or ""
    return AILMENTS.get(code, "unreachable: check DATABASE_URL and that PostgreSQL runs")


def is_connecting(cause: BaseException | None) -> bool:
    """True if the failure came before there was a connection: the server has then given no code of a statement."""
    return isinstance(cause, psycopg.OperationalError) and cause.sqlstate is None


def reason_of(error: Exception) -> str:
    """Return the server's own words, without the end of the sentence; which address it was only where none answered.

    A name with several addresses fails once for each; the last one says as much as any.
    """
    lines = [line.strip() for line in str(error).strip().splitlines() if line.strip()]
    told = [line for line in lines if "failed: " in line] or lines[:1] or ["no reason given"]
    _, is_answer, answer = told[-1].rpartition("FATAL:")
    return (answer if is_answer else told[-1].rpartition("connection failed: ")[2]).strip().rstrip(".")
