"""What both stand-ins share: faults, counters and the control surface under /sandbox/."""

from __future__ import annotations

import json
import re
import threading
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from typing import Any, ClassVar

from markupsafe import escape
from werkzeug.wrappers import Request, Response

from sandbox.clock import Clock, parse_instant
from sandbox.faults import Fault, Faults
from sandbox.http_server import AnswerCut, ConnectionDropped
from sandbox.memory import Memory

PageTable = tuple[str, Sequence[str], Sequence[Sequence[object]]]


class SandboxError(Exception):
    """A call of the control surface that makes no sense; the text is one sentence that says why."""


def json_response(value: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """JSON as the stand-ins' control surface answers it; Decimals and instants become text."""
    return Response(json.dumps(value, default=str), status, headers, content_type="application/json")


class StandIn:
    """One stand-in. Subclasses give `name`, `title`, `answer` and, as far as they can, the other hooks.

    `memory` is durable where a folder was given, `clock` is shared with the other stand-in, `url` is where
    it is served (set by sandbox.server).
    """

    name: ClassVar[str] = ""
    title: ClassVar[str] = ""

    def __init__(self, memory: Memory, clock: Clock) -> None:
        self.memory = memory
        self.clock = clock
        self.faults = Faults()
        self.url = ""
        self._copy: StandIn | None = None
        self._counting = threading.Lock()
        self._calls: Counter[str] = Counter()
        self._in_flight = 0
        self._most_in_flight = 0
        self._busy_seconds = 0.0

    def keep_copy(self) -> None:
        """Remembers all that it holds now, for `old_copy`: a replica that lags, a cache, a copy that was restored."""
        self._copy = self.copy_of(self.memory.copy())

    # hooks

    def copy_of(self, memory: Memory) -> StandIn:
        """One like this over another memory; of it only reads are asked."""
        return type(self)(memory, self.clock)

    def is_read(self, request: Request) -> bool:
        """Whether an old copy may answer this call: it changes nothing."""
        return request.method in ("GET", "HEAD")

    def answer(self, request: Request) -> Response:
        """Does the API's work and answers; called on many threads at once."""
        raise NotImplementedError

    def fault_response(self, fault: Fault) -> Response:
        """The answer of a `status` fault as this server words it."""
        body = fault.body if fault.body is not None else {"message": f"sandbox fault {fault.status}"}
        return json_response(body, fault.status, fault.headers)

    def server_error(self, error: Exception) -> Response:
        """The answer where the stand-in itself broke; it is also remembered in `broken`."""
        return json_response({"error": "Server application error"}, 500)

    def endpoint_of(self, request: Request) -> str:
        """The path as it is counted: numbers become {id}."""
        return re.sub(r"/\d+(?=/|$)", "/{id}", request.path)

    def state(self) -> dict[str, Any]:
        """Everything it holds, as JSON can say it."""
        return dict(self.memory.dump())

    def page(self) -> list[PageTable]:
        """What a person wants to see of it: tables of a title, column heads and rows."""
        return [(name, ["row"], [[json.dumps(r, default=str)] for r in rows]) for name, rows in self.state().items()]

    def seed(self, data: dict[str, Any]) -> dict[str, Any]:
        """Fills the memory; a second time with the same data changes nothing. Raises SandboxError."""
        raise SandboxError(f"{self.title} cannot be seeded.")

    def reset(self) -> None:
        """Forgets everything it holds."""
        self.memory.reset()

    def stop(self) -> None:
        """Ends threads of its own."""
        self.memory.close()

    # serving

    broken: str = ""

    def __call__(self, request: Request) -> Response:
        if request.path == "/sandbox" or request.path.startswith("/sandbox/"):
            return self._control(request)
        with self._counting:
            self._calls[f"{request.method} {self.endpoint_of(request)}"] += 1
            self._in_flight += 1
            self._most_in_flight = max(self._most_in_flight, self._in_flight)
        began = time.perf_counter()
        try:
            return self._answer_with_faults(request)
        finally:
            with self._counting:
                self._in_flight -= 1
                self._busy_seconds += time.perf_counter() - began

    def calls(self) -> dict[str, Any]:
        """How many API calls there were by method and path, how many are running, how many ran at most.

        `busy_seconds` is what all took together: divided by the time in which they ran, the mean number in flight.
        """
        with self._counting:
            return {
                "total": sum(self._calls.values()),
                "by_endpoint": dict(sorted(self._calls.items())),
                "in_flight": self._in_flight,
                "most_in_flight": self._most_in_flight,
                "busy_seconds": round(self._busy_seconds, 3),
            }

    def _answer_with_faults(self, request: Request) -> Response:
        faults = self.faults.take(request.method, request.full_path.rstrip("?"))
        for fault in faults:
            if fault.kind == "meanwhile" and fault.act is not None:
                fault.act()
        for fault in faults:
            if fault.kind == "delay" and not fault.after:
                time.sleep(fault.seconds)
        for fault in faults:
            if fault.kind == "refused":
                raise ConnectionDropped
            if fault.kind == "html":
                page = "<!doctype html><html><body><h1>It works</h1></body></html>"
                return Response(str(fault.body or page), 200, fault.headers, content_type="text/html; charset=utf-8")
            if fault.kind == "redirect":
                return Response("", 302, {"Location": fault.location, **fault.headers}, content_type="text/html")
            if fault.kind == "status" and not fault.after:
                return self.fault_response(fault)
        try:
            is_old = any(fault.kind == "old_copy" for fault in faults) and self.is_read(request)
            response = (self._copy if is_old and self._copy is not None else self).answer(request)
        except ConnectionDropped:
            raise
        except Exception as error:  # noqa: BLE001 - a server answers 500 where it broke, and remembers why
            self.broken = traceback.format_exc()
            response = self.server_error(error)
        for fault in faults:
            if fault.kind == "delay" and fault.after:
                time.sleep(fault.seconds)
        for fault in faults:
            if fault.kind == "lost_answer":
                raise ConnectionDropped
            if fault.kind == "half":
                raise AnswerCut(response)
            if fault.kind == "status" and fault.after:
                return self.fault_response(fault)
            if fault.kind == "headers":
                response.headers.update(fault.headers)
        return response

    def _control(self, request: Request) -> Response:
        what = (request.method, request.path.rstrip("/"))
        try:
            match what:
                case ("GET", "/sandbox"):
                    return Response(self._html(), content_type="text/html; charset=utf-8")
                case ("GET", "/sandbox/state.json"):
                    return json_response(self._whole_state())
                case ("GET", "/sandbox/clock"):
                    return json_response(self.clock.describe())
                case ("POST", "/sandbox/clock"):
                    self._set_clock(_read_json(request))
                    return json_response(self.clock.describe())
                case ("GET", "/sandbox/faults"):
                    return json_response(self.faults.describe())
                case ("POST", "/sandbox/faults"):
                    specs = _read_json(request)
                    self.faults.add(*(specs if isinstance(specs, list) else [specs]))
                    return json_response(self.faults.describe())
                case ("DELETE", "/sandbox/faults"):
                    self.faults.clear()
                    return json_response([])
                case ("POST", "/sandbox/copy"):
                    self.keep_copy()
                    return json_response({"kept": True})
                case ("POST", "/sandbox/reset"):
                    self.faults.clear()
                    self._copy = None
                    self.reset()
                    with self._counting:
                        self._calls.clear()
                        self._most_in_flight = self._in_flight
                        self._busy_seconds = 0.0
                    return json_response({"reset": True})
                case ("POST", "/sandbox/seed"):
                    data = _read_json(request)
                    if not isinstance(data, dict):
                        raise SandboxError("A seed is a JSON object.")
                    return json_response(self.seed(data))
        except (SandboxError, ValueError, KeyError, TypeError) as error:
            return json_response({"error": str(error)}, 400)
        return json_response({"error": f"The sandbox has no {request.method} {request.path}."}, 404)

    def _whole_state(self) -> dict[str, Any]:
        extra = {"calls": self.calls(), "faults": self.faults.describe(), "broken": self.broken}
        return {
            "stand_in": self.name,
            "url": self.url,
            "clock": self.clock.describe(),
            **extra,
            **self.state(),
        }

    def _set_clock(self, wanted: Any) -> None:
        if wanted.get("real"):
            self.clock.set_real()
        else:
            self.clock.set(parse_instant(wanted["now"]), frozen=bool(wanted.get("frozen", True)))

    def _html(self) -> str:
        parts = [
            f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(self.title)}</title>",
            _STYLE,
        ]
        parts.append(f"<h1>{escape(self.title)}</h1><p>Its clock says {self.clock.now():%d %b %Y %H:%M:%S} UTC.")
        parts.append(' <a href="/sandbox/state.json">Everything as JSON</a></p>')
        for name, heads, rows in self.page():
            parts.append(f"<h2>{escape(name)} <small>{len(rows)}</small></h2><div><table><tr>")
            parts.extend(f"<th>{escape(head)}</th>" for head in heads)
            for row in rows:
                parts.append("</tr><tr>")
                parts.extend(f"<td>{escape('' if cell is None else cell)}</td>" for cell in row)
            parts.append("</tr></table></div>")
        return "".join(parts) + "</html>"


_STYLE = (
    "<meta name=viewport content='width=device-width'><style>"
    "body{font:15px/1.5 system-ui,sans-serif;margin:2rem;color:#1c1c28}"
    "small{color:#6b6b80;font-weight:400}div{overflow-x:auto}table{border-collapse:collapse}"
    "th,td{text-align:left;padding:.3rem .8rem;border-bottom:1px solid #e4e4ee;vertical-align:top}</style>"
)


def _read_json(request: Request) -> Any:
    return json.loads(request.get_data() or b"{}")
