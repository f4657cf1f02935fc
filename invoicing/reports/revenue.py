"""Revenue by client and month: what was invoiced."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, ClassVar

from django.db.models import Case, Count, DateField, F, Q, QuerySet, Sum, Value, When
from django.db.models.functions import Cast, Concat, TruncMonth
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from billing_console import formats
from billing_console.money import ZERO, total
from billing_console.plots import Column as PlotColumn
from billing_console.plots import Series, numbers_of, stack_bars
from invoicing.books import facts
from invoicing.drawn import choose_currency
from invoicing.models import Fact, Posting
from invoicing.reports.base import Plotted, Report, sums_in_words
from invoicing.reports.columns import CURRENCY, Column, Kind, Row
from invoicing.reports.filters import Wanted, first_day

MOST_MULTIPLES, MOST_MONTHS = 6, 24


INVOICES, LOWERED, CREDITS = "invoices", "lowered", "credits"
WORDS = {INVOICES: _("Invoices"), LOWERED: _("Cancelled or lowered"), CREDITS: _("Credits")}
KEYS = ("month", "what", "who", "who_id", "currency")
IS_REVENUE = Q(fact__in=facts.REVENUE)
# The money that belongs to the invoices of a month, whenever it came.
MONEY = (Fact.SETTLED, Fact.WRITTEN_OFF, Fact.REST, Fact.PAID)


class Revenue(Report):
    """One row for each client, month and currency, and others with a minus for what was credited or cancelled in it."""

    name = "revenue"
    title = _("Revenue by client and month")
    question = _("What was invoiced to whom, month by month?")
    basis = _(
        "By invoice date; invoices that exist in Invoice Ninja. Credits, and what was cancelled or lowered later, have "
        "a minus on their own dates. Paid is money alone, for the invoices of that month, up to the day as at which "
        "you look: what credits settled is a column of its own. From the books, at most a minute old."
    )
    uses = frozenset({"period", "as_at", "client"})
    months = 12
    is_dated_by_work: ClassVar[bool] = False

    columns: ClassVar[Sequence[Column]] = (
        Column("month", _("Month"), Kind.MONTH),
        Column("who", _("Client")),
        Column("what", _("What"), value=lambda row: str(WORDS[row["what"]])),
        Column("documents_sum", _("Count"), Kind.COUNT),
        Column("hours_sum", _("Hours billed"), Kind.HOURS),
        CURRENCY,
        Column("net_sum", _("Before tax"), Kind.MONEY),
        Column("tax_sum", _("Tax"), Kind.MONEY),
        Column("gross_sum", _("With tax"), Kind.MONEY),
        Column("credited_sum", _("Settled by credits"), Kind.MONEY),
        Column("lost_sum", _("Written off"), Kind.MONEY),
        Column("paid_sum", _("Paid, with tax"), Kind.MONEY),
    )

    def rows(self, wanted: Wanted) -> QuerySet[Posting, Row]:
        def taken(*chosen: Fact) -> Sum:
            return Sum(-F("gross"), filter=Q(fact__in=chosen), default=ZERO)

        rows: QuerySet[Any, Row] = (
            self._postings(wanted)
            .values(*KEYS)
            .annotate(
                documents_sum=Sum("documents"),
                hours_sum=Sum("hours", filter=~Q(fact=Fact.CREDITED)),
                **{f"{name}_sum": Sum(name, filter=IS_REVENUE, default=ZERO) for name in ("net", "tax", "gross")},
                credited_sum=taken(Fact.SETTLED),
                lost_sum=taken(Fact.WRITTEN_OFF, Fact.REST),
                paid_sum=taken(Fact.PAID),
            )
            .exclude(documents_sum=0, hours_sum=0, net_sum=0, gross_sum=0, credited_sum=0, lost_sum=0, paid_sum=0)
            .order_by("-month", "who", "who_id", "currency", "-what")
        )
        return rows

    def totals(self, wanted: Wanted) -> list[tuple[str, str]]:
        sums = self._postings(wanted).filter(IS_REVENUE).values("currency").order_by("currency")
        counted = Q(fact__in=(Fact.INVOICED, Fact.TAX))
        figures = list(
            sums.annotate(
                count_sum=Sum("documents", filter=counted, default=0),
                hours_sum=Sum("hours"),
                amount_sum=Sum("net"),
                credits=Count("pk", filter=Q(fact=Fact.CREDITED)),
            )
        )
        words = {"count": gettext("Invoices"), "hours": gettext("Hours billed")}
        is_lowered = any(row["credits"] for row in figures)
        net = gettext("Before tax, less credits") if is_lowered else gettext("Before tax")
        return sums_in_words(figures, **words, amount=net)

    def plots(self, wanted: Wanted) -> list[Plotted]:
        """All clients together, then the largest ones, each month a bar; in one currency (see `drawn`)."""
        sums: dict[str, dict[str, dict[dt.date, Decimal]]] = {}
        for row in self.rows(wanted):
            by_month = sums.setdefault(row["currency"], {}).setdefault(row["who"], {})
            by_month[row["month"]] = by_month.get(row["month"], ZERO) + row["net_sum"]
        if not sums:
            return []

        def worth(by_month: dict[dt.date, Decimal]) -> Decimal:
            return total(by_month.values())

        chosen = choose_currency(sums, wanted.draw)
        main = chosen.currency
        clients = sums[main]
        months = _months({month for by_month in clients.values() for month in by_month})
        if len(months) < 3:
            return []
        together = {month: total(row.get(month, ZERO) for row in clients.values()) for month in months}
        largest = sorted(clients, key=lambda name: (-worth(clients[name]), name))[:MOST_MULTIPLES]
        drawn = [(gettext("All clients, %(currency)s") % {"currency": main}, together, 170)]
        if len(clients) > 1:
            drawn += [(f"{name}, {main}", clients[name], 110) for name in largest]
        plots = [_plot(title, months, by_month, main, height) for title, by_month, height in drawn]
        return [replace(plots[0], drawn=chosen), *plots[1:]]

    def _postings(self, wanted: Wanted) -> QuerySet[Any]:
        """The postings that count, with the month, client and kind of row that each belongs to."""
        by_work = Cast(Concat("key", Value("-01")), DateField())
        dated = [When(fact=Fact.INVOICED, then=by_work)] if self.is_dated_by_work else []
        rows = Posting.objects.annotate(
            dated=Case(
                *dated, When(IS_REVENUE, then=F("day")), default=F("invoice__invoice_date"), output_field=DateField()
            ),
            month=TruncMonth("dated"),
            who=F("invoice__client__name"),
            who_id=F("invoice__client_id"),
            currency=F("invoice__currency"),
            what=Case(
                When(fact=Fact.CREDITED, then=Value(CREDITS)),
                When(IS_REVENUE & Q(is_move=False) & (Q(gross__lt=0) | Q(documents__lt=0)), then=Value(LOWERED)),
                default=Value(INVOICES),
            ),
        )
        chosen = (Fact.INVOICED, Fact.CREDITED) if self.is_dated_by_work else (*facts.REVENUE, *MONEY)
        condition = wanted.within("dated") & wanted.of(client="invoice__client")
        return rows.filter(condition, fact__in=chosen, day__lte=wanted.day).order_by()


class RevenueByWork(Revenue):
    """The same by the month in which the work was done."""

    name = "revenue-by-work"
    title = _("Revenue by client and month of the work")
    question = _("What was invoiced for the work of each month?")
    basis = _(
        "Before tax, by the month of the work dates, of what is dated up to the day as at which you look; a line "
        "without a work date counts for the last day of its period. Credits count in the month of their own date. "
        "From the books, at most a minute old."
    )
    is_dated_by_work = True

    columns = tuple(
        column
        for column in Revenue.columns
        if column.key in ("month", "who", "what", "hours_sum", "currency", "net_sum")
    )


def _months(seen: set[dt.date]) -> list[dt.date]:
    """Every month from the first to the last, also those without an invoice; the newest ones of very many."""
    months = [max(seen)]
    while months[-1] > min(seen) and len(months) < MOST_MONTHS:
        months.append(first_day(months[-1], 2))
    return months[::-1]


def _plot(title: str, months: list[dt.date], sums: dict[dt.date, Decimal], currency: str, height: int) -> Plotted:
    columns = [PlotColumn(formats.day(month).split(" ")[1], (max(sums.get(month, ZERO), ZERO),)) for month in months]
    plot = stack_bars(title, (Series("paid", gettext("Before tax")),), columns, height=height)
    numbers = numbers_of(plot, gettext("Month"), lambda value: formats.money(value, currency), gettext("Total"))
    named = tuple((f"{row[0]} {month.year}", *row[1:]) for month, row in zip(months, numbers.rows, strict=True))
    return Plotted(plot, type(numbers)(numbers.columns, named, numbers.numeric_columns))
