"""The lists that the forms of set-up choose from, so that nobody types an id: kept fresh, and read at once on demand.

Clients and projects of Invoice Ninja come from `discovery`; the projects of Taiga are read here.
"""

from __future__ import annotations

import datetime as dt
import logging
from typing import Final

from django.db import transaction
from django.utils import timezone

from billing_console.errors import ConsoleError
from mappings.models import TaigaProject
from sync import discovery, doorbell, gate, heartbeats, upstreams
from sync.models import Heartbeat, Server

logger = logging.getLogger(__name__)

TAIGA_HEARTBEAT: Final = "taiga_discovery"


def want_lists() -> None:
    """Ask the worker to read the lists of both servers soon. Calls nobody; a lost ring costs until the next sweep."""
    Heartbeat.objects.filter(name__in=(discovery.NINJA_HEARTBEAT, TAIGA_HEARTBEAT)).delete()
    transaction.on_commit(lambda: doorbell.ring("lists"))


def ensure_lists() -> int:
    """Read the lists that are wanted or old, where the gate lets us call; returns how many. A failure is logged."""
    done = 0
    for server, ensure in ((Server.NINJA, discovery.ensure_clients_known), (Server.TAIGA, ensure_taiga_projects)):
        if not gate.may_call(server):
            continue
        try:
            ensure()
            done += 1
        except ConsoleError as error:
            logger.warning("the lists of %s could not be read: %s", server.label, error.sentence)
    return done


def ensure_taiga_projects(max_age: dt.timedelta = discovery.MAX_AGE) -> None:
    """Read the list of Taiga's projects again unless that was done within `max_age` (real time).

    Raises UpstreamError when it has to and cannot.
    """
    heartbeat = Heartbeat.objects.filter(name=TAIGA_HEARTBEAT).first()
    if heartbeat is None or heartbeat.at < timezone.now() - max_age:
        refresh_taiga_projects()


def refresh_taiga_projects() -> None:
    """Read which projects of Taiga our user is a member of; those that it left, or that are gone, are unknown."""
    taiga = upstreams.taiga_client()
    # Not every visible project: a public one of which we are no member can be read, but not written back to.
    rows = taiga.projects(member=taiga.me().id)
    now = timezone.now()
    fresh = [
        TaigaProject(
            taiga_id=row.id,
            name=row.name[:255],
            slug=row.slug[:255],
            is_known=True,
            is_admin=row.is_admin,
            is_archived=row.is_archived,
            refreshed_at=now,
        )
        for row in rows
    ]
    with transaction.atomic():
        TaigaProject.objects.bulk_create(
            fresh,
            update_conflicts=True,
            unique_fields=["taiga_id"],
            update_fields=["name", "slug", "is_known", "is_admin", "is_archived", "refreshed_at"],
        )
        TaigaProject.objects.exclude(taiga_id__in=[row.id for row in rows]).update(is_known=False)
        heartbeats.note(TAIGA_HEARTBEAT)
