"""What Taiga sends, kept in a box: a test carries it to the console when, in what order and as often as it likes."""

from __future__ import annotations

import json
from threading import Thread
from typing import Any
from urllib.request import Request, urlopen

from werkzeug.serving import WSGIRequestHandler, make_server

from sync import ingest
from sync.payloads import read_delivery

Post = tuple[bytes, dict[str, str]]


class Silent(WSGIRequestHandler):
    """Prints nothing."""

    def log(self, *args: Any) -> None:
        """The console's own log says it."""


class PostBox:
    """Takes what Taiga sends and keeps it; `deliver` carries a post to the console, when and as often as one likes."""

    def __init__(self, door: str) -> None:
        self.door = door
        self.posts: dict[tuple[str, int], list[Post]] = {}
        self.server = make_server("127.0.0.1", 0, self._take, threaded=True, request_handler=Silent)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        Thread(target=self.server.serve_forever, daemon=True).start()

    def _take(self, environ: Any, start_response: Any) -> list[bytes]:
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        signature = environ["HTTP_X_TAIGA_WEBHOOK_SIGNATURE"]
        told = json.loads(body)
        post = (body, {"Content-Type": "application/json", "X-TAIGA-WEBHOOK-SIGNATURE": signature})
        self.posts.setdefault((told["type"], told["data"]["id"]), []).append(post)
        start_response("200 OK", [])
        return []

    def of(self, item: int, kind: str = "task") -> list[Post]:
        """What Taiga sent about an item, in its order."""
        return list(self.posts.get((kind, item), []))

    def deliver(self, *posts: Post) -> None:
        """Carry these posts to the console, in this order."""
        for body, headers in posts:
            with urlopen(Request(f"{self.door}/webhooks/taiga", body, headers, method="POST"), timeout=10) as answer:
                assert answer.status == 202

    def hand_in(self, *posts: Post) -> None:
        """Hand these posts, whose signature was checked, to the service behind the door; faster than `deliver`."""
        for body, _headers in posts:
            ingest.receive(body, read_delivery(body), headers={}, address="127.0.0.1", mapping=None)
