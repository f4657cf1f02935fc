"""Files are made row by row: ten times the rows need the same memory, and rows are fetched in pieces."""

from __future__ import annotations

import datetime as dt
import tracemalloc
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from openpyxl import load_workbook

from invoicing.reports import files
from invoicing.reports.columns import CURRENCY, Column, Kind

COLUMNS = (
    Column("task", "Task"),
    Column("day", "Day", Kind.DAY),
    Column("hours", "Hours", Kind.HOURS),
    CURRENCY,
    Column("amount", "Amount", Kind.MONEY),
)


def rows(count: int) -> Iterator[dict[str, Any]]:
    for number in range(count):
        yield {
            "task": f"#{number} A task of its own",
            "day": dt.date(2025, 12, 1 + number % 31),
            "hours": Decimal(number) / 4,
            "currency": "EUR",
            "amount": Decimal(number) / 100,
        }


def peak_of(kind: str, count: int) -> int:
    """The most memory that making a file of so many rows took, bytes."""
    tracemalloc.start()
    try:
        if kind == "csv":
            assert sum(1 for _line in files.csv_lines(COLUMNS, rows(count))) == count + 2
        else:
            files.xlsx("Tasks", COLUMNS, rows(count)).close()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_ten_times_the_rows_need_the_same_memory(kind: str) -> None:
    peak_of(kind, 10)  # what is only imported once
    assert peak_of(kind, 2000) < peak_of(kind, 200) + 300_000


@pytest.mark.long
@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_a_hundred_thousand_rows_need_a_few_megabytes(kind: str) -> None:
    assert peak_of(kind, 100_000) < 8_000_000


def test_a_workbook_opens_with_numbers_as_numbers_and_days_as_days() -> None:
    with files.xlsx("Tasks: all?", COLUMNS, rows(3)) as book:
        sheet = load_workbook(book).active

    found = [[cell.value for cell in row] for row in sheet.iter_rows()]
    assert sheet.title == "Tasks  all "
    assert [*found[3][:1], found[3][1].date(), *found[3][2:]] == [
        "#2 A task of its own", dt.date(2025, 12, 3), 0.5, "EUR", 0.02,
    ]  # fmt: skip
    assert [type(cell) for cell in found[3]] == [str, dt.datetime, float, str, float]
    assert [cell.number_format for cell in sheet[4]][1:] == ["yyyy-mm-dd", "0.00####", "General", "#,##0.00#"]
