"""Both stand-ins on threads, emptied and seeded before each test that asks for them; their memory is the witness."""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from django.core.cache import cache
from werkzeug.wrappers import Request

from billing_console import clock
from mappings.models import Client, Company, NinjaProject, ProjectMapping, Rate, RuleSet
from sandbox import scenario
from sandbox.server import Running, serve
from sync import work_items
from sync.marks import mark_dirty
from sync.models import TimeEntry, WorkItem
from sync.models.items import FoundBy

_addresses = itertools.count()  # nobody clicks twice within the second that a server takes for a repetition
MORNING = datetime(2025, 12, 1, 9, 0, tzinfo=UTC)


@pytest.fixture(scope="session")
def running_standins() -> Iterator[Running]:
    """One Taiga (INLINE) and one Invoice Ninja for the whole session, on free ports."""
    running = serve()
    yield running
    running.stop()


@dataclass
class World:
    """The two servers, and what our database knows of them at the start: one mapped project, one client."""

    running: Running
    mapping: ProjectMapping
    client: Client
    clocks: ExitStack
    tokens: dict[tuple[str, date], str] = field(default_factory=dict)

    def go_to(self, instant: datetime) -> None:
        """It is `instant` now, for the console and for both servers, until the end of the test."""
        for standin in (self.taiga, self.ninja):
            standin.clock.set(instant)
        self.clocks.enter_context(clock.set_to(instant))

    @property
    def taiga(self) -> Any:
        """The stand-in Taiga."""
        return self.running.taiga

    @property
    def ninja(self) -> Any:
        """The stand-in Invoice Ninja."""
        return self.running.ninja

    def add_task(
        self, subject: str = "Implement payment gateway", *, has_story: bool = True, who: str = "alice", **values: Any
    ) -> int:
        """A task in Taiga, closed now, with attribute values by their names; returns its Taiga id."""
        task_id = self.api_taiga(
            "POST",
            "/tasks",
            {
                "project": self.mapping.taiga_project_id,
                "subject": subject,
                "status": self.statuses()["Closed"],
                "user_story": self.story() if has_story else None,
                "assigned_to": self.user(who),
            },
        )
        if task_id is None:  # a task without a story answers 500 although it is saved
            rows = self.api_taiga("GET", f"/tasks?project={self.mapping.taiga_project_id}&page_size=1000")
            task_id = next(row for row in rows if row["subject"] == subject)
        if values:
            self.set_values(task_id["id"], **values)
        return int(task_id["id"])

    def set_values(self, task_id: int, **values: Any) -> None:
        """A person types attribute values, given by our short names (billable, hours, rate, status)."""
        names = {
            "billable": scenario.BILLABLE,
            "hours": scenario.HOURS,
            "rate": scenario.RATE,
            "status": scenario.STATUS,
            "client": "Client Invoice ID",
        }
        now = self.values(task_id)
        ids = self.attribute_ids()
        merged = {**now["attributes_values"], **{str(ids[names[key]]): value for key, value in values.items()}}
        path = f"/tasks/custom-attributes-values/{task_id}"
        self.api_taiga("PATCH", path, {"attributes_values": merged, "version": now["version"]})

    def set_status(self, task_id: int, status: str) -> None:
        """A person moves the task to another column."""
        task = self.api_taiga("GET", f"/tasks/{task_id}")
        body = {"version": task["version"], "status": self.statuses()[status]}
        self.api_taiga("PATCH", f"/tasks/{task_id}", body)

    def values(self, task_id: int) -> Any:
        """The values object of a task as Taiga holds it."""
        return self.api_taiga("GET", f"/tasks/custom-attributes-values/{task_id}")

    def named_values(self, task_id: int) -> dict[str, Any]:
        """The attribute values of a task by attribute name, without nulls."""
        names = {str(number): name for name, number in self.attribute_ids().items()}
        values = self.values(task_id)["attributes_values"]
        return {names[key]: value for key, value in values.items() if value is not None}

    def attribute_ids(self) -> dict[str, int]:
        """Ids of the project's task attributes by name."""
        rows = self.api_taiga("GET", f"/task-custom-attributes?project={self.mapping.taiga_project_id}")
        return {row["name"]: row["id"] for row in rows}

    def statuses(self) -> dict[str, int]:
        """Ids of the project's task statuses by name."""
        rows = self.api_taiga("GET", f"/task-statuses?project={self.mapping.taiga_project_id}")
        return {row["name"]: row["id"] for row in rows}

    def story(self) -> int:
        """The project's first story."""
        return int(self.api_taiga("GET", f"/userstories?project={self.mapping.taiga_project_id}")[0]["id"])

    def user(self, username: str) -> int | None:
        """A user's Taiga id; "" is nobody."""
        return (
            next(row["id"] for row in self.taiga.state()["users"] if row["username"] == username) if username else None
        )

    def read(self, task_id: int) -> TimeEntry:
        """Let the console read the task now, as a delivery would make it; returns the task's latest entry."""
        mark_dirty("T", task_id, found_by=FoundBy.WEBHOOK, project_id=self.mapping.taiga_project_id)
        work_items.read_due()
        return TimeEntry.objects.filter(item__taiga_id=task_id).latest("cycle")

    def item(self, task_id: int) -> WorkItem:
        """Our row of a task."""
        return WorkItem.objects.get(kind="T", taiga_id=task_id)

    def tasks(self) -> list[dict[str, Any]]:
        """Every task that Invoice Ninja holds, archived and deleted ones too, oldest first."""
        return self._ninja_rows("tasks")

    def invoices(self) -> list[dict[str, Any]]:
        """Every invoice that Invoice Ninja holds, oldest first."""
        return self._ninja_rows("invoices")

    def mails(self) -> list[str]:
        """The addresses of all mails that left, in order."""
        return [mail["to"] for mail in self.ninja.state()["mails"]]

    def _ninja_rows(self, kind: str) -> list[dict[str, Any]]:
        return list(self.api_ninja("GET", f"/{kind}?per_page=5000&sort=id|asc")["data"])

    def api_taiga(self, method: str, path: str, body: Any = None, *, who: str = "alice") -> Any:
        """One call as a person of the team; None where the server answers 500 although it saved."""
        return _call(self.taiga, method, f"/api/v1{path}", body, {"Authorization": f"Bearer {self._token(who)}"})

    def api_ninja(self, method: str, path: str, body: Any = None) -> Any:
        """One call as the office, by hand."""
        return _call(self.ninja, method, f"/api/v1{path}", body, {"X-API-TOKEN": scenario.NINJA_TOKEN})

    def fail(self, server: str, **fault: Any) -> None:
        """Switch a fault on, e.g. fail("ninja", kind="lost_answer", method="POST", path="/tasks", count=1)."""
        _call(self.taiga if server == "taiga" else self.ninja, "POST", "/sandbox/faults", [fault], {})

    def _token(self, who: str) -> str:
        key = (who, self.taiga.clock.now().date())  # a token ends after a day
        if key not in self.tokens:
            password = scenario.SERVICE_PASSWORD if who == scenario.SERVICE_USER else scenario.PASSWORD
            body = {"type": "normal", "username": who, "password": password}
            self.tokens[key] = str(_call(self.taiga, "POST", "/api/v1/auth", body, {})["auth_token"])
        return self.tokens[key]


