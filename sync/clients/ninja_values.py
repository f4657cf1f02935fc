"""Single values of Invoice Ninja's JSON: ids, and numbers without what binary fractions left of them. Pure."""

from __future__ import annotations

from decimal import Decimal

from billing_console import money
from sync.clients.ninja_rows import ID, NinjaId
from sync.clients.wire import Row, ShapeError

LARGEST = 18  # more digits before the point than any amount has


def id_of(row: Row) -> NinjaId:
    """Return the row's own id; raises ShapeError without one."""
    found = ref(row, "id")
    if not found:
        raise ShapeError(f"{row.what}.id is missing")
    return found


def ref(row: Row, key: str) -> NinjaId:
    """Return the id of another row, "" where there is none; raises ShapeError for one that is longer than any."""
    text = row.text(key)
    if len(text) > ID:
        raise ShapeError(f"{row.what}.{key} is no id")
    return NinjaId(text)


def number(row: Row, key: str) -> Decimal:
    """Return an amount, rate or quantity without what the server's binary fractions left of it; 0 for none.

    Every number of Invoice Ninja is read by this, so that no comparison or sum meets 43.294999999999995.
    """
    value = row.decimal(key)
    if value.adjusted() > LARGEST:
        raise ShapeError(f"{row.what}.{key} is no amount")
    return money.from_binary(value)
