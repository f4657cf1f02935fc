"""Sends a recorded request to a stand-in."""

from __future__ import annotations

import json
from typing import Any

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
    content_type = recording.headers.get("Content-Type", "application/json")
    return _ask(ninja, recording.method, recording.path, headers, data, content_type)


def post(ninja: InvoiceNinja, path: str, body: Any, method: str = "POST") -> None:
    """What somebody did that was not recorded; it must be right."""
    headers = {"X-API-TOKEN": TOKEN, "X-Requested-With": "XMLHttpRequest", "Accept": "application/json"}
    response = _ask(ninja, method, f"/api/v1{path}", headers, json.dumps(body), "application/json")
    assert response.status_code == 200, response.get_data()


def put(ninja: InvoiceNinja, path: str, body: Any) -> None:
    """The same with PUT."""
    post(ninja, path, body, "PUT")


def _ask(
    ninja: InvoiceNinja, method: str, address: str, headers: dict[str, str], data: str | None, content_type: str
) -> Response:
    path, _, query = address.partition("?")
    builder = EnvironBuilder(
        path,
        base_url="http://127.0.0.1:8081",
        query_string=query,
        method=method,
        headers=headers,
        data=data,
        content_type=content_type,
    )
    return ninja(Request(builder.get_environ()))


def _is_refused_token(recording: Recording) -> bool:
    return isinstance(recording.answer, dict) and recording.answer.get("message") == "Invalid token"
