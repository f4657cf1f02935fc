"""How Invoice Ninja reads and writes single values: PHP's casts, its rounding, its database's idea of equal texts."""

from __future__ import annotations

import re
import unicodedata
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

Number = int | float
_LEADING_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def as_number(value: Any) -> Number:
    """PHP's cast to a number: `"1.5"` is 1.5, `"12,5"` is 12, `"abc"`, null and containers are 0."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int | float):
        return whole(value)
    if isinstance(value, str):
        found = _LEADING_NUMBER.match(value)
        return whole(float(found.group())) if found else 0
    return 0


def whole(value: Number) -> Number:
    """The number as the server's JSON writes it: without a fraction where there is none."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def rounded(value: Number, places: int) -> Number:
    """Rounded half up to `places` decimals, on the decimal number that the float stands for (15 digits)."""
    exact = Decimal(format(float(value), ".15g"))
    return whole(float(exact.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP)))


def as_text(value: Any) -> str:
    """PHP's cast to a text: null and containers are empty, true is `1`."""
    if value is None or value is False or isinstance(value, list | dict):
        return ""
    return "1" if value is True else str(value)


def is_on(value: Any) -> bool:
    """Whether a flag such as `mark_sent` is set: true, `"true"`, 1 or `"1"`."""
    return value is True or str(value).lower() in ("true", "1")


def collate(text: str) -> str:
    """What the database compares: case, accents and trailing spaces do not count (utf8mb4_unicode_ci)."""
    parts = unicodedata.normalize("NFKD", text)
    return "".join(c for c in parts if not unicodedata.combining(c)).casefold().rstrip(" ")


def is_like(text: str, needle: str) -> bool:
    """SQL's `LIKE '%needle%'` in that collation: `%` and `_` in the needle are wildcards."""
    wild = {"%": ".*", "_": "."}
    pattern = "".join(wild.get(c, re.escape(c)) for c in collate(needle))
    return re.search(pattern, collate(text), re.DOTALL) is not None


# The white space of the server's framework (recordings 870 to 882, 5.10.42); U+200F and U+2060 are none.
_WHITE = (
    "\0\t\n\x0b\x0c\r \x85\xa0\u1680\u180e"
    + "".join(map(chr, range(0x2000, 0x200C)))
    + "\u200e\u2028\u2029\u202f\u205f\u3000\ufeff"
)


def trimmed(value: Any) -> Any:
    """A request's value as the server's middleware leaves it: texts trimmed, empty texts null, at every depth."""
    if isinstance(value, str):
        return value.strip(_WHITE) or None
    if isinstance(value, dict):
        return {key: trimmed(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [trimmed(inner) for inner in value]
    return value
