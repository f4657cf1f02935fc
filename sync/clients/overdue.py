"""One thread that acts on whatever took too long, for all calls of a process.

A timer of its own for each call would start a thread and end it, several times for every entry: under load the calls
would wait longer for these than for the servers.
"""

from __future__ import annotations

import heapq
import itertools
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

Act = Callable[[], None]


@dataclass
class Waiting:
    """Something that must be over by its time. `end` it when it is."""

    act: Act | None

    def end(self) -> None:
        """It is over: nothing is done at its time (any more)."""
        self.act = None


class Overdue:
    """Does the act of each thing that still waits when its time has come. The times are `time.monotonic()`."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin anew, without a thread and with nothing to wait for: a forked process has neither."""
        self._changed = threading.Condition()
        self._waiting: list[tuple[float, int, Waiting]] = []
        self._numbers = itertools.count()
        self._thread: threading.Thread | None = None

    def add(self, at: float, act: Act) -> Waiting:
        """Do `act` at `at`, in the thread of this object, unless it has ended by then. It must be quick."""
        waiting = Waiting(act)
        with self._changed:
            heapq.heappush(self._waiting, (at, next(self._numbers), waiting))
            if self._waiting[0][2] is waiting:  # else the thread wakes early enough
                self._changed.notify()
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._watch, name="overdue", daemon=True)
                self._thread.start()
        return waiting

    def _watch(self) -> None:
        while True:
            with self._changed:
                act = self._next()
            act()

    def _next(self) -> Act:
        """Wait for the next act that is due. What has ended is thrown away when it comes first."""
        while True:
            pause = None
            if self._waiting:
                at, _number, waiting = self._waiting[0]
                pause = at - time.monotonic()
                act = waiting.act
                if act is None or pause <= 0:
                    heapq.heappop(self._waiting)
                    if act is not None:
                        return act
                    continue
            self._changed.wait(pause)


overdue = Overdue()
os.register_at_fork(after_in_child=overdue.forget)
