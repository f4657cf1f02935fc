"""The whole database in one file and back: a ZIP with one COPY text per table and a manifest that proves it is whole.

Needs no program of PostgreSQL's and no newer or older version of it. One snapshot, streamed: any size needs the same
memory. Encrypted texts stay encrypted; FIELD_KEY is not in the file. Sessions are left out: everybody signs in anew.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import logging
import os
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psycopg
from django.db import DatabaseError, OperationalError, connection, transaction
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from psycopg import sql

from billing_console.errors import ConsoleError

logger = logging.getLogger(__name__)

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
_LEFT_OUT: Final = frozenset({"django_migrations", "django_session", "sync_consoleprocess"})
_CHUNK: Final = 256 * 1024
_APPLICATION: Final = "billing-console %"  # as the settings name every connection of the console
# What reading a file that was cut or changed may raise.
_UNREADABLE: Final = (
    EOFError, KeyError, TypeError, ValueError, NotImplementedError, RuntimeError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip

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
    """Write the database to `path` (mode 0600), all tables as of one moment.

    The file appears under its name only when it is whole and on the disk. Raises BackupError where it cannot be
    written (a bad path, a full disk), or the database read (a table that somebody locks).
    """
    unfinished = path.with_name(path.name + ".part")
    try:
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
                summary = _save_into(archive, tell)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        raise BackupError(_("%(path)s cannot be written: %(why)s.") % {"path": path, "why": error.strerror}) from error
    except (DatabaseError, psycopg.Error) as error:
        sentence = _("The database could not be read as a whole (%(why)s). Try again when nothing else works on it.")
        raise BackupError(sentence % {"why": _first_line(error)}) from error
    finally:
        _remove(unfinished)
    return summary


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(unfinished: Path) -> None:
    try:
        unfinished.unlink(missing_ok=True)
    except OSError as error:  # its folder is not there, or may not be written: nothing of ours lies there
        logger.warning("%s could not be removed: %s", unfinished, error)


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__


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
    """What the file holds. Raises BackupError where it is no backup, not a whole one, or of another version."""
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
    for name in _tables():
        table = manifest["tables"].get(name)
        if table is None or sorted(table["columns"]) != sorted(_columns(name)):
            raise _damaged(name)
    if unknown := sorted(set(manifest["tables"]) - set(_tables())):
        raise _damaged(unknown[0])
    rows = {name: table["rows"] for name, table in manifest["tables"].items()}
    return Summary(dt.datetime.fromisoformat(manifest["made_at"]), rows)


def load(
    path: Path, after: Callable[[], None], tell: Tell = lambda table, rows: None, *, ends_sessions: bool = False
) -> Summary:
    """Replace every row of the database by those of the file, then do `after`, all in one transaction.

    Raises BackupError, and changes nothing, where the file is damaged or the console still runs, here or on another
    machine: where one of its processes has a connection. `ends_sessions` ends those, and restores all the same.
    """
    summary, manifest = inspect(path), _manifest(path)
    with _sentences(), transaction.atomic(), zipfile.ZipFile(path) as archive, connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 0")
        _insist_on_silence(cursor, ends_sessions=ends_sessions)
        names = [sql.Identifier(name) for name in _tables()]
        cursor.execute(sql.SQL("TRUNCATE {}").format(sql.SQL(", ").join(names)))
        _insist_on_silence(cursor, ends_sessions=ends_sessions)  # from here on nobody who comes reads anything
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")
        for name, table in manifest["tables"].items():
            _load_table(archive, cursor, name, table)
            tell(name, table["rows"])
        after()
    return summary


@contextmanager
def _sentences() -> Iterator[None]:
    """Every failure of reading the file or writing the database as a BackupError; the transaction is undone."""
    try:
        yield
    except BackupError:
        raise
    except OperationalError as error:
        raise BackupError(
            _("The database is in use. Stop web, worker and beat, then restore again (%(why)s).")
            % {"why": _first_line(error)}
        ) from error
    except (DatabaseError, psycopg.Error, OSError, *_UNREADABLE) as error:
        sentence = _("The backup could not be read into the database (%(why)s). Nothing was changed; take another.")
        raise BackupError(sentence % {"why": _first_line(error)}) from error


def _insist_on_silence(cursor: Any, *, ends_sessions: bool) -> None:
    cursor.execute("SELECT pg_stat_clear_snapshot()")  # else a transaction sees who was there when it first looked
    cursor.execute(
        "SELECT pid, application_name FROM pg_stat_activity WHERE datname = current_database()"
        " AND application_name LIKE %s AND application_name <> current_setting('application_name')"
        " AND pid <> pg_backend_pid()",
        [_APPLICATION],
    )
    others = cursor.fetchall()
    if others and ends_sessions:
        cursor.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM unnest(%s::int[]) pid", [[pid for pid, _name in others]]
        )
        logger.warning("%s sessions of the console were ended for a restore", len(others))
    elif others:
        names = sorted({name.removeprefix(_APPLICATION[:-1]) for _pid, name in others})
        raise BackupError(
            ngettext(
                "The console still runs: a process has a connection to the database (%(names)s). Stop web, worker and "
                "beat, then restore again; --force ends the connection and restores all the same.",
                "The console still runs: processes have connections to the database (%(names)s). Stop web, worker and "
                "beat, then restore again; --force ends the connections and restores all the same.",
                len(names),
            )
            % {"names": ", ".join(names)}
        )


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
    except (psycopg.DataError, psycopg.IntegrityError, *_UNREADABLE) as error:
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
        is_ours = manifest.get("format") != FORMAT or _has_its_parts(manifest)
    except OSError as error:
        raise BackupError(_("%(path)s cannot be read: %(why)s.") % {"path": path, "why": error.strerror}) from error
    except (AttributeError, *_UNREADABLE) as error:
        raise BackupError(_("%(path)s is no backup of the console.") % {"path": path}) from error
    if manifest.get("format") != FORMAT:
        raise BackupError(_("%(path)s is a backup of a form that this version cannot read.") % {"path": path})
    if not is_ours:
        raise BackupError(_("%(path)s is no backup of the console.") % {"path": path})
    return manifest


def _has_its_parts(manifest: dict[str, Any]) -> bool:
    """Whether everything that is read of it is there; raises what `_UNREADABLE` names where it is not."""
    dt.datetime.fromisoformat(manifest["made_at"])
    parts = [(table["rows"] + 0, table["sha256"] + "", [*table["columns"]]) for table in manifest["tables"].values()]
    return bool(parts) and all(len(tuple(each)) == 2 for each in manifest["migrations"])


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
