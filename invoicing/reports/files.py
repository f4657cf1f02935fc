"""Rows of a report as CSV and XLSX: streamed, so that any number of rows needs the same memory.

Numbers are plain, dates ISO or real, text that could be a formula is made harmless (features: formula injection).
"""

from __future__ import annotations

import codecs
import csv
import datetime as dt
import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import IO, Any

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
from openpyxl.styles import Font

from billing_console.cells import harmless
from invoicing.reports.columns import Column, Kind, Row

NUMBER_FORMATS = {Kind.MONEY: "#,##0.00#", Kind.RATE: "#,##0.00#", Kind.HOURS: "0.00####", Kind.DAY: "yyyy-mm-dd"}


class _Echo:
    """Gives back what csv writes into it."""

    def write(self, line: str) -> str:
        return line


def csv_lines(columns: Sequence[Column], rows: Iterable[Row]) -> Iterator[bytes]:
    """The file in pieces: UTF-8 with a byte order mark, which spreadsheets need to read accents."""
    writer = csv.writer(_Echo())
    yield codecs.BOM_UTF8
    yield str(writer.writerow([str(column.label) for column in columns])).encode()
    for row in rows:
        yield str(writer.writerow([_as_text(column.in_file(row)) for column in columns])).encode()


def xlsx(title: str, columns: Sequence[Column], rows: Iterable[Row]) -> IO[bytes]:
    """A workbook with one sheet in a temporary file, which is gone when it is closed; at its beginning."""
    book = Workbook(write_only=True)
    sheet = book.create_sheet(re.sub(r"[\[\]:*?/\\]", " ", title)[:31] or "1")
    sheet.freeze_panes = "A2"
    for number, column in enumerate(columns):
        sheet.column_dimensions[chr(ord("A") + number)].width = 14 if column.is_number else 24
    sheet.append([_bold(sheet, str(column.label)) for column in columns])
    for row in rows:
        sheet.append([_cell(sheet, column, column.in_file(row)) for column in columns])
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the answer that sends it closes it
    book.save(file)
    file.seek(0)
    return file


def _as_text(value: str | int | Decimal | dt.date | None) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return harmless(value)
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


def _bold(sheet: Any, text: str) -> Any:
    cell = WriteOnlyCell(sheet, text)
    cell.font = Font(bold=True)
    return cell


def _cell(sheet: Any, column: Column, value: Any) -> Any:
    if isinstance(value, str):
        cell = WriteOnlyCell(sheet, harmless(ILLEGAL_CHARACTERS_RE.sub("", value)))
        cell.data_type = "s"  # also where it looks like a number or a date
        return cell
    cell = WriteOnlyCell(sheet, value)
    if column.kind in NUMBER_FORMATS:
        cell.number_format = NUMBER_FORMATS[column.kind]
    return cell
