"""Dots on a diagonal: a pure function from pairs to what templates/console/_dots.html draws.

Both axes have one scale, so that the diagonal is "as expected". Positions are per cent across and pixels down, already
written as text, so that no locale touches them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal

from billing_console.money import round_to
from billing_console.plots import Tick, nice_step, short

TOP = 12  # room above the highest value, px


@dataclass(frozen=True)
class Dot:
    """One pair of values ≥ 0."""

    label: str
    across: Decimal
    up: Decimal


@dataclass(frozen=True)
class DrawnDot:
    """A dot as drawn: x in per cent, y in px; above the diagonal it is a square, else a circle."""

    x: str
    y: str
    label: str
    is_above: bool


@dataclass(frozen=True)
class DotPlot:
    """Everything that the partial draws; `height` is that of the plotting area without the labels below, px."""

    title: str
    across_label: str
    up_label: str
    below_label: str
    above_label: str
    dots: tuple[DrawnDot, ...]
    ticks: tuple[Tick, ...]
    across_ticks: tuple[tuple[str, str], ...]
    height: int

    @property
    def top(self) -> int:
        """Where the diagonal ends, px."""
        return TOP

    @property
    def full_height(self) -> int:
        """With the labels below the axis, px."""
        return self.height + 40

    @property
    def label_y(self) -> int:
        """Baseline of the numbers below the axis, px."""
        return self.height + 17

    @property
    def title_y(self) -> int:
        """Baseline of the words below the numbers, px."""
        return self.height + 34


def dots_on_a_diagonal(
    title: str, dots: Sequence[Dot], *, axes: tuple[str, str], sides: tuple[str, str], height: int = 240
) -> DotPlot:
    """`axes` are the words of the two axes (across, up), `sides` those for dots on or below, and above, the diagonal.

    Raises ValueError for a negative value.
    """
    if any(dot.across < 0 or dot.up < 0 for dot in dots):
        raise ValueError("A dot cannot stand before zero.")
    highest = max((max(dot.across, dot.up) for dot in dots), default=Decimal(0))
    step = nice_step(highest, 4)
    top = max(round_to(highest, step, ROUND_CEILING), step)
    count = int(top / step)

    def y_of(value: Decimal) -> str:
        return f"{height - value / top * (height - TOP):.2f}"

    def x_of(value: Decimal) -> str:
        return f"{value / top * 100:.2f}"

    return DotPlot(
        title=title,
        across_label=axes[0],
        up_label=axes[1],
        below_label=sides[0],
        above_label=sides[1],
        dots=tuple(DrawnDot(x_of(dot.across), y_of(dot.up), dot.label, dot.up > dot.across) for dot in dots),
        ticks=tuple(Tick(y_of(step * index), short(step * index)) for index in range(count + 1)),
        across_ticks=tuple((x_of(step * index), short(step * index)) for index in range(count + 1)),
        height=height,
    )
