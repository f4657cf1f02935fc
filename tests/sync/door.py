"""The console's door over HTTP, inside one test: what Taiga sends is received in the test's own transaction."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any

from django.db import connection, connections
from django.test import Client
from werkzeug.serving import make_server

from tests.flow.post_box import Silent
from tests.standins import World

BARE = 9


def add_project(world: World, number: int, name: str, *, is_admin: bool) -> None:
    """A project in Taiga without attributes and webhooks; our user is a member of it."""
    member = {"username": "billing", "role": "Back", "is_admin": is_admin}
    world.taiga.seed({"projects": [{"id": number, "name": name, "owner": "owner", "members": [member]}]})


@contextmanager
def open_door() -> Iterator[str]:
    """An address that leads to the console's views. Only while the test itself waits for an answer."""
    ours = connections["default"]

    def app(environ: Any, start_response: Any) -> list[bytes]:
        connections["default"] = ours  # of this thread
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        signature = environ["HTTP_X_TAIGA_WEBHOOK_SIGNATURE"]
        answer = Client().post(
            environ["PATH_INFO"],
            body,
            content_type="application/json",
            headers={"x-taiga-webhook-signature": signature},
        )
        start_response(f"{answer.status_code} {answer.reason_phrase}", [("Content-Type", "application/json")])
        return [answer.content]

    server = make_server("127.0.0.1", 0, app, request_handler=Silent)
    connection.inc_thread_sharing()
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()  # soon at its end
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        connection.dec_thread_sharing()
