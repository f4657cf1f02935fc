"""Totals, oddities, texts and the seal, by table and by property."""

from __future__ import annotations

import dataclasses
import datetime as dt
from decimal import Decimal as D
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_console import money
from invoicing import calculator
from invoicing.calculator import Line, Oddity


def line(position: int, hours: str, rate: str, *, raw: str | None = None, currency: str = "EUR") -> Line:
    return Line(
        position=position,
        task=f"T{position}-1",
        notes=f"Task #{position}: Work",
        work_date=dt.date(2025, 12, position),
        raw_hours=D(raw or hours),
        billed_hours=D(hours),
        rate=D(rate),
        amount=money.line_amount(D(hours), D(rate), currency),
    )


def test_totals_of_the_api_integration_draft() -> None:
    lines = [line(1, "2.75", "85", raw="2.6"), line(2, "1.00", "75"), line(3, "2.50", "95", raw="2.3")]
    totals = calculator.total_up(lines, tax_rate=D(21), currency="EUR")
    assert (totals.net, totals.tax, totals.gross) == (D("546.25"), D("114.71"), D("660.96"))
    assert (totals.raw_hours, totals.billed_hours, totals.uplift) == (D("5.9"), D("6.25"), D("0.35"))


def test_lines_are_rounded_one_by_one_never_merged() -> None:
    totals = calculator.total_up([line(n, "0.25", "95.01") for n in range(1, 5)], tax_rate=D(0), currency="EUR")
    assert totals.net == D("95.00")


@pytest.mark.parametrize(
    ("hours", "rate", "currency", "percent", "expected"),
    [
        ("1.25", "90", "JPY", 10, (113, "11.30", 124)),
        ("1.25", "8501", "JPY", 10, (10626, "1062.60", 11689)),
        ("0.25", "12345", "HUF", 27, ("3086.25", "833.29", "3919.54")),  # in ISO's decimals: not approved
        ("1", "95.125", "KWD", 19, ("95.125", "18.07", "113.195")),
    ],
)
def test_a_tax_has_two_decimals_in_every_currency_and_the_total_its_own(
    hours: str, rate: str, currency: str, percent: int, expected: tuple[Any, Any, Any]
) -> None:
    """As Invoice Ninja counts (recordings 776 to 791)."""
    totals = calculator.total_up([line(1, hours, rate, currency=currency)], tax_rate=D(percent), currency=currency)
    assert (totals.net, totals.tax, totals.gross) == tuple(D(figure) for figure in expected)


def test_nothing_is_nothing() -> None:
    assert calculator.total_up([], tax_rate=D(21), currency="EUR").gross == 0


def test_a_line_that_does_not_multiply_is_a_contradiction() -> None:
    good = line(1, "2.00", "50")
    bad = dataclasses.replace(line(2, "2.00", "50"), amount=D("99.99"))
    totals = calculator.total_up([good, bad], tax_rate=D(21), currency="EUR")
    assert calculator.find_contradictions([good, bad], totals, tax_rate=D(21), currency="EUR") == ["line 2"]
    wrong = dataclasses.replace(totals, gross=totals.gross + D("0.01"))
    assert calculator.find_contradictions([good, bad], wrong, tax_rate=D(21), currency="EUR") == ["line 2", "gross"]


@pytest.mark.parametrize(
    ("raw", "billed", "is_late", "is_edited", "expected"),
    [
        ("0.10", "0.25", False, False, (Oddity.UPLIFT,)),
        ("0.50", "0.75", False, False, ()),  # exactly half on top passes
        ("0.49", "0.75", False, False, (Oddity.UPLIFT,)),
        ("4.50", "4.50", True, False, (Oddity.LATE,)),
        ("4.50", "4.50", False, True, (Oddity.EDITED,)),
        ("0", "0.25", True, True, (Oddity.LATE, Oddity.UPLIFT, Oddity.EDITED)),
        ("2.60", "2.50", False, False, ()),
    ],
)
def test_what_is_odd(raw: str, billed: str, is_late: bool, is_edited: bool, expected: tuple[Oddity, ...]) -> None:
    found = calculator.find_oddities(raw_hours=D(raw), billed_hours=D(billed), is_late=is_late, is_edited=is_edited)
    assert found == expected


def test_uplift_in_per_cent() -> None:
    assert calculator.uplift_percent(D("0.10"), D("0.25")) == D(150)
    assert calculator.uplift_percent(D(0), D("0.25")) is None


def test_the_seal_counts_values_not_writing() -> None:
    content = {"net": D("615.000"), "date": dt.date(2026, 1, 2), "lines": [{"rate": D("1E+2")}], "tax": None}
    same = {"tax": None, "lines": ({"rate": D("100.00")},), "date": "2026-01-02", "net": D(615)}
    assert calculator.seal(content) == calculator.seal(same)
    assert len(calculator.seal(content)) == 64


@pytest.mark.parametrize("change", [{"net": D("615.01")}, {"date": dt.date(2026, 1, 3)}, {"lines": []}, {"tax": D(0)}])
def test_the_seal_breaks_with_any_change(change: dict[str, object]) -> None:
    content = {"net": D(615), "date": dt.date(2026, 1, 2), "lines": [{"rate": D(100)}], "tax": None}
    assert calculator.seal({**content, **change}) != calculator.seal(content)


def test_the_seal_refuses_floats() -> None:
    with pytest.raises(TypeError):
        calculator.seal({"net": 615.0})


money_like = st.decimals(min_value=0, max_value=9999, places=2)


@given(st.lists(st.tuples(money_like, money_like), max_size=30), st.sampled_from(["0", "6", "21", "8.1"]))
def test_totals_are_sums_of_printed_lines(pairs: list[tuple[D, D]], tax: str) -> None:
    lines = [line(1, str(hours), str(rate)) for hours, rate in pairs]
    totals = calculator.total_up(lines, tax_rate=D(tax), currency="EUR")
    assert totals.net == sum((one.amount for one in lines), D(0))
    assert totals.gross == totals.net + totals.tax
    assert abs(totals.tax - totals.net * D(tax) / 100) <= D("0.005")
    assert calculator.find_contradictions(lines, totals, tax_rate=D(tax), currency="EUR") == []
