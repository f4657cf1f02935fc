"""Which error an answer of Taiga is."""

from __future__ import annotations

from typing import Final

from billing_console.errors import Blocked, NotJson, UpstreamError, VersionConflict
from sync.clients.answers import Answer, error_class_for, fields_of

_VERSION_MISMATCH: Final = "doesn't match"


def classify(answer: Answer) -> type[UpstreamError]:
    """Return the error class of an answer of Taiga that is no success."""
    if answer.status == 404 and not isinstance(answer.data, dict):
        # A missing row answers JSON; HTML is an unknown route, so the address is wrong and nothing is gone.
        return NotJson
    if answer.status == 451:
        return Blocked
    if answer.status == 400 and any(_VERSION_MISMATCH in text for text in fields_of(answer.data).get("version", [])):
        return VersionConflict
    return error_class_for(answer.status)
