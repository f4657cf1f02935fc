"""Helpers of the tests of everything that is written outward: time that passes for a record, a claim, an invoice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import models
from django.utils import timezone

from billing_console.states import InvoiceState
from invoicing import creating, payments, review, sending
from invoicing.models import Invoice, PollCursor, Sending
from mappings.rules import month
from sync import outbox, push, writeback
from sync.models import RemoteRecord, Transition, UpstreamGate
from tests.invoicing.world import built, make_user, sweep_project
from tests.standins import World

JANUARY_2 = datetime(2026, 1, 2, 9, 0, tzinfo=UTC)
JANUARY_22 = datetime(2026, 1, 22, 9, 0, tzinfo=UTC)


def fresh(row: Any) -> Any:
    """The row as the database has it now."""
    return type(row)._default_manager.get(pk=row.pk)


def make_due(record: RemoteRecord) -> None:
    """The wait of the record is over, and what its server asked for."""
    UpstreamGate.objects.update(resume_at=None)
    RemoteRecord.objects.filter(pk=record.pk).update(not_before=timezone.now() - timedelta(seconds=1))


def expire_lease(row: RemoteRecord | Sending) -> None:
    """The lease of the row ran out a second ago: its worker sleeps, or is dead."""
    type(row)._default_manager.filter(pk=row.pk).update(lease_until=timezone.now() - timedelta(seconds=1))


def sent_invoice(world: World) -> Invoice:
    """Mailed on 2 January, due on 1 February, and polled since."""
    invoice = created_invoice(world)
    sending.request_sending(invoice, seal=invoice.seal, user=None)
    sending.send_due()
    payments.poll()
    row: Invoice = fresh(invoice)
    return row


def pass_by_all_changes(world: World) -> None:
    """Polls have read everything until ten minutes later, without seeing any of it."""
    world.go_to(world.ninja.clock.now() + timedelta(minutes=10))
    PollCursor.objects.update(seen_until=world.ninja.clock.now())


def states_of(row: models.Model) -> list[str]:
    """The states that the row moved to, in order, from its trail."""
    trail = Transition.objects.filter(model=row._meta.label_lower, row_id=row.pk).order_by("id")
    return list(trail.values_list("to_state", flat=True))


def claimed(kind: str) -> outbox.Claim:
    """A claim on the next due record of `kind`, as a worker takes it."""
    claim = outbox.claim_next(kind)
    assert claim is not None
    return claim


def drain_all() -> None:
    """What workers do until nothing is due: tasks, statuses, invoices, mails."""
    for _round in range(3):
        push.push_due()
        writeback.write_due()
        creating.create_due()
        sending.send_due()


def approved_invoice(world: World, *hours: Any, **values: Any) -> Invoice:
    """An approved December invoice, one closed task for each of `hours` (4.5 h at 75 without any); 2 January 2026."""
    for number, some in enumerate(hours or (4.5,), 1):
        world.read(world.add_task(f"Task {number}", billable=True, hours=some, **values))
    push.push_due()
    writeback.write_due()
    world.go_to(JANUARY_2)
    sweep_project(world.mapping, JANUARY_2)
    run = built(month(2025, 12))
    (draft,) = Invoice.objects.filter(run=run)
    return review.approve(draft, revision=draft.revision, user=make_user("Approver"))


def created_invoice(world: World, *hours: Any) -> Invoice:
    """The same, created in Invoice Ninja and read back."""
    invoice = approved_invoice(world, *hours)
    creating.create_due()
    row = fresh(invoice)
    assert row.state == InvoiceState.CREATED, row.remote.sentence
    return row
