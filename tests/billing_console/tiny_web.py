"""A web application of a test's own under the console's worker, with quick deadlines."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from billing_console.web_worker import BufferingWorker


class QuickWorker(BufferingWorker):
    head_seconds, body_seconds, answer_seconds = 1.5, 2.0, 1.0


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """`/echo` says the body, `/large` more than fits into a socket, everything else "ok"."""
    path = environ["PATH_INFO"]
    body = environ["wsgi.input"].read() if path == "/echo" else b"x" * 30_000_000 if path == "/large" else b"ok"
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
