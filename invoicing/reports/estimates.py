"""Estimate against actual: what somebody expected a task to take, and what was typed."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.db.models import Count, DecimalField, Exists, ExpressionWrapper, F, Max, OuterRef, Q, QuerySet, Sum
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from billing_console import formats
from billing_console.dot_plots import Dot, dots_on_a_diagonal
from billing_console.money import ZERO
from billing_console.plots import Numbers
from invoicing.reports.base import Plotted, Report
from invoicing.reports.cells import entry_url, task_words
from invoicing.reports.columns import Column, Kind, Row
from invoicing.reports.filters import Wanted
from sync import attributes
from sync.models import TimeEntry, WorkItem

DRAWN = 200
SHARE = ExpressionWrapper(F("off") * 100 / F("estimate_hours"), output_field=DecimalField())
OFF = ExpressionWrapper(F("typed") - F("estimate_hours"), output_field=DecimalField())


class Estimates(Report):
    """One row for each item with an estimate or story points, the furthest above its estimate first."""

    name = "estimates"
    title = _("Estimate against actual")
    question = _("Which tasks took longer than expected, and which less?")
    basis = _(
        "Items with work in these days; estimate and hours of the whole item, as typed in Taiga. "
        "An estimate that cannot be read is shown and holds nothing."
    )
    uses = frozenset({"period", "client", "project", "person"})

    columns = (
        Column(
            "task",
            _("Task"),
            value=lambda row: task_words(row["ref"], row["subject"]),
            url=lambda row: entry_url({"pk": row["entry"]}),
            sub=lambda row: row["project__taiga_project_name"] or "",
        ),
        Column("project__client__name", _("Client")),
        Column("project__taiga_project_name", _("Project"), in_files_only=True),
        Column("person", _("Person"), value=lambda row: row["assignee__full_name"] or row["assignee__username"] or ""),
        Column("estimate_hours", _("Estimate"), Kind.HOURS, sub=lambda row: _unreadable(row)),
        Column("estimate_typed", _("Estimate as typed"), value=lambda row: _quoted(row), in_files_only=True),
        Column("typed", _("Hours typed"), Kind.HOURS),
        Column("off", _("Difference"), Kind.HOURS, is_signed=True),
        Column("share", _("Difference, %"), Kind.PERCENT, is_signed=True),
        Column("points", _("Story points"), Kind.NUMBER),
    )

    def rows(self, wanted: Wanted) -> QuerySet[WorkItem, Row]:
        rows = self._items(wanted).annotate(
            entry=Max("entries__pk"),
            off=OFF,
            share=SHARE,
            estimate_typed=F("attributes__estimate"),
        )
        return rows.order_by(F("off").desc(nulls_last=True), "pk").values(
            *("pk", "entry", "ref", "subject", "project__taiga_project_name", "project__client__name"),
            *("assignee__full_name", "assignee__username", "estimate_hours", "estimate_typed"),
            *("typed", "off", "share", "points"),
        )

    def totals(self, wanted: Wanted) -> list[tuple[str, str]]:
        """Only what has a readable estimate is compared; the others are counted."""
        read = Q(estimate_hours__isnull=False)
        sums = self._items(wanted).aggregate(
            count=Count("pk"),
            estimated=Sum("estimate_hours", default=ZERO),
            taken=Sum("typed", filter=read, default=ZERO),
            unreadable=Count("pk", filter=~read & Q(attributes__has_key=attributes.ESTIMATE)),
        )
        words = [
            (gettext("Items"), formats.number(Decimal(sums["count"]), 0)),
            (gettext("Estimated"), formats.hours(sums["estimated"])),
            (gettext("Typed on these"), formats.hours(sums["taken"])),
            (gettext("Difference"), formats.hours(sums["taken"] - sums["estimated"], is_signed=True)),
        ]
        if sums["unreadable"]:
            words.append((gettext("Cannot be read"), formats.number(Decimal(sums["unreadable"]), 0)))
        return words

    def plots(self, wanted: Wanted) -> list[Plotted]:
        """The largest as dots; those above the diagonal took longer than estimated."""
        rows = list(
            self._items(wanted)
            .filter(estimate_hours__isnull=False)
            .order_by("-typed", "pk")
            .values("ref", "subject", "estimate_hours", "typed")[:DRAWN]
        )
        if len(rows) < 3:
            return []
        names = [task_words(row["ref"], row["subject"]) for row in rows]
        dots = [
            Dot(
                f"{name}: {formats.hours(row['estimate_hours'])} → {formats.hours(row['typed'])}",
                row["estimate_hours"],
                row["typed"],
            )
            for name, row in zip(names, rows, strict=True)
        ]
        title = gettext("Hours typed against hours estimated")
        if len(rows) == DRAWN:
            title = gettext("Hours typed against hours estimated, the %(count)d largest") % {"count": DRAWN}
        plot = dots_on_a_diagonal(
            title,
            dots,
            axes=(gettext("Estimated hours"), gettext("Typed hours")),
            sides=(gettext("within the estimate"), gettext("above it")),
        )
        numbers = Numbers(
            (gettext("Task"), gettext("Estimate"), gettext("Hours typed"), gettext("Difference")),
            tuple(
                (
                    name,
                    formats.hours(row["estimate_hours"]),
                    formats.hours(row["typed"]),
                    formats.hours(row["typed"] - row["estimate_hours"], is_signed=True),
                )
                for name, row in zip(names, rows, strict=True)
            ),
            frozenset({1, 2, 3}),
        )
        return [Plotted(plot, numbers, "console/_dots.html")]

    def _items(self, wanted: Wanted) -> QuerySet[Any]:
        condition = wanted.within("work_date") & wanted.of(client="client", project="project", person="person")
        worked = Exists(TimeEntry.objects.filter(condition, item=OuterRef("pk")))
        has_any = Q(attributes__has_key=attributes.ESTIMATE) | Q(points__isnull=False)
        return WorkItem.objects.filter(worked, has_any).annotate(typed=Sum("entries__raw_hours", default=ZERO))


def _quoted(row: Row) -> str:
    raw = row["estimate_typed"]
    return "" if raw is None else str(raw)


def _unreadable(row: Row) -> str:
    """The value that nobody can read, quoted; "" for every other row."""
    if row["estimate_hours"] is not None or row["estimate_typed"] is None:
        return ""
    return gettext("cannot be read: %(quoted)s") % {"quoted": attributes.quote(row["estimate_typed"])}
