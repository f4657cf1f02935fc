"""The web's worker: a request is whole before a thread sees it, so slow clients hold none, however many they are.

gunicorn's own gives a thread to each connection that has sent its first byte, and the thread waits for the rest; with
sixteen threads, sixteen clients that send a byte now and then stop the console. Here one loop collects what comes, and
who is too slow, too large or one too many is dropped. It does what a buffering proxy does, where none stands before it.
Whether the console lives, and whether it is ready, is answered by threads that do nothing else, and nothing but the
loop's own work is done in the loop. Without a descriptor for one more connection the oldest makes place, and the newest
is told to come again.
"""

from __future__ import annotations

import errno
import os
import re
import selectors
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any, Final

from gunicorn import http
from gunicorn.workers.gthread import TConn, ThreadWorker

from billing_console.incoming import Incoming, TooLarge
from billing_console.lacks import MACHINE_LACKS

MOST_WAITING: Final = 600  # connections of a worker whose request is not whole yet; the oldest makes place
MOST_BYTES: Final = 64 * 1024 * 1024  # of requests that are not whole yet, of a worker
# Answered apart, by so many threads: how many connections to the database they may take is in DATABASE_POOL_SIZE.
APART: Final = {b"healthz": 1, b"readyz": 2}
_PROBE: Final = re.compile(rb"(?:GET|HEAD) /(healthz|readyz)(?:\?[^ ]*)? ")
LINGER_SECONDS: Final = 2.0  # for who was answered and leaves its end of the connection open
_REST_SECONDS: Final = 0.2  # without descriptors; else the loop would turn as fast as it can
_COME_AGAIN: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
)


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


def started_pool(count: int) -> ThreadPoolExecutor:
    """A pool whose `count` threads are there already. Raises RuntimeError where they are not to be had."""
    pool = ThreadPoolExecutor(max_workers=count)
    all_there = threading.Barrier(count)
    for one in [pool.submit(all_there.wait) for _number in range(count)]:
        one.result()
    return pool


