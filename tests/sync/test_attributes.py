"""The five attributes: found by either spelling, read strictly, never guessed."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync import attributes
from sync.attributes import Unreadable, find_attributes, parse_billable, parse_hours, parse_rate, parse_status, quote

CONFIGURED = {
    "billable": "Billable",
    "hours": "Duration (Hours)",
    "rate": "Hourly Rate",
    "client": "Client Invoice ID",
    "status": "Invoice Status",
    "estimate": "Estimate (Hours)",
}


def test_the_five_are_found_by_their_configured_names_in_any_case() -> None:
    names = {"1": "BILLABLE", "2": "Duration  (hours)", "3": "Hourly Rate", "5": "invoice status", "9": "Notes"}
    found = find_attributes(names, {"1": True, "2": Decimal("2.5"), "9": "x"}, CONFIGURED)
    assert found.raw == {"billable": True, "hours": Decimal("2.5"), "rate": None, "client": None, "status": None}
    assert found.status_attribute_id == 5


def test_the_guides_second_spelling_is_an_alias() -> None:
    names = {"7": "duration_hours", "8": "billable", "9": "hourly_rate", "10": "client_invoice_id"}
    found = find_attributes(names, {"7": 1, "8": True, "9": 95, "10": "client_abc123"}, CONFIGURED)
    assert found.raw == {"billable": True, "hours": 1, "rate": 95, "client": "client_abc123", "status": None}
    assert found.status_attribute_id is None


@pytest.mark.parametrize("name", ["Estimate (Hours)", "estimate_hours"])
def test_an_estimate_is_found_beside_the_five(name: str) -> None:
    found = find_attributes({"1": "Billable", "4": name}, {"1": True, "4": "3h30"}, CONFIGURED)
    assert found.raw["estimate"] == "3h30"


@pytest.mark.parametrize(
    ("raw", "hours"),
    [("3h30", Decimal("3.5")), (4, Decimal(4)), (0, Decimal(0)), (None, None), ("", None), ("a lot", None), (-1, None)],
)
def test_an_estimate_that_cannot_be_read_is_none_and_no_error(raw: Any, hours: Decimal | None) -> None:
    assert attributes.parse_estimate(raw) == hours


def test_a_configured_name_wins_over_the_alias() -> None:
    found = find_attributes({"1": "duration_hours", "2": "Duration (Hours)"}, {"1": 9, "2": 4}, CONFIGURED)
    assert found.raw["hours"] == 4


@pytest.mark.parametrize(
    ("raw", "hours"),
    [
        (Decimal("2.5"), "2.5"),
        (4, "4"),
        (0, "0"),
        (Decimal("0.1"), "0.1"),
        (9999, "9999"),
        ("2.5", "2.5"),
        ("2,5", "2.5"),
        (" 2.5 ", "2.5"),
        ("2.5h", "2.5"),
        ("3h", "3"),
        ("4h30", "4.5"),
        ("4:30", "4.5"),
        ("4h20", "4.333333"),
        ("0:05", "0.083333"),
        (Decimal("1.00000049"), "1.000000"),
    ],
)
def test_hours_that_can_be_read(raw: Any, hours: str) -> None:
    assert parse_hours(raw) == Decimal(hours)


@pytest.mark.parametrize(
    "raw",
    [
        None,
        "",
        "  ",
        "two hours",
        [1],
        {},
        {"a": 1},
        -1,
        Decimal("-0.5"),
        Decimal("1e300"),
        True,
        False,
        10000,
        Decimal("9999.1"),
        "4h60",
        "12345",
        "1.234.5",
        "١٢",
        "1e3",
        "-2",
        "2 h",
        "4h3",
        "0x10",
        Decimal("NaN"),
        Decimal("Infinity"),
    ],
)
def test_hours_that_cannot_be_read_are_never_zero(raw: Any) -> None:
    with pytest.raises(Unreadable):
        parse_hours(raw)


@pytest.mark.parametrize("raw", [True, 1, Decimal(1), "true", "YES", "1", "On", "oui", " Ja "])
def test_billable(raw: Any) -> None:
    assert parse_billable(raw) is True


@pytest.mark.parametrize("raw", [None, "", False, 0, "false", "No", "0", "off", "non", "nee", "nein"])
def test_not_billable(raw: Any) -> None:
    assert parse_billable(raw) is False


@pytest.mark.parametrize("raw", ["maybe", 2, Decimal("0.5"), [True], {}, "x"])
def test_an_unreadable_checkbox(raw: Any) -> None:
    with pytest.raises(Unreadable):
        parse_billable(raw)


@pytest.mark.parametrize(
    ("raw", "rate"),
    [(None, None), ("", None), (0, "0"), (110, "110"), (Decimal("95.50"), "95.50"), ("110,5", "110.5"), ("75", "75")],
)
def test_rates_that_can_be_read(raw: Any, rate: str | None) -> None:
    assert parse_rate(raw) == (Decimal(rate) if rate is not None else None)


@pytest.mark.parametrize("raw", [-1, "-5", "110 EUR", "€110", True, [110], 1000000, Decimal("NaN"), "1e2"])
def test_rates_that_cannot_be_read(raw: Any) -> None:
    with pytest.raises(Unreadable):
        parse_rate(raw)


@pytest.mark.parametrize(
    ("raw", "word"),
    [
        ("Not Billable", "not_billable"),
        ("non-billable", "not_billable"),
        ("PENDING INVOICE", "pending_invoice"),
        ("pending", "pending_invoice"),
        ("Invoiced", "invoiced"),
        (" invoiced ", "invoiced"),
        ("", ""),
        (None, ""),
        ("done", ""),
        (1, ""),
    ],
)
def test_both_word_sets_of_the_status_are_read(raw: Any, word: str) -> None:
    assert parse_status(raw) == word


def test_a_quote_is_the_value_as_typed_and_short() -> None:
    assert quote("two hours") == '"two hours"'
    assert quote(Decimal("2.50")) == "2.50"
    assert quote([1]) == "[1]"
    assert quote(None) == "null"
    assert len(quote("x" * 500)) == attributes.QUOTE_LENGTH


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.decimals(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(ANY_JSON)
def test_whatever_is_stored_is_read_or_refused_but_never_raises_anything_else(raw: Any) -> None:
    for parse in (parse_hours, parse_billable, parse_rate):
        try:
            value = parse(raw)
        except Unreadable:
            continue
        if parse is parse_hours:
            assert Decimal(0) <= value <= 9999
    parse_status(raw)
    attributes.parse_client(raw)
    assert len(quote(raw)) <= attributes.QUOTE_LENGTH