def _call(app: Any, method: str, path: str, body: Any, headers: dict[str, str]) -> Any:
    """One call without a socket: only the console's own need a real one."""
    headers = {"Accept": "application/json", "Content-Type": "application/json", **headers}
    data = json.dumps(body, default=float).encode() if body is not None else b""
    answer = app(make_request(method, app.url + path, headers, data))
    if answer.status_code == 500:
        return None
    if answer.status_code >= 300:
        raise AssertionError(f"{method} {path} answered {answer.status_code}: {answer.get_data()[:300]!r}")
    return json.loads(answer.get_data() or b"null", parse_float=Decimal)


def make_request(method: str, url: str, headers: Any, body: bytes) -> Request:
    """A request as the stand-ins' HTTP server makes it."""
    parts = urlsplit(url)
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote(parts.path, "latin-1"),
        "QUERY_STRING": parts.query,
        "REMOTE_ADDR": f"192.0.2.{next(_addresses) % 250 + 1}",
        "SERVER_NAME": parts.hostname,
        "SERVER_PORT": str(parts.port),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
    }
    for name, value in headers.items():
        key = name.upper().replace("-", "_")
        if key != "CONTENT_LENGTH":
            environ[key if key == "CONTENT_TYPE" else f"HTTP_{key}"] = value
    return Request(environ)


@pytest.fixture
def world(running_standins: Running, settings: Any, db: None) -> Iterator[World]:
    """Both stand-ins with the scenario's set-up and no task yet, 1 December 2025, 10:00 in Brussels."""
    cache.clear()
    settings.TAIGA_API = f"{running_standins.taiga.url}/api/v1"
    settings.INVOICE_NINJA_API = f"{running_standins.ninja.url}/api/v1"
    settings.TAIGA_USERNAME, settings.TAIGA_PASSWORD = scenario.SERVICE_USER, scenario.SERVICE_PASSWORD
    settings.TAIGA_TOKEN = ""
    settings.INVOICE_NINJA_TOKEN = scenario.NINJA_TOKEN
    settings.LOOK_UP_AFTER_SECONDS = 0.0
    settings.RETRY_BASE_SECONDS = 0.0
    for standin, seed in (
        (running_standins.taiga, scenario.taiga_seed("http://127.0.0.1:9/webhooks/taiga", "sandbox-webhook-secret")),
        (running_standins.ninja, scenario.ninja_seed()),
    ):
        standin.faults.clear()
        standin.reset()
        standin.clock.set(MORNING)
        standin.seed(seed)
    with ExitStack() as clocks:
        clocks.enter_context(clock.set_to(MORNING))
        yield World(running_standins, *_rows(running_standins), clocks)
    for standin in (running_standins.taiga, running_standins.ninja):
        standin.faults.clear()


def _rows(running: Running) -> tuple[ProjectMapping, Client]:
    """What `import_config` and the discovery leave in our database for the Website project, rate 75."""
    Company.objects.update_or_create(pk=1, defaults={"currency": "EUR"})
    project = scenario.WEBSITE
    (contact,) = running.ninja.store["clients"].get(project.client_id)["contacts"]  # type: ignore[index]
    client = Client.objects.create(
        ninja_id=project.client_id,
        name=project.client_name,
        currency="EUR",
        contacts=[{"id": contact["id"], "name": "Accounts Payable", "email": project.email, "send_email": True}],
        is_known=True,
    )
    ninja_project = NinjaProject.objects.create(
        ninja_id=project.ninja_id, client=client, name=project.name, is_known=True
    )
    mapping = ProjectMapping.objects.create(
        taiga_project_id=project.taiga_id,
        taiga_project_name=project.name,
        client=client,
        ninja_project=ninja_project,
    )
    Rate.objects.create(level="project", project=mapping, amount=Decimal(75), currency="EUR")
    RuleSet.objects.create(tax_decision="tax", tax_name="VAT", tax_rate=Decimal(21), billing_timezone="Europe/Brussels")
    return mapping, client
