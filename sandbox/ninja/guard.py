"""The server's guard against a double click: the same request again within a second of real time."""

from __future__ import annotations

import threading
import time

from sandbox.ninja.errors import Refusal

SECONDS = 1.0


class Guard:
    """Remembers what was asked during the last second. Thread-safe; forgotten when the stand-in ends."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: dict[str, float] = {}

    def refuse_duplicate(self, key: str) -> None:
        """Raises Refusal 400 if the key was here less than a second ago."""
        now = time.monotonic()
        with self._lock:
            self._seen = {old: at for old, at in self._seen.items() if now - at < SECONDS}
            if key in self._seen:
                raise Refusal(400, {"message": "Duplicate request"})
            self._seen[key] = now

    def clear(self) -> None:
        """Forgets everything."""
        with self._lock:
            self._seen.clear()
