"""Amounts as people type them into a search: every reading of the text, in either decimal format. Pure."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

from billing_console.decimals import UnclearNumber, parse_decimal

# Group and point as our readers write them; an apostrophe is Switzerland's.
_FORMATS: Final = ((",", "."), (".", ","), ("\N{NO-BREAK SPACE}", ","), ("\N{NO-BREAK SPACE}", "."), ("'", "."))
LARGEST: Final = 10**11  # as our columns hold it
_CURRENCY: Final = re.compile(r"^(?:[A-Z]{3}|[€$£¥])\s*|\s*(?:[A-Z]{3}|[€$£¥])$", re.IGNORECASE)


def readings(text: str) -> list[Decimal]:
    """What amounts `text` can mean, smallest first: "2,696.03" and "2.696,03" are 2696.03, "2,696" also 2.696.

    A currency before or behind it is left out. None for a text that is no amount, for 0, and for a number that begins
    with a 0 that no amount has ("0042" is an invoice).
    """
    bare = _CURRENCY.sub("", text.strip())
    if re.match(r"0\d", bare):
        return []
    found: set[Decimal] = set()
    for group, point in _FORMATS:
        try:
            found.add(parse_decimal(bare, group=group, point=point))
        except UnclearNumber as error:
            found |= {Decimal(reading) for reading in error.readings}
    return sorted(value for value in found if value and abs(value) < LARGEST)
