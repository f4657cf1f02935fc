"""Unbilled time: what was worked and is on no invoice yet, with its age."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from django.db.models import Count, F, QuerySet, Sum, Value
from django.db.models.functions import Coalesce
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from billing_console import formats
from billing_console.money import ZERO
from billing_console.plots import Column as PlotColumn
from billing_console.plots import Series, numbers_of, stack_bars
from billing_console.states import EntryState
from invoicing import carrying
from invoicing.drawn import choose_currency
from invoicing.reports.base import Plotted, Report, sums_in_words
from invoicing.reports.cells import (
    CLIENT,
    PERSON,
    PROJECT_IN_FILES,
    REASON_IN_FILES,
    STATE,
    TASK,
    WORK_DATE,
    entry_values,
)
from invoicing.reports.columns import CURRENCY, Column, Kind, Row
from invoicing.reports.filters import Wanted
from sync.models import TimeEntry

NOT_YET = (EntryState.HELD, EntryState.READY, EntryState.CLAIMED)
BY_HAND_SHOWN = 50
AGES: tuple[tuple[int, int | None], ...] = ((0, 7), (8, 30), (31, 60), (61, 90), (91, None))


class Unbilled(Report):
    """Held, ready and drafted entries, the oldest first."""

    name = "unbilled"
    title = _("Unbilled time")
    question = _("What was worked and is on no invoice yet, and how old is it?")
    basis = _("By work date; amounts before tax. Held entries count with what is known of them.")
    uses = frozenset({"period", "client", "project", "person"})
    months = 0

    columns = (
        TASK,
        CLIENT,
        PROJECT_IN_FILES,
        PERSON,
        WORK_DATE,
        Column("age", _("Age, days"), Kind.DAYS, value=lambda row: row["age"].days if row["age"] is not None else None),
        STATE,
        REASON_IN_FILES,
        Column("hours", _("Hours"), Kind.HOURS),
        CURRENCY,
        Column("amount", _("Amount"), Kind.MONEY),
    )

    def rows(self, wanted: Wanted) -> QuerySet[TimeEntry, Row]:
        rows = self._entries(wanted).order_by(F("work_date").asc(nulls_last=True), "pk")
        return rows.annotate(
            hours=Coalesce("billed_hours", "raw_hours"),
            age=Value(wanted.today) - F("work_date"),
        ).values(*entry_values(), "hours", "age")

    def totals(self, wanted: Wanted) -> list[tuple[str, str]]:
        sums = (
            self._entries(wanted)
            .order_by()
            .values("currency")
            .annotate(
                count_sum=Count("pk"), hours_sum=Sum(Coalesce("billed_hours", "raw_hours")), amount_sum=Sum("amount")
            )
            .order_by("currency")
        )
        words = {"count": gettext("Entries"), "hours": gettext("Hours"), "amount": gettext("Before tax")}
        return sums_in_words(list(sums), **words) + self._by_hand(wanted)

    @staticmethod
    def _by_hand(wanted: Wanted) -> list[tuple[str, str]]:
        """What was added by hand and waits for the next draft of its client; it is of no project and no person."""
        if wanted.project is not None or wanted.person is not None:
            return []
        lines = carrying.waiting().filter(wanted.within("work_date") & wanted.of(client="invoice__client"))
        return [
            (
                gettext("By hand, for the next draft of %(client)s") % {"client": line.invoice.client},
                f"{formats.money(line.amount, line.invoice.currency)} · {line.notes}",
            )
            for line in lines[:BY_HAND_SHOWN]
        ]

    def plots(self, wanted: Wanted) -> list[Plotted]:
        """Amounts by age in the currency that waits most."""
        by_currency: dict[str, dict[tuple[int, str], Decimal]] = {}
        grouped = self._entries(wanted).exclude(amount=None).order_by().values("currency", "state", "work_date")
        for row in grouped.annotate(amount_sum=Sum("amount")).iterator():
            sums = by_currency.setdefault(row["currency"], {})
            place = (_bucket(wanted.today, row["work_date"]), row["state"])
            sums[place] = sums.get(place, ZERO) + row["amount_sum"]
        if not by_currency:
            return []
        drawn = choose_currency(by_currency, wanted.draw)
        main = drawn.currency
        sums = by_currency[main]
        series = (
            Series("paid", gettext("In a draft")),
            Series("open", gettext("Ready")),
            Series("unsent", gettext("Held")),
        )
        states = (EntryState.CLAIMED, EntryState.READY, EntryState.HELD)
        columns = [
            PlotColumn(
                _age_words(*ages),
                tuple(sums.get((number, state), ZERO) for state in states),
                short_label=f"{ages[0]}–{ages[1] or ''}",
            )
            for number, ages in enumerate(AGES)
        ]
        title = gettext("Unbilled by age, %(currency)s") % {"currency": main}
        plot = stack_bars(title, series, columns)
        write = lambda value: formats.money(value, main)  # noqa: E731
        return [Plotted(plot, numbers_of(plot, gettext("Age"), write, gettext("Total before tax")), drawn=drawn)]

    def _entries(self, wanted: Wanted) -> QuerySet[TimeEntry]:
        condition = wanted.within("work_date") & wanted.of(client="client", project="project", person="person")
        return TimeEntry.objects.filter(condition, state__in=NOT_YET)


def _bucket(today: dt.date, work_date: dt.date | None) -> int:
    days = (today - work_date).days if work_date else 0
    return next(number for number, (_first, last) in enumerate(AGES) if last is None or days <= last)


def _age_words(first: int, last: int | None) -> str:
    if last is None:
        return gettext("over %(days)d days") % {"days": first - 1}
    return gettext("%(first)d–%(last)d days") % {"first": first, "last": last}
