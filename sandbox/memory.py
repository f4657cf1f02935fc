"""Memory of a stand-in: tables of rows, changed in transactions, kept in a journal where a folder is given.

Rows are dicts and are never changed in place: `update` stores a new dict, so a row that was read stays as it
was and readers need no lock. A transaction is appended to the journal before the lock is given up: what an
answer says is done survives a `kill -9` of the process. The journal is compacted when it is opened.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

RowId = int | str
Row = dict[str, Any]


def _encode(value: object) -> dict[str, str]:
    if isinstance(value, Decimal):
        return {"$decimal": str(value)}
    if isinstance(value, datetime):
        return {"$datetime": value.isoformat()}
    raise TypeError(f"{type(value).__name__} cannot be kept in a stand-in's memory")


def _decode(found: dict[str, Any]) -> Any:
    if len(found) == 1:
        if "$decimal" in found:
            return Decimal(found["$decimal"])
        if "$datetime" in found:
            return datetime.fromisoformat(found["$datetime"])
    return found


class Table:
    """Rows by id (int or str), in the order of insertion. Changes only inside `Memory.transaction()`."""

    def __init__(self, memory: Memory, name: str, indexes: tuple[str, ...]) -> None:
        self.name = name
        self._memory = memory
        self._rows: dict[RowId, Row] = {}
        self._indexes: dict[str, dict[Any, dict[RowId, None]]] = {field: {} for field in indexes}
        self.last_id = 0

    def insert(self, row: Row, row_id: RowId | None = None) -> Row:
        """Stores a row and answers it with its `id`: the given one, else `row["id"]`, else the next number.

        Raises KeyError if the id is taken.
        """
        row_id = row.get("id") if row_id is None else row_id
        if row_id is None:
            row_id = self.last_id + 1
        if row_id in self._rows:
            raise KeyError(f"{self.name} {row_id} exists")
        stored = {**row, "id": row_id}
        self._put(row_id, stored)
        return stored

    def update(self, row_id: RowId, **changes: Any) -> Row:
        """Stores the row with these changes and answers the new row. Raises KeyError if there is none."""
        stored = {**self._rows[row_id], **changes}
        self._put(row_id, stored)
        return stored

    def delete(self, row_id: RowId) -> None:
        """Forgets a row; raises KeyError if there is none. Its number is not given again."""
        if row_id not in self._rows:
            raise KeyError(f"{self.name} {row_id} does not exist")
        self._put(row_id, None)

    def get(self, row_id: RowId | None) -> Row | None:
        """The row, to read only, or None."""
        return None if row_id is None else self._rows.get(row_id)

    def all(self) -> list[Row]:
        """All rows in the order of their insertion."""
        with self._memory.lock:
            return list(self._rows.values())

    def find(self, **equal: Any) -> list[Row]:
        """The rows whose fields equal these values; by id where one of the fields is indexed (fast)."""
        with self._memory.lock:
            candidates: list[Row] | None = None
            for field, value in equal.items():
                if field in self._indexes and candidates is None:
                    candidates = [self._rows[i] for i in sorted_ids(self._indexes[field].get(value, {}))]
            rows = list(self._rows.values()) if candidates is None else candidates
        return [row for row in rows if all(row.get(field) == value for field, value in equal.items())]

    def first(self, **equal: Any) -> Row | None:
        """The first row `find` would answer, or None."""
        rows = self.find(**equal)
        return rows[0] if rows else None

    def next_id(self) -> int:
        """Uses up one number, for ids that are made from it."""
        self._memory.require_transaction()
        self.last_id += 1
        self._memory.note_counter(self)
        return self.last_id

    def __len__(self) -> int:
        return len(self._rows)

    def _put(self, row_id: RowId, row: Row | None) -> None:
        self._memory.require_transaction()
        self._memory.note_change(self, row_id, self._rows.get(row_id), self.last_id)
        self.apply(row_id, row)

    def apply(self, row_id: RowId, row: Row | None) -> None:
        """Sets or removes a row without noting it (for the journal and for undoing)."""
        before = self._rows.get(row_id)
        for field, index in self._indexes.items():
            if before is not None:
                index.get(before.get(field), {}).pop(row_id, None)
            if row is not None:
                index.setdefault(row.get(field), {})[row_id] = None
        if row is None:
            self._rows.pop(row_id, None)
        else:
            self._rows[row_id] = row
            if isinstance(row_id, int):
                self.last_id = max(self.last_id, row_id)

    def clear(self) -> None:
        """Forgets everything without noting it."""
        self._rows.clear()
        for index in self._indexes.values():
            index.clear()
        self.last_id = 0


def sorted_ids(ids: dict[RowId, None]) -> list[RowId]:
    """Numbers before texts, each in their order: an index forgets the order of insertion on updates."""
    return sorted(ids, key=lambda i: (isinstance(i, str), i))


class Memory:
    """The tables of one stand-in. `lock` is reentrant and held by a transaction; no network call inside."""

    def __init__(self, name: str, directory: Path | None = None) -> None:
        self.lock = threading.RLock()
        self._tables: dict[str, Table] = {}
        self._unclaimed: dict[str, tuple[dict[RowId, Row], int]] = {}
        self._depth = 0
        self._undo: list[tuple[Table, RowId, Row | None, int]] = []
        self._counters: set[str] = set()
        self._journal: int | None = None
        self._path: Path | None = None
        if directory is not None:
            directory.mkdir(parents=True, exist_ok=True)
            self._path = directory / f"{name}.jsonl"
            self._load(self._path)

    def table(self, name: str, *, indexes: tuple[str, ...] = ()) -> Table:
        """Declares a table, or answers the declared one; what the journal knew of it is in it."""
        with self.lock:
            if name not in self._tables:
                table = self._tables[name] = Table(self, name, indexes)
                rows, last_id = self._unclaimed.pop(name, ({}, 0))
                for row_id, row in rows.items():
                    table.apply(row_id, row)
                table.last_id = max(table.last_id, last_id)
            return self._tables[name]

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, one at a time, nestable (the outermost commits). An exception undoes it."""
        with self.lock:
            outermost = self._depth == 0
            self._depth += 1
            mark = len(self._undo)
            try:
                yield
                if outermost:
                    self._commit()
            except BaseException:
                while len(self._undo) > mark:
                    table, row_id, before, last_id = self._undo.pop()
                    table.apply(row_id, before)
                    table.last_id = last_id
                raise
            finally:
                self._depth -= 1
                if outermost:
                    self._undo.clear()
                    self._counters.clear()

    def reset(self) -> None:
        """Forgets everything, journal included."""
        with self.lock:
            for table in self._tables.values():
                table.clear()
            self._unclaimed.clear()
            if self._path is not None:
                self._compact(self._path)

    def dump(self) -> dict[str, list[Row]]:
        """Every table with every row."""
        with self.lock:
            return {name: table.all() for name, table in sorted(self._tables.items())}

    def copy(self) -> Memory:
        """A memory of its own with the same rows, without a journal; its tables are declared by who uses it."""
        with self.lock:
            fresh = Memory("copy")
            fresh._unclaimed = {
                name: ({row["id"]: row for row in table.all()}, table.last_id) for name, table in self._tables.items()
            }
            return fresh

    def close(self) -> None:
        """Gives the journal back to the system; no change is possible afterwards."""
        with self.lock:
            if self._journal is not None:
                os.close(self._journal)
                self._journal = None

    def require_transaction(self) -> None:
        """Raises RuntimeError outside of a transaction."""
        if self._depth == 0:
            raise RuntimeError("rows change only inside Memory.transaction()")

    def note_change(self, table: Table, row_id: RowId, before: Row | None, last_id: int) -> None:
        """Remembers what a row was, to undo it and to know what to write."""
        self._undo.append((table, row_id, before, last_id))

    def note_counter(self, table: Table) -> None:
        """Remembers that a table's last number moved without a row."""
        self._counters.add(table.name)

    def _commit(self) -> None:
        changed = {(table.name, row_id): table for table, row_id, _, _ in self._undo}
        counters = {name: self._tables[name].last_id for name in self._counters | {n for n, _ in changed}}
        if self._journal is None or not counters:
            return
        rows = [[name, row_id, table.get(row_id)] for (name, row_id), table in changed.items()]
        self._append(self._journal, {"rows": rows, "last": counters})

    @staticmethod
    def _append(file: int, record: dict[str, Any]) -> None:
        line = json.dumps(record, default=_encode, separators=(",", ":")).encode() + b"\n"
        while line:
            line = line[os.write(file, line) :]

    def _load(self, path: Path) -> None:
        rows: dict[str, dict[RowId, Row]] = {}
        last: dict[str, int] = {}
        if path.exists():
            with path.open("rb") as lines:
                for line in lines:
                    if not line.endswith(b"\n"):
                        break  # torn by a kill in the middle of the write: its answer never left
                    record = json.loads(line, object_hook=_decode)
                    for name, row_id, row in record["rows"]:
                        if row is None:
                            rows.get(name, {}).pop(row_id, None)
                        else:
                            rows.setdefault(name, {})[row_id] = row
                    last.update(record["last"])
        self._unclaimed = {name: (rows.get(name, {}), last.get(name, 0)) for name in {*rows, *last}}
        self._compact(path)

    def _compact(self, path: Path) -> None:
        if self._journal is not None:
            os.close(self._journal)
        fresh = path.with_name(path.name + ".new")
        file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        kept = {name: (dict(rows), last) for name, (rows, last) in self._unclaimed.items()}
        kept |= {name: ({r["id"]: r for r in t.all()}, t.last_id) for name, t in self._tables.items()}
        for name, (rows, last) in sorted(kept.items()):
            self._append(file, {"rows": [[name, i, row] for i, row in rows.items()], "last": {name: last}})
        os.fsync(file)
        os.replace(fresh, path)
        self._journal = file
