"""Who we are at Taiga: the value of the Authorization header, and how a refused one is replaced."""

from __future__ import annotations

from collections.abc import Callable

Authorization = Callable[[str | None], str]
"""Gives the value of the Authorization header. Called with None before a call, and once with the value that
was refused: if it then gives another one, the call is made a second time."""


def authorization_value(token: str) -> str:
    """Return the header for a token as somebody typed it: "Application x", "Bearer x" or only x (a Bearer)."""
    scheme, _, rest = token.strip().partition(" ")
    if rest.strip() and scheme.lower() in ("application", "bearer"):
        # Taiga compares the word with its capital letter.
        return f"{scheme.capitalize()} {rest.strip()}"
    return f"Bearer {token.strip()}"


def fixed_authorization(token: str) -> Authorization:
    """Return the authorization of a token that is not renewed."""
    value = authorization_value(token)
    return lambda refused: value
