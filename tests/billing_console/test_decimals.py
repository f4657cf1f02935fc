"""Numbers as people type them."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError
from django.utils import translation
from hypothesis import given
from hypothesis import strategies as st

from billing_console.decimals import UnclearNumber, parse_decimal
from billing_console.form_fields import StrictDecimalField

LANGUAGES = ["en-gb", "fr", "nl", "de"]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    ("typed", "number"),
    [
        ("4,5", "4.5"),
        ("4.5", "4.5"),
        ("4.50", "4.50"),
        (" 95 ", "95"),
        (",5", "0.5"),
        ("1234,56", "1234.56"),
        ("-4,5", "-4.5"),
        ("\N{MINUS SIGN}1", "-1"),
        ("1234", "1234"),
        ("1.2340", "1.2340"),
    ],
)
def test_the_same_in_every_language(language: str, typed: str, number: str) -> None:
    with translation.override(language):
        assert StrictDecimalField().clean(typed) == Decimal(number)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("typed", ["1.234", "1,234", "12.345"])
def test_a_group_or_a_decimal_is_asked_back(language: str, typed: str) -> None:
    plain, decimal = typed.replace(",", "").replace(".", ""), typed.replace(",", ".")
    with translation.override(language), pytest.raises(ValidationError) as caught:
        StrictDecimalField().clean(typed)
    assert f"“{typed}” can mean {plain} or {decimal}" in caught.value.messages[0]


@pytest.mark.parametrize(
    ("language", "typed", "number"),
    [
        ("en-gb", "1,234.50", "1234.5"),
        ("en-gb", "1,234,567", "1234567"),
        ("nl", "1.234,50", "1234.5"),
        ("de", "1.234,50", "1234.5"),
        ("fr", "1 234,50", "1234.5"),
        ("fr", "1\N{NARROW NO-BREAK SPACE}234,50", "1234.5"),
    ],
)
def test_groups_of_the_own_language(language: str, typed: str, number: str) -> None:
    with translation.override(language):
        assert StrictDecimalField().clean(typed) == Decimal(number)


@pytest.mark.parametrize(
    ("language", "typed"),
    [
        ("en-gb", "1.234,50"),
        ("de", "1,234.50"),
        ("en-gb", "1,23,456"),
        ("en-gb", "12,34.5"),
        ("en-gb", "four"),
        ("en-gb", "4h"),
        ("en-gb", "1e5"),
        ("en-gb", "NaN"),
        ("en-gb", "٤"),
        ("en-gb", "1 234"),
        ("en-gb", "."),
        ("en-gb", "--1"),
    ],
)
def test_everything_else_is_asked_back(language: str, typed: str) -> None:
    with translation.override(language), pytest.raises(ValidationError, match="is no number"):
        StrictDecimalField().clean(typed)


def test_too_many_decimals_and_limits_stay_errors() -> None:
    field = StrictDecimalField(max_digits=6, decimal_places=2, min_value=0)
    with pytest.raises(ValidationError):
        field.clean("1.23456")
    with pytest.raises(ValidationError):
        field.clean("-1")


@given(st.decimals(min_value=-99999, max_value=99999, places=3), st.sampled_from(LANGUAGES))
def test_what_is_shown_reads_back_to_itself(number: Decimal, language: str) -> None:
    field = StrictDecimalField()
    with translation.override(language):
        assert field.clean(field.prepare_value(number)) == number


@given(st.text(max_size=12), st.sampled_from([",", ".", " ", ""]))
def test_any_text_is_a_number_or_asked_back(text: str, group: str) -> None:
    readings: tuple[str, ...] = ()
    try:
        assert parse_decimal(text, group=group, point="," if group == "." else ".").is_finite()
    except UnclearNumber as error:
        readings = error.readings
    assert len(readings) in (0, 2)
