"""What of a call is secret, and its query as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote, urlencode

Query = Mapping[str, str | int | bool]

_SECRET_QUERY: Final = frozenset({"uuid", "token", "key", "secret", "password", "refresh"})
_SECRET_HEADERS: Final = frozenset({"authorization", "x-api-token", "x-api-secret"})


def secrets_in(headers: Mapping[str, str]) -> list[str]:
    """Return what must never be quoted back: the values of headers that carry a login, longest first."""
    found = [value for name, value in headers.items() if name.lower() in _SECRET_HEADERS]
    found += [value.rpartition(" ")[2] for value in found]
    return sorted(found, key=len, reverse=True)


def query_text(query: Query | None, *, hides_secrets: bool) -> str:
    """Return the query with its "?", or "" for none; raises ValueError for a value that is empty."""
    pairs: list[tuple[str, str]] = []
    for name, value in (query or {}).items():
        text = str(value).lower() if isinstance(value, bool) else str(value)
        if not text.strip():
            raise ValueError(f"the filter {name} is empty: the server would return everything")
        pairs.append((name, "…" if hides_secrets and name.lower() in _SECRET_QUERY else text))
    if not pairs:
        return ""
    if hides_secrets:
        return "?" + "&".join(f"{name}={text}" for name, text in pairs)
    # Never a bare "+": a server reads it as a space, which widens a filter by date.
    return "?" + urlencode(pairs, quote_via=quote)
