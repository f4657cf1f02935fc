"""Who we are at Taiga: a token that is given, or a login that is renewed when a token is refused."""

from __future__ import annotations

import threading
from collections.abc import Callable

from sync.clients.taiga_rows import Session

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


class PasswordLogin:
    """Authorization by user and password: logs in at the first call and again when a token was refused.

    A refresh token works once, so processes do not share one; each logs in for itself. Whether a token is
    still good is not guessed from the clock. Safe for several threads.
    """

    def __init__(self, log_in: Callable[[], Session]) -> None:
        self._log_in = log_in
        self._lock = threading.Lock()
        self._value = ""

    def __call__(self, refused: str | None) -> str:
        with self._lock:
            if not self._value or self._value == refused:
                self._value = authorization_value(self._log_in().auth_token)
            return self._value
