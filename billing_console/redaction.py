"""Texts of others made safe to keep and to show: whatever looks like a credential is blanked.

Every pattern takes time in proportion to the text: none begins with a repetition, which would be tried anew from each
letter, and none has a repetition that a later failure gives back letter by letter.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

EXCERPT_LENGTH: Final = 500
REDACTED: Final = "[redacted]"

_SECRET_PAIR = re.compile(
    r"""(?ix)
    ((?: token | password | passwd | secret | refresh | api[_\-]?key | (?<![a-z])key )["']?
     \s* [:=] \s*)
    ( "(?:[^"\\]|\\.)*"? | '(?:[^'\\]|\\.)*'? | [^\s,;&}\]]+ )
    """
)
_SECRET_SCHEME = re.compile(r"(?i)\b(Bearer|Application|Basic)\s+[A-Za-z0-9._~+/=:\-]{6,}")
_JWT = re.compile(r"(?<![A-Za-z0-9_\-])eyJ[A-Za-z0-9_\-]+(?:\.[A-Za-z0-9_\-]*){1,2}")


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
    # Redacting a longer piece first keeps a secret that straddles the cut from surviving in part.
    piece = body[: EXCERPT_LENGTH * 8]
    text = redact(piece.decode("utf-8", "replace") if isinstance(piece, bytes) else piece, secrets)
    return "".join(char if char.isprintable() else " " for char in text)[:EXCERPT_LENGTH]
