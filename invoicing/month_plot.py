"""Twelve months of work as a plot, with its numbers as a table."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from django.utils.translation import gettext as _

from billing_console.formats import amount, day, money
from billing_console.money import total
from billing_console.plots import BarPlot, Column, Numbers, Series, stack_bars
from invoicing import work_numbers
from invoicing.drawn import Drawn, choose_currency
from invoicing.work_numbers import OPEN, PAID, UNSENT

MONTHS = 12


def month_plot(today: dt.date, asked: str = "") -> tuple[BarPlot, Numbers, Drawn]:
    """The last twelve months by work date: a plot of one currency (see `drawn`), and the numbers of all."""
    firsts = last_months(today, MONTHS)
    by_currency = work_numbers.months_by_work_date(firsts[0])
    kinds = (
        Series(PAID, _("Paid")),
        Series(OPEN, _("Sent, open")),
        Series(UNSENT, _("Not sent yet")),
    )

    def values(currency: str, first: dt.date) -> tuple[Decimal, ...]:
        sums = by_currency.get(currency, {}).get(first, {})
        return tuple(sums.get(kind.key, Decimal(0)) for kind in kinds)

    drawn = choose_currency(by_currency, asked)
    main = drawn.currency
    columns = [Column(_short_month(first), values(main, first), is_current=first == firsts[-1]) for first in firsts]
    title = _("Twelve months by work date")
    plot = stack_bars(f"{title}, {main}" if main else title, kinds, columns)
    rows = []
    for code in drawn.in_order:
        for first in firsts:
            sums = values(code, first)
            cells = (*(amount(each, code) for each in sums), money(total(sums), code))
            rows.append((f"{_short_month(first)} {first.year}", *cells))
    numbers = Numbers(
        columns=(_("Month"), *(kind.label for kind in kinds), _("Total before tax")),
        rows=tuple(rows),
        numeric_columns=frozenset({1, 2, 3, 4}),
    )
    return plot, numbers, drawn


def last_months(today: dt.date, count: int) -> list[dt.date]:
    """The first days of the last `count` months, the current one last."""
    index = today.year * 12 + today.month - 1
    return [dt.date(number // 12, number % 12 + 1, 1) for number in range(index - count + 1, index + 1)]


def _short_month(first: dt.date) -> str:
    return day(first).split(" ")[1]
