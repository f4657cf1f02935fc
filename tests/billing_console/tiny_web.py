"""A web application of a test's own under the console's worker, with quick deadlines."""

from __future__ import annotations

import contextlib
import os
import resource
import time
from collections.abc import Callable, Iterable
from typing import Any

from billing_console.web_worker import BufferingWorker


class QuickWorker(BufferingWorker):
    head_seconds, body_seconds, answer_seconds = 1.5, 2.0, 1.0


def use_up_descriptors() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    with contextlib.suppress(OSError):
        while True:
            os.open(os.devnull, os.O_RDONLY)


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """`/echo` says the body, `/large` more than fits into a socket, everything else "ok".

    `/slow` takes five seconds for it; `/full` leaves the process without a descriptor and says its id.
    """
    path = environ["PATH_INFO"]
    if path == "/slow":
        time.sleep(5)
    if path == "/full":
        use_up_descriptors()
        start_response("200 OK", [("Content-Length", "8"), ("Connection", "close")])
        return [b"%8d" % os.getpid()]
    body = environ["wsgi.input"].read() if path == "/echo" else b"x" * 30_000_000 if path == "/large" else b"ok"
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
