"""Unbilled time: what was worked and is on no invoice yet, with its age; now, or as at a day."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

from django.db.models import Count, F, FilteredRelation, Q, QuerySet, Sum, Value
from django.db.models.functions import Coalesce
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from billing_console import formats
from billing_console.money import ZERO
from billing_console.plots import Column as PlotColumn
from billing_console.plots import Series, numbers_of, stack_bars
from billing_console.states import EntryState
from invoicing import carrying
from invoicing.books import unbilled
from invoicing.drawn import choose_currency
from invoicing.models import Stage, UnbilledWork
from invoicing.reports.base import Plotted, Report, sums_in_words
from invoicing.reports.cells import (
    CLIENT,
    PERSON,
    PROJECT_IN_FILES,
    REASON_IN_FILES,
    TASK,
    WORK_DATE,
    entry_values,
    task_words,
)
from invoicing.reports.columns import CURRENCY, Column, Kind, Row
from invoicing.reports.filters import Wanted
from sync import reasons
from sync.models import TimeEntry

NOT_YET = (EntryState.HELD, EntryState.READY, EntryState.CLAIMED)
# How far an entry is, as the books say it.
STAGES = {EntryState.HELD: Stage.HELD, EntryState.READY: Stage.READY, EntryState.CLAIMED: Stage.DRAFT}
BY_HAND_SHOWN = 50
AGES: tuple[tuple[int, int | None], ...] = ((0, 7), (8, 30), (31, 60), (61, 90), (91, None))


class Unbilled(Report):
    """Held, ready and drafted entries, the oldest first."""

    name = "unbilled"
    title = _("Unbilled time")
    question = _("What was worked and is on no invoice yet, and how old is it?")
    basis = _(
        "By work date; amounts before tax, in a draft as printed. Held entries count with what is known of them. As at "
        "a day: work up to it that was on no invoice dated up to it, at the price that stood at its end."
    )
    uses = frozenset({"as_at", "client", "project", "person"})

    columns = (
        TASK,
        CLIENT,
        PROJECT_IN_FILES,
        PERSON,
        WORK_DATE,
        Column("age", _("Age, days"), Kind.DAYS, value=lambda row: row["age"].days if row["age"] is not None else None),
        Column(
            "stage", _("State"), value=lambda row: str(_stage(row).label), sub=lambda row: reasons.label(row["reason"])
        ),
        REASON_IN_FILES,
        Column("spent", _("Hours"), Kind.HOURS),
        CURRENCY,
        Column("worth", _("Amount"), Kind.MONEY),
    )

    def rows(self, wanted: Wanted) -> QuerySet[Any, Row]:
        rows = self._work(wanted).order_by(F("work_date").asc(nulls_last=True), "pk")
        rows = rows.annotate(age=Value(wanted.day) - F("work_date"))
        if wanted.as_at is None:
            return rows.values(*entry_values(), "spent", "worth", "age")
        names = [name for name in entry_values() if name not in ("pk", "state", "reason", "amount")]
        return rows.annotate(reason=Value("")).values(*names, "entry_id", "stage", "spent", "worth", "age", "reason")

    def totals(self, wanted: Wanted) -> list[tuple[str, str]]:
        work = self._work(wanted).order_by()
        sums = (
            work.values("currency")
            .annotate(count_sum=Count("pk"), hours_sum=Sum("spent"), amount_sum=Sum("worth"))
            .order_by("currency")
        )
        words = {"count": gettext("Entries"), "hours": gettext("Hours"), "amount": gettext("Before tax")}
        return sums_in_words(list(sums), **words) + self._apart(wanted, work) + self._by_hand(wanted)

    @staticmethod
    def _apart(wanted: Wanted, work: QuerySet[Any]) -> list[tuple[str, str]]:
        """What is known of no amount: closed items without a price, and open ones for which hours are typed."""
        opened = unbilled.as_at(wanted.day).filter(_of(wanted), stage=Stage.OPEN).count()
        counts = (
            (gettext("Of them without a price yet"), work.filter(worth=None).count()),
            (gettext("Besides: open items with hours typed"), opened),
        )
        return [(label, formats.number(Decimal(count), 0)) for label, count in counts if count]

    @staticmethod
    def _by_hand(wanted: Wanted) -> list[tuple[str, str]]:
        """What was added by hand and waits for the next draft of its client; it is of no project and no person."""
        if wanted.project is not None or wanted.person is not None or wanted.as_at is not None:
            return []
        lines = carrying.waiting().filter(wanted.of(client="invoice__client"))
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
        stage = "state" if wanted.as_at is None else "stage"
        grouped = self._work(wanted).exclude(worth=None).order_by().values("currency", stage, "work_date")
        for row in grouped.annotate(amount_sum=Sum("worth")).iterator():
            sums = by_currency.setdefault(row["currency"], {})
            place = (_bucket(wanted.day, row["work_date"]), _stage(row))
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
        stages = (Stage.DRAFT, Stage.READY, Stage.HELD)
        columns = [
            PlotColumn(
                _age_words(*ages),
                tuple(sums.get((number, stage), ZERO) for stage in stages),
                short_label=f"{ages[0]}–{ages[1] or ''}",
            )
            for number, ages in enumerate(AGES)
        ]
        title = gettext("Unbilled by age, %(currency)s") % {"currency": main}
        plot = stack_bars(title, series, columns)
        write = lambda value: formats.money(value, main)  # noqa: E731
        return [Plotted(plot, numbers_of(plot, gettext("Age"), write, gettext("Total before tax")), drawn=drawn)]

    def _work(self, wanted: Wanted) -> QuerySet[Any]:
        """Entries now, or what the books have of that day: with `spent` (hours) and `worth` (before tax)."""
        if wanted.as_at is not None:
            there = unbilled.as_at(wanted.as_at).exclude(stage=Stage.OPEN)
            return there.filter(_of(wanted)).annotate(spent=F("hours"), worth=F("amount"))
        rows = TimeEntry.objects.filter(_of(wanted), state__in=NOT_YET)
        line = FilteredRelation("lines", condition=Q(lines__is_voided=False))
        return rows.annotate(line=line).annotate(
            spent=Coalesce("line__billed_hours", "billed_hours", "raw_hours"),
            worth=Coalesce("line__amount", "amount"),
        )


class OpenHours(Report):
    """Items that are open in Taiga and have hours typed: nothing of them is priced before they are closed."""

    name = "open-hours"
    title = _("Open items with hours typed")
    question = _("For what are hours typed in Taiga that is not closed yet?")
    basis = _("As the books have it, at most a minute old. Items whose hours were billed before are not among them.")
    uses = frozenset({"as_at", "client", "project", "person"})

    columns = (
        Column(
            "task",
            _("Task"),
            value=lambda row: task_words(row["item__ref"], row["item__subject"]),
            url=lambda row: row["item__permalink"],
            sub=lambda row: row["project__taiga_project_name"] or "",
        ),
        CLIENT,
        PROJECT_IN_FILES,
        PERSON,
        Column("typed", _("Hours as typed")),
        Column("starts_on", _("Since"), Kind.DAY),
    )

    def rows(self, wanted: Wanted) -> QuerySet[UnbilledWork, Row]:
        names = [name for name in entry_values() if name not in ("pk", "state", "reason", "amount", "work_date")]
        return self._items(wanted).order_by("starts_on", "pk").values(*names, "item__permalink", "typed", "starts_on")

    def totals(self, wanted: Wanted) -> list[tuple[str, str]]:
        return [(gettext("Items"), formats.number(Decimal(self._items(wanted).count()), 0))]

    def _items(self, wanted: Wanted) -> QuerySet[UnbilledWork]:
        return unbilled.as_at(wanted.day).filter(_of(wanted), stage=Stage.OPEN)


def _of(wanted: Wanted) -> Q:
    return wanted.of(client="client", project="project", person="person")


def _stage(row: Row) -> Stage:
    return STAGES[row["state"]] if "state" in row else Stage(row["stage"])


def _bucket(today: dt.date, work_date: dt.date | None) -> int:
    days = (today - work_date).days if work_date else 0
    return next(number for number, (_first, last) in enumerate(AGES) if last is None or days <= last)


def _age_words(first: int, last: int | None) -> str:
    if last is None:
        return gettext("over %(days)d days") % {"days": first - 1}
    return gettext("%(first)d–%(last)d days") % {"first": first, "last": last}
