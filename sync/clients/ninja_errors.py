"""What a refusal of Invoice Ninja means: its statuses are its own (400 for a missing row, 401 for a missing right)."""

from __future__ import annotations

from typing import Final

from billing_console.errors import (
    DuplicateRequest,
    Forbidden,
    NoPdfEngine,
    NotFound,
    Unauthorized,
    UnexpectedAnswer,
    UpstreamError,
)
from sync.clients.answers import Answer, error_class_for, message_of

_LOCKED_OUT: Final = ("Invalid token", "User access locked", "User inactive")
_MISSING: Final = ("No query results", "Record with value", "no record found")
_DUPLICATE: Final = "Duplicate request"  # 429 in 2026; real throttling says "Too many requests"
_NO_PDF: Final = "Unable to generate the raw PDF"


def classify(answer: Answer) -> type[UpstreamError]:
    """Return the error class of an answer of Invoice Ninja that is no success."""
    message = message_of(answer.data)
    if answer.status == 400 and message.startswith(_MISSING):
        return NotFound
    if answer.status in (400, 429) and message == _DUPLICATE:
        return DuplicateRequest
    if answer.status == 401:
        # Not a bad token: a missing permission, or a task that is locked since it is on an invoice.
        return Forbidden
    if answer.status == 403 and message.startswith(_LOCKED_OUT):
        return Unauthorized
    if answer.status == 404:
        # Records are never missing with 404 here, so this is a wrong address or a proxy.
        return UnexpectedAnswer
    if answer.status == 500 and message == _NO_PDF:
        return NoPdfEngine
    return error_class_for(answer.status)
