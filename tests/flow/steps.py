"""What people do in Taiga, in the console and in Invoice Ninja, and what both servers hold afterwards.

The console's part is done by its own Celery tasks, called one after the other until nothing is left to do. Amounts are
EUR, hours as typed, times aware in UTC; the office is that of `sandbox.scenario`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django.db import connection

from accounts.models import User
from invoicing import build, review, run, sending
from invoicing import tasks as invoicing_tasks
from invoicing.models import Invoice, RunClient
from mappings.importer import import_config
from mappings.lookups import new_rule_set_version
from mappings.models import Client, ProjectMapping
from mappings.rules import Period, month
from sandbox import scenario
from sandbox.player import Http
from sandbox.scenario import API, MOBILE, WEBSITE, Project
from sandbox.server import Running
from sync import tasks as sync_tasks
from sync.models import Difference, RemoteRecord, TimeEntry, UpstreamCall, WorkItem
from tests.mappings.conftest import PROJECTS, RULES, USERS

ZONE = "Europe/Brussels"
DECEMBER = month(2025, 12)
JANUARY = month(2026, 1)
NAMES = {
    "billable": scenario.BILLABLE,
    "hours": scenario.HOURS,
    "rate": scenario.RATE,
    "status": scenario.STATUS,
    "client": "Client Invoice ID",
}
# What beat rings, without the sweep, the runs and the poll, which the tests call by name.
DRAINS: tuple[Callable[[], int], ...] = (
    sync_tasks.process_deliveries,
    sync_tasks.read_items,
    sync_tasks.push_tasks,
    sync_tasks.write_statuses,
    invoicing_tasks.create_invoices,
    invoicing_tasks.send_invoices,
)


def december(day: int, hour: int = 15, minute: int = 0, second: int = 0) -> datetime:
    """An instant of December 2025, UTC."""
    return datetime(2025, 12, day, hour, minute, second, tzinfo=UTC)


def january(day: int, hour: int = 9) -> datetime:
    """An instant of January 2026, UTC."""
    return datetime(2026, 1, day, hour, tzinfo=UTC)


def import_guide() -> None:
    """The guide's three files as printed, the other two rows of its table, and VAT 21 % in Brussels."""
    others = [
        {
            "taiga_project_id": project.taiga_id,
            "taiga_project_name": project.name,
            "invoiceninja_client_id": project.client_id,
            "invoiceninja_project_id": project.ninja_id,
            "default_hourly_rate": project.default_rate,
        }
        for project in (MOBILE, API)
    ]
    files = [
        ("projects.json", PROJECTS),
        ("users.json", USERS),
        ("rules.yaml", RULES),
        ("more.json", json.dumps({"project_mappings": others})),
    ]
    assert import_config(files).faults == []
    taxes = {"tax_decision": "tax", "tax_name": "VAT", "tax_rate": Decimal(21)}
    new_rule_set_version(None, {"billing_timezone": ZONE, **taxes})


IDLE = """
    SELECT NOT EXISTS (SELECT FROM sync_webhookdelivery WHERE state IN ('received', 'processing'))
       AND NOT EXISTS (SELECT FROM sync_workitem WHERE is_dirty OR needs_evaluation)
       AND NOT EXISTS (SELECT FROM sync_remoterecord WHERE state IN ('pending', 'retry', 'in_flight', 'in_doubt')
                       AND (not_before IS NULL OR not_before <= now()))
       AND NOT EXISTS (SELECT FROM invoicing_sending WHERE finished_at IS NULL)
"""


def is_idle() -> bool:
    """Whether nothing is left for the worker to do now: every unfinished thing is a row."""
    with connection.cursor() as cursor:
        cursor.execute(IDLE)
        return bool(cursor.fetchone()[0])


