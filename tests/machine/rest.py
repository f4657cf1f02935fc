"""How a day ends: time passes, people answer what they are asked; then the memory of both servers is compared."""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.db.models import QuerySet
from django.utils import timezone

from accounts.models import User
from billing_console.states import InvoiceState, RecordState
from invoicing import build, creating, late_proof, run, sending
from invoicing.models import Invoice, RunClient, Sending
from sandbox import scenario
from sync import attention, gate, ingest, push, reevaluate, sweep, work_items, writeback
from sync.models import Difference, ProjectSweep, RemoteRecord, TimeEntry, UpstreamGate, WebhookDelivery, WorkItem
from tests.standins import World

if TYPE_CHECKING:
    from tests.machine.office import Typed

RATE = Decimal(75)
# What beat rings, one after the other.
DRAINS: dict[str, Callable[[], int]] = {
    "deliveries": ingest.process_due,
    "items": lambda: reevaluate.evaluate_marked() + work_items.read_due(),
    "push": push.push_due,
    "writeback": writeback.write_due,
    "invoices": creating.create_due,
    "mails": sending.send_due,
    "runs": build.build_due,
    "sweep": sweep.sweep_all,
    "probe": gate.probe_due,
}
# Rows that still wait for something to happen by itself.
UNSETTLED: dict[str, Callable[[], QuerySet[Any]]] = {
    "deliveries": lambda: WebhookDelivery.objects.filter(state__in=("received", "processing")),
    "items": lambda: WorkItem.objects.filter(is_dirty=True) | WorkItem.objects.filter(needs_evaluation=True),
    "records": lambda: RemoteRecord.objects.exclude(state__in=("synced", "dropped")),
    "mails": lambda: Sending.objects.filter(finished_at=None),
    "decisions": lambda: late_proof.waiting().exclude(allowed_note=""),
    "runs": lambda: RunClient.objects.exclude(state="built").exclude(state="empty"),
    "drafts": lambda: Invoice.objects.filter(state="draft", is_stale=True),
}


def end_leases() -> None:
    """Every lease ran out, and every wait is over."""
    past = timezone.now() - dt.timedelta(seconds=1)
    for model, until in (
        (RemoteRecord, "lease_until"),
        (WebhookDelivery, "lease_until"),
        (ProjectSweep, "lease_until"),
        (Sending, "lease_until"),
        (WorkItem, "reading_until"),
    ):
        model._default_manager.exclude(**{until: None}).update(**{until: past})
    for waiting in (RemoteRecord, WebhookDelivery, WorkItem, Sending):
        waiting._default_manager.exclude(not_before=None).update(not_before=past)
    UpstreamGate.objects.exclude(resume_at=None).update(resume_at=past)


def come_to_rest(world: World) -> None:
    """Until nothing waits any more. Fails when something waits for ever."""
    for round_ in range(12):
        end_leases()
        if round_ in (0, 6):
            DRAINS["sweep"]()
        for name in ("probe", "deliveries", "items", "push", "writeback", "invoices", "mails", "runs"):
            DRAINS[name]()
        _answer(world)
        if round_ > 0 and not any(query().exists() for query in UNSETTLED.values()):
            return
    left = {name: list(query().values()) for name, query in UNSETTLED.items() if query().exists()}
    raise AssertionError(f"It never comes to rest: {left}")


def _answer(world: World) -> None:
    """What people do about what waits for them."""
    for remote in RemoteRecord.objects.filter(state=RecordState.ATTENTION):
        attention.try_again(remote, user=somebody())
    for draft in Invoice.objects.filter(state=InvoiceState.DRAFT, is_stale=True):
        run.refresh_draft(draft, user=somebody())
    Sending.objects.filter(finished_at=None).exclude(called_at=None).update(
        called_at=timezone.now() - dt.timedelta(hours=1)
    )
    mailed = Counter(mail["invoice_id"] for mail in world.ninja.memory.dump()["mails"])
    for invoice in Invoice.objects.filter(state=InvoiceState.ATTENTION).select_related("remote"):
        assert invoice.remote is not None
        if late_proof.waiting().filter(invoice=invoice).exclude(allowed_note="").exists():
            continue  # said already, and read once more in the next round
        sending.decide(invoice, was_sent=bool(mailed[invoice.remote.remote_id]), user=somebody(), note="looked")


