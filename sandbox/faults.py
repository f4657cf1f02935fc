"""Fault switches of a stand-in: what goes wrong on the way, for which calls and how often."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

KINDS = ("lost_answer", "delay", "status", "refused", "html", "redirect", "headers", "half", "old_copy", "meanwhile")
FIELDS = {
    "kind",
    "method",
    "path",
    "count",
    "seconds",
    "status",
    "after",
    "headers",
    "body",
    "wait_seconds",
    "location",
    "every",
    "act",
}


@dataclass
class Fault:
    """One switch.

    kind: `lost_answer` (the work is done, the connection drops without an answer), `refused` (it drops
    before any work), `delay` (`seconds` before the work, or after it with `after`), `status` (answers that
    instead of the work, or after it with `after`; 429 with `wait_seconds` tells when to come back), `html`
    (200 with a page), `redirect` (302 to `location`), `headers` (the answer, with these `headers`), `half` (the work
    is done, and the connection drops in the middle of the answer), `old_copy` (reads are answered as the server was
    when `keep_copy` was called), `meanwhile` (somebody does `act` right before the work; in this process only).
    method: one method or "*"; path: a regular expression searched in the path with its query; count: how many
    calls it hits, None = for ever; every: 3 leaves two calls out between two that it hits.
    """

    kind: str
    method: str = "*"
    path: str = ""
    count: int | None = 1
    seconds: float = 0.0
    status: int = 500
    after: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None
    wait_seconds: int | None = None
    location: str = "/login"
    every: int = 1
    act: Callable[[], object] | None = None
    hits: int = 0
    passed: int = 0

    def matches(self, method: str, path: str) -> bool:
        """Whether a call with this method and path (query included) is hit."""
        return self.method in ("*", method) and re.search(self.path, path) is not None


class Faults:
    """The switches that are set, oldest first. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []

    def add(self, *specs: dict[str, Any]) -> None:
        """Sets switches from their fields; raises ValueError with one sentence for a senseless one."""
        fresh = []
        for spec in specs:
            if not isinstance(spec, dict) or set(spec) - FIELDS:
                raise ValueError(f"A fault has the fields {', '.join(sorted(FIELDS))}; this one is {spec!r}.")
            if spec.get("kind") not in KINDS:
                raise ValueError(f"A fault's kind is one of {', '.join(KINDS)}, not {spec.get('kind')!r}.")
            try:
                re.compile(spec.get("path", ""))
            except re.error as error:
                raise ValueError(
                    f"A fault's path is a regular expression; {spec['path']!r} is none: {error}."
                ) from error
            fresh.append(Fault(**spec))
        with self._lock:
            self._faults.extend(fresh)

    def clear(self) -> None:
        """Takes all switches back."""
        with self._lock:
            self._faults.clear()

    def take(self, method: str, path: str) -> list[Fault]:
        """The switches that hit this call, each used up by one."""
        with self._lock:
            hit = []
            for fault in self._faults:
                if fault.matches(method, path):
                    fault.passed += 1
                    if fault.passed % fault.every == 0:
                        hit.append(fault)
            for fault in hit:
                fault.hits += 1
                if fault.count is not None:
                    fault.count -= 1
            self._faults = [fault for fault in self._faults if fault.count is None or fault.count > 0]
            return hit

    def describe(self) -> list[dict[str, Any]]:
        """The switches still set, with how often each was hit."""
        with self._lock:
            return [vars(fault).copy() for fault in self._faults]
