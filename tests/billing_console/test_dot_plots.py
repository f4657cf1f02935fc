from __future__ import annotations

from decimal import Decimal as D

import pytest
from django.template.loader import render_to_string
from hypothesis import given
from hypothesis import strategies as st

from billing_console.dot_plots import Dot, DotPlot, dots_on_a_diagonal


def plot_of(*pairs: tuple[D, D]) -> DotPlot:
    dots = [Dot(f"Task {number}", *pair) for number, pair in enumerate(pairs)]
    return dots_on_a_diagonal("Dots", dots, axes=("Estimated", "Typed"), sides=("within", "above"), height=112)


def test_both_axes_have_one_scale_and_above_the_diagonal_is_a_square() -> None:
    plot = plot_of((D(4), D(8)), (D(8), D(8)), (D(2), D(0)))

    assert (
        [tick.label for tick in plot.ticks] == [label for _x, label in plot.across_ticks] == ["0", "2", "4", "6", "8"]
    )
    assert [(dot.x, dot.y, dot.is_above) for dot in plot.dots] == [
        ("50.00", "12.00", True), ("100.00", "12.00", False), ("25.00", "112.00", False),
    ]  # fmt: skip
    drawn = render_to_string("console/_dots.html", {"plot": plot})
    assert drawn.count("<circle") == 3  # two dots and the legend
    assert "<title>Task 0</title>" in drawn


def test_nothing_to_plot_still_has_axes() -> None:
    assert [tick.label for tick in plot_of().ticks] == ["0", "1"]


def test_a_negative_value_is_refused() -> None:
    with pytest.raises(ValueError, match="before zero"):
        plot_of((D(-1), D(1)))


@given(st.lists(st.tuples(*[st.decimals(0, 9999, places=2)] * 2), max_size=20))
def test_every_dot_stands_inside_the_plot(pairs: list[tuple[D, D]]) -> None:
    plot = plot_of(*pairs)

    assert all(0 <= D(dot.x) <= 100 and plot.top <= D(dot.y) <= plot.height for dot in plot.dots)
