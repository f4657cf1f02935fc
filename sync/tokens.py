"""When a login token ends, read from the token itself. Pure: nobody is asked."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import json


def end_of(token: str) -> dt.datetime | None:
    """The instant (UTC) at which a Bearer token ends, as its `exp` says; None for a token that names no end.

    `token` is as TAIGA_TOKEN holds it, with or without its scheme. The signature is not checked: it is our own token.
    """
    scheme, _space, rest = token.strip().partition(" ")
    if rest and scheme.lower() == "application":
        return None
    parts = (rest or scheme).strip().split(".")
    if len(parts) != 3:
        return None
    try:
        payload = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        return dt.datetime.fromtimestamp(payload["exp"], dt.UTC)
    except (binascii.Error, ValueError, KeyError, TypeError, OverflowError, OSError):
        return None