@dataclass
class Flow:
    """The office: its people in Taiga, the console between, the clients in Invoice Ninja."""

    running: Running
    project: Project = WEBSITE
    _tokens: dict[Any, str] = field(default_factory=dict)
    _lists: dict[str, list[Any]] = field(default_factory=dict)
    _projects: dict[int, int] = field(default_factory=dict)

    # --- time

    def go_to(self, instant: datetime) -> None:
        """It is `instant` now, for both servers and for the console's business."""
        self.running.clock.set(instant)

    # --- people in Taiga

    def taiga(self, who: str = "owner") -> Http:
        """Taiga's API as one of the team."""
        key = (who, self.running.clock.now().date())
        base = f"{self.running.taiga.url}/api/v1"
        if key not in self._tokens:
            body = {"type": "normal", "username": who, "password": scenario.PASSWORD}
            self._tokens[key] = Http(base).do("POST", "/auth", body)["auth_token"]
        return Http(base, {"Authorization": f"Bearer {self._tokens[key]}"})

    def open(
        self, subject: str = "Fix header", *, who: str = "alice", has_story: bool = True, project: Project | None = None
    ) -> int:
        """A new task, assigned to `who` ("" is nobody); returns its Taiga id."""
        project = project or self.project
        taiga = self.taiga(who or "owner")
        members = {row["username"]: row["id"] for row in self._listed("users", project.taiga_id)}
        body = {
            "project": project.taiga_id,
            "subject": subject,
            "user_story": self._listed("userstories", project.taiga_id)[0]["id"] if has_story else None,
            "assigned_to": members[who] if who else None,
        }
        status, task = taiga.call("POST", "/tasks", body)
        if status == 500:  # a task without a story is saved all the same
            rows = taiga.get(f"/tasks?project={project.taiga_id}&page_size=1000")
            task = next(row for row in rows if row["subject"] == subject)
        self._projects[task["id"]] = project.taiga_id
        return int(task["id"])

    def _listed(self, kind: str, project: int) -> list[Any]:
        """Rows of a project that no test changes, read once."""
        path = f"/{kind}?project={project}"
        if path not in self._lists:
            self._lists[path] = self.taiga().get(path)
        return self._lists[path]

    def type(self, task: int, *, who: str = "alice", **values: Any) -> None:
        """Somebody types attribute values: billable, hours, rate, status or client."""
        ids = self.attribute_ids(task)
        now = self.values_object(task)
        merged = {**now["attributes_values"], **{str(ids[NAMES[name]]): value for name, value in values.items()}}
        plain = {key: float(value) if isinstance(value, Decimal) else value for key, value in merged.items()}
        body = {"attributes_values": plain, "version": now["version"]}
        self.taiga(who).call("PATCH", f"/tasks/custom-attributes-values/{task}", body)

    def move(self, task: int, status: str, *, who: str = "alice") -> None:
        """Somebody moves the task to another column: "Closed", "In progress", …"""
        taiga = self.taiga(who)
        now = taiga.get(f"/tasks/{task}")
        statuses = {row["name"]: row["id"] for row in self._listed("task-statuses", now["project"])}
        taiga.call("PATCH", f"/tasks/{task}", {"version": now["version"], "status": statuses[status]})

    def change(self, task: int, *, who: str = "owner", **fields: Any) -> None:
        """Somebody changes other fields of the task, or comments on it."""
        taiga = self.taiga(who)
        taiga.do("PATCH", f"/tasks/{task}", {"version": taiga.get(f"/tasks/{task}")["version"], **fields})

    def close(
        self,
        hours: Any = 1,
        *,
        at: datetime | None = None,
        subject: str = "Fix header",
        who: str = "alice",
        billable: Any = True,
        project: Project | None = None,
        has_story: bool = True,
        **typed: Any,
    ) -> int:
        """A task opened, filled in and closed, all of it at `at`; returns its Taiga id. The console did nothing yet."""
        self.go_to(at or december(1, 14, 30))
        task = self.open(subject, who=who, has_story=has_story, project=project)
        self.type(task, who=who or "owner", billable=billable, hours=hours, **typed)
        self.move(task, "Closed", who=who or "owner")
        return task

    def reopen(self, task: int, *, at: datetime | None = None) -> None:
        """Somebody takes the task up again, and the console sees it."""
        self.go_to(at or self.running.clock.now())
        self.move(task, "In progress")
        self.work()

    def close_again(self, task: int, *, at: datetime | None = None, **typed: Any) -> None:
        """Somebody types (perhaps) and closes the task again, and the console sees it."""
        self.go_to(at or self.running.clock.now())
        if typed:
            self.type(task, **typed)
        self.move(task, "Closed")
        self.work()

    # --- the console

    def work(self) -> None:
        """The worker does everything there is to do, as beat makes it. Fails when it never comes to rest."""
        for _round in range(30):
            assert self.running.taiga.drain(), "Taiga's own workers never come to rest."
            if is_idle():
                return
            for each in DRAINS:
                each()
        raise AssertionError("The worker never comes to rest.")

    def sweep(self) -> None:
        """The timelines of all projects are swept, and what they say is worked off."""
        sync_tasks.sweep_projects()
        self.work()

    def closed(self, hours: Any = 1, **details: Any) -> TimeEntry:
        """`close`, seen and pushed by the console; returns its entry."""
        task = self.close(hours, **details)
        self.work()
        return self.entry(task)

    def bill(self, period: Period = DECEMBER, *, at: datetime | None = None) -> list[Invoice]:
        """The run of `period` on the 2nd of the next month (or `at`), built; returns its drafts by client."""
        self.go_to(at or datetime(period.end.year, period.end.month, 2, 9, tzinfo=UTC))
        self.work()
        started = run.start_run("monthly", period, timezone=ZONE, trigger="person")
        self._build()
        return list(started.invoices.filter(state="draft").order_by("client__name"))

    def refresh(self, draft: Invoice) -> Invoice:
        """Somebody asks for the draft again; returns it as it is then."""
        run.refresh_draft(Invoice.objects.get(pk=draft.pk))
        self._build()
        self.work()
        return Invoice.objects.get(pk=draft.pk)

    def _build(self) -> None:
        for _round in range(5):
            build.build_due()
            if not RunClient.objects.filter(state="waiting").exists():
                return
            self.work()
        raise AssertionError(f"The run waits: {list(RunClient.objects.values_list('client__name', 'sentence'))}")

    def approve(self, draft: Invoice) -> Invoice:
        """The approver approves the draft; it is created in Invoice Ninja."""
        draft = Invoice.objects.get(pk=draft.pk)
        review.approve(draft, revision=draft.revision, user=person())
        self.work()
        return Invoice.objects.get(pk=draft.pk)

    def send(self, invoice: Invoice) -> Invoice:
        """The approver confirms the sending; it is mailed and proven."""
        invoice = Invoice.objects.get(pk=invoice.pk)
        sending.request_sending(invoice, seal=invoice.seal, user=person())
        self.work()
        return Invoice.objects.get(pk=invoice.pk)

    def poll(self) -> None:
        """What changed in Invoice Ninja is read, and its consequences worked off."""
        invoicing_tasks.poll_payments()
        self.work()

    # --- the office in Invoice Ninja

    @property
    def ninja(self) -> Http:
        """Invoice Ninja's API as the office uses it by hand."""
        return Http(f"{self.running.ninja.url}/api/v1", {"X-API-TOKEN": scenario.NINJA_TOKEN})

    def pay(self, invoice: Invoice, amount: Decimal) -> None:
        """The client pays `amount` on the invoice."""
        there = self.invoice_there(invoice)
        paid = {"invoice_id": there["id"], "amount": float(amount)}
        day = self.running.clock.now().date().isoformat()
        body = {"client_id": there["client_id"], "amount": float(amount), "date": day, "invoices": [paid]}
        self.ninja.do("POST", "/payments", body)

    def act(self, action: str, invoice: Invoice) -> None:
        """Somebody does a bulk action by hand in Invoice Ninja: mark_sent, email, cancel, delete.

        Nobody is quicker than the server's lock: two acts by hand are more than a second apart.
        """
        self.running.ninja.store.guard.clear()
        self.ninja.do("POST", "/invoices/bulk", {"action": action, "ids": [self.invoice_there(invoice)["id"]]})

    # --- what is there

    def attribute_ids(self, task: int) -> dict[str, int]:
        """Ids of the task attributes of a task's project, by name."""
        return {row["name"]: row["id"] for row in self._listed("task-custom-attributes", self._projects[task])}

    def values_object(self, task: int) -> Any:
        """The values object of a task as Taiga holds it."""
        return self.taiga().get(f"/tasks/custom-attributes-values/{task}")

    def values(self, task: int) -> dict[str, Any]:
        """What Taiga holds for a task, by attribute name, without nulls; keys as in `type`."""
        short = {str(number): name for name, number in self.attribute_ids(task).items()}
        keys = {name: key for key, name in NAMES.items()}
        values = self.values_object(task)["attributes_values"]
        return {keys[short[number]]: value for number, value in values.items() if value is not None}

    def tasks(self) -> list[dict[str, Any]]:
        """Every task of Invoice Ninja, archived and deleted ones too, oldest first."""
        return list(self.ninja.get("/tasks?per_page=5000&sort=id|asc&status=active,archived,deleted")["data"])

    def task_there(self, entry: TimeEntry) -> dict[str, Any]:
        """The task of an entry in Invoice Ninja."""
        return next(row for row in self.tasks() if row["number"] == f"TAIGA-{entry.number}")

    def invoices(self) -> list[dict[str, Any]]:
        """Every invoice of Invoice Ninja, deleted ones too, oldest first."""
        return list(self.ninja.get("/invoices?per_page=5000&sort=id|asc&status=active,archived,deleted")["data"])

    def invoice_there(self, invoice: Invoice) -> dict[str, Any]:
        """Our invoice in Invoice Ninja, found by its key."""
        return next(row for row in self.invoices() if row["private_notes"] == invoice.key)

    def mails(self) -> list[str]:
        """The addresses of all mails that left, in order."""
        return [mail["to"] for mail in self.running.ninja.state()["mails"]]

    def entry(self, task: int) -> TimeEntry:
        """Our latest entry of a task."""
        return TimeEntry.objects.filter(item__taiga_id=task).latest("cycle")


