"""The refusals of Invoice Ninja, with their status and their words."""

from __future__ import annotations

from typing import Any

LOCKED_INVOICE = "This invoice is locked and unable to be modified"
DELETED_RECORD = "Record is deleted and cannot be edited. Restore the record to enable editing"


class Refusal(Exception):
    """An answer other than 200. `body` is the JSON body; what was already changed stays changed, as on the server."""

    def __init__(self, status: int, body: Any) -> None:
        super().__init__(f"{status} {body}")
        self.status = status
        self.body = body


def invalid(errors: dict[str, Any], message: str = "The given data was invalid.") -> Refusal:
    """422 with messages by field."""
    return Refusal(422, {"message": message, "errors": errors})


def missing(model: str, record_id: str) -> Refusal:
    """400 (never 404) for a record that is not there; `model` as the server names it, e.g. `Task`."""
    if record_id.isdigit():
        return Refusal(400, {"message": f"Record with value {record_id} not found"})
    return Refusal(400, {"message": f"No query results for model [App\\Models\\{model}]."})


def broken() -> Refusal:
    """500 in the server's words."""
    return Refusal(500, {"message": "Server Error"})


def unauthorized(message: str = "This action is unauthorized.") -> Refusal:
    """401: not a bad token but a missing permission or a locked task."""
    return Refusal(401, {"message": message})
