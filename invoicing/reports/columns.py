"""One column of a report: how its value is found in a row, written on a page, and written into a file."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import Any

from django.utils.functional import Promise

from billing_console import formats, money

Row = Mapping[str, Any]
Text = str | Promise


class Kind(Enum):
    """What a value is; amounts and rates are in the currency of their row (`row["currency"]`)."""

    TEXT = "text"
    COUNT = "count"
    DAY = "day"
    MONTH = "month"
    DAYS = "days"
    HOURS = "hours"
    RATE = "rate"
    MONEY = "money"
    PERCENT = "percent"
    NUMBER = "number"


@dataclass(frozen=True)
class Column:
    """`value` finds the value in a row (by default `row[key]`); `url` makes the cell a link; `sub` is its second line.

    A column with `in_files_only` stands in CSV and XLSX alone: the currency, which a page writes beside each amount.
    """

    key: str
    label: Text
    kind: Kind = Kind.TEXT
    value: Callable[[Row], Any] | None = None
    url: Callable[[Row], str] | None = None
    sub: Callable[[Row], str] | None = None
    is_signed: bool = False
    in_files_only: bool = False

    @property
    def is_number(self) -> bool:
        """Whether it is written to the right."""
        return self.kind not in (Kind.TEXT, Kind.DAY, Kind.MONTH)

    def of(self, row: Row) -> Any:
        """The value as Python has it."""
        return self.value(row) if self.value else row[self.key]

    def on_page(self, row: Row) -> str:
        """The value in the reader's language."""
        value = self.of(row)
        if value is None or value == "":
            return formats.NOTHING
        match self.kind:
            case Kind.MONEY:
                return formats.money(value, row["currency"], is_signed=self.is_signed)
            case Kind.RATE:
                return formats.rate(value, row["currency"])
            case Kind.HOURS:
                return formats.hours(value, is_signed=self.is_signed)
            case Kind.PERCENT:
                return formats.percent(value, is_signed=self.is_signed)
            case Kind.DAY:
                return formats.day(value)
            case Kind.MONTH:
                return formats.day(value).split(" ", 1)[1]
            case Kind.DAYS | Kind.COUNT:
                return formats.number(Decimal(value), 0)
            case Kind.NUMBER:
                return formats.number(value, 0 if value == value.to_integral_value() else 2)
        return str(value)

    def in_file(self, row: Row) -> str | int | Decimal | dt.date | None:
        """The value as a spreadsheet computes with it: plain numbers, dates; a month as "2025-12"."""
        value = self.of(row)
        if value is None:
            return None
        match self.kind:
            case Kind.MONEY:
                return money.quantize(value, row["currency"])
            case Kind.PERCENT:
                return money.quantize_hours(value)
            case Kind.HOURS | Kind.RATE | Kind.NUMBER:
                return Decimal(f"{value.normalize():f}")
            case Kind.MONTH:
                return f"{value:%Y-%m}"
            case Kind.DAY | Kind.DAYS | Kind.COUNT:
                return value
        return str(value)


CURRENCY = Column("currency", "Currency", in_files_only=True)
