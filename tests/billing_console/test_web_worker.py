"""Slow clients stop nobody: against the real gunicorn with the console's own configuration and worker."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from billing_console.incoming import BODY_BYTES
from billing_console.processes import choose_free_ports
from tests.crash.test_real_workers import cpu_seconds
from tests.test_deployment_files import CLONE

GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n0123456789"
CHUNKED = (
    b"POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"4\r\n0123\r\n6;x=y\r\n456789\r\n0\r\n\r\n"
)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with serving() as port:
        yield port


@contextlib.contextmanager
def serving(workers: int = 2) -> Iterator[int]:
    """The port of a gunicorn with the console's configuration and the tiny application."""
    (port,) = choose_free_ports(1)
    command = [sys.executable, "-m", "gunicorn", "tests.billing_console.tiny_web:app", "--bind", f"127.0.0.1:{port}"]
    command += ["--worker-class", "tests.billing_console.tiny_web.QuickWorker", "--log-level", "warning"]
    command += ["--config", "tests/billing_console/tiny_gunicorn.py"]
    process = subprocess.Popen([*command, "--workers", str(workers)], env={**os.environ, "ENVIRONMENT": "sandbox"})
    try:
        for _attempt in range(200):
            with contextlib.suppress(OSError), connected(port) as client:
                client.sendall(GET)
                if client.recv(100):
                    break
            time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait(10)


@contextlib.contextmanager
def connected(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        yield client


def answer(client: socket.socket) -> bytes:
    """One answer, whole."""
    data = b""
    while True:
        head, found, body = data.partition(b"\r\n\r\n")
        if found and b"100 Continue" in head:
            data = body
            continue
        if found:
            length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            if len(body) >= length:
                return data
        piece = client.recv(65536)
        if not piece:
            return data
        data += piece


def seconds_of_a_probe(port: int) -> float:
    began = time.monotonic()
    with connected(port) as client:
        client.sendall(GET)
        assert answer(client).startswith(b"HTTP/1.1 200")
    return time.monotonic() - began


@pytest.mark.parametrize(
    "beginning",
    [b"", b"GET /healthz HT", POST[:-5], CHUNKED[:-8], GET + b"POST /echo HTTP/1.1\r\nContent-Le"],
    ids=["nothing", "half a head", "half a body", "half the chunks", "a request and half of the next"],
)
def test_two_hundred_slow_connections_stop_nobody(port: int, beginning: bytes) -> None:
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(connected(port)) for _number in range(200)]
        for client in slow:
            client.sendall(beginning)

        probes = [seconds_of_a_probe(port) for _number in range(20)]

        assert max(probes) < 2.0, probes


