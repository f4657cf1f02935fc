"""Taiga's webhook signature: HMAC-SHA1 over the raw body, the key in UTF-8 (observed on a running server).

Pure: no database, no settings, no framework.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from typing import Final

TAIGA_HEADER: Final = "X-TAIGA-WEBHOOK-SIGNATURE"
HUB_HEADER: Final = "X-Hub-Signature"
_HUB_PREFIX: Final = "sha1="


def sign(raw: bytes, key: str) -> str:
    """Return the 40 lower-case hex digits that Taiga sends for this body and key."""
    # surrogatepass: a key that is no proper text must fail to match, not fail to be computed.
    return hmac.new(key.encode("utf-8", "surrogatepass"), raw, hashlib.sha1).hexdigest()


def verify(raw: bytes, headers: Mapping[str, str], keys: Iterable[str]) -> bool:
    """Return whether one of `keys` signed exactly these bytes; never raises for what a sender can send.

    The header `X-TAIGA-WEBHOOK-SIGNATURE` counts, and `X-Hub-Signature` only where the first is absent.
    Header names may be in any case. An empty key never verifies. Takes the same time for every wrong
    signature and for whichever key matches.
    """
    given = _signature_in(headers).encode("utf-8", "surrogatepass")
    is_valid = False
    for key in keys:
        if key:
            # No early exit: the time must not tell which key it was.
            is_valid |= hmac.compare_digest(given, sign(raw, key).encode("ascii"))
    return is_valid


def _signature_in(headers: Mapping[str, str]) -> str:
    by_name = {name.lower(): value for name, value in headers.items()}
    direct = by_name.get(TAIGA_HEADER.lower())
    if direct is not None:
        return direct.strip()
    hub = by_name.get(HUB_HEADER.lower(), "").strip()
    return hub.removeprefix(_HUB_PREFIX) if hub.startswith(_HUB_PREFIX) else ""
