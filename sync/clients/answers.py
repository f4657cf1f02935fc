"""Reading what a server answered: success or which error, the message, the fields, how long to wait.

Pure: no network, no database, no settings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final

from billing_console.errors import (
    Forbidden,
    Maintenance,
    NotFound,
    NotJson,
    Redirected,
    Rejected,
    ServerFault,
    Throttled,
    Unauthorized,
    UnexpectedAnswer,
    UpstreamError,
)
from billing_console.redaction import excerpt_of
from sync.clients.skew import http_date

_MESSAGE_LENGTH: Final = 300
_MAX_WAIT_SECONDS: Final = 86_400
_NO_FIELDS: Final = frozenset({"detail", "code", "message", "messages", "error"})
_MAX_DEPTH: Final = 4
_MOST_FIELDS: Final = 20
_MOST_TEXTS: Final = 5


@dataclass(frozen=True)
class Request:
    """The call that an answer or a failure belongs to; `path` holds no secret.

    `is_read` says that repeating it is harmless. `max_bytes` bounds the answer; None: as every answer of the client.
    """

    upstream: str
    method: str
    path: str
    is_read: bool
    max_bytes: int | None = None


@dataclass(frozen=True)
class Answer:
    """What a server answered. `data` is the parsed JSON (None where there is none), `text` the whole body, `raw` its
    bytes.
    """

    request: Request
    status: int
    headers: Mapping[str, str]
    text: str = field(repr=False)
    data: Any = field(default=None, repr=False)
    raw: bytes = field(default=b"", repr=False)


Classify = Callable[[Answer], type[UpstreamError]]


def error_class_for(status: int) -> type[UpstreamError]:
    """Return the error that an HTTP status other than 2xx means on every server."""
    known: dict[int, type[UpstreamError]] = {
        401: Unauthorized,
        403: Forbidden,
        404: NotFound,
        429: Throttled,
        503: Maintenance,
    }
    if status in known:
        return known[status]
    if 300 <= status < 400:
        return Redirected
    if status >= 500:
        return ServerFault
    return Rejected if status >= 400 else UnexpectedAnswer


def error_from(answer: Answer, classify: Classify, secrets: list[str]) -> UpstreamError:
    """Return the error of an answer that is no success; whatever is in `secrets` is blanked in it."""
    kind = classify(answer)
    call = answer.request
    message = excerpt_of(message_of(answer.data), secrets)[:_MESSAGE_LENGTH]
    common: dict[str, Any] = {
        "status": answer.status,
        "is_read": call.is_read,
        "body_excerpt": excerpt_of(answer.text, secrets),
        "wait_seconds": wait_seconds_of(answer.headers),
    }
    if issubclass(kind, Rejected):
        fields = {
            excerpt_of(name, secrets): [excerpt_of(text, secrets) for text in texts]
            for name, texts in fields_of(answer.data).items()
        }
        return kind(call.upstream, call.method, call.path, fields=fields, detail="" if fields else message, **common)
    if issubclass(kind, (NotJson, UnexpectedAnswer)) and not message:
        message = f"HTTP {answer.status}"
    return kind(call.upstream, call.method, call.path, detail=message, **common)


def wait_seconds_of(headers: Mapping[str, str]) -> int | None:
    """Return how many seconds the server asks us to wait (a day at most), or None where it does not say."""
    for name in ("X-Throttle-Wait-Seconds", "Retry-After"):
        text = headers.get(name, "").strip()
        if text.isascii() and text.isdigit():
            return min(int(text[:9]), _MAX_WAIT_SECONDS)
        if text:
            until = http_date(text)
            if until is not None:
                left = round((until - datetime.now(UTC)).total_seconds())
                return max(0, min(left, _MAX_WAIT_SECONDS))
    return None


def message_of(data: object) -> str:
    """Return the sentence in an error answer of either server, "" where there is none."""
    if isinstance(data, str):
        return data
    if isinstance(data, dict):
        for name in ("_error_message", "detail", "message", "error"):
            text = data.get(name)
            if isinstance(text, str) and text.strip():
                return text
    return ""


def fields_of(data: object) -> dict[str, list[str]]:
    """Return the messages of an error answer per field; a lone text counts as a list of one.

    The first twenty fields, five messages of each: more of them say nothing more, and each is read for secrets.
    """
    if not isinstance(data, dict):
        return {}
    source = data.get("errors", data)
    if not isinstance(source, dict):
        return {}
    is_top = source is data
    fields: dict[str, list[str]] = {}
    for name, value in source.items():
        if is_top and (name.startswith("_") or name in _NO_FIELDS):
            continue
        texts = list(islice(_texts_in(value, _MAX_DEPTH), _MOST_TEXTS))
        if texts:
            fields[name] = texts
        if len(fields) == _MOST_FIELDS:
            break
    return fields


def _texts_in(value: object, depth: int) -> Iterator[str]:
    if isinstance(value, dict | list):
        for item in (value.values() if isinstance(value, dict) else value) if depth else ():
            yield from _texts_in(item, depth - 1)
    elif value is not None and value != "":
        yield str(value)
