"""Marked as sent without a mail: by a person, with a reason, once; Invoice Ninja read before and after."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.db import transaction

from billing_console.errors import NotAllowed
from billing_console.states import InvoiceState, RecordState
from invoicing import by_rule, marking, payments, sending
from invoicing.models import Deviation, Invoice, Sending
from sync import attention, outbox
from sync.models import RemoteRecord, Transition, UpstreamCall
from tests.invoicing.world import make_user
from tests.outbound import claimed, created_invoice, expire_lease, fresh, make_due, states_of
from tests.standins import World

BULK = {"method": "POST", "path": "/api/v1/invoices/bulk"}


def ask(invoice: Invoice, reason: str = "handed over on paper") -> RemoteRecord:
    with transaction.atomic():
        locked = sending.lock_sendable(invoice, invoice.seal)
        return marking.request_mark(locked, user=make_user("Approver"), reason=reason)


def test_it_is_owed_from_now_on_and_no_mail_left(world: World) -> None:
    invoice = created_invoice(world)
    record = ask(invoice)
    assert fresh(invoice).state == InvoiceState.SENDING
    before = UpstreamCall.objects.count()

    assert marking.mark_due() == 1

    row, (there,) = fresh(invoice), world.invoices()
    assert (row.state, row.remote_status, row.balance) == (InvoiceState.SENT, "2", row.gross)
    assert row.sent_at is not None
    assert (there["status_id"], there["balance"], there["last_sent_date"]) == ("2", there["amount"], "")
    assert world.mails() == []
    assert {invitation["message_id"] for invitation in there["invitations"]} == {""}
    assert fresh(record).state == RecordState.SYNCED
    calls = list(UpstreamCall.objects.order_by("id").values_list("method", flat=True)[before:])
    assert calls == ["GET", "POST", "GET"]
    step = Transition.objects.filter(model="invoicing.invoice", row_id=row.pk).latest("id")
    assert step.why == "marked as sent without a mail: handed over on paper"
    assert step.user is not None
    assert Sending.objects.count() == 0
    assert marking.mark_due() == 0


def test_a_marked_invoice_is_never_mailed(world: World) -> None:
    invoice = created_invoice(world)
    ask(invoice)
    for seal in (invoice.seal, fresh(invoice).seal):
        with pytest.raises(NotAllowed, match="by now"):
            sending.request_sending(fresh(invoice), seal=seal, user=None)
    marking.mark_due()
    payments.poll()
    with pytest.raises(NotAllowed, match="it is “Sent” by now"):
        sending.request_sending(fresh(invoice), seal=invoice.seal, user=None)
    assert by_rule.send_created() == 0
    assert world.mails() == []


@pytest.mark.parametrize("case", ["sending", "old seal", "being written", "no reason", "twice"])
def test_who_cannot_be_marked_is_told_why(world: World, case: str) -> None:
    invoice, reason = created_invoice(world), "on paper"
    if case == "sending":
        sending.request_sending(invoice, seal=invoice.seal, user=None)
        sentence = "it is “Sending” by now"
    elif case == "twice":
        ask(invoice)
        sentence = "it is “Sending” by now"
    elif case == "old seal":
        invoice.seal, sentence = "x" * 64, "changed since you looked"
    elif case == "being written":
        RemoteRecord.objects.filter(pk=invoice.remote_id).update(state="pending")
        sentence = "just being changed"
    else:
        reason, sentence = "  ", "Say how it reaches the client"
    records = RemoteRecord.objects.filter(kind="mark_sent").count()

    with pytest.raises(NotAllowed, match=sentence):
        ask(invoice, reason)

    assert RemoteRecord.objects.filter(kind="mark_sent").count() == records


@pytest.mark.parametrize(
    "fault",
    [{"kind": "lost_answer"}, {"kind": "status", "status": 500}, {"kind": "status", "status": 500, "after": True},
     {"kind": "status", "status": 503}, {"kind": "html"}, {"kind": "refused"}],
    ids=str,
)  # fmt: skip
def test_a_mark_whose_outcome_is_unknown_is_looked_up_and_ends_once(world: World, fault: dict[str, Any]) -> None:
    invoice = created_invoice(world)
    record = ask(invoice)
    world.fail("ninja", count=1, **BULK, **fault)
    marking.mark_due(limit=1)
    assert fresh(record).state in (RecordState.IN_DOUBT, RecordState.RETRY)
    assert fresh(invoice).state == InvoiceState.SENDING

    make_due(record)
    marking.mark_due()

    assert (fresh(record).state, fresh(invoice).state) == (RecordState.SYNCED, InvoiceState.SENT)
    assert world.invoices()[0]["status_id"] == "2"
    assert world.mails() == []


def test_a_sleeping_worker_writes_no_outcome(world: World) -> None:
    invoice = created_invoice(world)
    record = ask(invoice)
    sleeper = claimed("mark_sent")
    expire_lease(record)
    outbox.expire_leases("mark_sent")
    outbox.write_one(sleeper, marking.HANDLER)
    assert (fresh(record).state, fresh(invoice).state) == (RecordState.IN_DOUBT, InvoiceState.SENDING)

    marking.mark_due()
    assert fresh(invoice).state == InvoiceState.SENT


def test_what_was_changed_by_hand_is_shown_and_not_marked(world: World) -> None:
    invoice = created_invoice(world)
    world.api_ninja("PUT", f"/invoices/{invoice.remote.remote_id}", {"due_date": "2026-03-01"})
    record = ask(invoice)

    marking.mark_due()

    row = fresh(invoice)
    assert (row.state, fresh(record).reason) == (InvoiceState.ATTENTION, "differs_there")
    assert "due date: 2026-02-01 / 2026-03-01" in row.attention_sentence
    assert Deviation.objects.get(decision="").theirs["due_date"] == "2026-03-01"
    assert world.invoices()[0]["status_id"] == "1"

    # Corrected there and tried again by a clerk: what the approver asked for is done.
    world.api_ninja("PUT", f"/invoices/{invoice.remote.remote_id}", {"due_date": "2026-02-01"})
    attention.try_again(fresh(record), user=make_user("Billing clerk"))
    marking.mark_due()
    assert (fresh(invoice).state, fresh(invoice).attention_sentence) == (InvoiceState.SENT, "")


def test_a_person_may_decide_otherwise_and_the_mark_is_not_written_any_more(world: World) -> None:
    invoice = created_invoice(world)
    world.api_ninja("PUT", f"/invoices/{invoice.remote.remote_id}", {"due_date": "2026-03-01"})
    record = ask(invoice)
    marking.mark_due()

    sending.decide(fresh(invoice), was_sent=False, user=make_user("Approver"), note="not yet")

    assert (fresh(invoice).state, fresh(record).state) == (InvoiceState.CREATED, RecordState.DROPPED)
    assert marking.mark_due() == 0
    world.api_ninja("PUT", f"/invoices/{invoice.remote.remote_id}", {"due_date": "2026-02-01"})
    ask(fresh(invoice))  # and once more, as a new revision of the same write
    marking.mark_due()
    assert (fresh(invoice).state, fresh(record).revision) == (InvoiceState.SENT, 2)
    assert states_of(record).count("synced") == 1


@pytest.mark.parametrize("act", ["delete", "cancel"])
def test_what_ended_there_is_asked_about(world: World, act: str) -> None:
    invoice = created_invoice(world)
    if act == "cancel":
        world.api_ninja("POST", "/invoices/bulk", {"action": "mark_sent", "ids": [invoice.remote.remote_id]})
    world.api_ninja("POST", "/invoices/bulk", {"action": act, "ids": [invoice.remote.remote_id]})
    ask(invoice)
    marking.mark_due()
    assert fresh(invoice).state == InvoiceState.ATTENTION
    assert "was deleted or cancelled" in fresh(invoice).attention_sentence


@pytest.mark.parametrize("act", ["email", "mark_paid"])
def test_what_was_sent_or_paid_by_hand_meanwhile_is_adopted(world: World, act: str) -> None:
    invoice = created_invoice(world)
    body = {"action": act, "ids": [invoice.remote.remote_id]} | ({"email_type": "invoice"} if act == "email" else {})
    world.api_ninja("POST", "/invoices/bulk", body)
    mails = len(world.mails())
    ask(invoice)
    marking.mark_due()

    step = Transition.objects.filter(model="invoicing.invoice", row_id=invoice.pk).latest("id")
    assert step.why == "marked as sent without a mail: was sent by hand in Invoice Ninja meanwhile"
    world.ninja.clock.set(world.ninja.clock.now() + dt.timedelta(seconds=1))
    payments.poll()
    assert fresh(invoice).state == (InvoiceState.PAID if act == "mark_paid" else InvoiceState.SENT)
    assert len(world.mails()) == mails
