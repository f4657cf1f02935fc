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
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return f"{clean_text(text, _BEGINNING)}… ({len(text)} characters, sha256 {digest})"


def _as_json(value: Any) -> str:
    try:
        return encode_json(value)
    except WireError:
        return json.dumps(value, default=str)
