"""Stand-ins with a small world in them, and clients that talk to them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from sandbox.server import Running, serve
from sync.clients.answers import error_class_for
from sync.clients.http import Call, JsonClient
from sync.clients.invoice_ninja import InvoiceNinjaClient
from sync.clients.taiga import TaigaClient
from sync.clients.taiga_auth import fixed_authorization

NINJA_TOKEN = "sandbox-ninja-token"
PASSWORD = "sandbox-password"
ATTRIBUTES = [
    {"kind": kind, "name": name, "type": type_}
    for kind in ("task", "userstory", "issue")
    for name, type_ in [("Billable", "checkbox"), ("Duration (Hours)", "number"), ("Invoice Status", "text")]
]


class TaigaWorld:
    """A stand-in Taiga with one project, its admin `bot`, a member `alice` and `outsider`."""

    def __init__(self, running: Running) -> None:
        self.app = running.taiga
        self.clock = running.clock
        self.base_url = f"{self.app.url}/api/v1"
        seeded = self.app.seed(
            {
                "users": [{"username": name, "password": PASSWORD} for name in ("bot", "alice", "outsider")],
                "projects": [
                    {
                        "name": "Website",
                        "owner": "bot",
                        "members": [{"username": "bot", "is_admin": True}, {"username": "alice"}],
                        "attributes": ATTRIBUTES,
                        "stories": [{"subject": "Checkout"}],
                    }
                ],
            }
        )
        self.users = seeded["users"]
        project = seeded["projects"]["Website"]
        self.project_id = project["id"]
        self.story_id = project["stories"]["Checkout"]
        self.statuses = project["task_statuses"]
        self.attributes = project["attributes"]

    def client(self, username: str = "bot", calls: list[Call] | None = None, **options: Any) -> TaigaClient:
        """Return a client that is logged in once."""
        session = self.anonymous().log_in(username, PASSWORD)
        options.setdefault("authorization", fixed_authorization(session.auth_token))
        return self.anonymous(calls, **options)

    def anonymous(self, calls: list[Call] | None = None, **options: Any) -> TaigaClient:
        """Return a client without a login."""
        journal = None if calls is None else calls.append
        options = {"deadline_seconds": 5, **options}
        return TaigaClient(self.base_url, journal=journal, allow_http=True, **options)

    def do(self, method: str, path: str, body: Any = None, username: str = "alice") -> Any:
        """Do something in Taiga as a person would, past the client under test."""
        token = self.anonymous().log_in(username, PASSWORD).auth_token
        http = JsonClient(
            self.base_url,
            upstream="taiga",
            classify=lambda answer: error_class_for(answer.status),
            headers={"Authorization": f"Bearer {token}"},
            allow_http=True,
        )
        return http.call(method, path, **({} if body is None else {"body": body})).data

    def add_task(self, subject: str = "Task", **fields: Any) -> dict[str, Any]:
        """Add a task of the seeded story (`user_story=None` for one without)."""
        body = {"project": self.project_id, "user_story": self.story_id, "subject": subject, **fields}
        return self.do("POST", "/tasks", body)

    def add_hook(self) -> None:
        """Add a webhook that nobody listens to; only with one do tasks without a story make faults."""
        hook = {"project": self.project_id, "name": "hook", "url": "http://127.0.0.1:9/hook", "key": "webhook-key"}
        self.do("POST", "/webhooks", hook, username="bot")


@pytest.fixture
def taiga() -> Iterator[TaigaWorld]:
    """A fresh stand-in Taiga."""
    running = serve(ninja_port=None)
    try:
        yield TaigaWorld(running)
    finally:
        running.stop()


class NinjaWorld:
    """A stand-in Invoice Ninja with two clients in euro, a project of the first and a tax rate."""

    CLIENT, OTHER, PROJECT, OTHER_PROJECT = "client_abc123", "client_xyz789", "proj_web001", "proj_mobile002"

    def __init__(self, running: Running) -> None:
        self.app = running.ninja
        self.clock = running.clock
        self.base_url = f"{self.app.url}/api/v1"
        self.app.seed(
            {
                "company": {"name": "Agency", "currency": "EUR"},
                "tokens": [{"token": NINJA_TOKEN}],
                "clients": [
                    {
                        "id": self.CLIENT,
                        "name": "Acme",
                        "currency": "EUR",
                        "contacts": [{"first_name": "Ann", "email": "ann@acme.example", "send_email": True}],
                    },
                    {"id": self.OTHER, "name": "Beta", "currency": "EUR", "contacts": [{"email": " "}]},
                ],
                "projects": [
                    {"id": self.PROJECT, "client_id": self.CLIENT, "name": "Website", "task_rate": 75},
                    {"id": self.OTHER_PROJECT, "client_id": self.OTHER, "name": "App", "task_rate": 85},
                ],
                "products": [{"product_key": "Consulting", "price": 75, "notes": "Hours"}],
                "tax_rates": [{"name": "VAT", "rate": 21}],
            }
        )

    def client(self, token: str = NINJA_TOKEN, calls: list[Call] | None = None, **options: Any) -> InvoiceNinjaClient:
        """Return a client with the seeded token."""
        journal = None if calls is None else calls.append
        options = {"deadline_seconds": 5, **options}
        return InvoiceNinjaClient(self.base_url, token, journal=journal, allow_http=True, **options)

    def do(self, method: str, path: str, body: Any = None) -> Any:
        """Do something in Invoice Ninja as a person would, past the client under test."""
        http = JsonClient(
            self.base_url,
            upstream="invoice_ninja",
            classify=lambda answer: error_class_for(answer.status),
            headers={"X-API-TOKEN": NINJA_TOKEN},
            allow_http=True,
        )
        return http.call(method, path, **({} if body is None else {"body": body})).data["data"]


@pytest.fixture
def ninja() -> Iterator[NinjaWorld]:
    """A fresh stand-in Invoice Ninja."""
    running = serve(taiga_port=None)
    try:
        yield NinjaWorld(running)
    finally:
        running.stop()
