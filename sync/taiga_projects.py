"""The projects of Taiga that our user is a member of, as cached rows: pages list them without a call."""

from __future__ import annotations

import datetime as dt
import logging
from typing import Final

from django.db import transaction
from django.utils import timezone

from billing_console.errors import ConsoleError
from mappings.models import TaigaProject
from sync import gate, heartbeats, upstreams
from sync.clients.taiga_rows import TaigaProject as Row
from sync.models import Heartbeat, Server
from sync.texts import clean_text

logger = logging.getLogger(__name__)

MAX_AGE: Final = dt.timedelta(minutes=10)
HEARTBEAT: Final = "taiga_projects"
_FAILED: Final = HEARTBEAT + heartbeats.FAILED
_AFTER_FAILURE: Final = dt.timedelta(minutes=1)


def refresh() -> None:
    """Read our user's projects from Taiga; one that it left, or that is gone, is not known. Raises UpstreamError."""
    taiga = upstreams.taiga_client()
    # Not every visible project: a public one of which we are no member can be read, but not written back to.
    rows = taiga.projects(member=taiga.me().id)
    now = timezone.now()
    fresh = [_row(row, now) for row in rows]
    with transaction.atomic():
        TaigaProject.objects.bulk_create(
            fresh,
            update_conflicts=True,
            unique_fields=["taiga_id"],
            update_fields=["name", "slug", "is_admin", "is_archived", "is_known", "refreshed_at"],
        )
        TaigaProject.objects.exclude(taiga_id__in=[row.id for row in rows]).update(is_known=False)
        heartbeats.note(HEARTBEAT)


def refresh_when_old() -> bool:
    """The same in a worker, when the list is older than ten minutes (real time) or was asked for; True if it was read.

    After a failure not again within a minute; `failure` says what it was.
    """
    if not _is_due() or not gate.may_call(Server.TAIGA):
        return False
    try:
        refresh()
    except ConsoleError as error:
        logger.warning("the projects of Taiga could not be read: %s", error.sentence)
        heartbeats.note_failure(HEARTBEAT, error.sentence)
        return False
    return True


def read_at() -> dt.datetime | None:
    """When the list was read last (real time); None also while it is asked for and was not read again yet."""
    last = _noted().get(HEARTBEAT)
    return last[0] if last else None


def failure() -> str:
    """Why the list could not be read since, as a sentence; "" when it could."""
    noted = _noted()
    last, failed = noted.get(HEARTBEAT), noted.get(_FAILED)
    return failed[1] if failed and (last is None or failed[0] > last[0]) else ""


def forget() -> None:
    """Whoever looks next reads the list anew."""
    Heartbeat.objects.filter(name__in=(HEARTBEAT, _FAILED)).delete()


def _is_due() -> bool:
    noted, now = _noted(), timezone.now()
    last, failed = noted.get(HEARTBEAT), noted.get(_FAILED)
    return (last is None or last[0] < now - MAX_AGE) and (failed is None or failed[0] < now - _AFTER_FAILURE)


def _noted() -> dict[str, tuple[dt.datetime, str]]:
    rows = Heartbeat.objects.filter(name__in=(HEARTBEAT, _FAILED))
    return {name: (at, detail) for name, at, detail in rows.values_list("name", "at", "detail")}


def _row(row: Row, now: dt.datetime) -> TaigaProject:
    return TaigaProject(
        taiga_id=row.id,
        name=clean_text(row.name, 255),
        slug=clean_text(row.slug, 255),
        is_admin=row.is_admin,
        is_archived=row.is_archived or row.is_blocked,
        is_known=True,
        refreshed_at=now,
    )
