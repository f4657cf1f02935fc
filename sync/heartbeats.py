"""When each part of the machine last did its work, by PostgreSQL's clock."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from django.db.models.functions import Now

from sync.models import Heartbeat

AHEAD: Final = timedelta(seconds=30)  # the clocks of two machines of one console may differ by so much
CLOCK: Final = "clock"  # its failure says when the clock of this machine went back, and how far
FAILED: Final = "_failed"  # ends the name of the row that says why a part could not do its work


def note(name: str, detail: str = "") -> None:
    """Remember that `name` (worker, sweep, payments, …) did its work just now.

    Those of the servers (taiga, invoice_ninja) say when they last answered a call; `sync.slots` and `sync.gate` note
    them, at most every ten seconds.
    """
    Heartbeat.objects.update_or_create(name=name, defaults={"at": Now(), "detail": detail})


def note_failure(name: str, sentence: str) -> None:
    """Remember that `name` tried to do its work just now and could not, and why; its heartbeat stays as it was."""
    note(name + FAILED, sentence)


def is_alive(name: str, within: timedelta) -> bool:
    """Whether `name` did its work within the last `within`; a time that has not come yet proves nothing."""
    return Heartbeat.objects.filter(name=name, at__gte=Now() - within, at__lte=Now() + AHEAD).exists()
