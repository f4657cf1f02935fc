"""Reading Taiga's lists completely, page by page, while rows come and go.

A row that vanishes from an earlier page moves the later ones to the front, where a page was read already; a new one at
the end hides that from the count. So the row that ended a page is asked for once more after the next one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, Generic, NamedTuple, TypeVar

from billing_console.errors import ListChanged, NotFound
from sync.clients.answers import Answer

UPSTREAM: Final = "taiga"
Parsed = TypeVar("Parsed")
Query = Mapping[str, str | int | bool]


class Page(NamedTuple, Generic[Parsed]):
    """The rows of one page, how many rows the list has, and whether there is another page."""

    rows: Sequence[Parsed]
    total: int
    has_next: bool


def count_of(answer: Answer) -> int | None:
    text = answer.headers.get("x-pagination-count", "")
    return int(text) if text.isascii() and text.isdigit() else None


def has_next(answer: Answer) -> bool:
    return bool(answer.headers.get("X-Pagination-Next", ""))


def read_all(
    read: Callable[[int, int], Page[Parsed]],
    key_of: Callable[[Parsed], object],
    path: str,
    size: int,
    *,
    grows_in_front: bool = False,
) -> Iterator[Parsed]:
    """Yield every row of a list once; `read` asks for the page of a number, of so many rows.

    Raises ListChanged at the end where a row may have been missed. A list that `grows_in_front` only repeats rows.
    """
    seen: set[object] = set()
    total, most, has_shifted = 0, 0, False
    last: object = None
    number = 1
    while True:
        try:
            page = read(number, size)
        except NotFound:
            # The last page vanished because rows were deleted meanwhile.
            if number == 1:
                raise
            break
        if number > 1 and not grows_in_front and page.rows:
            has_shifted |= last != _key_at((number - 1) * size, read, key_of)
        for row in page.rows:
            if key_of(row) not in seen:
                seen.add(key_of(row))
                yield row
        last = key_of(page.rows[-1]) if page.rows else None
        total = page.total
        most = max(most, total)
        if not page.has_next:
            break
        number += 1
    if number > 1 and not grows_in_front and (has_shifted or total < most or len(seen) < total):
        raise ListChanged(UPSTREAM, "GET", path, status=200)


def _key_at(position: int, read: Callable[[int, int], Page[Parsed]], key_of: Callable[[Parsed], object]) -> object:
    """The row at this place by now, None where there is none."""
    try:
        rows = read(position, 1).rows
    except NotFound:
        return None
    return key_of(rows[0]) if rows else None
