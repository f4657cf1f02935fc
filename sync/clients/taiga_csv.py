"""Taiga's CSV of all items of a kind, read as it comes.

One text of one task may be larger than all others together: what nobody asks for is thrown away while it is read, and
of a cell that is too long is kept what `bounds` keeps of any value. So the memory that it needs is bounded by the rows,
and no task can keep the others from being read. Pure: no network, no database, no settings.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from sync.bounds import BoundedCell
from sync.clients.wire import ShapeError

_ENDS: Final = re.compile('[,"\r\n]')
_MOST_COLUMNS: Final = 5_000

Wanted = Callable[[str], bool]


def read_csv(chunks: Iterable[bytes], wanted: Wanted = lambda name: True) -> list[dict[str, str]]:
    """Read Taiga's CSV into one dict per row, of the columns whose name is `wanted`; `id` and `ref` are always there.

    Of two columns of one name the first counts: a custom attribute named like a fixed column does not replace it.
    Values are text as Taiga wrote it: "True", "False", "" for null, and a leading ' before = + - @; long ones
    are kept as `bounds.bounded` keeps them. Raises ShapeError for anything but Taiga's table.
    """
    rows = _rows(chunks, wanted)
    names = next(rows, None)
    if names is None or names[:2] != [(0, "id"), (1, "ref")]:
        raise ShapeError("the CSV does not begin with id,ref")
    by_column = dict(names)
    return [{by_column[column]: text for column, text in row} for row in rows]


class _Head:
    """What the first row says: how many columns there are, and which of them are kept."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self.count: int | None = None
        self._kept: set[int] = set()

    def keeps(self, column: int) -> bool:
        return self.count is None or column in self._kept

    def read(self, row: list[tuple[int, str]], count: int) -> list[tuple[int, str]]:
        """The row's kept cells. Raises ShapeError for a row of another length than the first."""
        if self.count is not None:
            if count != self.count:
                raise ShapeError("a row of the CSV has another number of columns than its head")
            return row
        seen: set[str] = set()
        kept = []
        for column, name in row:
            if name not in seen and (column < 2 or self._wanted(name)):
                kept.append((column, name))
            seen.add(name)
        self.count, self._kept = count, {column for column, _name in kept}
        return kept


def _rows(chunks: Iterable[bytes], wanted: Wanted) -> Iterator[list[tuple[int, str]]]:
    """The kept cells of each row with the number of their column, the head first."""
    head, row, column = _Head(wanted), list[tuple[int, str]](), 0
    cell, length = BoundedCell(), 0
    is_quoted = is_closed = may_be_end = after_return = is_begun = False
    for text in _texts(chunks):
        at = 0
        while at < len(text):
            if is_quoted:
                if may_be_end:  # the last character was a quote: of two one is meant, else the cell is over
                    may_be_end = False
                    if text[at] != '"':
                        is_quoted, is_closed = False, True
                        continue
                    end, at = at + 1, at
                else:
                    found = text.find('"', at)
                    end = len(text) if found < 0 else found
                    may_be_end = found >= 0
                if end > at and head.keeps(column):
                    cell.add(text[at:end])
                length += end - at
                at = end + may_be_end
                continue
            match = _ENDS.search(text, at)
            end = match.start() if match else len(text)
            if end > at:
                if is_closed:
                    raise ShapeError("the CSV cannot be read")
                is_begun, after_return = True, False
                if head.keeps(column):
                    cell.add(text[at:end])
                length += end - at
            if match is None:
                break
            at, sign = end + 1, match[0]
            if sign == '"':
                if length or is_closed:
                    raise ShapeError("the CSV cannot be read")
                is_quoted, is_begun, after_return = True, True, False
                continue
            if sign == "\n" and after_return and not is_begun:
                after_return = False  # the second half of a line's end
                continue
            if sign == "," or is_begun or column:
                if head.keeps(column):
                    row.append((column, cell.value()))
                column += 1
                if column > _MOST_COLUMNS:
                    raise ShapeError("the CSV has too many columns")
            cell, length, is_closed, is_begun = BoundedCell(), 0, False, sign == ","
            if sign != ",":
                if column:
                    yield head.read(row, column)
                row, column, after_return = [], 0, sign == "\r"
    if is_quoted and not may_be_end:
        raise ShapeError("the CSV cannot be read")
    if is_begun or column:
        if head.keeps(column):
            row.append((column, cell.value()))
        yield head.read(row, column + 1)


def _texts(chunks: Iterable[bytes]) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    for chunk in chunks:
        yield decoder.decode(chunk)
    yield decoder.decode(b"", final=True)
