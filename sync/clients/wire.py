"""What travels over HTTP: exact JSON in both directions, and readers for the rows that come back.

Numbers with a fraction are Decimal on both sides and no digit is lost; NaN and Infinity are refused.
Pure: no network, no database, no settings.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn

from sync.texts import clean_text

JsonObject = dict[str, Any]

_EPOCH_LIMIT = 253_402_300_799  # 9999-12-31T23:59:59Z, the last second that datetime can hold


class WireError(ValueError):
    """Text that is no JSON, or a value that cannot be sent as JSON."""


class ShapeError(ValueError):
    """Valid JSON of another shape than documented; the text names the field, never its value."""


def _refuse_constant(name: str) -> NoReturn:
    raise WireError(f"{name} is no JSON number")


def decode_json(text: str) -> Any:
    """Parse JSON exactly: fractions become Decimal, integers stay exact.

    Raises WireError for anything else: syntax, NaN, Infinity, absurdly deep nesting or long integers.
    """
    try:
        return json.loads(text, parse_float=Decimal, parse_constant=_refuse_constant)
    except WireError:
        raise
    except RecursionError:
        raise WireError("nested too deeply") from None
    except (ValueError, InvalidOperation):
        raise WireError("no valid JSON") from None


def encode_json(value: object) -> str:
    """Write JSON in ASCII with every Decimal as the number it is, digit for digit.

    Raises WireError for floats (they have lost digits already), NaN, Infinity and unknown types.
    """
    parts: list[str] = []
    try:
        _encode(value, parts)
    except RecursionError:
        raise WireError("nested too deeply") from None
    return "".join(parts)


def _encode(value: object, parts: list[str]) -> None:
    if value is None:
        parts.append("null")
    elif isinstance(value, bool):
        parts.append("true" if value else "false")
    elif isinstance(value, str):
        parts.append(json.dumps(value))
    elif isinstance(value, int):
        parts.append(int.__repr__(value))
    elif isinstance(value, Decimal):
        if not value.is_finite():
            raise WireError(f"{value} is no JSON number")
        parts.append(str(value))
    elif isinstance(value, Mapping):
        parts.append("{")
        for position, (key, item) in enumerate(value.items()):
            if not isinstance(key, str):
                raise WireError("an object's key must be text")
            parts.append(f"{', ' if position else ''}{json.dumps(key)}: ")
            _encode(item, parts)
        parts.append("}")
    elif isinstance(value, (list, tuple)):
        parts.append("[")
        for position, item in enumerate(value):
            if position:
                parts.append(", ")
            _encode(item, parts)
        parts.append("]")
    else:
        raise WireError(f"{type(value).__name__} cannot be sent as JSON")


def as_object(value: object, what: str) -> JsonObject:
    """Return `value` if it is a JSON object, else raise ShapeError."""
    if not isinstance(value, dict):
        raise ShapeError(f"{what} is no object")
    return value


def as_list(value: object, what: str) -> list[Any]:
    """Return `value` if it is a JSON list, else raise ShapeError."""
    if not isinstance(value, list):
        raise ShapeError(f"{what} is no list")
    return value


class Row:
    """One JSON object of an answer, read field by field; a wrong type raises ShapeError with its name."""

    def __init__(self, value: object, what: str) -> None:
        self.raw = as_object(value, what)
        self.what = what

    def _fail(self, key: str, wanted: str) -> NoReturn:
        raise ShapeError(f"{self.what}.{key} is not {wanted}")

    def text(self, key: str, length: int | None = None) -> str:
        """Return text, of `length` characters at most; a missing value or null is "", a number is its digits.

        What PostgreSQL cannot store is U+FFFD.
        """
        value = self.raw.get(key)
        if value is None:
            return ""
        if isinstance(value, (int, Decimal)) and not isinstance(value, bool):
            return str(value)[:length]
        if not isinstance(value, str):
            self._fail(key, "text")
        return clean_text(value, length)

    def integer(self, key: str) -> int:
        """Return a whole number; a missing one is an error."""
        value = self.optional_integer(key)
        if value is None:
            self._fail(key, "a whole number")
        return value

    def optional_integer(self, key: str) -> int | None:
        """Return a whole number, or None where there is none."""
        value = self.raw.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            self._fail(key, "a whole number")
        return value

    def decimal(self, key: str) -> Decimal:
        """Return a number exactly; missing, null and "" are 0."""
        value = self.raw.get(key)
        if value is None or value == "":
            return Decimal(0)
        if isinstance(value, bool) or not isinstance(value, (int, Decimal, str)):
            self._fail(key, "a number")
        try:
            number = Decimal(value)
        except InvalidOperation:
            self._fail(key, "a number")
        if not number.is_finite():
            self._fail(key, "a finite number")
        return number

    def flag(self, key: str) -> bool:
        """Return a boolean; missing and null are False."""
        value = self.raw.get(key)
        if value is None:
            return False
        if not isinstance(value, bool):
            self._fail(key, "true or false")
        return value

    def instant(self, key: str) -> datetime:
        """Return an ISO 8601 time as aware UTC."""
        value = self.optional_instant(key)
        if value is None:
            self._fail(key, "a time")
        return value

    def optional_instant(self, key: str) -> datetime | None:
        """Return an ISO 8601 time as aware UTC (without an offset it is UTC), or None where there is none."""
        value = self.raw.get(key)
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            self._fail(key, "a time")
        try:
            moment = datetime.fromisoformat(value)
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
        except (ValueError, OverflowError):
            self._fail(key, "a time")

    def epoch(self, key: str) -> datetime | None:
        """Return unix seconds as aware UTC; 0, missing and null are None."""
        value = self.raw.get(key)
        if value is None or value == 0 or value == "":
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= _EPOCH_LIMIT:
            self._fail(key, "a time in seconds")
        return datetime.fromtimestamp(value, UTC)

    def day(self, key: str) -> date | None:
        """Return a date written YYYY-MM-DD (a time after it is cut off); anything else is None.

        A server stores a date that it cannot read as -0001-11-30: that is no reason to refuse the row.
        """
        value = self.raw.get(key)
        if not isinstance(value, str):
            return None
        try:
            return date.fromisoformat(value[:10])
        except ValueError:
            return None

    def objects(self, key: str) -> list[JsonObject]:
        """Return a list of objects; missing and null are an empty list."""
        value = self.raw.get(key)
        if value is None:
            return []
        return [as_object(item, f"{self.what}.{key}") for item in as_list(value, f"{self.what}.{key}")]

    def object(self, key: str) -> JsonObject:
        """Return an object; missing, null and PHP's empty list are an empty object."""
        value = self.raw.get(key)
        if value is None or value == []:
            return {}
        return as_object(value, f"{self.what}.{key}")

    def texts(self, key: str) -> tuple[str, ...]:
        """Return the texts of a list, skipping what is none; missing and null are empty."""
        value = self.raw.get(key)
        return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()

    def integers(self, key: str) -> tuple[int, ...]:
        """Return the whole numbers of a list, skipping what is none; missing and null are empty."""
        value = self.raw.get(key)
        if not isinstance(value, list):
            return ()
        return tuple(item for item in value if isinstance(item, int) and not isinstance(item, bool))
