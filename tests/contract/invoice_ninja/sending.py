"""Sends a recorded request to a stand-in."""

from __future__ import annotations

import json

from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request, Response

from sandbox.ninja.app import InvoiceNinja
from tests.contract.invoice_ninja.recording import Recording

TOKEN = "recorded-token"


def send(ninja: InvoiceNinja, recording: Recording) -> Response:
    """The recorded request, byte for byte where it was text, with a token that is valid where the recorded one was."""
    headers = {name: value for name, value in recording.headers.items() if name.lower() != "content-type"}
    if "X-API-TOKEN" in headers:
        headers["X-API-TOKEN"] = "wrong" if recording.status == 403 and _is_refused_token(recording) else TOKEN
    body = recording.body
    data = body if isinstance(body, str) else None if body is None else json.dumps(body)
    path, _, query = recording.path.partition("?")
    builder = EnvironBuilder(
        path,
        base_url="http://127.0.0.1:8081",
        query_string=query,
        method=recording.method,
        headers=headers,
        data=data,
        content_type=recording.headers.get("Content-Type", "application/json"),
    )
    return ninja(Request(builder.get_environ()))


def _is_refused_token(recording: Recording) -> bool:
    return isinstance(recording.answer, dict) and recording.answer.get("message") == "Invalid token"
