"""Hours per person: what each typed, what of it was billed, what it came to."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.db.models import Count, FilteredRelation, Q, QuerySet, Sum
from django.db.models.functions import Coalesce
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from billing_console import formats
from billing_console.money import ZERO
from billing_console.plots import Column as PlotColumn
from billing_console.plots import Series, numbers_of, stack_bars
from billing_console.states import EntryState
from invoicing.reports.base import Plotted, Report, sums_in_words
from invoicing.reports.cells import CLIENT, PROJECT, person_name
from invoicing.reports.columns import CURRENCY, Column, Kind, Row
from invoicing.reports.filters import Wanted
from sync.models import TimeEntry

UNBILLED = Q(state__in=(EntryState.HELD, EntryState.READY, EntryState.CLAIMED))
INVOICED = Q(state=EntryState.INVOICED)
OTHERS = ~UNBILLED & ~INVOICED
# Once on a line, what is printed there counts, also where a person wrote over it.
CHARGED = Coalesce("line__amount", "amount")
PEOPLE_DRAWN = 12


class HoursPerPerson(Report):
    """One row for each person, project and currency."""

    name = "hours"
    title = _("Hours per person")
    question = _("Who worked how long on what, and what of it is billed?")
    basis = _(
        "By work date; hours as typed in Taiga. Not billed: not billable, below the minimum, excluded, written off."
    )
    uses = frozenset({"period", "client", "project", "person"})

    columns = (
        Column("person", _("Person"), value=lambda row: person_name(row) or gettext("nobody")),
        PROJECT,
        CLIENT,
        Column("entries_count", _("Entries"), Kind.COUNT),
        Column("raw", _("Hours typed"), Kind.HOURS),
        Column("waiting", _("Not invoiced yet"), Kind.HOURS),
        Column("invoiced", _("Invoiced"), Kind.HOURS),
        Column("unbilled", _("Not billed"), Kind.HOURS),
        CURRENCY,
        Column("amount_sum", _("Amount before tax"), Kind.MONEY),
    )

    def rows(self, wanted: Wanted) -> QuerySet[TimeEntry, Row]:
        grouped = self._entries(wanted).values(
            "person__full_name", "person__username", "project__taiga_project_name", "client__name", "currency"
        )
        rows: QuerySet[Any, Row] = grouped.annotate(
            entries_count=Count("pk"),
            raw=Sum("raw_hours", default=ZERO),
            waiting=Sum("raw_hours", filter=UNBILLED, default=ZERO),
            invoiced=Sum("raw_hours", filter=INVOICED, default=ZERO),
            unbilled=Sum("raw_hours", filter=OTHERS, default=ZERO),
            amount_sum=Sum(CHARGED, filter=UNBILLED | INVOICED),
        ).order_by("person__full_name", "person__username", "project__taiga_project_name", "client__name", "currency")
        return rows

    def totals(self, wanted: Wanted) -> list[tuple[str, str]]:
        sums = self._entries(wanted).values("currency").order_by("currency")
        figures = sums.annotate(
            count_sum=Count("pk"),
            hours_sum=Sum("raw_hours"),
            amount_sum=Sum(CHARGED, filter=UNBILLED | INVOICED),
        )
        words = {"count": gettext("Entries"), "hours": gettext("Hours typed"), "amount": gettext("Before tax")}
        return sums_in_words(list(figures), **words)

    def plots(self, wanted: Wanted) -> list[Plotted]:
        """The twelve with the most hours."""
        people = self._entries(wanted).values("person__full_name", "person__username")
        most = people.annotate(
            raw=Sum("raw_hours", default=ZERO),
            waiting=Sum("raw_hours", filter=UNBILLED, default=ZERO),
            invoiced=Sum("raw_hours", filter=INVOICED, default=ZERO),
        ).order_by("-raw", "person__full_name")[:PEOPLE_DRAWN]
        columns = [_bar(row) for row in most if row["raw"]]
        if not columns:
            return []
        series = (
            Series("paid", gettext("Invoiced")),
            Series("open", gettext("Not invoiced yet")),
            Series("unsent", gettext("Not billed")),
        )
        plot = stack_bars(gettext("Hours per person"), series, columns)
        return [Plotted(plot, numbers_of(plot, gettext("Person"), formats.hours, gettext("Hours typed")))]

    def _entries(self, wanted: Wanted) -> QuerySet[TimeEntry]:
        condition = wanted.within("work_date") & wanted.of(client="client", project="project", person="person")
        on_line = FilteredRelation("lines", condition=Q(lines__is_voided=False))  # at most one
        return TimeEntry.objects.filter(condition, raw_hours__gt=0).alias(line=on_line).order_by()


def _bar(row: Row) -> PlotColumn:
    rest: Decimal = row["raw"] - row["waiting"] - row["invoiced"]
    name = person_name(row) or gettext("nobody")
    initials = "".join(word[0] for word in name.split()[:3]).upper()
    return PlotColumn(name, (row["invoiced"], row["waiting"], rest), short_label=initials)
