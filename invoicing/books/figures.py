"""The sums of a month as at its last day, and a hash over the rows behind them: what a closing keeps and compares.

All from the books alone, so a year later they are the same. Amounts by currency: revenue and unbilled work before tax
unless named gross, what is open and paid with tax.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any, Final

from django.db.models import Count, F, QuerySet, Sum
from django.utils.translation import gettext as _

from billing_console import formats, money
from invoicing.books import facts, receivable, unbilled
from invoicing.models import Fact, Posting, Stage
from mappings.rules import Period

REVENUE, OWED, UNBILLED = "revenue", "ageing", "unbilled"  # as the reports are called
LISTS: Final = (REVENUE, OWED, UNBILLED)


def of_month(period: Period) -> dict[str, Any]:
    """The figures: each a list of dicts with "currency" and sums; six queries."""
    postings = _postings(period)
    revenue = postings.filter(fact__in=facts.REVENUE).order_by("currency").values("currency")
    paid = postings.filter(fact=Fact.PAID).order_by("currency").values("currency")
    owed = receivable.owed_at(period.last_day).order_by("currency").values("currency")
    work = unbilled.as_at(period.last_day)
    priced = work.exclude(amount=None).order_by("currency").values("currency")
    return {
        "revenue": list(revenue.annotate(net_sum=Sum("net"), tax_sum=Sum("tax"), gross_sum=Sum("gross"))),
        "paid": list(paid.annotate(gross_sum=-Sum("gross"))),
        "open": list(owed.annotate(count=Count("pk"), gross_sum=Sum("open"))),
        "unbilled": list(priced.annotate(count=Count("pk"), hours_sum=Sum("hours"), net_sum=Sum("amount"))),
        "without_price": work.filter(amount=None).exclude(stage=Stage.OPEN).count(),
        "open_items": work.filter(stage=Stage.OPEN).count(),
    }


def marks(period: Period) -> dict[str, str]:
    """sha256 over the rows behind each list, by the report's name: ids and exact figures, no names that may change."""
    day = period.last_day
    postings = _postings(period).order_by("id")
    owed = receivable.owed_at(day).order_by("uuid").values_list("uuid", "open", "due")
    work = unbilled.as_at(day).order_by("item_id", "entry_id")
    return {
        REVENUE: _hash(postings.values_list("invoice__uuid", "fact", "key", "day", "net", "tax", "gross", "hours")),
        OWED: _hash(owed),
        UNBILLED: _hash(work.values_list("item_id", "entry_id", "stage", "work_date", "hours", "currency", "amount")),
    }


def in_words(found: dict[str, Any]) -> list[tuple[str, str]]:
    """(label, amounts) of every figure, in the reader's language."""

    def sums(name: str, column: str) -> str:
        amounts = [formats.money(Decimal(row[column]), row["currency"]) for row in found[name] if row[column]]
        return " + ".join(amounts) or _("nothing")

    hours = money.total(Decimal(row["hours_sum"]) for row in found["unbilled"])
    rows = [
        (_("Invoiced, less credits and cancellations, before tax"), sums("revenue", "net_sum")),
        (_("Tax on it"), sums("revenue", "tax_sum")),
        (_("With tax"), sums("revenue", "gross_sum")),
        (_("Paid in the month"), sums("paid", "gross_sum")),
        (_("Owed at its end, with tax"), sums("open", "gross_sum")),
        (_("Invoices that were open"), formats.number(Decimal(sum(row["count"] for row in found["open"])), 0)),
        (_("Unbilled at its end, before tax"), sums("unbilled", "net_sum")),
        (_("Hours of that"), formats.hours(hours)),
    ]
    counts = (
        (_("Closed items without a price at its end"), found["without_price"]),
        (_("Open items with hours typed at its end"), found["open_items"]),
    )
    return rows + [(label, formats.number(Decimal(count), 0)) for label, count in counts if count]


def as_cells(found: dict[str, Any]) -> list[list[str]]:
    """The figures as rows of a file: name, currency, column, number; plain numbers."""
    rows = [["figure", "currency", "of", "number"]]
    for name, value in found.items():
        if isinstance(value, int):
            rows.append([name, "", "count", str(value)])
            continue
        for row in value:
            rows += [
                [name, row["currency"], column, f"{Decimal(number):f}"]
                for column, number in row.items()
                if column != "currency"
            ]
    return rows


def _postings(period: Period) -> QuerySet[Any]:
    rows = Posting.objects.filter(day__gte=period.start, day__lt=period.end)
    return rows.annotate(currency=F("invoice__currency"))


def _hash(rows: QuerySet[Any, Any]) -> str:
    found = hashlib.sha256()
    for line in _lines(rows.iterator(chunk_size=2000)):
        found.update(line)
    return found.hexdigest()


def _lines(rows: Iterable[Any]) -> Iterator[bytes]:
    for row in rows:
        cells = [f"{cell.normalize():f}" if isinstance(cell, Decimal) else str(cell) for cell in row]
        yield json.dumps(cells).encode() + b"\n"
