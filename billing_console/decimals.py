"""Numbers as people type them. A number that two readers could read differently is asked back, never guessed."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

_PLAIN = re.compile(r"\d{1,15}", re.ASCII)
# One separator is the decimal point when a group of thousands could not look like that.
_POINTED = re.compile(r"(\d{0,15})[.,](\d{1,2}|\d{4,15})", re.ASCII)
_EITHER = re.compile(r"(\d{1,3})[.,](\d{3})", re.ASCII)
_SPACES: Final = "\N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE} "


class UnclearNumber(ValueError):
    """A text that is no number, or could be two; `.readings` are the two, plainly written, or empty."""

    def __init__(self, text: str, readings: tuple[str, ...] = ()) -> None:
        super().__init__(text)
        self.readings = readings


def parse_decimal(text: str, *, group: str = "", point: str = ".") -> Decimal:
    """The number in `text`, the same in every language: "4,5" and "4.5" are 4.5.

    A single separator with 1 or 2 digits behind it is the decimal point. Groups of thousands are read only where
    `group` and `point` are those of the reader's language and every group is complete. "1.234" could be two
    numbers: raises UnclearNumber with both. Everything else raises UnclearNumber too.
    """
    typed = text.strip()
    sign = -1 if typed[:1] in ("-", "\N{MINUS SIGN}") else 1
    bare = typed[1:] if sign < 0 else typed
    if _PLAIN.fullmatch(bare):
        return sign * Decimal(bare)
    if found := _POINTED.fullmatch(bare):
        return sign * Decimal(f"{found[1] or '0'}.{found[2]}")
    if found := _EITHER.fullmatch(bare):
        raise UnclearNumber(typed, (found[1] + found[2], f"{found[1]}.{found[2]}"))
    grouped = _ungrouped(bare, group, point)
    if grouped is None:
        raise UnclearNumber(typed)
    return sign * grouped


def _ungrouped(bare: str, group: str, point: str) -> Decimal | None:
    if group and group in _SPACES:
        # French and its kind write any of these spaces between groups.
        bare = bare.translate({ord(space): " " for space in _SPACES})
        group = " "
    if not group or group == point:
        return None
    pattern = rf"(\d{{1,3}}(?:{re.escape(group)}\d{{3}})+)(?:{re.escape(point)}(\d{{1,15}}))?"
    found = re.fullmatch(pattern, bare, re.ASCII)
    if found is None:
        return None
    return Decimal(f"{found[1].replace(group, '')}.{found[2] or '0'}")
