"""Texts in the cells of files that a spreadsheet opens: none of them is run as a formula. Pure."""

from __future__ import annotations

import re
from typing import Final

# What begins a formula in one spreadsheet or another (OWASP: CSV injection), also as full-width letters, and what a
# reader may skip or break at before it.
FORMULA_BEGINS: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001
_NUMBER: Final = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")


def harmless(text: str) -> str:
    """Text that no spreadsheet runs as a formula: an apostrophe stands before what could begin one."""
    return f"'{text}" if text.startswith(FORMULA_BEGINS) else text


def harmless_cell(text: str) -> str:
    """The same for a cell of which nobody knows what it is: a plain number stays one."""
    return text if _NUMBER.fullmatch(text) else harmless(text)


def as_written(text: str) -> str:
    """The text of a cell as it was before `harmless`, for a file that is read again."""
    return text[1:] if text.startswith("'") and text[1:].startswith(FORMULA_BEGINS) else text
