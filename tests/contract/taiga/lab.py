"""The laboratory of the recordings, rebuilt in the stand-in: its people and projects, and states read back from
what the real server had answered just before."""

from __future__ import annotations

import csv
import io
import json
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import requests
from werkzeug.wrappers import Request, Response

from sandbox.http_server import ConnectionDropped, Server
from sandbox.server import serve
from sandbox.taiga.auth import make_token
from sandbox.taiga.kinds import TASK, Kind
from sandbox.taiga.projects import make_project
from sandbox.taiga.seed import seed
from tests.contract.taiga.loading import BLANK_ENTRY, RECORDINGS, load_recording, parse, read_recording

NOW = datetime(2026, 11, 22, 8, 5, tzinfo=UTC)
EARLY = datetime(2026, 1, 1, tzinfo=UTC)
_PEOPLE = [
    (5, "admin", "Administrator", "admin@admin.com", "123123"),
    (6, "alice", "Alice Adams", "alice@example.test", "labpass123"),
    (7, "bob", "Bob Brown", "bob@example.test", "labpass123"),
    (8, "carol", "Carol Clark", "carol@example.test", "labpass123"),
    (9, "integrbot", "Integration Bot", "integrbot@example.test", "labpass123"),
    (10, "outsider", "Otto Outsider", "outsider@example.test", "labpass123"),
]


@dataclass
class Receiver:
    """A webhook receiver that answers as its path says: /hook/ok, /hook/500, /hook/redirect, /hook/drop."""

    received: list[tuple[list[tuple[str, str]], bytes]] = field(default_factory=list)

    def __call__(self, request: Request) -> Response:
        self.received.append((list(request.headers.items()), request.get_data()))
        wanted = request.path.rsplit("/", 1)[-1]
        if wanted == "drop":
            raise ConnectionDropped
        if wanted == "redirect":
            return Response("", 302, {"Location": "/hook/ok"})
        status = int(wanted) if wanted.isdigit() else 200
        return Response(json.dumps({"ok": status == 200}), status, content_type="application/json")


