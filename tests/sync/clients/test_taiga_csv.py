"""Taiga's CSV as it comes: in any pieces what Python's reader makes of it, and of a long cell only the beginning."""

from __future__ import annotations

import csv
import io
import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.bounds import bounded
from sync.clients.taiga_csv import read_csv
from sync.clients.wire import ShapeError

TEXT = st.text(st.sampled_from('ab",\n\r ä€'), max_size=6)


def table(*rows: list[str], quoting: int = csv.QUOTE_MINIMAL) -> bytes:
    """As Taiga writes it."""
    out = io.StringIO(newline="")
    csv.writer(out, quoting=quoting).writerows(rows)  # type: ignore[arg-type]
    return out.getvalue().encode()


def in_pieces(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


@given(
    rows=st.lists(st.lists(TEXT, min_size=4, max_size=4), max_size=4),
    size=st.integers(1, 9),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
def test_in_any_pieces_it_is_what_was_written(rows: list[list[str]], size: int, quoting: int) -> None:
    head = ["id", "ref", "subject", "Billable"]

    read = read_csv(in_pieces(table(head, *rows, quoting=quoting), size))

    assert read == [dict(zip(head, row, strict=True)) for row in rows]


@pytest.mark.parametrize("sign", ["a", "€", '"', ",", "\n", "a,", '"a', "'=", "😀"])
@pytest.mark.parametrize("length", [999, 1000, 1001, 1002, 2_000_000])
def test_of_a_long_cell_is_kept_what_is_kept_of_any_value(sign: str, length: int) -> None:
    """So that it equals what was read of the item itself; and the rows after it are read."""
    long = (sign * (length // len(sign) + 1))[:length]
    data = table(["id", "ref", "description", "Billable"], ["1", "5", long, "True"], ["2", "6", "short", ""])

    first, second = read_csv(in_pieces(data, 64 * 1024))

    kept = bounded(first["description"].removeprefix("'"))  # as the census compares it
    assert (kept, first["Billable"]) == (bounded(long.removeprefix("'")), "True")
    assert second == {"id": "2", "ref": "6", "description": "short", "Billable": ""}


def test_what_nobody_asks_for_costs_no_memory() -> None:
    """Seventeen megabytes in one description, and thirteen kilobytes in each of two thousand."""

    def pieces() -> Iterator[bytes]:
        yield table(["id", "ref", "description", "Billable"])
        yield b"1,5,"
        for _piece in range(17 * 16):
            yield b"x" * 64 * 1024
        yield b",True\r\n"
        for number in range(2, 2002):
            yield table([str(number), "7", "y" * 13_000, ""])

    tracemalloc.start()
    rows = read_csv(pieces(), lambda name: name != "description")
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert len(rows) == 2001
    assert rows[0] == {"id": "1", "ref": "5", "Billable": "True"}
    assert peak < 4_000_000


def test_of_two_columns_of_one_name_the_first_counts_also_where_it_is_left_out() -> None:
    data = table(["id", "ref", "tags", "tags", "Billable"], ["1", "5", "fixed", "typed", "True"])
    assert read_csv([data]) == [{"id": "1", "ref": "5", "tags": "fixed", "Billable": "True"}]
    assert read_csv([data], lambda name: name != "tags") == [{"id": "1", "ref": "5", "Billable": "True"}]


@pytest.mark.parametrize(
    "data",
    [b"", b"\r\n", b"id", b"ref,id\r\n", b"<html></html>", b"id,ref,a\r\n1,2\r\n", b"id,ref\r\n1,2,3\r\n",
     b'id,ref\r\n1,"2\r\n', b'id,ref\r\n1,"2"3\r\n', b'id,ref\r\n1,2"3"\r\n', b"id,ref" + b",a" * 6000],
)  # fmt: skip
def test_anything_but_the_table_is_refused(data: bytes) -> None:
    with pytest.raises(ShapeError):
        read_csv([data])
