"""No text in a cell of a file is run as a formula, and a file that is read again says what it said."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_console.cells import FORMULA_BEGINS, as_written, harmless, harmless_cell


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"])  # noqa: RUF001
def test_no_cell_begins_like_a_formula(begin: str) -> None:
    assert harmless(f"{begin}1+1") == f"'{begin}1+1"
    assert harmless_cell(f"{begin}A1") == f"'{begin}A1"
    assert harmless("1+1") == "1+1"


@pytest.mark.parametrize("number", ["-5", "+5", "-12.50"])
def test_a_plain_number_stays_one(number: str) -> None:
    assert harmless_cell(number) == number


@given(st.text())
def test_what_is_read_again_is_what_was_written(text: str) -> None:
    assert not harmless(text).startswith(FORMULA_BEGINS)
    if not (text.startswith("'") and text[1:].startswith(FORMULA_BEGINS)):
        assert as_written(harmless(text)) == text
