"""How long something waits before it is tried again. Real time."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Final

from django.conf import settings

from billing_console.errors import ConsoleError, DuplicateRequest, UpstreamError
from sync import rests
from sync.clients.lacks import MachineExhausted

LONGEST_WAIT: Final = timedelta(hours=6)
# No server's breaker is open then, whose end would make due what waits.
LACK_WAIT: Final = timedelta(minutes=1)


def back_off(attempts: int) -> timedelta:
    """Wait before the next attempt: doubling from RETRY_BASE_SECONDS, at most six hours, ±20 % of jitter."""
    seconds = settings.RETRY_BASE_SECONDS * 2 ** min(max(attempts - 1, 0), 20)
    jitter = 0.8 + 0.4 * random.random()  # noqa: S311 -- spreads load, guards nothing
    return min(timedelta(seconds=seconds * jitter), LONGEST_WAIT)


def wait_after(error: ConsoleError, attempts: int) -> timedelta:
    """The back-off after a failure, or what the server asked for where that is longer, for minutes at most.

    What was taken for a repetition waits a little longer than the second that the server remembers one; the jitter
    keeps two that met from meeting again. What this machine lacked it may have again at any time: a minute at most.
    """
    if isinstance(error, MachineExhausted):
        return min(back_off(attempts), LACK_WAIT)
    if isinstance(error, DuplicateRequest):
        return timedelta(seconds=1.1 + random.random() * min(max(attempts, 1), 10))  # noqa: S311 -- spreads load
    asked = error.wait_seconds if isinstance(error, UpstreamError) else None
    return max(back_off(attempts), min(timedelta(seconds=asked or 0), rests.longest(attempts)))
