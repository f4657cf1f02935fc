"""Taiga projects that nobody pays for and that tell us of their work all the same: an internal one, say.

They have no mapping, so no sweep reads their timeline. Once in CENSUS_SECONDS each is compared with Taiga as a whole,
so that the books know all of its items too (billing-rules: The identities, *nobody pays*). It only marks; the reader
asks Taiga what is true.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Final

from django.conf import settings

from billing_console.errors import ConsoleError, Forbidden, NotFound
from billing_console.states import ItemState
from mappings.models import ProjectMapping
from sync import census, heartbeats, upstreams
from sync.models import WorkItem

logger = logging.getLogger(__name__)

HEARTBEAT: Final = "unpaid_census"


def project_ids() -> list[int]:
    """Taiga ids of the projects without a mapping of which the console has read items, gone ones left out."""
    items = WorkItem.objects.filter(project__isnull=True, taiga_project_id__isnull=False)
    items = items.exclude(state=ItemState.GONE).exclude(
        taiga_project_id__in=ProjectMapping.objects.values("taiga_project_id")
    )
    ids = items.order_by("taiga_project_id").values_list("taiga_project_id", flat=True).distinct()
    return [project_id for project_id in ids if project_id is not None]


def compare_due() -> int:
    """`compare`, where that was not done for CENSUS_SECONDS (real time); returns how many items were marked.

    What Taiga did is a line in the log, and the next sweep tries again.
    """
    if heartbeats.is_alive(HEARTBEAT, timedelta(seconds=settings.CENSUS_SECONDS)):
        return 0
    try:
        marked = compare()
    except ConsoleError as error:
        logger.warning("projects that nobody pays for could not be compared with Taiga: %s", error.sentence)
        heartbeats.note_failure(HEARTBEAT, error.sentence)
        return 0
    heartbeats.note(HEARTBEAT)
    return marked


def compare() -> int:
    """Mark every item of these projects that differs from what Taiga lists; returns how many. Raises ConsoleError.

    A project that our Taiga user may not see, or that is gone, is left as it is.
    """
    marked = 0
    for project_id in project_ids():
        try:
            marked += len(census.take(project_id, upstreams.taiga_client()).marks)
        except (Forbidden, NotFound) as error:
            logger.info("project %s, which nobody pays for, cannot be seen: %s", project_id, error.sentence)
    return marked
