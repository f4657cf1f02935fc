"""Text from outside as PostgreSQL can store it: no NUL, no lone surrogate. Pure."""

from __future__ import annotations

from typing import Any


def clean_text(text: str, length: int) -> str:
    """At most `length` characters of `text`; what cannot be stored becomes U+FFFD."""
    return "".join("\ufffd" if char == "\x00" or "\ud800" <= char <= "\udfff" else char for char in text[:length])


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
