"""What happens around a kill: work comes in, and the next ordinary rounds after it, once time has passed."""

from __future__ import annotations

import datetime as dt

from django.db import transaction
from django.utils import timezone

from billing_console import clock
from billing_console.states import EntryState, InvoiceState, RecordState, TransitionMap
from invoicing import creating, credit_use, crediting, marking, review, sending
from invoicing.models import Invoice
from mappings.rules import month
from sync import outbox, provision_calls, push, writeback
from sync.models import RemoteRecord, TimeEntry, UpstreamGate
from tests.invoicing.world import built, make_user, sweep_project
from tests.outbound import expire_lease
from tests.standins import World

RECORD, INVOICE = "sync.remoterecord", "invoicing.invoice"
KILLED = -9
MOMENTS = ("before", "after")


def add_entry(world: World, subject: str) -> TimeEntry:
    """A ready entry of 4.5 h whose task is not yet in Invoice Ninja."""
    return world.read(world.add_task(subject, billable=True, hours=4.5))


def sweep(*kinds: str) -> None:
    """What the next ordinary rounds do once time has passed: leases end, doubts are looked at, the due is written."""
    drains = {
        "task": push.push_due,
        "status": writeback.write_due,
        "invoice": creating.create_due,
        "mark_sent": marking.mark_due,
        "provision": provision_calls.provision_due,
        "credit": lambda: outbox.drain(crediting.HANDLER),
        "credit_use": credit_use.write_due,
    }
    for kind in kinds:
        for record in RemoteRecord.objects.filter(kind=kind, state=RecordState.IN_FLIGHT):
            expire_lease(record)
        RemoteRecord.objects.filter(kind=kind).exclude(not_before=None).update(not_before=timezone.now())
        UpstreamGate.objects.update(resume_at=None)
        drains[kind]()


def arrows_of(transitions: TransitionMap) -> set[tuple[str, str]]:
    """Every (from, to) of a map."""
    return {(source, target) for source, targets in transitions.items() for target in targets}


def approve_one(world: World, number: int) -> Invoice:
    """An approved invoice of the `number`-th month from December 2025 on."""
    year, index = divmod(11 + number, 12)
    worked, due = (dt.datetime(2025 + year, index + 1, day, 9, 0, tzinfo=dt.UTC) for day in (1, 2))
    due = (due.replace(day=28) + dt.timedelta(days=6)).replace(day=2)
    with clock.set_to(worked):
        for standin in (world.taiga, world.ninja):
            standin.clock.set(worked)
        add_entry(world, f"Month {number}")
        push.push_due()
    with clock.set_to(due):
        for standin in (world.taiga, world.ninja):
            standin.clock.set(due)
        sweep_project(world.mapping, due)
        built(month(worked.year, worked.month))
        draft = Invoice.objects.get(state=InvoiceState.DRAFT)
        return review.approve(draft, revision=draft.revision, user=make_user("Approver"))


def ask_to_mark(invoice: Invoice) -> RemoteRecord:
    """An approver asks for a created invoice to be marked as sent."""
    with transaction.atomic():
        locked = sending.lock_sendable(invoice, invoice.seal)
        return marking.request_mark(locked, user=make_user("Approver"), reason="on paper")


def assert_one_invoice_each(world: World) -> None:
    ours = Invoice.objects.all()
    assert [row["private_notes"] for row in world.invoices()] == [invoice.key for invoice in ours.order_by("pk")]
    assert {invoice.state for invoice in ours} <= {InvoiceState.CREATED, InvoiceState.SENT}
    assert {task["invoice_id"] for task in world.tasks()} == {row["id"] for row in world.invoices()}
    assert set(TimeEntry.objects.values_list("state", flat=True)) == {EntryState.INVOICED}
