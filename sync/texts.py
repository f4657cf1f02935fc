"""Text from outside as PostgreSQL can store it: no NUL, no lone surrogate. Pure."""

from __future__ import annotations

import re
from typing import Any, Final

_UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")


def clean_text(text: str, length: int | None = None) -> str:
    """At most `length` characters of `text`, all for None; what cannot be stored becomes U+FFFD."""
    return _UNSTORABLE.sub("\ufffd", text[:length])


def clean_line(text: str, length: int) -> str:
    """`clean_text` without control characters: one line of a log stays one line."""
    return "".join(char if char.isprintable() else " " for char in clean_text(text, length))


def clean_json(value: Any) -> Any:
    """A JSON value whose texts, keys included, can be stored in a jsonb column."""
    if isinstance(value, str):
        return clean_text(value, len(value))
    if isinstance(value, dict):
        return {clean_text(key, len(key)): clean_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [clean_json(item) for item in value]
    return value
