"""Why a person does something: an act that changes what clients are asked for is not done without it."""

from __future__ import annotations

from typing import Final

from django.utils.translation import gettext as _

from billing_console.errors import NotAllowed

MAX_LENGTH: Final = 2000  # characters that are kept


def reason_of(text: str) -> str:
    """What the person wrote, without blanks around it, cut to MAX_LENGTH. Raises NotAllowed for nothing."""
    reason = text.strip()[:MAX_LENGTH]
    if not reason:
        raise NotAllowed(_("Say why, in a few words: it stays in the history."))
    return reason
