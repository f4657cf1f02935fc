"""Refusals as Taiga words them: a status, a JSON body and headers."""

from __future__ import annotations

from typing import Any

_EXCEPTIONS = "taiga.base.exceptions."


class ApiError(Exception):
    """Ends a call with this answer; the transaction is undone."""

    def __init__(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        super().__init__(f"{status} {body}")
        self.status = status
        self.body = body
        self.headers = headers or {}


class ServerBreaks(Exception):
    """Where Taiga itself dies of an unhandled exception: 500, and what was not committed is undone."""


def worded(status: int, message: str, kind: str, headers: dict[str, str] | None = None) -> ApiError:
    """An error with `_error_message` and `_error_type`."""
    return ApiError(status, {"_error_message": message, "_error_type": _EXCEPTIONS + kind}, headers)


def bad_request(message: str) -> ApiError:
    """400 with a message."""
    return worded(400, message, "BadRequest")


def not_found(what: str = "") -> ApiError:
    """404; `what` is the model's class name where Taiga names it."""
    return ApiError(404, {"_error_message": f"No {what} matches the given query." if what else ""})


def invalid(**fields: str) -> ApiError:
    """400 with one message per field."""
    return ApiError(400, {field: [message] for field, message in fields.items()})


def denied(message: str = "You do not have permission to perform this action.") -> ApiError:
    """403."""
    return worded(403, message, "PermissionDenied")


def not_authenticated(message: str = "Authentication credentials were not provided.") -> ApiError:
    """401 as Taiga itself words it."""
    return worded(401, message, "NotAuthenticated", {"WWW-Authenticate": 'Bearer realm="api"'})


def token_refused(body: dict[str, Any]) -> ApiError:
    """401 as its token library words it."""
    return ApiError(401, body, {"WWW-Authenticate": 'Bearer realm="api"'})


def blocked() -> ApiError:
    """451: the project is blocked; reading still works."""
    return worded(451, "Blocked element", "Blocked")


def throttled(wait_seconds: int) -> ApiError:
    """429; the text says one second less than the header, as observed."""
    message = f"Request was throttled.Expected available in {wait_seconds - 1} seconds."
    return worded(429, message, "Throttled", {"X-Throttle-Wait-Seconds": str(wait_seconds)})
