"""The lists that the forms of set-up choose from, so that nobody types an id: kept fresh, read at once on demand."""

from __future__ import annotations

import logging

from django.db import transaction

from billing_console.errors import ConsoleError
from sync import discovery, doorbell, gate, taiga_projects
from sync.models import Heartbeat, Server

logger = logging.getLogger(__name__)


def want_lists() -> None:
    """Ask the worker to read the lists of both servers soon. Calls nobody; a lost ring costs until the next sweep."""
    Heartbeat.objects.filter(name=discovery.NINJA_HEARTBEAT).delete()
    taiga_projects.forget()
    transaction.on_commit(lambda: doorbell.ring("lists"))


def ensure_lists() -> int:
    """Read the lists that are wanted or old, where the gate lets us call; returns how many are fresh now.

    A failure is logged, and said where the list is shown.
    """
    done = 0
    if gate.may_call(Server.NINJA):
        try:
            discovery.ensure_clients_known()
            done += 1
        except ConsoleError as error:
            logger.warning("the lists of Invoice Ninja could not be read: %s", error.sentence)
    if gate.may_call(Server.TAIGA):
        taiga_projects.refresh_when_old()
        done += not taiga_projects.failure()
    return done