class BufferingWorker(ThreadWorker):
    """gunicorn's threads, each with a whole request."""

    head_seconds = 10.0
    body_seconds = 30.0
    answer_seconds = 20.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.waiting: dict[Any, Incoming] = {}  # in the order of their deadlines' beginning
        self.lingering: dict[Any, float] = {}  # answered, and not closed by the client: until when we wait for that
        self.apart: dict[bytes, ThreadPoolExecutor] = {}
        self.reserve: int | None = None  # a descriptor to spare, for who is told to come again
        self.rests_until = 0.0

    def init_process(self) -> None:
        """As gunicorn; what is answered apart has its threads, and a descriptor is put aside."""
        self.apart = {name: started_pool(count) for name, count in APART.items()}
        self.put_aside()
        super().init_process()

    def get_thread_pool(self) -> ThreadPoolExecutor:
        """Threads that are all there from the beginning: later there might be none to be had."""
        return started_pool(self.cfg.threads)

    def put_aside(self) -> None:
        """Keep one descriptor, where there is one."""
        with suppress(OSError):
            self.reserve = os.open(os.devnull, os.O_RDONLY)

    def accept(self, listener: Any) -> None:
        """Take a connection and wait for its request in the loop."""
        try:
            client_sock, client_addr = listener.accept()
        except OSError as error:
            if error.errno in MACHINE_LACKS:
                self.make_place(listener)
            elif error.errno not in (errno.EAGAIN, errno.ECONNABORTED, errno.EWOULDBLOCK):
                raise
            return
        self.nr_conns += 1
        conn = TConn(self.cfg, BoundedSocket(client_sock, self.answer_seconds), client_addr, listener.getsockname())
        self.wait_for_request(conn)

    def make_place(self, listener: Any) -> None:
        """No descriptor is left: the oldest that waits goes, who comes is told to come again, and the loop rests."""
        if self.reserve is not None:
            os.close(self.reserve)
            self.reserve = None
            with suppress(OSError):
                sock, _address = listener.accept()
                with sock, suppress(OSError):
                    sock.setblocking(False)
                    sock.send(_COME_AGAIN)
                    sock.shutdown(socket.SHUT_WR)
            self.put_aside()
        if self.waiting:
            self.drop(next(iter(self.waiting)), b"503 Service Unavailable")
        else:
            self.murder_keepalived(force=True)
        self.log.warning("no descriptor is left for another connection; raise LimitNOFILE")
        self.rests_until = time.monotonic() + _REST_SECONDS
        self.set_accept_enabled(False)

    def set_accept_enabled(self, enabled: bool) -> None:
        """As gunicorn, which asks in each turn of the loop; not while it rests."""
        super().set_accept_enabled(enabled and time.monotonic() >= self.rests_until)

    def enqueue_req(self, conn: Any) -> None:
        """Give the request to a thread: to one of its own where it asks whether we live, or are ready."""
        pool = self.apart.get(getattr(conn, "lane", b""), self.tpool)
        assert pool is not None  # since init_process
        answering = pool.submit(self.handle, conn)
        answering.add_done_callback(lambda done: self.method_queue.defer(self.finish_request, conn, done))

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
            incoming.data += piece
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            piece = b""
        except MemoryError:
            self.drop(conn, b"503 Service Unavailable")
            return
        if piece:
            self.look_at(conn)
        else:
            self.drop(conn)

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
        probe = _PROBE.match(data)
        conn.lane = probe[1] if probe else b""
        conn.initialized = conn.data_ready = True
        self.enqueue_req(conn)

    def finish_request(self, conn: Any, fs: Any) -> None:
        """As gunicorn; what came already of the next request is its beginning, and nobody waits for a client's end."""
        data = getattr(conn, "leftover", b"")
        conn.leftover = b""
        is_over = not fs.cancelled() and fs.exception() is None
        if is_over and not fs.result():
            self.linger(conn)
        elif is_over and data:
            self.wait_for_request(conn, data)
        else:
            super().finish_request(conn, fs)

    def linger(self, conn: Any) -> None:
        """Say that no more comes, and close when the client has read it, or does not for too long.

        gunicorn waits for that in the loop, two seconds for each client that leaves its end open.
        """
        try:
            conn.sock.setblocking(False)
            conn.sock.shutdown(socket.SHUT_WR)
            self.poller.register(conn.sock, selectors.EVENT_READ, partial(self.on_end, conn))
        except (OSError, ValueError, KeyError):
            self.close(conn)
        else:
            self.lingering[conn] = time.monotonic() + LINGER_SECONDS

    def on_end(self, conn: Any, _sock: Any) -> None:
        """The client closed its side, or sends what nobody reads any more."""
        if conn not in self.lingering:
            return
        try:
            is_open = bool(conn.sock.recv(65536))
        except (BlockingIOError, InterruptedError):
            is_open = True
        except OSError:
            is_open = False
        if not is_open:
            self.end_lingering(conn)

    def end_lingering(self, conn: Any) -> None:
        """Close it, whatever the client does."""
        del self.lingering[conn]
        with suppress(OSError, KeyError, ValueError):
            self.poller.unregister(conn.sock)
        self.close(conn)

    def close(self, conn: Any) -> None:
        """It is gone."""
        self.nr_conns -= 1
        conn.close()

    def drop(self, conn: Any, status: bytes = b"408 Request Timeout") -> None:
        """Say why where there is somebody to hear it, and close."""
        incoming = self.waiting.pop(conn)
        with suppress(OSError, KeyError, ValueError):
            self.poller.unregister(conn.sock)
        if incoming.data:
            with suppress(OSError):
                conn.sock.send(b"HTTP/1.1 " + status + b"\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        self.close(conn)

    def murder_pending(self) -> None:
        """Drop who is too slow; while the worker stops also who has not begun."""
        super().murder_pending()
        now = time.monotonic()
        for conn, until in list(self.lingering.items()):
            if until <= now or not self.alive:
                self.end_lingering(conn)
        for conn, incoming in list(self.waiting.items()):
            if conn.timeout <= now or (not self.alive and not incoming.data):
                self.drop(conn)
