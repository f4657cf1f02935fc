"""Whether the demo's database and its stand-ins' memory come from the same play.

They lie in different folders (as root far apart), and one of them may be deleted alone. Both then bear no mark, or
different ones, and the demo begins anew: the console would wait for what servers without a memory cannot tell.
"""

from __future__ import annotations

import enum
import secrets
from pathlib import Path
from typing import Final

import psycopg
from psycopg import sql

BEGIN_ANEW: Final = (
    "The demo's database and its stand-ins' memory do not belong together: one of them was deleted. Both begin anew."
)
NOT_A_DEMOS: Final = (
    "The database of this clone was made by something else than the demo, perhaps by a trial with `manage.py console`. "
    "Keep it, or start the demo from nothing with --reset, which deletes it."
)
PREFIX: Final = "demo "


class Belonging(enum.Enum):
    """What is to be done with what an earlier demo left."""

    TOGETHER = "they are of one play: go on"
    UNMARKED = "there is nothing yet, or a demo of before there were marks: mark both and go on"
    APART = "begin anew"
    NOT_A_DEMOS = "refuse: the database may be dear to somebody"


def judge(*, has_tables: bool, database_mark: str, has_memory: bool, memory_mark: str) -> Belonging:
    """Say whether a database and a memory belong together; a mark is "" where there is none."""
    if has_tables and not database_mark:
        # A demo of before there were marks, or not a demo at all.
        return Belonging.UNMARKED if has_memory and not memory_mark else Belonging.NOT_A_DEMOS
    if not has_tables and not has_memory:
        return Belonging.UNMARKED
    return Belonging.TOGETHER if database_mark == memory_mark != "" else Belonging.APART


def look(database_url: str, memory: Path) -> Belonging:
    """Judge the database at that address and the memory in that folder, from the marks on both."""
    with psycopg.connect(database_url) as connection:
        row = connection.execute(
            "SELECT to_regclass('django_migrations') IS NOT NULL, coalesce(shobj_description(oid, 'pg_database'), '')"
            " FROM pg_database WHERE datname = current_database()"
        ).fetchone()
    assert row is not None
    return judge(
        has_tables=row[0],
        database_mark=row[1],
        has_memory=memory.is_dir() and any(memory.iterdir()),
        memory_mark=_mark_file(memory).read_text().strip() if _mark_file(memory).is_file() else "",
    )


def mark(database_url: str, memory: Path) -> None:
    """Give the database and the memory one new mark, so that `look` knows them as belonging together."""
    text = PREFIX + secrets.token_hex(8)
    with psycopg.connect(database_url) as connection:
        name = connection.info.dbname
        connection.execute(sql.SQL("COMMENT ON DATABASE {} IS {}").format(sql.Identifier(name), sql.Literal(text)))
    memory.mkdir(parents=True, exist_ok=True)
    _mark_file(memory).write_text(text + "\n")


def _mark_file(memory: Path) -> Path:
    return memory / "database.mark"