def somebody() -> User:
    """Who decides."""
    return User.objects.get_or_create(username="anna")[0]


class Witness:
    """What both servers hold, beside what people did."""

    def __init__(self, world: World, typed: Iterable[Typed], taiga: Callable[..., Any]) -> None:
        self.typed, self.taiga = list(typed), taiga
        self.there = world.ninja.memory.dump()
        self.attribute_names = {str(number): name for name, number in world.attribute_ids().items()}
        self.tasks: dict[int, list[dict[str, Any]]] = defaultdict(list)
        for row in self.there["tasks"]:
            self.tasks[int(row["number"].removeprefix("TAIGA-T").partition("-")[0])].append(row)

    def compare(self) -> None:
        """Each item is billed once, for its last hours; what people typed is still there."""
        assert set(self.tasks) <= {typed.task for typed in self.typed}
        for typed in self.typed:
            self._compare_hours(typed)
            if not typed.is_gone:
                self._compare_values(typed)
        self._compare_invoices()
        self._compare_mails()

    def _compare_hours(self, typed: Typed) -> None:
        """Live tasks, with what an open Difference says, are what the item comes to now."""
        live = [task for task in self.tasks[typed.task] if not task["is_deleted"] and not task["archived_at"]]
        assert {Decimal(str(task["rate"])) for task in live} <= {RATE}
        entries = list(TimeEntry.objects.filter(item__taiga_id=typed.task).select_related("remote_task"))
        wanted = {entry.remote_task.remote_id for entry in entries if entry.state in ("ready", "claimed", "invoiced")}
        assert wanted <= {task["id"] for task in live}, (typed, live, entries)
        if typed.is_gone or not typed.is_closed:
            return  # held as gone or reopened, with what was there before
        hours = sum((_hours(task) for task in live), Decimal(0))
        difference = Difference.objects.filter(item__taiga_id=typed.task, state="open").first()
        off = difference.hours_now - difference.billed_hours if difference is not None else Decimal(0)
        assert hours + off == typed.billed, (typed, live, difference)

    def _compare_values(self, typed: Typed) -> None:
        values = self.taiga("GET", f"/tasks/custom-attributes-values/{typed.task}")["attributes_values"]
        named = {self.attribute_names[key]: value for key, value in values.items() if value is not None}
        status = named.pop(scenario.STATUS, None)
        hours = typed.hours if isinstance(typed.hours, str) else Decimal(str(typed.hours))
        assert named == {scenario.HOURS: hours, scenario.BILLABLE: typed.is_billable}
        live = [task for task in self.tasks[typed.task] if not task["is_deleted"] and not task["archived_at"]]
        assert status == ("Invoiced" if live else None), (typed, live)

    def _compare_invoices(self) -> None:
        """Every invoice there is one of ours, with its lines; every task is on one invoice at most."""
        ours = Invoice.objects.exclude(remote=None).exclude(remote__state="dropped")
        there = {row["private_notes"]: row for row in self.there["invoices"]}
        assert set(there) == {invoice.key for invoice in ours}
        billed = Counter(line["task_id"] for row in there.values() for line in row["line_items"])
        assert set(billed.values()) <= {1}
        for row in there.values():
            for line in row["line_items"]:
                (task,) = [task for task in self.there["tasks"] if task["id"] == line["task_id"]]
                assert task["invoice_id"] == row["id"]
                assert _hours(task) == Decimal(str(line["quantity"]))
        assert {task["id"] for task in self.there["tasks"] if task["invoice_id"]} == set(billed)
        entries = TimeEntry.objects.filter(state="invoiced").values_list("remote_task__remote_id", flat=True)
        assert set(entries) == set(billed)

    def _compare_mails(self) -> None:
        """One mail for each invoice that we say was sent, none for another."""
        mailed = Counter(mail["invoice_id"] for mail in self.there["mails"])
        assert set(mailed.values()) <= {1}
        sent = Invoice.objects.filter(state="sent").values_list("remote__remote_id", flat=True)
        assert set(mailed) == set(sent)


def _hours(task: dict[str, Any]) -> Decimal:
    log = json.loads(task["time_log"]) if isinstance(task["time_log"], str) else task["time_log"]
    return sum((Decimal(end - start) / 3600 for start, end, *_rest in log), Decimal(0))
