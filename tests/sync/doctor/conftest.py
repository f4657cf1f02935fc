"""A receiver of webhooks that answers as a test wants it, and the doctor's findings as plain tuples."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from werkzeug.wrappers import Request, Response

from sandbox import scenario
from sandbox.http_server import Server
from sandbox.taiga.kinds import TASK
from sync import sweep, work_items
from sync.doctor import checking
from sync.models import DoctorCheck, DoctorFinding
from tests.standins import World

SECRET = "sandbox-webhook-secret"


@dataclass
class Receiver:
    """What Taiga's deliveries reach: answers `status` with `headers`."""

    status: int = 202
    headers: dict[str, str] = field(default_factory=dict)
    url: str = ""

    def __call__(self, request: Request) -> Response:
        return Response('{"status": "x"}', self.status, self.headers, content_type="application/json")


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    """A server of its own under the console's PUBLIC_URL."""
    receiver = Receiver()
    server = Server("127.0.0.1", 0, receiver)
    server.start()
    receiver.url = settings.PUBLIC_URL = server.url
    yield receiver
    server.stop()


@dataclass
class Ward:
    """The world, its one webhook, and the doctor."""

    world: World
    receiver: Receiver

    @property
    def hook_id(self) -> int:
        return int(self.store.webhooks.find(project=self.world.mapping.taiga_project_id)[0]["id"])

    @property
    def store(self) -> Any:
        return self.world.taiga.store

    def hook(self, **fields: Any) -> None:
        """Change the project's webhook."""
        with self.store.memory.transaction():
            self.store.webhooks.update(self.hook_id, **fields)

    def project(self, **fields: Any) -> None:
        """Change the project in Taiga."""
        with self.store.memory.transaction():
            self.store.projects.update(self.world.mapping.taiga_project_id, **fields)

    def membership(self, **fields: Any) -> None:
        """Change what our user is in the project."""
        row = self.store.membership(self.world.user(scenario.SERVICE_USER), self.world.mapping.taiga_project_id)
        with self.store.memory.transaction():
            self.store.memberships.update(row["id"], **fields)

    def test_hook(self) -> None:
        """A person clicks "Test webhook" in Taiga."""
        self.world.api_taiga("POST", f"/webhooks/{self.hook_id}/test", who=scenario.SERVICE_USER)

    def _attribute(self, name: str) -> Any:
        return next(row for row in self._attributes().find(project=1) if row["name"] == name)

    def _attributes(self) -> Any:
        return self.store.attributes(TASK)

    def drop_attribute(self, name: str) -> None:
        """Somebody deletes an attribute of the tasks."""
        with self.store.memory.transaction():
            self._attributes().delete(self._attribute(name)["id"])

    def change_attribute(self, name: str, **fields: Any) -> None:
        """Somebody changes an attribute of the tasks."""
        with self.store.memory.transaction():
            self._attributes().update(self._attribute(name)["id"], **fields)

    def read_swept(self) -> None:
        """A task is closed, and only the sweep notices."""
        self.world.add_task("Closed in silence", billable=True, hours=1)
        sweep.sweep_project(self.world.mapping)
        work_items.read_due()

    def company(self, **fields: Any) -> None:
        """Change the company in Invoice Ninja."""
        self.world.ninja.seed({"company": fields})

    def switch(self, **switches: Any) -> None:
        """Change the server of Invoice Ninja itself."""
        self.world.ninja.seed({"switches": switches})

    def client(self, **fields: Any) -> None:
        """Change the client in Invoice Ninja."""
        store = self.world.ninja.store
        with store.memory.transaction():
            store.save("clients", self.world.client.ninja_id, **fields)

    def look(self, *keys: str) -> list[tuple[str, str, str]]:
        """Let the doctor look at these; what is not right, as (severity, code, sentence)."""
        checking.ensure_checks()
        wanted = DoctorCheck.objects.filter(key__in=keys or [f"project-{self.world.mapping.pk}"])
        for check in checking.in_order(wanted):
            checking.check_one(check)
        rows = DoctorFinding.objects.exclude(severity="ok").order_by("id")
        return [(row.severity, row.code, row.sentence) for row in rows]


@pytest.fixture
def ward(world: World, receiver: Receiver, settings: Any) -> Ward:
    """A world in which all is well: its webhook was tested and arrived."""
    settings.WEBHOOK_SECRET = SECRET
    ward = Ward(world, receiver)
    ward.hook(url=f"{receiver.url}/webhooks/taiga", key=SECRET)
    world.ninja.seed(
        {
            "company": {
                "update_products": False,
                "settings": {
                    "enable_reminder1": True,
                    "num_days_reminder1": 7,
                    "schedule_reminder1": "after_due_date",
                },
            }
        }
    )
    ward.test_hook()
    return ward
