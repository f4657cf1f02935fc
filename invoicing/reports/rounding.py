"""Rounding: what the increment and the minimum put on top of the hours that were typed."""

from __future__ import annotations

from typing import Any

from django.db.models import Case, Count, DecimalField, ExpressionWrapper, F, QuerySet, Sum, When
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from billing_console.states import EntryState
from invoicing.reports.base import Report, sums_in_words
from invoicing.reports.cells import CLIENT, PROJECT
from invoicing.reports.columns import CURRENCY, Column, Kind, Row
from invoicing.reports.filters import Wanted
from sync.models import TimeEntry

BILLED = (EntryState.READY, EntryState.CLAIMED, EntryState.INVOICED)
UPLIFT = F("billed_hours") - F("raw_hours")
WORTH = ExpressionWrapper(UPLIFT * F("rate"), output_field=DecimalField())


class Rounding(Report):
    """One row for each client, project and currency."""

    name = "rounding"
    title = _("Rounding")
    question = _("How much do rounding and the minimum add to the hours that were typed?")
    basis = _("By work date; entries that are ready, in a draft or invoiced. Worth: hours added × rate, before tax.")
    uses = frozenset({"period", "client", "project", "person"})

    columns = (
        CLIENT,
        PROJECT,
        Column("entries_count", _("Entries"), Kind.COUNT),
        Column("raw", _("Hours typed"), Kind.HOURS),
        Column("billed", _("Hours billed"), Kind.HOURS),
        Column("uplift", _("Added"), Kind.HOURS, is_signed=True),
        Column("share", _("Added, %"), Kind.PERCENT, is_signed=True),
        CURRENCY,
        Column("worth", _("Worth"), Kind.MONEY, is_signed=True),
    )

    def rows(self, wanted: Wanted) -> QuerySet[TimeEntry, Row]:
        grouped = self._entries(wanted).values("client__name", "project__taiga_project_name", "currency")
        rows: QuerySet[Any, Row] = grouped.annotate(
            entries_count=Count("pk"),
            raw=Sum("raw_hours"),
            billed=Sum("billed_hours"),
            uplift=Sum(UPLIFT),
            share=Case(
                When(raw__gt=0, then=ExpressionWrapper(F("uplift") * 100 / F("raw"), output_field=DecimalField()))
            ),
            worth=Sum(WORTH),
        ).order_by("client__name", "project__taiga_project_name", "currency")
        return rows

    def totals(self, wanted: Wanted) -> list[tuple[str, str]]:
        sums = self._entries(wanted).values("currency").order_by("currency")
        figures = sums.annotate(count_sum=Count("pk"), hours_sum=Sum(UPLIFT), amount_sum=Sum(WORTH))
        words = {"count": gettext("Entries"), "hours": gettext("Hours added"), "amount": gettext("Worth")}
        return sums_in_words(list(figures), **words)

    def _entries(self, wanted: Wanted) -> QuerySet[TimeEntry]:
        condition = wanted.within("work_date") & wanted.of(client="client", project="project", person="person")
        return TimeEntry.objects.filter(condition, state__in=BILLED).order_by()
