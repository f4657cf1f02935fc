"""The stand-in Taiga: reads a request, lets its handler work in one transaction, then sends what webhooks tell.

INLINE sends in the user's request, after the commit and before the answer: a task without a user story makes the
answer a 500 though everything is saved. ASYNC leaves it to workers: such a task is silently not told.
"""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar
from urllib.parse import parse_qsl

from werkzeug.exceptions import MethodNotAllowed, NotFound
from werkzeug.routing import RequestRedirect
from werkzeug.wrappers import Request, Response

from sandbox.app import PageTable, SandboxError, StandIn
from sandbox.clock import Clock
from sandbox.faults import Fault
from sandbox.memory import Memory
from sandbox.taiga.auth import find_user
from sandbox.taiga.call import Call, Event, Result
from sandbox.taiga.delivery import WorkerKilled, send_events
from sandbox.taiga.errors import ApiError, ServerBreaks, throttled, worded
from sandbox.taiga.page import page_tables
from sandbox.taiga.payloads import NoStory
from sandbox.taiga.routes import ROUTES, Handler
from sandbox.taiga.seed import seed
from sandbox.taiga.store import Settings, Store

_HEADERS = {
    "Server": "gunicorn",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Vary": "Accept-Language",
    "Content-Language": "en",
    "Access-Control-Allow-Origin": "*",
}
_NOT_FOUND = (
    '\n<!doctype html>\n<html lang="en">\n<head>\n  <title>Not Found</title>\n</head>\n<body>\n'
    "  <h1>Not Found</h1><p>The requested resource was not found on this server.</p>\n</body>\n</html>\n"
)
_KILLED = (
    "<html>\n  <head>\n    <title>Internal Server Error</title>\n  </head>\n  <body>\n"
    "    <h1><p>Internal Server Error</p></h1>\n    \n  </body>\n</html>\n"
)
_BROKEN = Result(500, {"error": "Server application error"}, content_type="text/html; charset=utf-8")
_WORKERS = 2


