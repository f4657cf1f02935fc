"""Texts of others made safe to keep and to show: whatever looks like a credential is blanked."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

EXCERPT_LENGTH: Final = 500
REDACTED: Final = "[redacted]"

_SECRET_PAIR = re.compile(
    r"""(?ix)
    (["']?[\w\-]* (?: token | password | passwd | secret | refresh | api[_\-]?key | (?<![a-z])key )["']?
     \s* [:=] \s*)
    ( "(?:[^"\\]|\\.)*"? | '(?:[^'\\]|\\.)*'? | [^\s,;&}\]]+ )
    """
)
_SECRET_SCHEME = re.compile(r"(?i)\b(Bearer|Application|Basic)\s+[A-Za-z0-9._~+/=:\-]{6,}")
_JWT = re.compile(r"\beyJ[A-Za-z0-9_\-]+(?:\.[A-Za-z0-9_\-]*){1,2}")


def redact(text: str, secrets: Sequence[str] = ()) -> str:
    """Return `text` with the given secrets and everything that looks like a credential blanked."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, REDACTED)
    text = _SECRET_PAIR.sub(lambda match: f"{match.group(1)}{REDACTED}", text)
    text = _SECRET_SCHEME.sub(lambda match: f"{match.group(1)} {REDACTED}", text)
    return _JWT.sub(REDACTED, text)


def excerpt_of(body: bytes | str, secrets: Sequence[str] = ()) -> str:
    """Return at most 500 printable, redacted characters of an answer, safe to store and to show."""
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else body
    # Redacting a longer piece first keeps a secret that straddles the cut from surviving in part.
    text = redact(text[: EXCERPT_LENGTH * 8], secrets)
    return "".join(char if char.isprintable() else " " for char in text)[:EXCERPT_LENGTH]
