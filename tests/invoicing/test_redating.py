from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from billing_console.errors import NotAllowed
from billing_console.states import InvoiceState, RecordState
from invoicing import content, creating, payments, redating, sending
from invoicing.models import Invoice
from sync import outbox
from sync.models import RemoteRecord, Transition, UpstreamCall
from tests.invoicing.world import make_user
from tests.outbound import JANUARY_22, claimed, created_invoice, expire_lease, fresh, states_of
from tests.standins import World

OLD, NEW = ("2026-01-02", "2026-02-01"), ("2026-01-22", "2026-02-21")


@pytest.fixture
def invoice(world: World) -> Invoice:
    """Created on 2 January with two lines, and not sent; it is 22 January now."""
    row = created_invoice(world, 4.5, 2.1)
    world.go_to(JANUARY_22)
    return row


def redated(invoice: Invoice) -> RemoteRecord:
    redating.redate(invoice, seal=invoice.seal, user=make_user("Approver"))
    return RemoteRecord.objects.get(invoice=invoice)


def dates_there(world: World) -> tuple[str, str]:
    (there,) = world.invoices()
    return there["date"], there["due_date"]


def test_a_new_date_is_sealed_written_completely_and_read_back(world: World, invoice: Invoice) -> None:
    before = world.invoices()[0]
    redated(invoice)

    creating.create_due()

    row = fresh(invoice)
    assert (row.invoice_date, row.due_date) == (dt.date(2026, 1, 22), dt.date(2026, 2, 21))
    assert row.seal != invoice.seal
    assert row.seal == content.seal_of(row)
    assert (row.state, row.revision) == (InvoiceState.CREATED, invoice.revision + 1)
    assert dates_there(world) == NEW
    after = world.invoices()[0]
    changed = {key for key in after if after[key] != before[key]}
    assert changed <= {"date", "due_date", "updated_at", "line_items", "next_send_date"}
    assert [line["task_id"] for line in after["line_items"]] == [line["task_id"] for line in before["line_items"]]
    assert {task["invoice_id"] for task in world.tasks()} == {after["id"]}
    assert states_of(row.remote) == ["pending", "in_flight", "synced", "pending", "in_flight", "synced"]
    trail = Transition.objects.filter(model="invoicing.invoice", row_id=row.pk).latest("id")
    assert (trail.from_state, trail.to_state, trail.why) == (
        "created", "created", "dated 2026-01-22 instead of 2026-01-02, sealed anew",
    )  # fmt: skip


def test_sending_waits_until_the_new_date_is_read_back(world: World, invoice: Invoice) -> None:
    redated(invoice)
    row = fresh(invoice)
    with pytest.raises(NotAllowed, match="just being changed"):
        sending.request_sending(row, seal=row.seal, user=None)

    creating.create_due()
    sending.request_sending(row, seal=row.seal, user=None)
    sending.send_due()

    assert fresh(invoice).state == InvoiceState.SENT
    assert world.mails() == ["billing@acme.example"]


def test_who_looked_before_cannot_send_what_was_sealed_anew(world: World, invoice: Invoice) -> None:
    redated(invoice)
    creating.create_due()
    with pytest.raises(NotAllowed, match="changed since you looked"):
        sending.request_sending(fresh(invoice), seal=invoice.seal, user=None)


@pytest.mark.parametrize("case", ["sent", "old seal", "today", "twice", "in flight"])
def test_who_cannot_be_dated_anew_is_told_why(world: World, invoice: Invoice, case: str) -> None:
    seal = invoice.seal
    if case == "sent":
        sending.request_sending(invoice, seal=seal, user=None)
        sentence = "keeps its date: it is “Sending” by now"
    elif case == "old seal":
        seal, sentence = "x" * 64, "changed since you looked"
    elif case == "today":
        Invoice.objects.filter(pk=invoice.pk).update(invoice_date="2026-01-22", due_date="2026-02-21")
        sentence = "has today's date already"
    elif case == "twice":
        redated(invoice)
        seal, sentence = fresh(invoice).seal, "has today's date already"
    else:
        RemoteRecord.objects.filter(pk=invoice.remote_id).update(state="pending")
        sentence = "just being written"
    before = fresh(invoice)

    with pytest.raises(NotAllowed, match=sentence):
        redating.redate(invoice, seal=seal, user=make_user("Approver"))

    after = fresh(invoice)
    assert (after.invoice_date, after.seal, after.revision) == (before.invoice_date, before.seal, before.revision)


