"""The office that is measured: both stand-ins seeded, the guide's files imported, work that people closed."""

from __future__ import annotations

import os
from io import StringIO
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command

from bench.servers import addresses
from sandbox import scenario
from sandbox.player import Http
from sync import discovery, upstreams

CONFIG = Path(__file__).parent.parent / "sandbox" / "config"


class Office:
    """One project of the scenario, with everything known that the happy path needs to know beforehand."""

    def __init__(self, urls: tuple[str, str]) -> None:
        self.urls = urls
        self.project = scenario.WEBSITE.taiga_id
        Http(urls[0]).do("POST", "/sandbox/seed", scenario.taiga_seed("http://127.0.0.1:9/", "bench-hook-key"))
        Http(urls[1]).do("POST", "/sandbox/seed", scenario.ninja_seed())
        variables = {
            **addresses(urls),
            "TAIGA_USERNAME": scenario.SERVICE_USER,
            "TAIGA_PASSWORD": scenario.SERVICE_PASSWORD,
            "INVOICE_NINJA_TOKEN": scenario.NINJA_TOKEN,
        }
        os.environ.update(variables)  # for the worker
        for name, value in variables.items():
            setattr(settings, name, value)
        files = [CONFIG / f"{name}" for name in ("project_mappings.json", "user_rates.json", "billing_rules.yaml")]
        call_command("import_config", *map(str, files), stdout=StringIO())
        discovery.refresh_invoice_ninja()
        for server in ("taiga", "invoice_ninja"):
            upstreams.check_pin(server)
        body = {"type": "normal", "username": "owner", "password": scenario.PASSWORD}
        token = Http(f"{urls[0]}/api/v1").do("POST", "/auth", body)["auth_token"]
        self.taiga = Http(f"{urls[0]}/api/v1", {"Authorization": f"Bearer {token}"})
        rows = self.taiga.get(f"/task-custom-attributes?project={self.project}")
        self.attributes = {row["name"]: str(row["id"]) for row in rows}
        statuses = self.taiga.get(f"/task-statuses?project={self.project}")
        self.closed = next(row["id"] for row in statuses if row["is_closed"])
        self.story = self.taiga.get(f"/userstories?project={self.project}")[0]["id"]

    def open(self, count: int) -> list[int]:
        """So many open tasks of the story; their Taiga ids."""
        ids: list[int] = []
        while len(ids) < count:
            lines = "\n".join(f"Work {number}" for number in range(min(count - len(ids), 1000)))
            body = {"project_id": self.project, "us_id": self.story, "bulk_tasks": lines}
            ids += [row["id"] for row in self.taiga.do("POST", "/tasks/bulk_create", body)]
        return ids

    def close(self, task: int) -> None:
        """Somebody types 1.5 billable hours and closes the task."""
        values: dict[str, Any] = {self.attributes[scenario.BILLABLE]: True, self.attributes[scenario.HOURS]: 1.5}
        path = f"/tasks/custom-attributes-values/{task}"
        self.taiga.do("PATCH", path, {"attributes_values": values, "version": 1})
        self.taiga.do("PATCH", f"/tasks/{task}", {"version": 1, "status": self.closed})
