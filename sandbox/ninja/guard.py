"""The server's guard against a double click: what looks like the same request within a second of real time.

As on 5.10.42 and later: of a bulk action on invoices only address, company and action count, whichever the invoices
(recordings 667 to 676, 1466); of a payment address, client and amount (727). POST /emails has none (623 to 630).
"""

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

    def refuse_duplicate(self, key: str, status: int = 400) -> None:
        """Raises Refusal 400 (with the switch duplicate_status another) if the key was here less than a second ago."""
        now = time.monotonic()
        with self._lock:
            self._seen = {old: at for old, at in self._seen.items() if now - at < SECONDS}
            if key in self._seen:
                raise Refusal(status, {"message": "Duplicate request"})
            self._seen[key] = now

    def clear(self) -> None:
        """Forgets everything."""
        with self._lock:
            self._seen.clear()