def test_forty_clients_that_never_read_their_answer_stop_nobody_for_long(port: int) -> None:
    with contextlib.ExitStack() as stack:
        for _number in range(40):
            client = stack.enter_context(connected(port))
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.sendall(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n")

        assert seconds_of_a_probe(port) < 9  # three turns of 16 threads, a second each


@pytest.mark.parametrize(("request_", "seconds"), [(POST[:-11], 1.5), (POST[:-1], 2.0)], ids=["head", "body"])
def test_a_byte_now_and_then_is_dropped_at_its_deadline(port: int, request_: bytes, seconds: float) -> None:
    head = len(POST) - 10
    with connected(port) as client:
        client.sendall(request_[: head - 30 if seconds == 1.5 else head])
        rest, began, is_dropped = request_[head - 30 if seconds == 1.5 else head :], time.monotonic(), False
        client.settimeout(0.4)
        for byte in rest:
            try:
                client.sendall(bytes([byte]))
                said = client.recv(100)
                is_dropped = said == b"" or said.startswith(b"HTTP/1.1 408")
            except TimeoutError:
                continue
            except OSError:
                is_dropped = True
            break
    assert is_dropped
    assert seconds - 0.5 < time.monotonic() - began < seconds + 3


@pytest.mark.parametrize("request_", [GET, POST, CHUNKED], ids=["GET", "POST", "chunks"])
def test_a_request_in_pieces_is_answered_as_one_in_one(port: int, request_: bytes) -> None:
    said = b"ok" if request_ == GET else b"0123456789"
    with connected(port) as client:
        for at in range(0, len(request_), 7):
            client.sendall(request_[at : at + 7])
            time.sleep(0.01)
        assert answer(client).endswith(b"\r\n\r\n" + said)
        client.sendall(request_)  # the connection is kept
        assert answer(client).endswith(b"\r\n\r\n" + said)


def test_requests_that_come_together_are_answered_one_after_the_other(port: int) -> None:
    with connected(port) as client:
        client.sendall(POST + CHUNKED + POST.replace(b"0123456789", b"9876543210") + GET.replace(b"\r\n\r\n", b"\r\n"))
        data = b""
        while data.count(b"HTTP/1.1 200") < 3 or not data.endswith(b"9876543210"):
            data += client.recv(65536)
        client.sendall(b"\r\n")
        assert answer(client).endswith(b"ok")


def test_who_waits_for_a_word_before_the_body_gets_it(port: int) -> None:
    head, body = POST.replace(b"\r\nContent", b"\r\nExpect: 100-continue\r\nContent"), b"0123456789"
    with connected(port) as client:
        client.sendall(head.removesuffix(body))
        assert client.recv(100).startswith(b"HTTP/1.1 100")
        client.sendall(body)
        assert answer(client).endswith(body)


@pytest.mark.parametrize("length", [BODY_BYTES + 1, 10**15])
def test_a_body_that_is_too_large_is_refused_before_it_comes(port: int, length: int) -> None:
    with connected(port) as client:
        client.sendall(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % length)
        assert client.recv(100).startswith(b"HTTP/1.1 413")
        assert client.recv(100) == b""


def test_whether_it_lives_is_answered_while_every_thread_is_busy() -> None:
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(serving(workers=1))  # of its own: its threads stay busy for long
        slow = [stack.enter_context(connected(port)) for _number in range(40)]  # five times the threads of a process
        for client in slow:
            client.sendall(b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n")
        time.sleep(0.5)

        for path in (b"/healthz", b"/readyz", b"/healthz?x=1"):
            began = time.monotonic()
            with connected(port) as client:
                client.sendall(GET.replace(b"/healthz", path))
                assert answer(client).startswith(b"HTTP/1.1 200")
            assert time.monotonic() - began < 1.5
        with connected(port) as client:  # which anything else waits for
            client.settimeout(1.5)
            client.sendall(GET.replace(b"/healthz", b"/other"))
            with pytest.raises(TimeoutError):
                client.recv(100)


def test_who_was_answered_and_leaves_its_end_open_stops_nobody(port: int) -> None:
    with contextlib.ExitStack() as stack:
        for _number in range(30):
            client = stack.enter_context(connected(port))
            client.sendall(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            assert answer(client).startswith(b"HTTP/1.1 200")

        assert max(seconds_of_a_probe(port) for _number in range(5)) < 1.5
        client.settimeout(4)
        assert client.recv(1) == b""  # and it is closed after a while
        time.sleep(2.5)
        with contextlib.suppress(ConnectionError):
            client.sendall(b"x")
            time.sleep(0.2)
        with pytest.raises(ConnectionError):
            client.sendall(b"x")


def test_who_is_kept_may_ask_the_one_and_the_other(port: int) -> None:
    with connected(port) as client:
        for request_ in (GET, POST, GET, POST):
            client.sendall(request_)
            assert answer(client).startswith(b"HTTP/1.1 200")


def test_without_descriptors_who_comes_is_told_to_come_again_and_later_answered_by_the_same_process() -> None:
    with serving(workers=1) as port:
        with connected(port) as client:
            client.sendall(b"GET /full HTTP/1.1\r\nHost: localhost\r\n\r\n")
            pid = int(answer(client).partition(b"\r\n\r\n")[2])
        began, cpu = time.monotonic(), cpu_seconds(pid)
        with contextlib.ExitStack() as stack:
            words = [word_of(stack.enter_context(connected(port))) for _number in range(6)]
        assert set(words) == {b"HTTP/1.1 200", b"HTTP/1.1 503"}  # each second one gets the place of who waits longest
        assert cpu_seconds(pid) - cpu < 0.5 * (time.monotonic() - began)

        resource.prlimit(pid, resource.RLIMIT_NOFILE, (1024, resource.prlimit(pid, resource.RLIMIT_NOFILE)[1]))
        time.sleep(1.1)
        with connected(port) as client:
            client.sendall(b"GET /full HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert int(answer(client).partition(b"\r\n\r\n")[2]) == pid


def word_of(client: socket.socket) -> bytes:
    with contextlib.suppress(ConnectionError):
        client.sendall(GET)
    return client.recv(12)


def test_the_console_is_served_by_it() -> None:
    assert 'worker_class = "billing_console.web_worker.BufferingWorker"' in (CLONE / "gunicorn.conf.py").read_text()
