"""The one clock of both stand-ins: real, running with an offset, or frozen at an instant."""

from __future__ import annotations

import json
import os
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path


def parse_instant(text: str) -> datetime:
    """An ISO 8601 instant as an aware UTC datetime; without a zone it is taken as UTC. Raises ValueError."""
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=UTC)
    return instant.astimezone(UTC)


def format_instant(instant: datetime) -> str:
    """`2025-12-01T14:30:00Z`, with microseconds only where there are some."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


class Clock:
    """Tells the stand-ins' time. With a path, changes are kept there as JSON; the console reads it too."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._frozen: datetime | None = None
        self._offset = timedelta(0)
        if path is not None and path.exists():
            kept = json.loads(path.read_text(encoding="utf-8"))
            if "frozen" in kept:
                self._frozen = parse_instant(kept["frozen"])
            else:
                self._offset = timedelta(seconds=kept.get("offset_seconds", 0))

    def now(self) -> datetime:
        """The stand-ins' present, aware, UTC."""
        with self._lock:
            return self._frozen if self._frozen is not None else datetime.now(UTC) + self._offset

    def set(self, now: datetime, *, frozen: bool = True) -> None:
        """Puts the clock to `now` (aware); frozen it stays there, else it runs on from there."""
        with self._lock:
            self._frozen = now.astimezone(UTC) if frozen else None
            self._offset = timedelta(0) if frozen else now - datetime.now(UTC)
            self._keep()

    def set_real(self) -> None:
        """Back to the machine's time."""
        with self._lock:
            self._frozen, self._offset = None, timedelta(0)
            self._keep()

    def describe(self) -> dict[str, object]:
        """`now` and either `frozen` (the instant) or `offset_seconds`, as kept in the file."""
        return {"now": format_instant(self.now()), **self._setting()}

    def _setting(self) -> dict[str, object]:
        if self._frozen is not None:
            return {"frozen": format_instant(self._frozen)}
        return {"offset_seconds": self._offset.total_seconds()}

    def _keep(self) -> None:
        if self._path is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._path.with_name(self._path.name + ".new")
        fresh.write_text(json.dumps(self._setting()), encoding="utf-8")
        os.replace(fresh, self._path)
