"""What amounts a searched text can mean."""

from __future__ import annotations

from decimal import Decimal as D

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_console.amount_search import readings


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2,696.03", [D("2696.03")]),
        ("2.696,03", [D("2696.03")]),
        ("2 696,03", [D("2696.03")]),
        ("2\N{NARROW NO-BREAK SPACE}696,03", [D("2696.03")]),
        ("2'696.03", [D("2696.03")]),
        ("8041.96", [D("8041.96")]),
        ("8041,96 EUR", [D("8041.96")]),
        ("€ 8041,96", [D("8041.96")]),
        ("96,000 JPY", [D(96), D(96000)]),
        ("1.234", [D("1.234"), D(1234)]),
        ("1.234.567", [D(1234567)]),
        ("500", [D(500)]),
        ("-75,00", [D(-75)]),
        ("0.50", [D("0.50")]),
        ("0", []),
        ("0,00", []),
        ("0042", []),
        ("2026-0042", []),
        ("acme", []),
        ("EUR", []),
        ("", []),
        ("1e300", []),
        ("1,23,4", []),
    ],
)
def test_every_reading_of_a_text(text: str, expected: list[D]) -> None:
    assert readings(text) == expected


@given(st.text(max_size=40))
def test_whatever_is_typed_breaks_nothing(text: str) -> None:
    assert all(value.is_finite() and value for value in readings(text))
