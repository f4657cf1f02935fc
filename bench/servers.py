"""The processes that are measured: the web server, the worker, the stand-ins, the load. Each ends with the block."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from urllib.error import URLError
from urllib.request import urlopen

from billing_console.spawn import spawn, stop_process
from sandbox.player import Http


@contextlib.contextmanager
def running(
    *argv: str, death_signal: signal.Signals = signal.SIGKILL, **environment: str
) -> Iterator[subprocess.Popen[bytes]]:
    """A process of this Python with `environment` on top of ours; its words go nowhere.

    It ends with the block, and by `death_signal` when we die ourselves: one that is left behind would take the jobs of
    the next measurement.
    """
    process = spawn(
        [sys.executable, *argv],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        death_signal=death_signal,
    )
    try:
        yield process
    finally:
        stop_process(process, seconds=15)


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@contextlib.contextmanager
def web(**environment: str) -> Iterator[int]:
    """gunicorn as the console runs it (2 workers), with `environment` on top; gives its port once it answers."""
    port = free_port()
    arguments = ("-m", "gunicorn", "billing_console.wsgi:application", "--bind", f"127.0.0.1:{port}")
    # SIGINT takes gunicorn's workers along, which SIGKILL would orphan.
    with running(*arguments, "--log-level", "error", death_signal=signal.SIGINT, **environment):
        _wait_for(f"http://127.0.0.1:{port}/healthz")
        yield port


@contextlib.contextmanager
def workers() -> Iterator[list[int]]:
    """The console's workers as `console_programs` has them; gives their process ids once each answers."""
    from billing_console.celery import app
    from billing_console.processes import console_programs

    programs = [each for each in console_programs({}, host="", port=0) if each.name.startswith("worker")]
    with contextlib.ExitStack() as stack:
        pids = [
            stack.enter_context(running(*each.argv[1:], death_signal=each.death_signal, **each.env)).pid
            for each in programs
        ]
        until = time.monotonic() + 60
        while len(app.control.ping(timeout=1) or ()) < len(programs):
            if time.monotonic() > until:
                raise RuntimeError("the workers did not answer within a minute")
        yield pids


@contextlib.contextmanager
def stand_ins() -> Iterator[tuple[str, str]]:
    """Both stand-ins in one process of their own; gives the addresses of Taiga and of Invoice Ninja."""
    with running("-m", "sandbox", "--taiga-port", "0", "--ninja-port", "0") as process:
        assert process.stdout is not None
        words = process.stdout.readline().decode().split()
        urls = [word for word in words if word.startswith("http")]
        yield urls[0], urls[1]


def addresses(urls: tuple[str, str]) -> dict[str, str]:
    """The variables that name both stand-ins to the console."""
    return {"TAIGA_API": f"{urls[0]}/api/v1", "INVOICE_NINJA_API": f"{urls[1]}/api/v1"}


def delay(urls: tuple[str, str], seconds: float) -> None:
    """From now on both stand-ins sleep so long before each answer; 0 takes it back."""
    for url in urls:
        Http(url).do("DELETE", "/sandbox/faults")
        if seconds:
            Http(url).do("POST", "/sandbox/faults", [{"kind": "delay", "seconds": seconds, "count": None}])


def _wait_for(url: str) -> None:
    until = time.monotonic() + 30
    while True:
        try:
            with urlopen(url, timeout=2):
                return
        except (URLError, OSError):
            if time.monotonic() > until:
                raise
            time.sleep(0.1)