@pytest.mark.parametrize(
    "fault",
    [{"kind": "lost_answer"}, {"kind": "status", "status": 500}, {"kind": "status", "status": 503}, {"kind": "html"}],
)
def test_a_change_whose_outcome_is_unknown_is_compared_and_ends_once(
    world: World, invoice: Invoice, fault: dict[str, Any]
) -> None:
    record = redated(invoice)
    world.fail("ninja", method="PUT", path="/api/v1/invoices", count=1, **fault)
    creating.create_due(limit=1)
    assert fresh(record).state in (RecordState.IN_DOUBT, RecordState.RETRY)
    RemoteRecord.objects.update(not_before=None)
    RemoteRecord.objects.filter(state="in_doubt").update(not_before="2020-01-01T00:00:00Z")

    creating.create_due()

    record = fresh(record)
    assert (record.state, record.synced_revision) == (RecordState.SYNCED, 2)
    assert dates_there(world) == NEW


def test_a_sleeping_worker_writes_no_outcome_of_a_change(world: World, invoice: Invoice) -> None:
    record = redated(invoice)
    sleeper = claimed("invoice")
    expire_lease(record)
    outbox.expire_leases("invoice")

    outbox.write_one(sleeper, creating.HANDLER)

    late = fresh(record)
    assert (late.state, late.synced_revision) == (RecordState.IN_DOUBT, 1)
    creating.create_due()
    assert fresh(record).state == RecordState.SYNCED
    assert dates_there(world) == NEW


def test_an_edit_by_hand_is_not_overwritten(world: World, invoice: Invoice) -> None:
    world.api_ninja("PUT", f"/invoices/{world.invoices()[0]['id']}", {"footer": "x", "due_date": "2026-03-15"})
    record = redated(invoice)

    creating.create_due()

    record = fresh(record)
    assert (record.state, record.reason) == (RecordState.ATTENTION, "differs_there")
    assert "due date: 2026-02-01 / 2026-03-15" in record.sentence
    assert dates_there(world) == ("2026-01-02", "2026-03-15")


def test_what_was_sent_by_hand_meanwhile_keeps_its_date_there(world: World, invoice: Invoice) -> None:
    record = redated(invoice)
    world.api_ninja("POST", "/invoices/bulk", {"action": "email", "ids": [record.remote_id], "email_type": "invoice"})

    creating.create_due()
    payments.poll()

    record = fresh(record)
    assert (record.state, record.reason) == (RecordState.ATTENTION, "sent_there")
    assert "the client has the old one" in record.sentence
    assert dates_there(world) == OLD
    assert fresh(invoice).state == InvoiceState.SENT
    assert len(world.mails()) == 1


def test_a_task_that_went_to_another_invoice_is_not_taken_back(world: World, invoice: Invoice) -> None:
    task = world.tasks()[0]
    line = {"task_id": task["id"], "quantity": 1, "cost": 1, "type_id": "2", "notes": "by hand"}
    foreign = world.api_ninja("POST", "/invoices", {"client_id": "client_abc123", "line_items": [line]})["data"]
    record = redated(invoice)

    creating.create_due()

    record = fresh(record)
    assert (record.state, record.reason) == (RecordState.ATTENTION, "invoiced_by_hand")
    assert world.tasks()[0]["invoice_id"] == foreign["id"]
    assert world.invoices()[0]["date"] == "2026-01-02"


def test_an_equal_invoice_is_not_written_again(world: World, invoice: Invoice) -> None:
    record = redated(invoice)
    ours = {"date": NEW[0], "due_date": NEW[1]}
    world.api_ninja("PUT", f"/invoices/{record.remote_id}", ours)  # somebody did the same by hand
    before = UpstreamCall.objects.count()

    creating.create_due()

    assert fresh(record).state == RecordState.SYNCED
    assert {call.method for call in UpstreamCall.objects.order_by("id")[before:]} == {"GET"}


@pytest.mark.parametrize(("state", "offered"), [("created", True), ("sent", False), ("approved", False)])
def test_only_what_is_not_sent_is_offered_a_new_date(world: World, invoice: Invoice, state: str, offered: bool) -> None:
    invoice.state = state
    assert (redating.new_date(invoice) == dt.date(2026, 1, 22)) is offered


def test_the_day_is_that_of_the_invoices_own_zone(world: World, invoice: Invoice) -> None:
    world.go_to(dt.datetime(2026, 1, 22, 23, 30, tzinfo=dt.UTC))  # 00:30 in Brussels
    assert redating.new_date(invoice) == dt.date(2026, 1, 23)
    invoice.timezone = "America/Montreal"
    assert redating.new_date(invoice) == dt.date(2026, 1, 22)