def person() -> User:
    """Who decides: an approver."""
    return User.objects.get_or_create(username="anna")[0]


def fresh(row: Any) -> Any:
    """The row as it is now."""
    return type(row).objects.get(pk=row.pk)


def hours_of(task: dict[str, Any]) -> Decimal:
    """Hours in the time log of a task of Invoice Ninja."""
    return sum((Decimal(row[1] - row[0]) / 3600 for row in json.loads(task["time_log"])), Decimal(0))


def amount_of(task: dict[str, Any]) -> Decimal:
    """Hours × rate of a task of Invoice Ninja, in cents."""
    return (hours_of(task) * Decimal(str(task["rate"]))).quantize(Decimal("0.01"))


def calls_since(mark: int) -> list[str]:
    """Method and path of each upstream call after the `mark`th."""
    return [f"{call.method} {call.path}" for call in UpstreamCall.objects.order_by("id")[mark:]]


def client_of(project: Project = WEBSITE) -> Client:
    """Our row of a project's client."""
    return Client.objects.get(ninja_id=project.client_id)


def mapping_of(project: Project = WEBSITE) -> ProjectMapping:
    """Our row of a project."""
    return ProjectMapping.objects.get(taiga_project_id=project.taiga_id)


def record_of(entry: TimeEntry) -> RemoteRecord:
    """Our record of an entry's task in Invoice Ninja."""
    return RemoteRecord.objects.get(entry=entry)


def item_of(task: int) -> WorkItem:
    """Our row of a Taiga task."""
    return WorkItem.objects.get(kind="T", taiga_id=task)


def open_difference(entry: TimeEntry) -> Difference | None:
    """The open Difference of an entry's item, if any."""
    return Difference.objects.filter(item=entry.item_id, state="open").first()
