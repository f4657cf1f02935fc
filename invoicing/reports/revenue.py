"""Revenue by client and month: what was invoiced."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from decimal import Decimal
from typing import Any

from django.db.models import Count, QuerySet, Sum
from django.db.models.functions import TruncMonth
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from billing_console import formats
from billing_console.money import ZERO, total
from billing_console.plots import Column as PlotColumn
from billing_console.plots import Series, numbers_of, stack_bars
from billing_console.states import InvoiceState
from invoicing.drawn import choose_currency
from invoicing.models import Invoice
from invoicing.reports.base import Plotted, Report, sums_in_words
from invoicing.reports.columns import CURRENCY, Column, Kind, Row
from invoicing.reports.filters import Wanted, first_day

INVOICED = (
    InvoiceState.CREATED,
    InvoiceState.SENDING,
    InvoiceState.ATTENTION,
    InvoiceState.SENT,
    InvoiceState.PARTLY_PAID,
    InvoiceState.PAID,
)
MOST_MULTIPLES, MOST_MONTHS = 6, 24


class Revenue(Report):
    """One row for each client, month and currency."""

    name = "revenue"
    title = _("Revenue by client and month")
    question = _("What was invoiced to whom, month by month?")
    basis = _("By invoice date; invoices that exist in Invoice Ninja and are not cancelled or reversed.")
    uses = frozenset({"period", "client"})
    months = 12

    columns = (
        Column("month", _("Month"), Kind.MONTH),
        Column("client__name", _("Client")),
        Column("invoices", _("Invoices"), Kind.COUNT),
        Column("hours", _("Hours billed"), Kind.HOURS),
        CURRENCY,
        Column("net_sum", _("Before tax"), Kind.MONEY),
        Column("tax_sum", _("Tax"), Kind.MONEY),
        Column("gross_sum", _("With tax"), Kind.MONEY),
        Column("paid_sum", _("Paid, with tax"), Kind.MONEY),
    )

    def rows(self, wanted: Wanted) -> QuerySet[Invoice, Row]:
        grouped = self._invoices(wanted).annotate(month=TruncMonth("invoice_date"))
        rows: QuerySet[Any, Row] = (
            grouped.values("month", "client__name", "client", "currency")
            .annotate(
                invoices=Count("pk"),
                hours=Sum("billed_hours"),
                net_sum=Sum("net"),
                tax_sum=Sum("tax"),
                gross_sum=Sum("gross"),
                paid_sum=Sum("paid_to_date"),
            )
            .order_by("-month", "client__name", "client", "currency")
        )
        return rows

    def totals(self, wanted: Wanted) -> list[tuple[str, str]]:
        sums = self._invoices(wanted).values("currency").order_by("currency")
        figures = sums.annotate(count_sum=Count("pk"), hours_sum=Sum("billed_hours"), amount_sum=Sum("net"))
        words = {"count": gettext("Invoices"), "hours": gettext("Hours billed"), "amount": gettext("Before tax")}
        return sums_in_words(list(figures), **words)

    def plots(self, wanted: Wanted) -> list[Plotted]:
        """All clients together, then the largest ones, each month a bar; in one currency (see `drawn`)."""
        sums: dict[str, dict[str, dict[dt.date, Decimal]]] = {}
        for row in self.rows(wanted).order_by():
            by_month = sums.setdefault(row["currency"], {}).setdefault(row["client__name"], {})
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

    def _invoices(self, wanted: Wanted) -> QuerySet[Invoice]:
        condition = wanted.within("invoice_date") & wanted.of(client="client")
        return Invoice.objects.filter(condition, state__in=INVOICED).order_by()


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
