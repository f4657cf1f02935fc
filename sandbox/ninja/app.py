"""The stand-in Invoice Ninja as an application: auth, dispatch, and how answers and refusals are worded."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from werkzeug.exceptions import MethodNotAllowed, NotFound
from werkzeug.wrappers import Request, Response

from sandbox.app import PageTable, StandIn
from sandbox.clock import Clock
from sandbox.faults import Fault
from sandbox.memory import Memory, Row
from sandbox.ninja import pages
from sandbox.ninja.activities import list_activities
from sandbox.ninja.call import Call, read_call
from sandbox.ninja.company import VERSION, log_in
from sandbox.ninja.errors import Refusal
from sandbox.ninja.mail import run_queue
from sandbox.ninja.routes import ROUTES
from sandbox.ninja.seed import seed
from sandbox.ninja.store import Store

API_VERSION = "5.0.16"
FAULT_WORDS = {
    403: {"message": "Invalid token", "errors": {}},
    429: {"message": "Too many requests"},
    500: {"message": "Server Error"},
    503: {"message": "Service Unavailable"},
}


class InvoiceNinja(StandIn):
    """Answers the API below /api/v1. `store` is its memory in the server's terms; a fresh one has the token
    `sandbox-ninja-token`."""

    name = "ninja"
    title = "Invoice Ninja"

    def __init__(self, memory: Memory, clock: Clock) -> None:
        super().__init__(memory, clock)
        self.store = Store(memory, clock)
        self.store.found_company()

    def is_read(self, request: Request) -> bool:
        """Activities are asked for by a POST."""
        return super().is_read(request) or request.path.endswith(("/activities/entity", "/companies/current"))

    def answer(self, request: Request) -> Response:
        """Does the API's work. Everything but a plain GET runs in one transaction; webhooks leave after it."""
        run_queue(self.store)
        try:
            handler, arguments = ROUTES.bind_to_environ(request.environ).match()
        except NotFound:
            if request.method in ("GET", "HEAD"):
                return self._finished(pages.single_page())
            return self._finished(_json({"message": "Method not supported for this route"}, 404))
        except MethodNotAllowed:
            return self._finished(_json({"message": "Method not supported for this route"}, 404))
        call = read_call(self.store, request)
        user = None if handler is log_in else self._user_of(request)
        if user is None and handler is not log_in:
            return self._finished(_json({"message": "Invalid token", "errors": {}}, 403))
        call.user = user or {}
        try:
            payload = self._work(call, handler, arguments)
        except Refusal as refusal:
            self._after(call)
            response = _refused(request, refusal, self.store)
            if handler is log_in:
                response.headers["X-Api-Version"] = API_VERSION
            return self._finished(response)
        self._after(call)
        if isinstance(payload, Response):
            return self._finished(payload)
        response = _json(payload, 200)
        if "data" in payload and handler is not list_activities:
            response.headers["X-Api-Version"] = API_VERSION
        return self._finished(response)

    def _work(self, call: Call, handler: Any, arguments: Mapping[str, Any]) -> Any:
        if call.request.method in ("GET", "HEAD") and "action" not in arguments:
            return handler(call, **arguments)
        # A refusal does not undo what was done before it: an invoice whose mail fails is marked as sent.
        refused: Refusal | None = None
        with self.memory.transaction():
            try:
                payload = handler(call, **arguments)
            except Refusal as refusal:
                refused = refusal
        if refused is not None:
            raise refused
        return payload

    def _after(self, call: Call) -> None:
        for deliver in call.after_commit:
            deliver()

    def _user_of(self, request: Request) -> Row | None:
        token = self.store["tokens"].first(token=request.headers.get("X-API-TOKEN", "").strip())
        if token is None or token["is_deleted"] or not token["token"]:
            return None
        return self.store["users"].get(token["user_id"])

    def _finished(self, response: Response) -> Response:
        response.headers["X-APP-VERSION"] = self.store.switch("version", VERSION)
        response.headers["X-MINIMUM-CLIENT-VERSION"] = API_VERSION
        response.headers["Cache-Control"] = "no-cache, private"
        return response

    # hooks of the sandbox

    def fault_response(self, fault: Fault) -> Response:
        """A `status` fault in this server's words; a JSON 429 never says how long to wait."""
        body = fault.body if fault.body is not None else FAULT_WORDS.get(fault.status, {"message": "Server Error"})
        response = _json(body, fault.status)
        response.headers.extend(fault.headers)
        if fault.status == 503:
            response.headers.setdefault("Retry-After", "60")
            return response
        return self._finished(response)

    def server_error(self, error: Exception) -> Response:
        """500 in this server's words."""
        return self._finished(_json(FAULT_WORDS[500], 500))

    def endpoint_of(self, request: Request) -> str:
        """The path as it is counted: ids become {id}."""
        return re.sub(r"^(/api/v1/[a-z_]+)/(?!bulk|refund|current)[^/]+", r"\1/{id}", request.path)

    def state(self) -> dict[str, Any]:
        """Every table, without the fields that the stand-in keeps for itself."""
        return pages.state(self.memory)

    def page(self) -> list[PageTable]:
        """Clients, projects, tasks, invoices, payments, mails."""
        return pages.tables(self.store)

    def seed(self, data: dict[str, Any]) -> dict[str, Any]:
        """Adds what is missing of the company, clients, projects … of `data`."""
        return seed(self.store, data)

    def reset(self) -> None:
        """As freshly installed."""
        super().reset()
        self.store.guard.clear()
        self.store.found_company()


def _json(value: Any, status: int) -> Response:
    return Response(json.dumps(value), status, content_type="application/json")


def _wants_json(request: Request) -> bool:
    accept = request.headers.get("Accept", "")
    is_script = request.headers.get("X-Requested-With") == "XMLHttpRequest"
    return "json" in accept or (is_script and accept in ("", "*/*"))


def _refused(request: Request, refusal: Refusal, store: Store) -> Response:
    """JSON for those who ask for it; else a redirect for a 422, a page for everything else."""
    if _wants_json(request):
        return _json(refusal.body, refusal.status)
    if refusal.status == 422:
        return pages.redirect(request.host_url.rstrip("/"))
    if refusal.status == 400 and "No query results" in str(refusal.body):
        return pages.error_page(404)
    if refusal.status == 401:
        return pages.error_page(403)
    headers = {}
    if refusal.status == 429:
        headers = {"retry-after": "60", "x-ratelimit-reset": str(store.now() + 60)}
    return pages.error_page(refusal.status, headers)
