from __future__ import annotations

from decimal import Decimal as D

import pytest
from django.template.loader import render_to_string
from hypothesis import given
from hypothesis import strategies as st

from billing_console.plots import Column, Series, nice_step, short, shorter, stack_bars

KINDS = (Series("paid", "Paid"), Series("open", "Sent, open"))


def test_bars_stack_from_zero_in_the_order_of_the_series() -> None:
    plot = stack_bars("Months", KINDS, [Column("Nov", (D(60), D(40))), Column("Dec", (D(0), D(50)), True)], height=122)

    # The highest bar, 100, reaches the top tick; 22 px above it are kept for its total.
    assert [tick.label for tick in plot.ticks] == ["0", "25", "50", "75", "100"]
    assert [tick.y for tick in plot.ticks] == ["122.00", "97.00", "72.00", "47.00", "22.00"]
    paid, owed = plot.bars[0].segments
    assert (paid.key, paid.y, paid.height) == ("paid", "62.00", "60.00")
    assert (owed.key, owed.y, owed.height) == ("open", "22.00", "38.50")
    assert [segment.key for segment in plot.bars[1].segments] == ["open"]
    assert (plot.bars[0].x, plot.bars[0].width, plot.bars[0].middle) == ("9.00", "32.00", "25.00")
    assert (plot.bars[0].total, plot.bars[0].total_y) == ("100", "16.00")
    assert [bar.is_current for bar in plot.bars] == [False, True]


def test_nothing_to_plot_still_has_an_axis() -> None:
    plot = stack_bars("Months", KINDS, [Column("Jan", (D(0), D(0)))])

    assert plot.bars[0].segments == ()
    assert plot.bars[0].total == ""
    assert [tick.label for tick in plot.ticks] == ["0", "1"]


def test_a_negative_amount_is_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        stack_bars("Months", KINDS, [Column("Jan", (D(-1), D(0)))])


@pytest.mark.parametrize(
    ("value", "text", "narrow"),
    [
        (D("615.4"), "615", "615"),
        (D("1400"), "1.4k", "1k"),
        (D("14212.50"), "14.2k", "14k"),
        (D("15000"), "15k", "15k"),
        (D("1250000"), "1.3M", "1,250k"),
    ],
)
def test_short_amounts(value: D, text: str, narrow: str) -> None:
    assert short(value) == text
    assert shorter(value) == narrow


@given(st.decimals(min_value=0, max_value=10**9, places=2))
def test_the_axis_always_reaches_the_highest_bar_in_at_most_four_steps(highest: D) -> None:
    step = nice_step(highest, 4)

    assert step >= 1
    assert step * 4 >= highest


@given(st.lists(st.tuples(*[st.decimals(min_value=0, max_value=10**6, places=2)] * 2), min_size=1, max_size=12))
def test_no_shape_leaves_the_plot(values: list[tuple[D, D]]) -> None:
    plot = stack_bars("Months", KINDS, [Column(str(i), value) for i, value in enumerate(values)])

    for bar in plot.bars:
        assert 0 <= float(bar.x) <= float(bar.x) + float(bar.width) <= 100
        for segment in bar.segments:
            assert 21.9 <= float(segment.y) <= plot.height
            assert float(segment.y) + float(segment.height) <= plot.height + 0.6


def test_the_partial_prints_numbers_for_svg_in_every_language(settings) -> None:
    plot = stack_bars("Months & money", KINDS, [Column("Dec", (D(1234), D(567)), True)])

    for language in ("en-gb", "fr", "de"):
        settings.LANGUAGE_CODE = language
        html = render_to_string("console/_bars.html", {"plot": plot})
        assert 'x="18.00%" width="64.00%"' in html
        assert "<title>Months &amp; money</title>" in html
        assert 'height="192"' in html
