"""A total deadline for one HTTP exchange, however slowly the other side trickles.

The time-outs of a socket count from one byte to the next, so a server that sends a byte a second never
trips them. A watch therefore shuts the socket when the time of the whole call is over, and refuses to
send a request whose time ran out while the connection was made. A request leaves as a whole, its head with
its body, so that what is asked right before it is asked for every byte of it.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Final

from requests import Response
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import NewConnectionError

from sync.clients.overdue import overdue
from sync.clients.trust import trusted

_IDLE_SECONDS: Final = 1.0

_watch: ContextVar[Watch | None] = ContextVar("watch", default=None)


class Watch:
    """Guards one exchange for `seconds` of real time; a context manager.

    `has_sent` says whether anything of the request may have left this machine, `is_over` whether the time
    ran out, `was_cut` whether the socket was shut for it: to the reader that looks like a normal end.
    `before_sending` is called when everything else is done, and what it raises keeps the request back:
    then `was_kept_back`, and nothing was called.
    """

    def __init__(self, seconds: float, before_sending: Callable[[], None] = lambda: None) -> None:
        self.has_sent = False
        self.was_cut = False
        self.was_kept_back = False
        self._before_sending = before_sending
        self._ends_at = time.monotonic() + seconds
        self._socket: socket.socket | None = None
        self._lock = threading.Lock()

    @property
    def is_over(self) -> bool:
        """True once the whole time is used up."""
        return time.monotonic() >= self._ends_at

    def ask(self) -> None:
        """Everything but sending is done. Raises what keeps the request back."""
        try:
            self._before_sending()
        except BaseException:
            self.was_kept_back = True
            raise

    def begin_sending(self, sock: socket.socket | None) -> None:
        """Note that the request starts to leave through `sock`."""
        with self._lock:
            self._socket = sock
            self.has_sent = True

    def _cut(self) -> None:
        with self._lock:
            if self._socket is None:
                return
            self.was_cut = True
            try:
                # The class's own method: SSLSocket.shutdown would wait for the other side.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
            except OSError:
                return  # already closed: there is nothing left to cut

    def __enter__(self) -> Watch:
        self._token = _watch.set(self)
        self._waiting = overdue.add(self._ends_at, self._cut)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._waiting.end()
        with self._lock:
            self._socket = None
        _watch.reset(self._token)


class _WatchedSending:
    """Lets a request leave at once, head and body, when the watch of the present call has nothing against it."""

    sock: socket.socket | None
    _parts: list[bytes] | None = None  # of the request that is being put together

    def connect(self) -> None:
        super().connect()  # type: ignore[misc]
        watch = _watch.get()
        if watch is not None and watch.is_over:
            self.close()  # type: ignore[attr-defined]
            raise NewConnectionError(self, "connected too late")  # type: ignore[arg-type]

    def request(self, *args: Any, **kwargs: Any) -> None:
        parts: list[bytes] = []
        self._parts = parts
        try:
            super().request(*args, **kwargs)  # type: ignore[misc]
        finally:
            self._parts = None
        self.send(b"".join(parts))

    def send(self, data: Any) -> None:
        if self._parts is not None:
            self._parts.append(data)
            return
        if self.sock is None:
            self.connect()
        watch = _watch.get()
        if watch is not None:
            watch.ask()
            if watch.is_over:  # asking takes time, too
                raise NewConnectionError(self, "too late to send")  # type: ignore[arg-type]
            watch.begin_sending(self.sock)
        super().send(data)  # type: ignore[misc]


class _HTTPConnection(_WatchedSending, HTTPConnection):
    pass


class _HTTPSConnection(_WatchedSending, HTTPSConnection):
    pass


class _HTTPPool(HTTPConnectionPool):
    ConnectionCls = _HTTPConnection


class _HTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _HTTPSConnection


class DeadlineAdapter(HTTPAdapter):
    """requests' transport with watched connections; it never retries and knows no proxies.

    For one thread at a time, and for any number of clients of the same server after each other: a connection that was
    just used is used again. Over https it trusts what `trust` says.
    """

    def __init__(self) -> None:
        self._used_at = time.monotonic()
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}

    def build_connection_pool_key_attributes(self, request: Any, verify: Any, cert: Any = None) -> Any:
        host, _attributes = super().build_connection_pool_key_attributes(request, verify, cert)
        return host, {"ssl_context": trusted()} if host["scheme"] == "https" else {}

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        # Named here, the authorities would be read from the disk for every connection; the context has them.
        conn.cert_reqs = "CERT_REQUIRED"

    def send(self, *args: Any, **kwargs: Any) -> Response:
        """As HTTPAdapter's; on a fresh connection where the last one idled."""
        # The server may close one that idled at the moment we use it; a fresh one keeps a write that was never seen
        # from looking like one whose outcome is unknown.
        if time.monotonic() - self._used_at > _IDLE_SECONDS:
            self.poolmanager.clear()
        try:
            return super().send(*args, **kwargs)
        finally:
            self.note_use()

    def note_use(self) -> None:
        """The connection was in use until now."""
        self._used_at = time.monotonic()
