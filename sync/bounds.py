"""Values of others have a bound: of a longer one the beginning, the length and a hash are kept. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

from sync.clients.wire import WireError, encode_json
from sync.texts import clean_text

LONGEST_VALUE: Final = 1000  # characters of an attribute's value that are kept as they are; hours have ten
_BEGINNING: Final = 200


def bounded_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values by attribute id, as they are kept: of a longer one its beginning, its length and a hash, as a text.

    The same value is always kept the same way, and two that differ anywhere differ.
    """
    return {name: bounded(value) for name, value in values.items()}


def bounded(value: Any) -> Any:
    """One value as it is kept. What is written back to a server is never taken from here."""
    if value is None or isinstance(value, bool | float):
        return value
    text = value if isinstance(value, str) else _as_json(value)
    if len(text) <= LONGEST_VALUE:
        return value
    return _kept(text, len(text), hashlib.sha256(_bytes(text)))


class BoundedCell:
    """A text of Taiga's CSV that comes in pieces, kept as `bounded` keeps it; needs no memory for what is longer.

    Taiga writes a ' before some signs: of a long text it is left out, because it is not the value's.
    """

    __slots__ = ("_digest", "_length", "_parts")

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._length = 0
        self._digest: hashlib._Hash | None = None

    def add(self, text: str) -> None:
        """The next piece."""
        self._length += len(text)
        if self._digest is not None:
            self._digest.update(_bytes(text))
            return
        self._parts.append(text)
        if self._length > LONGEST_VALUE + 1:
            whole = "".join(self._parts)
            begun = whole.removeprefix("'")
            self._length -= len(whole) - len(begun)
            self._parts, self._digest = [begun[:_BEGINNING]], hashlib.sha256(_bytes(begun))

    def value(self) -> str:
        """The whole text, or what is kept of a long one."""
        text = "".join(self._parts)
        return text if self._digest is None else _kept(text, self._length, self._digest)


def _kept(text: str, length: int, digest: hashlib._Hash) -> str:
    return f"{clean_text(text, _BEGINNING)}… ({length} characters, sha256 {digest.hexdigest()[:16]})"


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _as_json(value: Any) -> str:
    try:
        return encode_json(value)
    except WireError:
        return json.dumps(value, default=str)
