"""Revenue by client and month: what was invoiced."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from decimal import Decimal
from typing import Any

from django.db.models import Count, DecimalField, F, QuerySet, Sum, Value
from django.db.models.functions import TruncMonth
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from billing_console import formats
from billing_console.money import ZERO, total
from billing_console.plots import Column as PlotColumn
from billing_console.plots import Series, numbers_of, stack_bars
from billing_console.states import InvoiceState
from invoicing.drawn import choose_currency
from invoicing.identities import by_currency
from invoicing.models import Credit, Invoice
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


INVOICES, CREDITS = "invoices", "credits"
NONE = Value(ZERO, DecimalField(max_digits=14, decimal_places=3))
KEYS = ("month", "what", "who", "who_id", "currency")


class Revenue(Report):
    """One row for each client, month and currency, and one with a minus for what was credited in it."""

    name = "revenue"
    title = _("Revenue by client and month")
    question = _("What was invoiced to whom, month by month?")
    basis = _(
        "By invoice date; invoices that exist in Invoice Ninja and are not cancelled or reversed. Their credits have a "
        "minus, by credit date. Paid is money alone: what credits settled is a column of its own."
    )
    uses = frozenset({"period", "client"})
    months = 12

    columns = (
        Column("month", _("Month"), Kind.MONTH),
        Column("who", _("Client")),
        Column(
            "what", _("What"), value=lambda row: gettext("Credits") if row["what"] == CREDITS else gettext("Invoices")
        ),
        Column("documents", _("Count"), Kind.COUNT),
        Column("hours", _("Hours billed"), Kind.HOURS),
        CURRENCY,
        Column("net_sum", _("Before tax"), Kind.MONEY),
        Column("tax_sum", _("Tax"), Kind.MONEY),
        Column("gross_sum", _("With tax"), Kind.MONEY),
        Column("credited_sum", _("Settled by credits"), Kind.MONEY),
        Column("lost_sum", _("Written off"), Kind.MONEY),
        Column("paid_sum", _("Paid, with tax"), Kind.MONEY),
    )

    def rows(self, wanted: Wanted) -> QuerySet[Invoice, Row]:
        invoices, credits = self._invoices(wanted), self._credits(wanted)
        sums = {
            "documents": Count("pk"),
            "hours": Sum("billed_hours"),
            "net_sum": Sum("net"),
            "tax_sum": Sum("tax"),
            "gross_sum": Sum("gross"),
            "credited_sum": Sum(F("credited") - F("written_off")),
            "lost_sum": Sum(F("written_off") + F("cancelled_rest")),
            "paid_sum": Sum(F("paid_to_date") - F("credited")),
        }
        given_back = {
            "documents": Count("pk"),
            "hours": Value(None, DecimalField(max_digits=12, decimal_places=2)),
            **{name: -Sum(name.removesuffix("_sum")) for name in ("net_sum", "tax_sum", "gross_sum")},
            "credited_sum": NONE,
            "lost_sum": NONE,
            "paid_sum": NONE,
        }
        rows: QuerySet[Any, Row] = (
            invoices.values(*KEYS)
            .annotate(**sums)
            .values(*KEYS, *sums)
            .union(credits.values(*KEYS).annotate(**given_back).values(*KEYS, *sums), all=True)
            .order_by("-month", "who", "who_id", "currency", "-what")
        )
        return rows

    def totals(self, wanted: Wanted) -> list[tuple[str, str]]:
        sums = self._invoices(wanted).values("currency").order_by("currency")
        figures = list(sums.annotate(count_sum=Count("pk"), hours_sum=Sum("billed_hours"), amount_sum=Sum("net")))
        credited = by_currency(self._credits(wanted), "net")
        is_lowered = bool(credited)
        for row in figures:
            row["amount_sum"] -= credited.pop(row["currency"], ZERO)
        figures += [
            {"currency": code, "count_sum": 0, "hours_sum": ZERO, "amount_sum": -amount}
            for code, amount in sorted(credited.items())
        ]
        words = {"count": gettext("Invoices"), "hours": gettext("Hours billed")}
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

    def _invoices(self, wanted: Wanted) -> QuerySet[Invoice]:
        condition = wanted.within("invoice_date") & wanted.of(client="client")
        names = {"month": TruncMonth("invoice_date"), "who": F("client__name"), "who_id": F("client_id")}
        return Invoice.objects.filter(condition, state__in=INVOICED).annotate(**names, what=Value(INVOICES)).order_by()

    def _credits(self, wanted: Wanted) -> QuerySet[Credit]:
        """Those that Invoice Ninja holds, of the same invoices, by their own date; a rest that is written off stays
        revenue, and is a loss."""
        condition = wanted.within("credit_date") & wanted.of(client="invoice__client")
        names = {
            "month": TruncMonth("credit_date"),
            "who": F("invoice__client__name"),
            "who_id": F("invoice__client_id"),
        }
        there = Credit.objects.filter(
            condition, invoice__state__in=INVOICED, is_given_up=False, remote__remote_id__isnull=False, cause=""
        )
        return there.annotate(**names, what=Value(CREDITS)).order_by()


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
