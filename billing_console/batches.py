"""Many rows, some at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, TypeVar

from django.db.models import QuerySet

Row = TypeVar("Row")


def in_batches(rows: Iterable[Row], size: int) -> Iterator[list[Row]]:
    """The rows in their order, at most `size` at a time; takes the next ones only when they are asked for."""
    iterator = iter(rows)
    while batch := list(islice(iterator, size)):
        yield batch


def read_in_batches(rows: QuerySet[Any, Row], size: int = 1000) -> Iterator[list[Row]]:
    """The rows of one query in their order, of which only `size` are ever in memory."""
    return in_batches(rows.iterator(chunk_size=size), size)
