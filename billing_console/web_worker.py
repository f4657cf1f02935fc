"""The web's worker: a request is whole before a thread sees it, so slow clients hold none, however many they are.

gunicorn's own gives a thread to each connection that has sent its first byte, and the thread waits for the rest; with
sixteen threads, sixteen clients that send a byte now and then stop the console. Here one loop collects what comes, and
who is too slow, too large or one too many is dropped. It does what a buffering proxy does, where none stands before it.
"""

from __future__ import annotations

import errno
import re
import selectors
import socket
import time
from contextlib import suppress
from functools import partial
from typing import Any, Final

from gunicorn import http
from gunicorn.workers.gthread import TConn, ThreadWorker

HEAD_BYTES: Final = 64 * 1024  # more than gunicorn reads of a head; it answers such a request itself
BODY_BYTES: Final = 4 * 1024 * 1024 + 64 * 1024  # a little more than billing_console.border lets through
MOST_WAITING: Final = 600  # connections of a worker whose request is not whole yet; the oldest makes place
MOST_BYTES: Final = 64 * 1024 * 1024  # of requests that are not whole yet, of a worker
_LENGTH: Final = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,18})[ \t]*\r\n", re.IGNORECASE)
_CHUNKED: Final = re.compile(rb"\r\ntransfer-encoding:", re.IGNORECASE)
_EXPECTS: Final = re.compile(rb"\r\nexpect:[ \t]*100-continue", re.IGNORECASE)
_SIZE: Final = re.compile(rb"([0-9a-fA-F]{1,15})[^\r\n]{0,200}\r\n")


class TooLarge(Exception):
    """The body is longer than any that is taken."""


class Incoming:
    """What came of a request so far. Pure: bytes in, how long it is out."""

    def __init__(self, data: bytes = b"") -> None:
        self.data = bytearray(data)
        self.head: int | None = None  # length of the head, once it is there
        self._total: int | None = None
        self._next_chunk = -1  # where the next chunk's size stands; -1 where there are no chunks

    def total(self) -> int | None:
        """The length of the request; None while it is not known, or not whole. Raises TooLarge.

        What gunicorn will refuse anyway is as long as what is there.
        """
        if self.head is None:
            end = self.data.find(b"\r\n\r\n")
            if end < 0:
                return len(self.data) if len(self.data) > HEAD_BYTES else None
            self.head = end + 4
            head = bytes(self.data[: self.head])
            found = _LENGTH.search(head)
            if _CHUNKED.search(head):
                self._next_chunk = self.head
            elif found is None:
                self._total = self.head
            elif int(found[1]) > BODY_BYTES:
                raise TooLarge
            else:
                self._total = self.head + int(found[1])
        if self._next_chunk >= 0:
            self._read_chunks()
        if len(self.data) - self.head > BODY_BYTES:
            raise TooLarge
        return self._total if self._total is not None and len(self.data) >= self._total else None

    @property
    def expects_word(self) -> bool:
        """Whether the client waits for "100 Continue" before it sends the body."""
        return self.head is not None and bool(_EXPECTS.search(bytes(self.data[: self.head])))

    def _read_chunks(self) -> None:
        while self._total is None:
            found = _SIZE.match(self.data, self._next_chunk)
            if found is None:
                if len(self.data) - self._next_chunk > 300:  # no size is so long
                    self._total = len(self.data)
                return
            size = int(found[1], 16)
            if size == 0:
                end = self.data.find(b"\r\n", found.end())
                self._total = end + 2 if end == found.end() else None
                if self._total is None and (end := self.data.find(b"\r\n\r\n", found.end())) >= 0:
                    self._total = end + 4
                return
            if size > BODY_BYTES:
                raise TooLarge
            self._next_chunk = found.end() + size + 2
            if self._next_chunk > len(self.data):
                return


class BoundedSocket:
    """A socket on which a thread waits only so long: a client that does not read its answer is one that went away."""

    def __init__(self, sock: socket.socket, seconds: float) -> None:
        self._sock, self._seconds = sock, seconds

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def setblocking(self, flag: bool) -> None:
        """Blocking means: with a time-out."""
        self._sock.settimeout(self._seconds if flag else 0)

    def send(self, *args: Any) -> int:
        return int(self._bounded(self._sock.send, *args))

    def sendall(self, *args: Any) -> None:
        self._bounded(self._sock.sendall, *args)

    def recv(self, *args: Any) -> bytes:
        return bytes(self._bounded(self._sock.recv, *args))

    @staticmethod
    def _bounded(call: Any, *args: Any) -> Any:
        try:
            return call(*args)
        except TimeoutError as error:
            raise ConnectionResetError(errno.ECONNRESET, "the client was too slow") from error


