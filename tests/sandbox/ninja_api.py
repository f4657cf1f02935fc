"""A caller of the stand-in Invoice Ninja, without a network between."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request, Response

from sandbox.clock import Clock, parse_instant
from sandbox.memory import Memory
from sandbox.ninja.app import InvoiceNinja

SEED = {
    "company": {"name": "Sandbox BV", "currency": "EUR", "timezone": "Europe/Brussels"},
    "clients": [
        {
            "id": "client_abc123",
            "name": "Website",
            "currency": "EUR",
            "contacts": [{"first_name": "Ann", "email": "ann@website.example"}],
        },
        {"id": "client_xyz789", "name": "Mobile", "currency": "EUR", "contacts": [{"email": "m@mobile.example"}]},
    ],
    "projects": [{"id": "proj_web001", "client_id": "client_abc123", "name": "Website Redesign", "task_rate": 75}],
}


class Api:
    """Calls with a valid token; answers are parsed, `status` is the last one."""

    def __init__(self, now: str = "2026-01-02T09:00:00Z", directory: Path | None = None) -> None:
        clock = Clock()
        clock.set(parse_instant(now))
        self.ninja = InvoiceNinja(Memory("ninja", directory), clock)
        self.headers = {"X-API-TOKEN": "sandbox-ninja-token", "X-Requested-With": "XMLHttpRequest"}
        self.status = 0

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Response:
        """The bare response."""
        path, _, query = path.partition("?")
        data = body if isinstance(body, str) else None if body is None else json.dumps(body)
        builder = EnvironBuilder(
            path if path.startswith("/sandbox") else f"/api/v1{path}",
            query_string=query,
            method=method,
            data=data,
            content_type="application/json",
            headers={**self.headers, **headers},
        )
        response = self.ninja(Request(builder.get_environ()))
        self.status = response.status_code
        return response

    def json(self, method: str, path: str, body: Any = None) -> Any:
        """The parsed answer, of whatever status."""
        return json.loads(self.call(method, path, body).get_data())

    def get(self, path: str) -> Any:
        """`data` of a GET that must succeed."""
        return self._data("GET", path, None)

    def post(self, path: str, body: Any) -> Any:
        """`data` of a POST that must succeed."""
        return self._data("POST", path, body)

    def put(self, path: str, body: Any) -> Any:
        """`data` of a PUT that must succeed."""
        return self._data("PUT", path, body)

    def bulk(self, action: str, *ids: str, table: str = "invoices", **more: Any) -> list[Any]:
        """`data` of a bulk action, as if a second had passed since the last."""
        self.ninja.store.guard.clear()
        found: list[Any] = self.post(f"/{table}/bulk", {"action": action, "ids": list(ids), **more})
        return found

    def at(self, now: str) -> None:
        """Puts the clock to this instant."""
        self.ninja.clock.set(parse_instant(now))

    def seed(self, data: Any = None) -> Any:
        """Fills it over the control surface."""
        return self.json("POST", "/sandbox/seed", SEED if data is None else data)

    def task(self, number: str = "TAIGA-T1-1", **fields: Any) -> Any:
        """A task of one hour on the first project."""
        body = {"project_id": "proj_web001", "number": number, "time_log": "[[1764597600,1764601200]]", **fields}
        return self.post("/tasks", body)

    def invoice(self, *task_ids: str, **fields: Any) -> Any:
        """An invoice of the first client with a line of 100.00 for each task, or one without a task."""
        lines = [{"type_id": "2", "task_id": task_id, "quantity": 1, "cost": 100} for task_id in task_ids or ("",)]
        return self.post("/invoices", {"client_id": "client_abc123", "line_items": lines, **fields})

    def _data(self, method: str, path: str, body: Any) -> Any:
        answer = self.json(method, path, body)
        assert self.status == 200, (self.status, answer, self.ninja.broken)
        return answer["data"]
