"""Whether this process is to begin nothing more: it was asked to stop, or is not fit any more (`fitness`).

A drain takes up to hundreds of rows, one after the other. A worker that is to stop waits for its threads, and what it
has not finished in time is killed in the middle; so whoever claims asks here first. It finishes what it has begun.
"""

from __future__ import annotations

from typing import Any

from billing_console import fitness

_asked = False  # no lock: it is set in a signal handler


def is_stopping() -> bool:
    """True once this process was asked to stop; and while its last word was that it may not work. Asks nobody."""
    return _asked or bool(fitness.seen().why_idle)


def begin(**_kwargs: Any) -> None:
    """It was asked to stop (what Celery calls in its signal handler)."""
    global _asked
    _asked = True


def forget() -> None:
    """It goes on after all; for tests, whose process outlives many a stop."""
    global _asked
    _asked = False