class BufferingWorker(ThreadWorker):
    """gunicorn's threads, each with a whole request."""

    head_seconds = 10.0
    body_seconds = 30.0
    answer_seconds = 20.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.waiting: dict[Any, Incoming] = {}  # in the order of their deadlines' beginning

    def accept(self, listener: Any) -> None:
        """Take a connection and wait for its request in the loop."""
        try:
            client_sock, client_addr = listener.accept()
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.ECONNABORTED, errno.EWOULDBLOCK):
                raise
            return
        self.nr_conns += 1
        conn = TConn(self.cfg, BoundedSocket(client_sock, self.answer_seconds), client_addr, listener.getsockname())
        self.wait_for_request(conn)

    def on_client_socket_readable(self, conn: Any, client: Any) -> None:
        """The next request of a connection that was kept begins."""
        self.poller.unregister(client)
        self.keepalived_conns.remove(conn)
        self.wait_for_request(conn)

    def wait_for_request(self, conn: Any, data: bytes = b"") -> None:
        """Collect a request of the connection, whose first bytes are `data`."""
        if len(self.waiting) >= MOST_WAITING or sum(len(one.data) for one in self.waiting.values()) > MOST_BYTES:
            self.drop(next(iter(self.waiting)))
        conn.sock.setblocking(False)
        conn.timeout = time.monotonic() + self.head_seconds
        conn.has_head = False
        self.waiting[conn] = Incoming(data)
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self.on_bytes, conn))
        if data:
            self.look_at(conn)

    def on_bytes(self, conn: Any, _sock: Any) -> None:
        """Some of a request came."""
        incoming = self.waiting.get(conn)
        if incoming is None:
            return  # it was dropped in this very turn of the loop
        try:
            piece = conn.sock.recv(65536)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            piece = b""
        if not piece:
            self.drop(conn)
            return
        incoming.data += piece
        self.look_at(conn)

    def look_at(self, conn: Any) -> None:
        """Give the request to a thread once it is whole."""
        incoming = self.waiting[conn]
        try:
            total = incoming.total()
        except TooLarge:
            self.drop(conn, b"413 Content Too Large")
            return
        if total is not None:
            self.hand_over(conn, total)
        elif incoming.head is not None and not conn.has_head:
            conn.has_head = True
            conn.timeout = time.monotonic() + self.body_seconds
            if incoming.expects_word:
                with suppress(OSError):
                    conn.sock.send(b"HTTP/1.1 100 Continue\r\n\r\n")

    def hand_over(self, conn: Any, total: int) -> None:
        """The request is whole: a thread answers it, and what came after it waits."""
        data = bytes(self.waiting.pop(conn).data)
        self.poller.unregister(conn.sock)
        conn.sock.setblocking(True)
        if conn.parser is None:
            conn.parser = http.get_parser(self.cfg, conn.sock, conn.client)
        conn.parser.unreader.unread(data[:total])
        conn.leftover = data[total:]
        conn.initialized = conn.data_ready = True
        self.enqueue_req(conn)

    def finish_request(self, conn: Any, fs: Any) -> None:
        """As gunicorn; what came already of the next request is its beginning."""
        data = getattr(conn, "leftover", b"")
        conn.leftover = b""
        if not data or fs.cancelled() or fs.exception() is not None or not fs.result():
            super().finish_request(conn, fs)
        else:
            self.wait_for_request(conn, data)

    def drop(self, conn: Any, status: bytes = b"408 Request Timeout") -> None:
        """Say why where there is somebody to hear it, and close."""
        incoming = self.waiting.pop(conn)
        with suppress(OSError, KeyError, ValueError):
            self.poller.unregister(conn.sock)
        if incoming.data:
            with suppress(OSError):
                conn.sock.send(b"HTTP/1.1 " + status + b"\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        self.nr_conns -= 1
        conn.close()

    def murder_pending(self) -> None:
        """Drop who is too slow; while the worker stops also who has not begun."""
        super().murder_pending()
        now = time.monotonic()
        for conn, incoming in list(self.waiting.items()):
            if conn.timeout <= now or (not self.alive and not incoming.data):
                self.drop(conn)
