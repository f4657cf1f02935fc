"""The lists that the forms of set-up choose from, so that nobody types an id: kept fresh, read at once on demand."""

from __future__ import annotations

from django.db import transaction

from sync import discovery, doorbell, gate, taiga_projects
from sync.models import Server


def want_lists() -> None:
    """Ask the worker to read the lists of both servers soon. Calls nobody; a lost ring costs until the next sweep."""
    discovery.forget()
    taiga_projects.forget()
    transaction.on_commit(lambda: doorbell.ring("lists"))


def ensure_lists() -> int:
    """Read the lists that are wanted or old, where the gate lets us call; returns how many are fresh now.

    A failure is logged, said where the list is shown, and not repeated within a minute.
    """
    done = 0
    if gate.may_call(Server.NINJA):
        discovery.refresh_when_old()
        done += not discovery.failure()
    if gate.may_call(Server.TAIGA):
        taiga_projects.refresh_when_old()
        done += not taiga_projects.failure()
    return done
