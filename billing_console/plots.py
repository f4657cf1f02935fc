"""Plots as shapes: pure functions from rows to what one SVG partial draws (templates/console/_bars.html).

Positions and widths are per cent across and pixels down, already written as text, so that no locale touches them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal

from billing_console.formats import number
from billing_console.money import round_to, total

TOP = 22  # room above the highest bar for its total, px
GAP = Decimal("1.5")  # between two segments of a bar, px
_NICE = (Decimal(1), Decimal(2), Decimal("2.5"), Decimal(5), Decimal(10))


@dataclass(frozen=True)
class Series:
    """One kind of amount; `key` is its CSS class: paid, open or unsent."""

    key: str
    label: str


@dataclass(frozen=True)
class Column:
    """One bar: a value ≥ 0 for each series, in their order. `short_label` is its name on a narrow screen."""

    label: str
    values: tuple[Decimal, ...]
    is_current: bool = False
    short_label: str = ""


@dataclass(frozen=True)
class Segment:
    """A rectangle of one series; y and height in px."""

    key: str
    y: str
    height: str


@dataclass(frozen=True)
class Bar:
    """A column as drawn: x, middle and width in per cent, the total's baseline in px."""

    x: str
    middle: str
    width: str
    label: str
    short_label: str
    segments: tuple[Segment, ...]
    total: str
    short_total: str
    total_y: str
    is_current: bool


@dataclass(frozen=True)
class Tick:
    """A line of the value axis; y in px."""

    y: str
    label: str


@dataclass(frozen=True)
class BarPlot:
    """Everything that the partial draws; `height` is that of the plotting area without the labels below, px."""

    title: str
    series: tuple[Series, ...]
    bars: tuple[Bar, ...]
    ticks: tuple[Tick, ...]
    height: int
    columns: tuple[Column, ...]

    @property
    def full_height(self) -> int:
        """With the labels below the axis, px."""
        return self.height + 22

    @property
    def label_y(self) -> int:
        """Baseline of the labels below the axis, px."""
        return self.height + 17


@dataclass(frozen=True)
class Numbers:
    """A plot's numbers as a table."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric_columns: frozenset[int]


def numbers_of(plot: BarPlot, heading: str, write: Callable[[Decimal], str], sum_label: str) -> Numbers:
    """The table of what `plot` draws: a row for each bar, a column for each series and, with several, their sum."""
    has_sum = len(plot.series) > 1
    rows = tuple(
        (column.label, *(write(value) for value in (*column.values, *([total(column.values)] if has_sum else []))))
        for column in plot.columns
    )
    columns = (heading, *(series.label for series in plot.series), *([sum_label] if has_sum else []))
    return Numbers(columns, rows, frozenset(range(1, len(columns))))


def stack_bars(title: str, series: Sequence[Series], columns: Sequence[Column], *, height: int = 170) -> BarPlot:
    """Stacked bars on a zero-based axis, at most four series. Raises ValueError for a negative value."""
    sums = [total(column.values) for column in columns]
    if any(value < 0 for column in columns for value in column.values):
        raise ValueError("A stacked bar cannot show a negative amount.")
    step = nice_step(max(sums, default=Decimal(0)), 4)
    top = max(round_to(max(sums, default=Decimal(0)), step, ROUND_CEILING), step)
    area = Decimal(height - TOP)

    def y_of(value: Decimal) -> Decimal:
        return height - value / top * area

    slot = Decimal(100) / max(len(columns), 1)
    width = slot * Decimal("0.64")
    bars = []
    for position, (column, amount) in enumerate(zip(columns, sums, strict=True)):
        x = slot * position + (slot - width) / 2
        bars.append(
            Bar(
                x=_text(x),
                middle=_text(x + width / 2),
                width=_text(width),
                label=column.label,
                short_label=column.short_label or column.label,
                segments=_segments(column, series, y_of),
                total=short(amount) if amount else "",
                short_total=shorter(amount) if amount else "",
                total_y=_text(y_of(amount) - 6),
                is_current=column.is_current,
            )
        )
    count = int(top / step)
    ticks = tuple(Tick(_text(y_of(step * index)), short(step * index)) for index in range(count + 1))
    return BarPlot(title, tuple(series), tuple(bars), ticks, height, tuple(columns))


def nice_step(highest: Decimal, intervals: int) -> Decimal:
    """A step of 1, 2, 2.5 or 5 × a power of ten that reaches `highest` in at most `intervals` steps; at least 1."""
    if highest <= 0:
        return Decimal(1)
    raw = highest / intervals
    power = Decimal(1).scaleb(raw.adjusted())
    return max(next(nice * power for nice in _NICE if nice * power >= raw), Decimal(1))


def short(amount: Decimal) -> str:
    """An amount for an axis or above a bar: "615", "1.4k", "14.2k", "1.2M"; whole thousands lose the decimal."""
    for unit, letter in ((Decimal(1_000_000), "M"), (Decimal(1_000), "k")):
        if abs(amount) >= unit:
            scaled = round_to(amount / unit, Decimal("0.1"), ROUND_HALF_UP)
            return number(scaled, 0 if scaled == scaled.to_integral_value() else 1) + letter
    return number(round_to(amount, Decimal(1), ROUND_HALF_UP), 0)


def shorter(amount: Decimal) -> str:
    """`short` for a narrow screen: whole thousands ("14k"), or whole units below a thousand."""
    if abs(amount) < 1000:
        return short(amount)
    return number(round_to(amount / 1000, Decimal(1), ROUND_HALF_UP), 0) + "k"


def _segments(column: Column, series: Sequence[Series], y_of: Callable[[Decimal], Decimal]) -> tuple[Segment, ...]:
    segments = []
    below = Decimal(0)
    for kind, value in zip(series, column.values, strict=True):
        if value > 0:
            top, bottom = y_of(below + value), y_of(below)
            gap = GAP if below else Decimal(0)
            segments.append(Segment(kind.key, _text(top), _text(max(bottom - top - gap, Decimal("0.5")))))
        below += value
    return tuple(segments)


def _text(value: Decimal) -> str:
    return f"{value:.2f}"
