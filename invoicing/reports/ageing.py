"""Ageing of receivables: who owes what since when."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.db.models import Count, F, QuerySet, Sum, Value
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from billing_console import formats
from billing_console.money import ZERO
from billing_console.plots import Column as PlotColumn
from billing_console.plots import Series, numbers_of, stack_bars
from invoicing.books import receivable
from invoicing.drawn import choose_currency
from invoicing.models.invoices import state_words
from invoicing.reports.base import Plotted, Report, sums_in_words
from invoicing.reports.cells import invoice_words
from invoicing.reports.columns import CURRENCY, Column, Kind, Row
from invoicing.reports.filters import Wanted

# Days past the due date: not due yet, then months.
BUCKETS: tuple[int | None, ...] = (0, 30, 60, 90, None)


class Ageing(Report):
    """Every open invoice, the longest overdue first."""

    name = "ageing"
    title = _("Ageing of receivables")
    question = _("Who owes us what, and since when?")
    basis = _(
        "Open amounts with tax, as Invoice Ninja last said; age from the due date until that day. With tax = settled "
        "by credits + written off + paid + open; what credits settled brought no money. As at a day, only what is "
        "dated up to it counts: it says the same for ever."
    )
    uses = frozenset({"as_at", "client"})
    months = 0

    columns = (
        Column(
            "number",
            _("Invoice"),
            value=invoice_words,
            url=lambda row: reverse("admin:invoicing_invoice_change", args=[row["pk"]]),
        ),
        Column("client__name", _("Client")),
        Column("invoice_date", _("Invoice date"), Kind.DAY),
        Column("due", _("Due date"), Kind.DAY),
        Column("late", _("Days overdue"), Kind.DAYS, value=lambda row: max(row["late"].days, 0) if row["late"] else 0),
        Column("stands", _("State"), value=lambda row: _state(row)),
        CURRENCY,
        Column("asked", _("With tax and fees"), Kind.MONEY),
        Column("by_credits", _("Settled by credits"), Kind.MONEY),
        Column("lost", _("Written off"), Kind.MONEY, value=lambda row: row["written"] + row["rest"]),
        Column("money_paid", _("Paid"), Kind.MONEY),
        Column("open", _("Open"), Kind.MONEY),
    )

    def rows(self, wanted: Wanted) -> QuerySet[Any, Row]:
        rows = self._invoices(wanted).annotate(late=Value(wanted.day) - F("due"))
        return rows.order_by("due", "pk").values(
            *("pk", "number", "client__name", "invoice_date", "due", "late", "currency", "stands"),
            *("asked", "money_paid", "by_credits", "written", "rest", "open"),
        )

    def totals(self, wanted: Wanted) -> list[tuple[str, str]]:
        sums = self._invoices(wanted).order_by("currency").values("currency")
        figures = sums.annotate(count_sum=Count("pk"), amount_sum=Sum("open"))
        return sums_in_words(list(figures), count=gettext("Invoices"), amount=gettext("Open, with tax"))

    def plots(self, wanted: Wanted) -> list[Plotted]:
        """Open amounts by age, in one currency (see `drawn`)."""
        sums: dict[str, list[Decimal]] = {}
        by_day = self._invoices(wanted).values("currency", "due").annotate(open_sum=Sum("open"))
        for row in by_day.order_by().iterator():
            days = (wanted.day - row["due"]).days if row["due"] else 0
            place = next(number for number, last in enumerate(BUCKETS) if last is None or days <= last)
            sums.setdefault(row["currency"], [ZERO] * len(BUCKETS))[place] += row["open_sum"]
        if not sums:
            return []
        drawn = choose_currency(sums, wanted.draw)
        main = drawn.currency
        columns = [PlotColumn(label, (value,)) for label, value in zip(_labels(), sums[main], strict=True)]
        title = gettext("Open by days overdue, %(currency)s") % {"currency": main}
        plot = stack_bars(title, (Series("open", gettext("Open, with tax")),), columns)
        numbers = numbers_of(plot, gettext("Days overdue"), lambda value: formats.money(value, main), gettext("Total"))
        return [Plotted(plot, numbers, drawn=drawn)]

    def _invoices(self, wanted: Wanted) -> QuerySet[Any]:
        return receivable.owed(wanted.as_at).filter(wanted.of(client="client"))


def _state(row: Row) -> str:
    by_credits = row["by_credits"] + row["written"]
    return state_words(row["stands"], row["money_paid"] + by_credits, by_credits, row["written"], row["rest"])


def _labels() -> list[str]:
    return [gettext("not due"), "1–30", "31–60", "61–90", gettext("over 90")]
