"""When a login token ends, read from the token itself. Pure: nobody is asked."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import json
from typing import Final

from django.utils import timezone
from django.utils.translation import gettext as _

WARNING: Final = dt.timedelta(days=7)


def end_of(token: str) -> dt.datetime | None:
    """The instant (UTC) at which a Bearer token ends, as its `exp` says; None for a token that names no end.

    `token` is as TAIGA_TOKEN holds it, with or without its scheme. The signature is not checked: it is our own token.
    """
    if is_application(token):
        return None
    scheme, _space, rest = token.strip().partition(" ")
    parts = (rest or scheme).strip().split(".")
    if len(parts) != 3:
        return None
    try:
        payload = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        return dt.datetime.fromtimestamp(payload["exp"], dt.UTC)
    except (binascii.Error, ValueError, KeyError, TypeError, OverflowError, OSError):
        return None


def is_application(token: str) -> bool:
    """Whether it is an application token, which never ends."""
    scheme, _space, rest = token.strip().partition(" ")
    return bool(rest.strip()) and scheme.lower() == "application"


def warning_of(token: str, now: dt.datetime) -> str:
    """One sentence when a token ended or ends within a week of `now`, else ""."""
    end = end_of(token)
    if end is None or end - now > WARNING:
        return ""
    words = {"end": f"{timezone.localtime(end):%Y-%m-%d %H:%M %Z}"}
    if end <= now:
        return _("TAIGA_TOKEN ended at %(end)s, so Taiga refuses us. Set a new one, or user and password.") % words
    return _("TAIGA_TOKEN ends at %(end)s. Use an application token, or set TAIGA_USERNAME and TAIGA_PASSWORD.") % words