class Lab:
    """One stand-in Taiga and one receiver, emptied before each case."""

    def __init__(self) -> None:
        self.running = serve(ninja_port=None)
        self.app = self.running.taiga
        self.store = self.app.store
        self.receiver = Receiver()
        self._server = Server("127.0.0.1", 0, self.receiver)
        self._server.start()
        self.hooks = self._server.url

    def stop(self) -> None:
        self._server.stop()
        self.running.stop()

    def clear(self) -> None:
        self.app.reset()
        self.app.faults.clear()
        self.app.mode = "inline"
        self.running.clock.set(NOW)
        self.receiver.received.clear()

    # worlds

    def people(self) -> None:
        """Six people with the laboratory's ids."""
        rows = [
            {"id": i, "username": n, "full_name": f, "email": e, "password": p, "is_superuser": n == "admin"}
            for i, n, f, e, p in _PEOPLE
        ]
        with self.store.memory.transaction():
            seed(self.store, {"users": rows, "applications": [{"id": "lab-app", "name": "Lab billing app"}]})

    def projects(self, *, is_staffed: bool = True) -> None:
        """People, Client Alpha (1) and Client Beta (2), both private, of the administrator."""
        self.people()
        store = self.store
        admin = store.users.get(5)
        assert admin is not None
        with store.memory.transaction():
            for number, name, text in ((1, "Client Alpha", "billing lab"), (2, "Client Beta", "second project")):
                data = {"id": number, "name": name, "description": text, "creation_template": number}
                make_project(store, admin, data)
            store.memberships.insert(
                {
                    "project": 1,
                    "user": None,
                    "role": 4,
                    "is_admin": False,
                    "created_at": NOW,
                    "invited_by": 5,
                    "email": "newperson@example.test",
                    "user_order": 1795333906516,
                }
            )
            staff = [(6, 4), (7, 3), (8, 6), (9, 4)]
            for user, role in staff if is_staffed else []:
                self.join(user, 1, role)

    def join(self, user: int, project: int, role: int, *, is_admin: bool = False) -> None:
        """A membership."""
        person = self.store.users.get(user)
        assert person is not None
        row = {"project": project, "user": user, "role": role, "is_admin": is_admin, "created_at": NOW}
        row |= {"invited_by": 5, "email": person["email"], "user_order": 0}
        with self.store.memory.transaction():
            self.store.memberships.insert(row)

    def attributes(self) -> None:
        """The guide's five attributes for tasks, stories and issues, and two more for tasks."""
        names = ("billable", "duration-hours", "hourly-rate", "client-invoice-id", "invoice-status")
        for number, (kind, name) in enumerate(((k, n) for k in ("task", "userstory", "issue") for n in names), 57):
            self.load(f"{number:03}-{kind}-custom-attribute-create-{name}")
        self.load("072-task-custom-attribute-extra-notes", "073-task-custom-attribute-extra-url")

    def alpha(self) -> None:
        """Client Alpha with attributes, one webhook, two sprints and a story, without tasks."""
        self.projects()
        self.attributes()
        self.load("090-webhook-create", "097-milestone-create", "098-milestone-create-2")
        self.load("099-userstory-create")

    # states

    def load(self, *names: str) -> None:
        """Puts what the real server answered in these recordings into the stand-in's memory."""
        for name in names:
            load_recording(self, name)

    def exact_dates(self) -> None:
        """Microseconds as the recorded CSV of the tasks says them; JSON only has milliseconds."""
        recorded = read_recording("279-tasks-csv")["response"]["body"]
        with self.store.memory.transaction():
            for row in csv.DictReader(io.StringIO(recorded)):
                names = ("created_date", "modified_date", "finished_date")
                self.store.items(TASK).update(int(row["id"]), **{name: parse(row[name]) for name in names})

    def older(self, name: str, count: int) -> None:
        """As many older rows of a table as its first row's copies."""
        table = self.store.memory.table(name)
        row = table.all()[0]
        with self.store.memory.transaction():
            for number in range(count):
                if name == "history":
                    table.insert({**row, "created_at": EARLY}, row_id=str(uuid.uuid1()))
                else:
                    table.insert({**row, "created": EARLY}, row_id=100_000 + number)

    def comment(self, kind: Kind, number: int, text: str = "a comment") -> str:
        """A history entry that is only a comment; answers its id."""
        entry = {**BLANK_ENTRY, "key": f"{kind.model}:{number}", "user": 6, "created_at": NOW, "comment": text}
        with self.store.memory.transaction():
            return str(self.store.history.insert(entry, row_id=str(uuid.uuid1()))["id"])

    def token(self, name: str, kind: str = "access") -> str:
        """A token of a person; names as in the recordings."""
        user = self.store.users.first(username=name)
        assert user is not None
        return make_token(self.store, user["id"], kind)

    def send(self, recorded: dict[str, Any], changes: dict[str, Any]) -> requests.Response:
        """Sends a recorded request; `changes` gives what was redacted: authorization, body, path."""
        request = recorded["request"]
        headers = dict(request["headers"])
        match = re.fullmatch(r"Bearer <token of (\w+)>", headers.get("Authorization", ""))
        if "authorization" in changes:
            headers["Authorization"] = changes["authorization"]
        elif match:
            headers["Authorization"] = f"Bearer {self.token(match.group(1))}"
        body = changes["body"] if "body" in changes else request["body"]
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode() if body is not None else None
        path = changes.get("path", request["path"])
        method: Callable[..., requests.Response] = requests.request
        return method(
            request["method"], self.app.url + path, headers=headers, data=data, timeout=10, allow_redirects=False
        )


__all__ = ["NOW", "RECORDINGS", "Lab", "read_recording"]
