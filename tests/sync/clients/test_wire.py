"""JSON that keeps every digit, in both directions."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.clients.wire import Row, ShapeError, WireError, decode_json, encode_json


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2.50", Decimal("2.50")),
        ("0.1", Decimal("0.1")),
        ("1e300", Decimal("1E+300")),
        ("150.14999999999998", Decimal("150.14999999999998")),
        ("12345678901234567890123", 12345678901234567890123),
        ("-0", 0),
    ],
)
def test_numbers_are_read_exactly(text, value):
    assert decode_json(text) == value
    assert type(decode_json(text)) is type(value)


@pytest.mark.parametrize(
    "text", ["NaN", "Infinity", "-Infinity", "[NaN]", "", "{", "9" * 5000, "[" * 100_000, "1e9" * 9]
)
def test_what_is_no_json_is_refused(text):
    with pytest.raises(WireError):
        decode_json(text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Decimal("2.50"), "2.50"),
        (Decimal("0.10"), "0.10"),
        (Decimal("1E+300"), "1E+300"),
        (Decimal("0E-7"), "0E-7"),
        (Decimal("123456789012345678.123456789"), "123456789012345678.123456789"),
        ({"a": [1, True, None, "é"]}, '{"a": [1, true, null, "\\u00e9"]}'),
        ({}, "{}"),
        ((), "[]"),
        ("\ud800", '"\\ud800"'),
    ],
)
def test_values_are_written_exactly(value, text):
    assert encode_json(value) == text


@pytest.mark.parametrize("value", [1.5, Decimal("NaN"), Decimal("Infinity"), {1: 2}, object(), {"a": {1, 2}}])
def test_what_would_lose_or_break_is_not_written(value):
    with pytest.raises(WireError):
        encode_json(value)


EXACT = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4),
    max_leaves=15,
)


@given(EXACT)
def test_what_is_written_is_read_back_equal(value):
    assert decode_json(encode_json(value)) == value


@given(EXACT)
def test_what_is_written_is_json_for_others_too(value):
    json.loads(encode_json(value))


def test_rows_read_what_servers_write():
    row = Row(
        {
            "text": "a",
            "digits": 12,
            "none": None,
            "rate": Decimal("55.25"),
            "whole": 11,
            "word": "1.5",
            "flag": True,
            "iso": "2026-11-22T07:53:15.847Z",
            "space": "2026-11-22 07:57:47",
            "epoch": 1795334065,
            "zero": 0,
            "day": "2026-11-22",
            "longday": "2026-09-21T03:13:20.000000Z",
            "badday": "-0001-11-30",
            "empty": "",
            "php": [],
        },
        "row",
    )
    assert (row.text("text"), row.text("digits"), row.text("none"), row.text("absent")) == ("a", "12", "", "")
    assert (row.decimal("rate"), row.decimal("whole"), row.decimal("word")) == (Decimal("55.25"), 11, Decimal("1.5"))
    assert row.decimal("absent") == 0
    assert (row.flag("flag"), row.flag("absent")) == (True, False)
    assert row.instant("iso") == datetime(2026, 11, 22, 7, 53, 15, 847000, tzinfo=UTC)
    assert row.instant("space") == datetime(2026, 11, 22, 7, 57, 47, tzinfo=UTC)
    assert row.epoch("epoch") == datetime(2026, 11, 22, 7, 54, 25, tzinfo=UTC)
    assert (row.epoch("zero"), row.epoch("none"), row.optional_instant("empty")) == (None, None, None)
    assert (row.day("day"), row.day("longday")) == (date(2026, 11, 22), date(2026, 9, 21))
    assert (row.day("badday"), row.day("empty"), row.day("absent")) == (None, None, None)
    assert row.object("php") == {}


@pytest.mark.parametrize(
    "read",
    [
        lambda row: row.text("list"),
        lambda row: row.text("flag"),
        lambda row: row.integer("absent"),
        lambda row: row.integer("text"),
        lambda row: row.integer("flag"),
        lambda row: row.decimal("list"),
        lambda row: row.decimal("text"),
        lambda row: row.decimal("flag"),
        lambda row: row.decimal("nan"),
        lambda row: row.flag("number"),
        lambda row: row.instant("absent"),
        lambda row: row.instant("text"),
        lambda row: row.instant("number"),
        lambda row: row.epoch("text"),
        lambda row: row.epoch("huge"),
        lambda row: row.objects("text"),
        lambda row: row.objects("list"),
        lambda row: row.object("text"),
    ],
)
def test_another_shape_is_named_without_its_value(read):
    row = Row({"list": [1], "flag": True, "text": "secret-word", "number": 1, "nan": "NaN", "huge": 10**15}, "row")
    with pytest.raises(ShapeError, match=r"^row\.") as caught:
        read(row)
    assert "secret-word" not in str(caught.value)


def test_a_row_must_be_an_object():
    with pytest.raises(ShapeError):
        Row([], "row")
