"""What every report has: a question, columns, rows that can be paged and streamed, totals and a plot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from billing_console import formats
from billing_console.dot_plots import DotPlot
from billing_console.money import ZERO, total
from billing_console.plots import BarPlot, Numbers
from invoicing.drawn import Drawn
from invoicing.reports.columns import Column, Row, Text
from invoicing.reports.filters import Wanted


@dataclass(frozen=True)
class Plotted:
    """A plot with its numbers, the partial that draws it, and the currency it draws (none where it is of hours)."""

    plot: BarPlot | DotPlot
    numbers: Numbers
    template: str = "console/_bars.html"
    drawn: Drawn = Drawn("")


class Report:
    """One question. `basis` says which amounts and which dates; `months` is how far back it looks unless asked.

    `needs` names a filter without which there is nothing to show, `needs_sentence` says so.
    """

    name: ClassVar[str]
    title: ClassVar[Text]
    question: ClassVar[Text]
    basis: ClassVar[Text]
    uses: ClassVar[frozenset[str]]
    columns: ClassVar[Sequence[Column]]
    months: ClassVar[int] = 2
    needs: ClassVar[str] = ""
    needs_sentence: ClassVar[Text] = ""

    def rows(self, wanted: Wanted) -> QuerySet[Any, Row]:
        """The rows as dicts, in their order; a query that can be cut into pages or streamed."""
        raise NotImplementedError

    def totals(self, wanted: Wanted) -> list[tuple[str, str]]:
        """(label, value) over everything that the filter shows."""
        raise NotImplementedError

    def plots(self, wanted: Wanted) -> list[Plotted]:
        """What people would rather look at; none where there are fewer than three numbers."""
        return []

    def heading(self, wanted: Wanted) -> str:
        """The title of the page and of the file's sheet."""
        if wanted.as_at is None:
            return str(self.title)
        return _("%(title)s, as at %(day)s") % {"title": self.title, "day": formats.day(wanted.as_at)}

    def file_name(self, wanted: Wanted) -> str:
        """Name without its ending: the report and its days, ISO."""
        days = [day.isoformat() for day in (wanted.start, wanted.as_at or wanted.end or wanted.today) if day]
        return "-".join([self.name, *days])

    @property
    def page_columns(self) -> list[Column]:
        """The columns of the page."""
        return [column for column in self.columns if not column.in_files_only]


def sums_in_words(sums: Sequence[Row], *, count: str, hours: str = "", amount: str = "") -> list[tuple[str, str]]:
    """Totals from rows grouped by currency with count_sum, hours_sum, amount_sum; "" leaves a figure out."""
    words = [(count, formats.number(Decimal(sum(row["count_sum"] for row in sums)), 0))]
    if hours:
        words.append((hours, formats.hours(total(row["hours_sum"] or ZERO for row in sums))))
    if amount:
        amounts = [formats.money(row["amount_sum"], row["currency"]) for row in sums if row["amount_sum"]]
        words.append((amount, " + ".join(amounts) or _("nothing")))
    return words
