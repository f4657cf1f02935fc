"""One JSON call to an upstream server, with a total deadline and a plain error for everything else.

The client never repeats a call, never follows a redirect and ignores proxies, cookies and netrc of the
environment. A certificate authority of one's own comes in `REQUESTS_CA_BUNDLE`. Knows no database and no
settings.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple, TypeVar
from urllib.parse import quote

import requests
import urllib3
from django.utils.translation import gettext as _

from billing_console.errors import (
    DeadlineExceeded,
    NotJson,
    OutcomeUnknown,
    UnexpectedAnswer,
    Unreachable,
    UpstreamError,
)
from billing_console.redaction import excerpt_of
from sync.clients.addresses import check_base_url, check_header
from sync.clients.answers import Answer, Classify, Request, error_from
from sync.clients.deadline import DeadlineAdapter, Watch
from sync.clients.lacks import MachineExhausted, lack_of
from sync.clients.queries import Query, query_text, secrets_in
from sync.clients.skew import skew_of
from sync.clients.trust import trusted
from sync.clients.wire import ShapeError, WireError, decode_json, encode_json

# Its warnings and debug lines hold whole addresses, and some of those open a CSV without a login.
logging.getLogger("urllib3").setLevel(logging.ERROR)

Parsed = TypeVar("Parsed")

DEADLINE_SECONDS: Final = 60.0
MAX_BODY_BYTES: Final = 64 * 1024 * 1024
_CONNECT_SECONDS: Final = 10.0
_CHUNK_BYTES: Final = 64 * 1024
NO_BODY: Final = object()


@dataclass(frozen=True)
class Call:
    """One call as the journal keeps it; holds no secret.

    `path` is below the base address with its query, `status` the HTTP status or None where no answer came,
    `duration_ms` in milliseconds, `error` the name of the error class or "", `at` the start in UTC, `wait_seconds`
    what the server asked us to wait, None where it did not.
    """

    upstream: str
    method: str
    path: str
    status: int | None
    duration_ms: int
    error: str
    at: datetime
    wait_seconds: int | None = None


class Response(NamedTuple):
    """What came back: `data` is what a reader made of the body, which is not kept then."""

    status: int
    headers: Mapping[str, str]
    raw: bytes
    data: Any


Reader = Callable[[Iterable[bytes]], Any]
Journal = Callable[[Call], None]
# Waits for permission to make one call, of the named turn where there is one: calls of a turn are made one by one.
Limit = Callable[[str], AbstractContextManager[None]]


@contextmanager
def unlimited(turn: str) -> Iterator[None]:
    """The limit of a client that may make any number of calls at a time."""
    yield


def segment(value: object) -> str:
    """Return one path segment, quoted. Raises ValueError if empty: the address would be another route."""
    text = str(value)
    if not text.strip() or text in (".", ".."):
        raise ValueError("an id is missing")
    return quote(text, safe="")


class JsonClient:
    """Calls one server. Not for several threads at a time; make one per thread.

    `headers` go with every call and may hold secrets: their values appear in no error, journal or repr.
    `deadline_seconds` is the total real time of one call, from its beginning to the last byte read; what it waited for
    the permission of `limit` before does not count, because nothing was called then.
    `classify` names the error class of an answer that is no success. `adapter` holds connections that another client of
    the same thread made. `before_write` is called when the bytes of a call that may change the server are about to
    leave, and what it raises keeps them back: no call was made then. Raises ConfigError for a bad address, or where no
    certificate can be trusted.
    """

    def __init__(
        self,
        base_url: str,
        *,
        upstream: str,
        classify: Classify,
        headers: Mapping[str, str] | None = None,
        deadline_seconds: float = DEADLINE_SECONDS,
        journal: Journal | None = None,
        limit: Limit = unlimited,
        allow_http: bool = False,
        max_body_bytes: int = MAX_BODY_BYTES,
        adapter: DeadlineAdapter | None = None,
        before_write: Callable[[], None] = lambda: None,
    ) -> None:
        self.base_url = check_base_url(base_url, allow_http=allow_http)
        self.upstream = upstream
        self._classify = classify
        self._headers = dict(headers or {})
        for name, value in self._headers.items():
            check_header(name, value)
        self._deadline_seconds = deadline_seconds
        self._journal = journal
        self._limit = limit
        self._before_write = before_write
        self._holds_slot: bool | None = None  # False: held by the caller, and used already
        self._max_body_bytes = max_body_bytes
        if self.base_url.startswith("https:"):
            trusted()  # else no call is begun
        self._adapter = adapter or DeadlineAdapter()
        self.skew: timedelta | None = None

    def __repr__(self) -> str:
        return f"<JsonClient {self.upstream} {self.base_url}>"

    def close(self) -> None:
        """Close the connections that are kept open."""
        self._adapter.close()

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Wait now for the permission to make the next call, which is made inside: one call for each slot.

        For what is written down right before a call, so that whoever waits was never about to call. Raises Busy.
        """
        with self._limit(""):
            self._holds_slot = True
            try:
                yield
            finally:
                self._holds_slot = None

    def _permission(self, turn: str) -> AbstractContextManager[None]:
        if self._holds_slot is None:
            return self._limit(turn)
        if not self._holds_slot:
            raise RuntimeError("one call for each slot")
        self._holds_slot = False
        return nullcontext()

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: object = NO_BODY,
        headers: Mapping[str, str] | None = None,
        is_read: bool | None = None,
        wants_json: bool = True,
        shown: str = "",
        turn: str = "",
        max_bytes: int | None = None,
        reader: Reader | None = None,
    ) -> Answer:
        """Make one call and return the answer of a success (2xx); raises an UpstreamError for all else.

        `path` begins with "/" and its segments are quoted; `shown` stands for one that is a secret, in errors and in
        the journal. A query value "" raises ValueError, because a server takes it as no filter at all. `is_read` says
        that repeating is harmless (default: GET). Calls of the same `turn` are made one after the other. An answer of
        more than `max_bytes` is not read to its end: OutcomeUnknown. `reader` reads the body of a success as it comes,
        however long it is: what it returns is the answer's `data`; what is not of its shape is an UnexpectedAnswer.
        """
        shown = (shown or path) + query_text(query, hides_secrets=True)
        url = self.base_url + path + query_text(query, hides_secrets=False)
        request = Request(self.upstream, method, shown, method == "GET" if is_read is None else is_read, max_bytes)
        sent_headers = self._headers_for(headers, has_body=body is not NO_BODY)
        content = encode_json(body).encode("ascii") if body is not NO_BODY else None
        with self._permission(turn):
            status: int | None = None
            error, wait_seconds = "", None
            watch = self._watch_of(request)
            at, started = datetime.now(UTC), time.monotonic()
            try:
                response = self._exchange(request, url, sent_headers, content, watch, reader)
                status, self.skew = response[0], skew_of(response[1], datetime.now(UTC))
                return self._judge(request, response, secrets_in(sent_headers), wants_json=wants_json)
            except UpstreamError as failure:
                status, error, wait_seconds = failure.status, type(failure).__name__, failure.wait_seconds
                raise
            except BaseException as failure:  # of our own: stopped, or out of memory
                error = type(failure).__name__
                raise
            finally:
                if self._journal is not None and not watch.was_kept_back:
                    duration_ms = round((time.monotonic() - started) * 1000)
                    self._journal(Call(self.upstream, method, shown, status, duration_ms, error, at, wait_seconds))

    def read(self, answer: Answer, parse: Callable[[Any], Parsed]) -> Parsed:
        """Turn an answer's data into rows; raises UnexpectedAnswer where its shape is not the documented one."""
        return self._read_as(answer.request, answer.status, parse, answer.data)

    @staticmethod
    def _read_as(call: Request, status: int, parse: Callable[[Any], Parsed], data: Any) -> Parsed:
        try:
            return parse(data)
        except ShapeError as shape:
            about: dict[str, Any] = {"status": status, "is_read": call.is_read, "detail": str(shape)}
            raise UnexpectedAnswer(call.upstream, call.method, call.path, **about) from None

    def _headers_for(self, headers: Mapping[str, str] | None, *, has_body: bool) -> dict[str, str]:
        sent = {
            "Accept": "application/json",
            "Accept-Encoding": "gzip",
            "User-Agent": "billing-console",
            # Without it Invoice Ninja answers some errors as web pages or redirects.
            "X-Requested-With": "XMLHttpRequest",
            **self._headers,
        }
        if has_body:
            sent["Content-Type"] = "application/json"
        for name, value in (headers or {}).items():
            check_header(name, value)
            sent[name] = value
        return sent

    def _watch_of(self, request: Request) -> Watch:
        seconds = self._deadline_seconds
        return Watch(seconds) if request.is_read else Watch(seconds, self._before_write)

    def _exchange(
        self,
        request: Request,
        url: str,
        headers: Mapping[str, str],
        content: bytes | None,
        watch: Watch,
        reader: Reader | None,
    ) -> Response:
        seconds = self._deadline_seconds
        prepared = requests.Request(request.method, url, headers=dict(headers), data=content).prepare()
        timeout = (min(_CONNECT_SECONDS, seconds), seconds)
        response: requests.Response | None = None
        with watch:
            try:
                response = self._adapter.send(prepared, stream=True, timeout=timeout)
                data, raw = None, b""
                if reader is not None and 200 <= response.status_code < 300:
                    data = self._read_as(request, response.status_code, reader, response.iter_content(_CHUNK_BYTES))
                else:
                    raw = self._body_of(request, response)
                if watch.was_cut:
                    raise DeadlineExceeded(request.upstream, request.method, request.path, is_read=request.is_read)
                return Response(response.status_code, response.headers, raw, data)
            except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as failure:
                # Not chained: the text of these exceptions holds the whole address with its query.
                raise _failure_of(request, failure, watch) from None
            finally:
                if response is not None:
                    response.close()
                self._adapter.note_use()

    def _body_of(self, request: Request, response: requests.Response) -> bytes:
        chunks: list[bytes] = []
        size = 0
        for chunk in response.iter_content(_CHUNK_BYTES):
            size += len(chunk)
            if size > (request.max_bytes or self._max_body_bytes):
                raise OutcomeUnknown(
                    request.upstream,
                    request.method,
                    request.path,
                    status=response.status_code,
                    is_read=request.is_read,
                    detail=_("its answer is too large"),
                )
            chunks.append(chunk)
        return b"".join(chunks)

    def _judge(
        self,
        request: Request,
        response: Response,
        secrets: list[str],
        *,
        wants_json: bool,
    ) -> Answer:
        status, headers, raw, data = response
        is_success = 200 <= status < 300
        problem, text = "", raw.decode("utf-8", "replace")
        try:
            if raw.strip() and (wants_json or not is_success):
                data = decode_json(raw.decode("utf-8"))
        except UnicodeDecodeError:
            problem = _("not UTF-8")
        except WireError as wire:
            problem = str(wire)
        answer = Answer(request, status, headers, text, data, raw)
        if not is_success:
            raise error_from(answer, self._classify, secrets)
        if not problem and wants_json and status != 204 and not isinstance(data, (dict, list)):
            problem = _("no object and no list")
        if not wants_json and not (headers.get("Content-Length") or headers.get("Transfer-Encoding")):
            # JSON shows that it is whole; of a text without a length nobody can tell.
            problem = _("its length is not told")
        if problem:
            raise NotJson(
                request.upstream,
                request.method,
                request.path,
                status=status,
                is_read=request.is_read,
                detail=problem,
                body_excerpt=excerpt_of(text, secrets),
            )
        return answer


def _failure_of(request: Request, failure: Exception, watch: Watch) -> UpstreamError:
    is_late = watch.is_over or isinstance(failure, requests.Timeout)
    call = (request.upstream, request.method, request.path)
    if watch.has_sent:
        if is_late:
            return DeadlineExceeded(*call, is_read=request.is_read)
        return OutcomeUnknown(*call, is_read=request.is_read, detail=_("the connection broke off"))
    if lack := lack_of(failure):
        return MachineExhausted(*call, is_read=request.is_read, detail=lack)
    if isinstance(failure, requests.exceptions.SSLError):
        detail = _("its certificate is not accepted")
    elif is_late:
        detail = _("no connection in time")
    elif "NameResolution" in repr(failure):
        detail = _("its name is not known")
    else:
        detail = _("no connection")
    return Unreachable(*call, is_read=request.is_read, detail=detail)