class Taiga(StandIn):
    """A Taiga 6.10 whose webhooks are sent INLINE (`mode="inline"`) or ASYNC (`mode="async"`)."""

    name: ClassVar[str] = "taiga"
    title: ClassVar[str] = "Stand-in Taiga"

    def __init__(self, memory: Memory, clock: Clock, *, mode: str = "inline") -> None:
        super().__init__(memory, clock)
        if mode not in ("inline", "async"):
            raise SandboxError(f"Taiga's mode is inline or async, not {mode}.")
        self.mode = mode
        self.store = Store(memory, clock)
        self._queue: queue.Queue[Event | None] = queue.Queue()
        self._workers: list[threading.Thread] = []
        self._starting = threading.Lock()
        self._free_worker = threading.Condition()
        self._busy_workers = 0

    def copy_of(self, memory: Memory) -> Taiga:
        """One like this over another memory, with the same settings."""
        copy = Taiga(memory, self.clock, mode=self.mode)
        copy.store.settings = self.store.settings
        return copy

    def answer(self, request: Request) -> Response:
        """The API; everything else is a 404 page."""
        with self._worker():
            return self._answer(request)

    @contextmanager
    def _worker(self) -> Iterator[None]:
        """One of the web workers, waited for where their number is limited."""
        with self._free_worker:
            while (limit := self.store.settings.worker_count) is not None and self._busy_workers >= limit:
                self._free_worker.wait()
            self._busy_workers += 1
        try:
            yield
        finally:
            with self._free_worker:
                self._busy_workers -= 1
                self._free_worker.notify_all()

    def _answer(self, request: Request) -> Response:
        try:
            handler, arguments = self._route(request)
            call = Call(self.store, request, None, {})
            with self.memory.transaction():
                call.user = find_user(self.store, request)
                call.data = _read_data(request)
                result = handler(call, **arguments)
            if result.later is not None:
                result = result.later()
            result = self._tell(call.events) or result
        except ApiError as error:
            result = Result(error.status, error.body, error.headers)
        except (ServerBreaks, RecursionError):
            result = _BROKEN
        except NotFound:
            result = Result(404, _NOT_FOUND, content_type="text/html")
        return _response(result)

    def _route(self, request: Request) -> tuple[Handler, dict[str, Any]]:
        try:
            handler, arguments = ROUTES.bind("").match(request.path, request.method)
        except MethodNotAllowed as error:
            message = f"Method '{request.method}' not allowed."
            raise worded(405, message, "MethodNotAllowed") from error
        except RequestRedirect as error:
            raise NotFound from error
        accepted = request.headers.get("Accept", "*/*")
        if not any(known in accepted for known in ("*/*", "application/*", "json", "csv")):
            raise worded(406, "Could not satisfy the request's Accept header", "NotAcceptable")
        return handler, dict(arguments)

    def _tell(self, events: list[Event]) -> Result | None:
        """Sends or queues what happened; an answer only where that replaces the handler's."""
        if not self.store.settings.are_webhooks_enabled:
            return None
        if events and self.store.settings.is_broker_down and self.mode == "async":
            return _BROKEN
        if self.mode == "async":
            self._enqueue(events)
            return None
        try:
            send_events(self.store, events, timeout=self.store.settings.worker_timeout_seconds)
        except NoStory:
            return _BROKEN
        except WorkerKilled:
            return Result(500, _KILLED, content_type="text/html")
        return None

    def _enqueue(self, events: list[Event]) -> None:
        with self._starting:
            if events and not self._workers:
                self._workers = [threading.Thread(target=self._work, daemon=True) for _ in range(_WORKERS)]
                for worker in self._workers:
                    worker.start()
        for event in events:
            self._queue.put(event)

    def _work(self) -> None:
        while (event := self._queue.get()) is not None:
            try:
                send_events(self.store, [event], timeout=None)
            except NoStory:
                pass  # Taiga's worker dies of it without a word: that is the trap
            finally:
                self._queue.task_done()

    def drain(self, timeout: float = 10.0) -> bool:
        """Waits until the workers have sent all that is queued; False if that takes longer (seconds)."""
        end = time.monotonic() + timeout
        while self._queue.unfinished_tasks:
            if time.monotonic() > end:
                return False
            time.sleep(0.005)
        return True

    def stop(self) -> None:
        """Ends the workers and closes the memory."""
        for worker in self._workers:
            if worker.is_alive():
                self._queue.put(None)
        for worker in self._workers:
            if worker.is_alive():
                worker.join(1.0)
        super().stop()

    def fault_response(self, fault: Fault) -> Response:
        """429, 451 and the like as Taiga words them."""
        if fault.body is not None:
            return _response(Result(fault.status, fault.body, fault.headers))
        if fault.status == 429:
            error = throttled(fault.wait_seconds or 60)
            headers = error.headers if fault.wait_seconds is not None else {}
            return _response(Result(429, error.body, {**headers, **fault.headers}))
        if fault.status == 451:
            return _response(Result(451, worded(451, "Blocked element", "Blocked").body))
        if fault.status == 500:
            return _response(_BROKEN)
        page = f"<html><body><h1>{fault.status}</h1></body></html>"
        return _response(Result(fault.status, page, fault.headers, "text/html"))

    def server_error(self, error: Exception) -> Response:
        """500 as Taiga answers it."""
        return _response(_BROKEN)

    def seed(self, data: dict[str, Any]) -> dict[str, Any]:
        """See sandbox.taiga.seed."""
        with self.memory.transaction():
            return seed(self.store, data)

    def reset(self) -> None:
        """Forgets everything and every setting."""
        super().reset()
        self.store.settings = Settings()

    def state(self) -> dict[str, Any]:
        """Every table, the mode, the settings and how many events wait for a worker."""
        head = {"mode": self.mode, "settings": vars(self.store.settings), "queued": self._queue.unfinished_tasks}
        return {**head, **self.memory.dump()}

    def page(self) -> list[PageTable]:
        """Projects, items with their attribute values, webhooks and what was sent."""
        return page_tables(self.store)


def _read_data(request: Request) -> dict[str, Any]:
    raw = request.get_data()
    if request.method not in ("POST", "PUT", "PATCH") or not raw:
        return {}
    kind = request.mimetype
    if kind == "application/x-www-form-urlencoded":
        return dict(parse_qsl(raw.decode(errors="replace")))
    if kind != "application/json":
        raise worded(415, f"Unsupported media type '{request.content_type}' in request.", "UnsupportedMediaType")
    try:
        data = json.loads(raw)
    except ValueError as error:
        raise worded(400, f"JSON parse error - {error}", "ParseError") from error
    if not isinstance(data, dict):
        raise ApiError(400, {"non_field_errors": ["Invalid data"]})
    return data


def _response(result: Result) -> Response:
    headers = {**_HEADERS, **result.headers}
    if result.body is None:
        response = Response(b"", result.status, headers)
        response.headers.pop("Content-Type", None)
        return response
    is_text = isinstance(result.body, str) and result.content_type != "application/json"
    body = result.body if is_text else json.dumps(result.body, ensure_ascii=False)
    return Response(body, result.status, headers, content_type=result.content_type)
