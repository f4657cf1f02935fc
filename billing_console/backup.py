"""The whole database in one file and back: a ZIP with one COPY text per table and a manifest that proves it is whole.

Needs no program of PostgreSQL's and no newer or older version of it. One snapshot, streamed: any size needs the same
memory. Encrypted texts stay encrypted; FIELD_KEY is not in the file. Sessions are left out: everybody signs in anew.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from django.db import OperationalError, connection, transaction
from django.utils.translation import gettext as _
from psycopg import sql

from billing_console.errors import ConsoleError

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
_LEFT_OUT: Final = frozenset({"django_migrations", "django_session"})
_CHUNK: Final = 256 * 1024

Tell = Callable[[str, int], None]  # a table that is done, and its rows


class BackupError(ConsoleError):
    """The file or the database is not what is needed; the sentence says what to do."""


@dataclass(frozen=True)
class Summary:
    """What a file holds: when it was made (UTC), rows by table."""

    made_at: dt.datetime
    rows: dict[str, int]

    @property
    def total(self) -> int:
        """Rows of all tables."""
        return sum(self.rows.values())


def save(path: Path, tell: Tell = lambda table, rows: None) -> Summary:
    """Write the database to `path` (mode 0600), all tables as of one moment. Raises BackupError for a bad path.

    The file appears under its name only when it is whole.
    """
    unfinished = path.with_name(path.name + ".part")
    try:
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    except OSError as error:
        raise BackupError(_("%(path)s cannot be written: %(why)s.") % {"path": path, "why": error.strerror}) from error
    try:
        with os.fdopen(descriptor, "wb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            summary = _save_into(archive, tell)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return summary


def _save_into(archive: zipfile.ZipFile, tell: Tell) -> Summary:
    made_at = dt.datetime.now(dt.UTC)
    tables: dict[str, Any] = {}
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        cursor.execute("SET LOCAL statement_timeout = 0")
        migrations = _migrations()
        for name in _tables():
            columns = _columns(name)
            digest, rows = hashlib.sha256(), 0
            with (
                archive.open(f"{name}.copy", "w", force_zip64=True) as entry,
                cursor.connection.cursor().copy(_copy(name, columns, "TO STDOUT")) as copy,
            ):
                for chunk in copy:
                    digest.update(chunk)
                    rows += bytes(chunk).count(b"\n")
                    entry.write(chunk)
            tables[name] = {"rows": rows, "columns": columns, "sha256": digest.hexdigest()}
            tell(name, rows)
    manifest = {"format": FORMAT, "made_at": made_at.isoformat(), "migrations": migrations, "tables": tables}
    archive.writestr(MANIFEST, json.dumps(manifest, indent=1))
    return Summary(made_at, {name: table["rows"] for name, table in tables.items()})


def inspect(path: Path) -> Summary:
    """What the file holds. Raises BackupError where it is no backup, or one of another version of the console."""
    manifest = _manifest(path)
    here = [tuple(each) for each in _migrations()]
    there = [tuple(each) for each in manifest["migrations"]]
    if here != there:
        raise BackupError(
            _(
                "This backup was made by another version of the console (%(there)d migrations, here %(here)d). "
                "Install that version, restore, then update."
            )
            % {"there": len(there), "here": len(here)}
        )
    rows = {name: table["rows"] for name, table in manifest["tables"].items()}
    return Summary(dt.datetime.fromisoformat(manifest["made_at"]), rows)


def load(path: Path, after: Callable[[], None], tell: Tell = lambda table, rows: None) -> Summary:
    """Replace every row of the database by those of the file, then do `after`, all in one transaction.

    Raises BackupError, and changes nothing, where the file is damaged or another process uses the database.
    """
    summary, manifest = inspect(path), _manifest(path)
    try:
        with transaction.atomic(), zipfile.ZipFile(path) as archive, connection.cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout = 0")
            names = [sql.Identifier(name) for name in _tables()]
            cursor.execute(sql.SQL("TRUNCATE {}").format(sql.SQL(", ").join(names)))
            cursor.execute("SET CONSTRAINTS ALL DEFERRED")
            for name, table in manifest["tables"].items():
                _load_table(archive, cursor, name, table)
                tell(name, table["rows"])
            after()
    except OperationalError as error:
        raise BackupError(
            _("The database is in use. Stop web, worker and beat, then restore again (%(why)s).")
            % {"why": str(error).splitlines()[0]}
        ) from error
    return summary


def _load_table(archive: zipfile.ZipFile, cursor: Any, name: str, table: dict[str, Any]) -> None:
    digest = hashlib.sha256()
    try:
        with (
            archive.open(f"{name}.copy") as entry,
            cursor.connection.cursor().copy(_copy(name, table["columns"], "FROM STDIN")) as copy,
        ):
            while chunk := entry.read(_CHUNK):
                digest.update(chunk)
                copy.write(chunk)
    except (KeyError, zipfile.BadZipFile) as error:
        raise _damaged(name) from error
    if digest.hexdigest() != table["sha256"]:
        raise _damaged(name)
    if "id" not in table["columns"]:
        return
    cursor.execute("SELECT pg_get_serial_sequence(%s, 'id')", [f'"{name}"'])
    if sequence := cursor.fetchone()[0]:
        statement = sql.SQL("SELECT setval(%s, (SELECT COALESCE(MAX(id), 0) + 1 FROM {}), false)")
        cursor.execute(statement.format(sql.Identifier(name)), [sequence])


def _manifest(path: Path) -> dict[str, Any]:
    try:
        with zipfile.ZipFile(path) as archive:
            manifest: dict[str, Any] = json.loads(archive.read(MANIFEST))
    except OSError as error:
        raise BackupError(_("%(path)s cannot be read: %(why)s.") % {"path": path, "why": error.strerror}) from error
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        raise BackupError(_("%(path)s is no backup of the console.") % {"path": path}) from error
    if manifest.get("format") != FORMAT:
        raise BackupError(_("%(path)s is a backup of a form that this version cannot read.") % {"path": path})
    return manifest


def _damaged(table: str) -> BackupError:
    return BackupError(
        _("The backup is damaged (table %(table)s). Nothing was changed; take another.") % {"table": table}
    )


def _copy(table: str, columns: list[str], direction: str) -> sql.Composed:
    names = sql.SQL(", ").join(sql.Identifier(column) for column in columns)
    return sql.SQL("COPY {} ({}) {}").format(sql.Identifier(table), names, sql.SQL(direction))


def _tables() -> list[str]:
    with connection.cursor() as cursor:
        names = connection.introspection.table_names(cursor)
    return sorted(name for name in names if name not in _LEFT_OUT)


def _columns(table: str) -> list[str]:
    with connection.cursor() as cursor:
        return [column.name for column in connection.introspection.get_table_description(cursor, table)]


def _migrations() -> list[list[str]]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT app, name FROM django_migrations ORDER BY app, name")
        return [list(row) for row in cursor.fetchall()]
