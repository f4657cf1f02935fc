"""How a day ends: time passes, people answer what they are asked; then the memory of both servers is compared."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from accounts.models import User
from billing_console.states import InvoiceState, RecordState
from invoicing import build, carrying, creating, crediting, late_proof, run, sending
from invoicing.models import Invoice, InvoiceLine, RunClient, Sending
from invoicing.reconcile import NOT_THERE_YET
from sandbox import scenario
from sync import attention, gate, ingest, push, reevaluate, sweep, work_items, writeback
from sync.models import (
    Difference,
    ProjectSweep,
    RemoteRecord,
    TimeEntry,
    UpstreamGate,
    WebhookDelivery,
    WorkItem,
)
from tests.machine.facts import Bill, Line, Seen
from tests.machine.ledger import Ledger
from tests.standins import World

if TYPE_CHECKING:
    from tests.machine.office import Typed

RATE = Decimal(75)
BRUSSELS = ZoneInfo("Europe/Brussels")
CLIENT = "Client Invoice ID"  # the attribute in which somebody names another client
# What beat rings, one after the other.
DRAINS: dict[str, Callable[[], int]] = {
    "deliveries": ingest.process_due,
    "items": lambda: reevaluate.evaluate_marked() + work_items.read_due(),
    "push": push.push_due,
    "writeback": writeback.write_due,
    "invoices": creating.create_due,
    "mails": sending.send_due,
    "credits": crediting.write_due,
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
        world.ninja.store.guard.clear()  # no two calls lie within one second: an hour passes here in a moment
        if round_ in (0, 6):
            DRAINS["probe"]()  # a server that was left alone is asked first, or nobody sweeps it
            DRAINS["sweep"]()
        for name in ("probe", "deliveries", "items", "push", "writeback", "invoices", "mails", "credits", "runs"):
            DRAINS[name]()
        _answer(world)
        if round_ > 0 and not any(query().exists() for query in UNSETTLED.values()):
            return
    left = {name: list(query().values()) for name, query in UNSETTLED.items() if query().exists()}
    raise AssertionError(f"It never comes to rest: {left}")


def come_to_rest_again(world: World) -> None:
    """The same where nothing was lost and everything had come to rest before: what waits is done, and nothing else."""
    due = {
        "items": ("items",),
        "records": ("push", "writeback", "invoices", "credits"),
        "mails": ("mails",),
        "runs": ("runs",),
    }
    for _round in range(12):
        waiting = [name for name, query in UNSETTLED.items() if query().exists()]
        if not waiting:
            return
        end_leases()
        world.ninja.store.guard.clear()
        for step in (step for name in waiting for step in due.get(name, ())):
            DRAINS[step]()
        _answer(world)
    come_to_rest(world)


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

    def __init__(self, world: World, typed: Iterable[Typed], taiga: Callable[..., Any], ledger: Ledger) -> None:
        self.typed, self.taiga, self.ledger = list(typed), taiga, ledger
        self.there = world.ninja.memory.dump()
        self.attribute_names = {str(number): name for name, number in world.attribute_ids().items()}
        self.tasks: dict[int, list[dict[str, Any]]] = defaultdict(list)
        for row in self.there["tasks"]:
            self.tasks[int(row["number"].removeprefix("TAIGA-T").partition("-")[0])].append(row)

    def compare(self) -> None:
        """Each item is billed once, for its last hours; what people typed is still there."""
        assert set(self.tasks) <= {typed.task for typed in self.typed}
        for typed in self.typed:
            self.compare_item(typed)
        self._compare_invoices()
        self._compare_mails()

    def account(self, *, is_exact: bool) -> None:
        """Let the ledger take over what clients are asked for, and check that every hour and cent is somewhere."""
        self.ledger.observe(self.bills(), is_exact=is_exact)
        self.ledger.check(_seen(), self.credits(), _waiting_by_hand())

    def compare_item(self, typed: Typed) -> None:
        """Its tasks in Invoice Ninja and its values in Taiga."""
        self._compare_hours(typed)
        if not typed.is_gone:
            self._compare_values(typed)

    def _compare_hours(self, typed: Typed) -> None:
        """Live tasks, with what an open Difference says, are what the item comes to now."""
        live = [task for task in self.tasks[typed.task] if not task["is_deleted"] and not task["archived_at"]]
        entries = list(TimeEntry.objects.filter(item__taiga_id=typed.task).select_related("remote_task"))
        wanted = {entry.remote_task.remote_id for entry in entries if entry.state in ("ready", "claimed", "invoiced")}
        assert wanted <= {task["id"] for task in live}, (typed, live, entries)
        is_held = any(entry.state == "held" for entry in entries)
        if is_held or typed.is_gone or not typed.is_closed or not self.ledger.is_plain(typed.task):
            return  # held, with what was there before; or a person said otherwise
        assert {Decimal(str(task["rate"])) for task in live} <= {row[1] for row in self.ledger.rates}
        hours = sum((_hours(task) for task in live), Decimal(0))
        difference = Difference.objects.filter(item__taiga_id=typed.task, state="open").first()
        off = difference.hours_now - difference.billed_hours if difference is not None else Decimal(0)
        wanted_hours = self.ledger.items[typed.task].hours_now(self.ledger.step)
        assert hours + off == wanted_hours, (typed, live, difference, self.ledger.items[typed.task])

    def _compare_values(self, typed: Typed) -> None:
        values = self.taiga("GET", f"/tasks/custom-attributes-values/{typed.task}")["attributes_values"]
        named = {self.attribute_names[key]: value for key, value in values.items() if value not in (None, "")}
        status = named.pop(scenario.STATUS, None)
        hours = typed.hours if isinstance(typed.hours, str) else Decimal(str(typed.hours))
        client = {CLIENT: typed.client} if typed.client else {}
        assert named == {scenario.HOURS: hours, scenario.BILLABLE: typed.is_billable, **client}
        live = [task for task in self.tasks[typed.task] if not task["is_deleted"] and not task["archived_at"]]
        assert status == ("Invoiced" if live else None), (typed, live)

    def _compare_invoices(self) -> None:
        """Every invoice there is one of ours, with its lines; every task is on one living invoice at most."""
        ours = Invoice.objects.exclude(remote=None).exclude(remote__state="dropped")
        assert {row["private_notes"] for row in self.there["invoices"]} == {invoice.key for invoice in ours}
        living = {bill.id: bill for bill in self.bills() if not bill.has_ended}
        billed = Counter(line.task for bill in living.values() for line in bill.lines if line.task)
        assert set(billed.values()) <= {1}
        tasks = {task["number"]: task for task in self.there["tasks"]}
        for bill in living.values():
            for line in bill.lines:
                if line.task:
                    number = int(line.task.removeprefix("TAIGA-T").partition("-")[0])
                    assert tasks[line.task]["invoice_id"] == bill.id
                    assert _hours(tasks[line.task]) == line.hours or not self.ledger.is_plain(number)
        linked = {task["number"] for task in self.there["tasks"] if task["invoice_id"] in living}
        assert linked == set(billed)
        rows = InvoiceLine.objects.filter(entry__state="invoiced", is_voided=False)
        rows = rows.filter(invoice__remote__remote_id__in=living)
        assert set(rows.values_list("entry__remote_task__our_key", flat=True)) == set(billed)

    def _compare_mails(self) -> None:
        """One mail for each invoice that we say was sent, none for another."""
        mailed = Counter(mail["invoice_id"] for mail in self.there["mails"])
        assert set(mailed.values()) <= {1}
        sent = Invoice.objects.filter(sent_at__isnull=False).values_list("remote__remote_id", flat=True)
        assert set(mailed) == set(sent)

    def bills(self) -> list[Bill]:
        """What clients are asked for, by the memory of Invoice Ninja."""
        numbers = {task["id"]: task["number"] for task in self.there["tasks"]}
        asked = RunClient.objects.filter(run=OuterRef("run"), client=OuterRef("client"))
        refreshed = Invoice.objects.filter(Exists(asked.filter(asked_at__gt=OuterRef("created_at"))))
        refreshed_there = set(refreshed.values_list("remote__remote_id", flat=True))
        return [
            Bill(
                row["id"],
                row["client_id"],
                _has_ended(row),
                tuple(
                    Line(
                        numbers[line["task_id"]] if line.get("task_id") else "",
                        line["notes"],
                        Decimal(str(line["quantity"])),
                        Decimal(str(line["cost"])),
                    )
                    for line in row["line_items"]
                ),
                row["id"] in refreshed_there,
            )
            for row in self.there["invoices"]
        ]

    def credits(self) -> dict[int, Decimal]:
        """What credits give back of each item, before tax; what is written off of a whole invoice names none."""
        by_ref = {typed.ref: typed.task for typed in self.typed}
        found: dict[int, Decimal] = defaultdict(Decimal)
        for row in self.there["credits"]:
            for line in row["line_items"]:
                if (ref := re.search(r"#(\d+)", line["notes"])) and not row["is_deleted"]:
                    amount = Decimal(str(line["quantity"])) * Decimal(str(line["cost"]))
                    found[by_ref[int(ref[1])]] += amount.quantize(Decimal("0.01"))
        return found


def _seen() -> dict[int, Seen]:
    """What the console holds ready, and what it asks, by Taiga's id of the item."""
    offered: dict[int, Decimal] = defaultdict(Decimal)
    unbilled = TimeEntry.objects.filter(state__in=("ready", "held", "claimed")).select_related("item")
    for entry in unbilled.exclude(reason="billed_to_another"):  # that one waits for the question
        offered[entry.item.taiga_id] += entry.billed_hours or Decimal(0)
    rows = Difference.objects.filter(state="open").select_related("item")
    asked = {row.item.taiga_id: (row.hours_now, row.amount) for row in rows}
    return {number: Seen(offered[number], asked.get(number)) for number in {*offered, *asked}}


def _waiting_by_hand() -> dict[str, Decimal]:
    """Lines by hand that no invoice in Invoice Ninja bears yet, by their text: on drafts, or waiting for one."""
    on_drafts = InvoiceLine.objects.filter(entry=None, is_voided=False, invoice__state__in=NOT_THERE_YET)
    found: dict[str, Decimal] = defaultdict(Decimal)
    for line in (*on_drafts, *carrying.waiting()):
        found[line.notes] += line.amount
    return dict(found)


def _has_ended(row: dict[str, Any]) -> bool:
    """Deleted, or cancelled before money came in (recordings-agreements: a later change calls that one paid)."""
    is_cancelled = row["status_id"] in ("5", "6") or (row["status_id"] == "4" and not row["balance"])
    return bool(row["is_deleted"]) or (is_cancelled and not row["paid_to_date"] and bool(row["amount"]))


def _hours(task: dict[str, Any]) -> Decimal:
    log = json.loads(task["time_log"]) if isinstance(task["time_log"], str) else task["time_log"]
    return sum((Decimal(end - start) / 3600 for start, end, *_rest in log), Decimal(0))
