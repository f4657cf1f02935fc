"""Reading Invoice Ninja's lists completely: whole ones by id, changed ones by time.

Pages are built here, because the server's own link to the next page forgets the filters and the page size,
and a list without an order has none. Rows come and go while pages are read: a row that vanishes from an earlier page
moves the later ones to the front, where nobody reads any more, and a new one at the end hides that from the total. So
the last row of each page is asked for once more after the next page: where another stands there by now, all is read
anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final, Protocol, TypeVar

from billing_console.errors import ListChanged
from sync.clients.http import JsonClient, Query
from sync.clients.ninja_rows import NinjaId
from sync.clients.wire import Row, as_list, as_object

PAGE_SIZE: Final = 500
ATTEMPTS: Final = 3


class Identified(Protocol):
    """A row with an id."""

    @property
    def id(self) -> NinjaId: ...


class Dated(Identified, Protocol):
    """A row with an id and the time of its last change (UTC, whole seconds)."""

    @property
    def updated_at(self) -> datetime | None: ...


Listed = TypeVar("Listed", bound=Identified)
Polled = TypeVar("Polled", bound=Dated)
Parsed = TypeVar("Parsed")


def row_of(data: object) -> object:
    """Return the one row of an answer; raises ShapeError."""
    return as_object(data, "answer").get("data")


def rows_of(data: object) -> list[Any]:
    """Return the rows of an answer; raises ShapeError."""
    return as_list(as_object(data, "answer").get("data"), "answer.data")


def list_all(http: JsonClient, path: str, query: Mapping[str, str], parse: Callable[[object], Listed]) -> list[Listed]:
    """Return all rows of a list; reads it again if it changed meanwhile, then raises ListChanged."""
    asked = {**query, "sort": "id|asc"}
    for _attempt in range(ATTEMPTS):
        found: dict[NinjaId, Listed] = {}
        totals: set[int] = set()
        page, last, has_shifted = 1, None, False
        while not has_shifted:
            rows, total, has_next = _read_page(http, path, {**asked, "per_page": PAGE_SIZE, "page": page}, parse)
            has_shifted = last is not None and _has_shifted(http, path, asked, parse, last, page - 1)
            found |= {row.id: row for row in rows}
            totals.add(total)
            if not has_next or not rows:
                break
            page, last = page + 1, rows[-1].id
        if not has_shifted and totals == {len(found)}:
            return list(found.values())
    raise ListChanged(http.upstream, "GET", path, status=200)


def _has_shifted(
    http: JsonClient,
    path: str,
    query: Mapping[str, str | int],
    parse: Callable[[object], Listed],
    last: NinjaId,
    pages: int,
) -> bool:
    """Whether another row than `last` stands at the end of so many pages by now."""
    rows, _total, _has_next = _read_page(http, path, {**query, "per_page": 1, "page": pages * PAGE_SIZE}, parse)
    return [row.id for row in rows] != [last]


def list_updated_since(
    http: JsonClient, path: str, since: datetime | None, parse: Callable[[object], Polled]
) -> Iterator[Polled]:
    """Yield the rows changed at or after `since`, always asking for the first page from the last time seen.

    Later pages shift while rows change; they are asked for only while a page is full of one second, and that second is
    begun anew where they did. Raises ValueError for a time without a zone, ListChanged where it never stands still.
    """
    if since is not None and since.tzinfo is None:
        raise ValueError("a time needs its zone")
    start = int(since.timestamp()) if since is not None else 0
    return _updated_from(http, path, start, parse)


def _updated_from(http: JsonClient, path: str, start: int, parse: Callable[[object], Polled]) -> Iterator[Polled]:
    seen: set[tuple[NinjaId, datetime | None]] = set()
    page, shifts = 1, 0
    last: NinjaId | None = None
    while True:
        query: dict[str, str | int] = {"sort": "updated_at|asc"} | ({"updated_at": start} if start > 0 else {})
        rows, _total, has_next = _read_page(http, path, {**query, "per_page": PAGE_SIZE, "page": page}, parse)
        for row in rows:
            if (row.id, row.updated_at) not in seen:
                seen.add((row.id, row.updated_at))
                yield row
        if page > 1 and last is not None and _has_shifted(http, path, query, parse, last, page - 1):
            page, shifts = 1, shifts + 1
            if shifts == ATTEMPTS:
                raise ListChanged(http.upstream, "GET", path, status=200)
            continue
        if not has_next or not rows:
            return
        last = rows[-1].id
        newest = max((int(row.updated_at.timestamp()) for row in rows if row.updated_at), default=start)
        page = 1 if newest > start else page + 1
        start = newest


def _read_page(
    http: JsonClient, path: str, query: Query, parse: Callable[[object], Parsed]
) -> tuple[list[Parsed], int, bool]:
    """Return one page's rows, how many rows there are in all, and whether there is another page."""
    answer = http.call("GET", path, query=query)

    def read(data: object) -> tuple[list[Parsed], int, bool]:
        meta = Row(Row(data, "answer").object("meta"), "meta")
        pagination = Row(meta.object("pagination"), "pagination")
        has_next = pagination.integer("current_page") < pagination.integer("total_pages")
        return [parse(row) for row in rows_of(data)], pagination.integer("total"), has_next

    return http.read(answer, read)
