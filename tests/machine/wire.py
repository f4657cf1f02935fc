"""Both stand-ins without sockets, and the moments at which a worker may die or another may come in between.

The console's calls go straight to the stand-ins' applications. A moment is: before and after each call, before the
commit of each transition and after it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import requests
from django.db import connection, transaction

from sandbox.http_server import ConnectionDropped
from sandbox.server import Running
from sync.clients import deadline
from tests.standins import make_request


class Killed(BaseException):
    """The worker dies here: nothing that it would have done later is done."""


class Fate:
    """What happens to the worker that works now: `dies_after` so many moments, or `meanwhile` at a call."""

    def __init__(self) -> None:
        self.spare()

    def spare(self) -> None:
        """Nothing happens any more."""
        self.dies_after: int | None = None
        self.meanwhile_after: int | None = None
        self.meanwhile: Callable[[bool], None] = lambda is_answered: None

    def moment(self) -> None:
        """The worker has come to one more moment. Raises Killed."""
        if self.dies_after is None:
            return
        self.dies_after -= 1
        if self.dies_after < 0:
            self.dies_after = None
            raise Killed

    def at_call(self, *, is_answered: bool) -> None:
        """The worker is about to call, or its answer is on its way: others work too."""
        assert not connection.in_atomic_block, "a call inside a transaction"
        if self.meanwhile_after is not None:
            self.meanwhile_after -= 1
            if self.meanwhile_after < 0:
                self.meanwhile_after = None
                self.meanwhile(is_answered)
        self.moment()

    def arrow(self, *_arrow: str) -> None:
        """A transition is written and not yet committed."""
        self.moment()
        transaction.on_commit(self.moment)


class StraightAdapter(deadline.DeadlineAdapter):
    """requests' transport into the stand-ins' applications."""

    running: Running
    fate: Fate

    def send(self, request: Any, *args: Any, **kwargs: Any) -> requests.Response:
        """As a server would answer; a dropped connection is a connection error after everything was sent."""
        watch = deadline._watch.get()
        assert watch is not None
        watch.ask()
        watch.begin_sending(None)
        self.fate.at_call(is_answered=False)
        app = self.running.taiga if request.url.startswith(self.running.taiga.url) else self.running.ninja
        try:
            answer = app(make_request(request.method, request.url, request.headers, request.body or b""))
        except ConnectionDropped:
            self.fate.at_call(is_answered=True)
            raise requests.ConnectionError("dropped") from None
        self.fate.at_call(is_answered=True)
        response = requests.Response()
        response.status_code, response._content = answer.status_code, answer.get_data()
        response._content_consumed = True
        response.headers.update(answer.headers)
        response.headers["Content-Length"] = str(len(response.content))
        return response


def by_hand(app: Any, method: str, path: str, body: Any = None, **headers: str) -> Any:
    """A person's call, which no fault hits; None where a task without a story answers 500 although it is saved."""
    sent = {"Content-Type": "application/json", "Accept": "application/json", **headers}
    data = json.dumps(body, default=float).encode() if body is not None else b""
    answer = app.answer(make_request(method, f"{app.url}/api/v1{path}", sent, data))
    if answer.status_code == 500:
        return None
    assert answer.status_code < 300, f"{method} {path} answered {answer.status_code}: {answer.get_data()[:300]!r}"
    return json.loads(answer.get_data() or b"null", parse_float=Decimal)
