"""Amounts that a server counted in binary, and what they mean."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_console import money


def test_every_hour_and_rate_comes_to_what_invoice_ninja_prints() -> None:
    """Rates of 20.00 to 150.00, a quarter of an hour to ten hours: its double against our decimal, to the cent."""
    pairs = lost = 0
    wrong = []
    for cents in range(2000, 15001):
        rate = cents / 100
        for quarters in range(1, 41):
            pairs += 1
            line_total = Decimal(repr(rate * (quarters / 4)))  # as its JSON writes it
            meant = money.from_binary(line_total)
            ours = (2 * cents * quarters + 4) // 8  # cents, half up, in whole numbers
            if money.quantize(meant, "EUR").scaleb(2) != ours:
                wrong.append((cents, quarters))
            lost += meant is not line_total and money.quantize(line_total, "EUR").scaleb(2) != ours
    assert pairs == 520_040
    assert lost == 15_443  # without it, a cent each
    assert wrong == []


@pytest.mark.parametrize(
    ("counted", "meant"),
    [
        ("43.294999999999995", "43.295"),  # 3.5 × 12.37, recording 758
        ("30.224999999999998", "30.225"),  # 1.5 × 20.15, recording 761
        ("0.6699999999999999", "0.67"),  # 7 − 6.33, recording 734
        ("99.99999999999999", "100"),
        ("100.00000000000001", "100"),
        ("-43.294999999999995", "-43.295"),
        ("0.33333333", "0.33333333"),
        ("660.96", "660.96"),
        ("0", "0"),
        ("99999999999999", "99999999999999"),
    ],
)
def test_what_a_binary_number_means(counted: str, meant: str) -> None:
    assert str(money.from_binary(Decimal(counted))) == meant


@given(st.integers(1, 10**9), st.integers(-(10**9), 10**9))
def test_a_product_counted_in_doubles_is_the_decimal_one(hundredths: int, cents: int) -> None:
    counted = Decimal(repr((hundredths / 100) * (cents / 100)))
    exact = Decimal(hundredths) / 100 * Decimal(cents) / 100
    if abs(exact) < 10**6:  # a double has 15 digits: 8 of them behind the point up to here
        assert money.from_binary(counted) == exact
