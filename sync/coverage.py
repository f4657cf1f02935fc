"""Webhook coverage: of the closings that were noticed, how many the webhook told and how many only a sweep found.

Days are local days of the office's zone, by when a closing was first seen. A gap has a likely cause: what the items
that the webhook missed have in common, or what else is known of those days.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from zoneinfo import ZoneInfo

from django.db.models import Count, Q, Sum
from django.db.models.functions import TruncDate
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from billing_console.states import ItemKind
from mappings.models import ProjectMapping
from sync.models import FoundBy, ProjectSweep, RejectedDelivery, WorkItem


@dataclass
class Day:
    """Closings of one project on one day: `told` by the webhook, `found` by a sweep or a person."""

    told: int = 0
    found: int = 0

    @property
    def total(self) -> int:
        """All closings that were noticed."""
        return self.told + self.found


@dataclass
class ProjectCoverage:
    """One project over the days that were asked for, and why its webhook missed what it missed."""

    project: str
    pk: int
    days: dict[dt.date, Day] = field(default_factory=lambda: defaultdict(Day))
    cause: str = ""

    @property
    def told(self) -> int:
        """Closings that the webhook told."""
        return sum(day.told for day in self.days.values())

    @property
    def total(self) -> int:
        """All closings that were noticed."""
        return sum(day.total for day in self.days.values())

    @property
    def share(self) -> Decimal | None:
        """Told ÷ noticed in per cent; None where nothing was closed."""
        return Decimal(self.told) * 100 / self.total if self.total else None


def by_project(since: dt.date, zone: str) -> list[ProjectCoverage]:
    """Coverage of every active project from the local day `since` on, the worst first; four queries."""
    begin = dt.datetime.combine(since, dt.time(), ZoneInfo(zone))
    rows = {
        pk: ProjectCoverage(name, pk)
        for pk, name in ProjectMapping.objects.filter(is_active=True).values_list("pk", "taiga_project_name")
    }
    closed = WorkItem.objects.filter(closed_seen_at__gte=begin, project__in=rows).order_by()
    missed: dict[int, dict[str, int]] = {}
    grouped = closed.annotate(day=TruncDate("closed_seen_at", tzinfo=ZoneInfo(zone))).values("project", "day")
    for row in grouped.annotate(
        told=Count("pk", filter=Q(closing_found_by=FoundBy.WEBHOOK)),
        found=Count("pk", filter=~Q(closing_found_by=FoundBy.WEBHOOK)),
        storyless=Count("pk", filter=~Q(closing_found_by=FoundBy.WEBHOOK) & Q(kind=ItemKind.TASK, has_story=False)),
        silent=Count("pk", filter=~Q(closing_found_by=FoundBy.WEBHOOK) & Q(kind=ItemKind.STORY)),
    ):
        day = rows[row["project"]].days[row["day"]]
        day.told, day.found = row["told"], row["found"]
        counts = missed.setdefault(row["project"], {"found": 0, "storyless": 0, "silent": 0})
        counts["found"] += row["found"]
        counts["storyless"] += row["storyless"]
        counts["silent"] += row["silent"]
    refused = RejectedDelivery.objects.filter(minute__gte=begin, reason__contains="signature").aggregate(n=Sum("count"))
    heard = dict(ProjectSweep.objects.filter(project__in=rows).values_list("project", "heard_at"))
    for pk, counts in missed.items():
        rows[pk].cause = _cause(rows[pk], counts, refused["n"] or 0, heard.get(pk), begin)
    return sorted(rows.values(), key=lambda row: (row.share is None, row.share or 0, row.project))


def _cause(
    row: ProjectCoverage, counts: dict[str, int], refused: int, heard_at: dt.datetime | None, begin: dt.datetime
) -> str:
    """One sentence: the likeliest reason why the webhook missed closings, "" where it missed none."""
    found = counts["found"]
    if not found:
        return ""
    if counts["storyless"] == found:
        return _("Tasks without a user story: Taiga sends nothing about them. Give them a story, or leave it to us.")
    if counts["silent"] + counts["storyless"] == found:
        return _("User stories that closed with their last task: Taiga sends nothing about that.")
    if refused and not row.told:
        return ngettext(
            "%(count)d delivery was refused because of its signature: the key in Taiga is another one than ours.",
            "%(count)d deliveries were refused because of their signature: the key in Taiga is another one than ours.",
            refused,
        ) % {"count": refused}
    if not row.told:
        return _("No delivery told of any of them: the webhook is missing, off, or leads elsewhere. Test it in Taiga.")
    if heard_at is not None and heard_at < begin:
        return _("The webhook has been silent since then. Test it in Taiga.")
    return _("Some deliveries were lost: the console, or the way to it, was down at times. Taiga sends only once.")
