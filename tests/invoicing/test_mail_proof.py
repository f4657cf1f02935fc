"""A mail is proven by a new message id, an activity of its own and no receipt since; the proof may come late."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from billing_console.states import InvoiceState, ReminderState
from invoicing import late_proof, payments, reminding, sending
from invoicing.models import Invoice, Reminder, Sending
from sync import hooks
from sync.models import UpstreamGate
from tests.invoicing.world import make_user
from tests.outbound import created_invoice, fresh
from tests.people import browser_of
from tests.standins import World

pytestmark = pytest.mark.django_db
EMAIL = {"method": "POST", "path": "/api/v1/emails"}
FEBRUARY = dt.datetime(2026, 2, 10, 9, tzinfo=dt.UTC)


def mailing(world: World, mode: str | None) -> None:
    """How Invoice Ninja mails from now on: sync, down, or queued until it is told."""
    world.ninja.seed({"switches": {"mail_mode": mode or "queued", "mail_delay_seconds": None}})


def asked(world: World, mode: str | None) -> tuple[Invoice, Sending]:
    """An invoice whose mail was asked for, and of which there is no proof yet."""
    invoice = created_invoice(world)
    mailing(world, mode)
    row = sending.request_sending(invoice, seal=invoice.seal, user=make_user("Approver"))
    sending.send_due()
    assert (fresh(invoice).state, fresh(row).is_called) == (InvoiceState.SENDING, True)
    return fresh(invoice), fresh(row)


def later(row: Sending, *, is_patient: bool = True) -> None:
    """The pause is over, without patience also the time that a proof may take; and the worker looks."""
    changes: dict[str, Any] = {"not_before": None, "lease_until": None}
    Sending.objects.filter(pk=row.pk).update(**changes)
    if not is_patient:
        Sending.objects.filter(pk=row.pk).update(called_at=timezone.now() - dt.timedelta(hours=1))
    sending.send_due()


def given_up(world: World, mode: str | None = None) -> tuple[Invoice, Sending]:
    """The same when nobody waits any longer: a person is asked."""
    invoice, row = asked(world, mode)
    later(row, is_patient=False)
    assert fresh(invoice).state == InvoiceState.ATTENTION
    return fresh(invoice), fresh(row)


def there(world: World) -> dict[str, Any]:
    return world.invoices()[0]


def pay(world: World, amount: Any, **more: Any) -> str:
    row = there(world)
    body = {"client_id": row["client_id"], "amount": amount}
    parts = {"invoices": [{"invoice_id": row["id"], "amount": amount}]}
    return str(world.api_ninja("POST", "/payments", {**body, **parts, **more})["data"]["id"])


def payment(world: World) -> None:
    pay(world, 10, email_receipt=True)


def refund(world: World) -> None:
    paid = pay(world, 10, email_receipt=False)
    body = {"id": paid, "amount": 5, "invoices": [{"invoice_id": there(world)["id"], "amount": 5}]}
    world.api_ninja("POST", "/payments/refund", {**body, "email_receipt": True})


def use_of_a_credit(world: World) -> None:
    row = there(world)
    lines = [{"quantity": 1, "cost": 20, "notes": "less"}]
    credit = world.api_ninja("POST", "/credits", {"client_id": row["client_id"], "line_items": lines})["data"]["id"]
    parts = {"credits": [{"credit_id": credit, "amount": 20}], "invoices": [{"invoice_id": row["id"], "amount": 20}]}
    world.api_ninja("POST", "/payments", {"client_id": row["client_id"], "amount": 0, **parts})


def change_message_id(world: World) -> None:
    """Something mailed through the invoice's invitation that nothing else tells of."""
    invitations = [{**one, "message_id": "odd@ninja.example"} for one in there(world)["invitations"]]
    with world.ninja.store.memory.transaction():
        world.ninja.store.save("invoices", there(world)["id"], invitations=invitations)


# --- what proves an invoice's mail ----------------------------------------------------------------------------------


@pytest.mark.parametrize("receipt", [payment, refund, use_of_a_credit])
def test_a_receipt_is_no_proof_of_the_invoice_that_was_never_mailed(
    world: World, receipt: Callable[[World], None]
) -> None:
    invoice, row = asked(world, "down")
    mailing(world, "sync")
    receipt(world)
    assert there(world)["invitations"][0]["message_id"] != ""

    for _look in range(3):
        later(row)
        assert fresh(invoice).state == InvoiceState.SENDING
    later(row, is_patient=False)

    invoice = fresh(invoice)
    assert invoice.state == InvoiceState.ATTENTION
    assert "The receipt of a payment or refund was mailed since" in invoice.attention_sentence
    assert fresh(row).proven_at is None
    assert [mail["template"] for mail in world.ninja.state()["mails"]] == ["payment"]


def test_a_payment_without_a_receipt_spoils_no_proof(world: World) -> None:
    invoice, row = asked(world, None)
    pay(world, 10, email_receipt=False)
    world.ninja.seed({"run_mail_queue": True})

    later(row)
    assert fresh(invoice).state == InvoiceState.SENDING  # its receipt could be noted in the next moment
    later(row)

    assert fresh(invoice).state == InvoiceState.SENT
    assert fresh(row).proven_at is not None


def test_with_the_mail_server_down_all_looks_sent_and_nothing_is_proven(world: World) -> None:
    invoice, row = asked(world, "down")
    assert (there(world)["status_id"], there(world)["invitations"][0]["sent_date"] != "") == ("2", True)

    later(row, is_patient=False)

    assert fresh(invoice).state == InvoiceState.ATTENTION
    assert "has no new message id for billing@acme.example" in fresh(invoice).attention_sentence


def test_a_new_message_id_without_an_activity_of_its_own_is_no_proof(world: World) -> None:
    invoice = created_invoice(world)
    world.fail("ninja", kind="refused", count=1, **EMAIL)
    row = sending.request_sending(invoice, seal=invoice.seal, user=None)
    sending.send_due()
    change_message_id(world)

    later(row)
    assert fresh(invoice).state == InvoiceState.SENDING
    later(row, is_patient=False)

    assert fresh(invoice).state == InvoiceState.ATTENTION
    assert "Invoice Ninja did not note that it was the invoice's" in fresh(invoice).attention_sentence


# --- a late proof ---------------------------------------------------------------------------------------------------


def test_a_mail_in_doubt_is_asked_about_before_tax_and_what_was_allowed_is_not_offered_again(world: World) -> None:
    invoice, _row = given_up(world)
    (question,) = hooks.questions()
    assert (question.sentence, question.verb) == (invoice.attention_sentence, "Decide")
    assert question.amount == "337.50\u00a0EUR"  # as all amounts of that page
    browser, address = browser_of("approver"), reverse("admin:invoicing_invoice_change", args=[invoice.pk])
    assert "Allow sending again…" in browser.get(address).content.decode()

    sending.decide(invoice, was_sent=False, user=make_user("Approver"), note="asked them")

    page = browser.get(address).content.decode()
    assert "It may be sent again (asked them), once Invoice Ninja was read once more." in page
    assert "It arrived…" in page
    assert "Allow sending again…" not in page


def test_a_late_proof_settles_itself(world: World) -> None:
    invoice, row = given_up(world)
    assert fresh(row).not_before > timezone.now()
    sending.send_due()  # not due yet
    world.ninja.seed({"run_mail_queue": True})

    later(row)

    invoice = fresh(invoice)
    assert (invoice.state, invoice.attention_sentence) == (InvoiceState.SENT, "")
    assert fresh(row).proven_at is not None
    assert fresh(row).sentence == "mailed to billing@acme.example, proven by message id, late"
    assert sending.send_due() == 0
    payments.poll()
    assert (fresh(invoice).state, len(world.mails())) == (InvoiceState.SENT, 1)


def test_looks_come_ever_more_rarely_and_change_nothing(world: World) -> None:
    invoice, row = given_up(world)
    for waited, pause in ((dt.timedelta(), 60), (dt.timedelta(hours=1), 900), (dt.timedelta(days=3), 3600)):
        Sending.objects.filter(pk=row.pk).update(finished_at=timezone.now() - waited)
        later(row)
        left = (fresh(row).not_before - timezone.now()).total_seconds()
        assert pause - 30 < left <= pause + 1
    assert fresh(invoice).state == InvoiceState.ATTENTION


def test_a_proof_that_came_before_the_decision_wins(world: World) -> None:
    invoice, row = given_up(world)
    world.ninja.seed({"run_mail_queue": True})
    user = make_user("Approver")

    assert sending.decide(invoice, was_sent=False, user=user, note="they have nothing") is False
    sending.send_due()

    assert fresh(invoice).state == InvoiceState.SENT
    assert fresh(row).proven_at is not None
    assert len(world.mails()) == 1


def test_a_decision_waits_for_a_server_that_does_not_answer(world: World, settings: Any) -> None:
    settings.RETRY_BASE_SECONDS = 600
    invoice, row = given_up(world)
    user = make_user("Approver")
    sending.decide(invoice, was_sent=False, user=user, note="they have nothing")
    world.fail("ninja", kind="refused", method="GET", path="/api/v1/invoices/", count=1)
    sending.send_due()
    assert fresh(invoice).state == InvoiceState.ATTENTION
    UpstreamGate.objects.update(resume_at=None)

    later(row)

    assert fresh(invoice).state == InvoiceState.CREATED


def test_an_arrived_needs_no_look(world: World) -> None:
    invoice, _row = given_up(world)
    assert sending.decide(invoice, was_sent=True, user=make_user("Approver"), note="they called") is True
    assert fresh(invoice).state == InvoiceState.SENT
    assert not late_proof.due().exists()


def test_a_proof_that_comes_right_before_the_second_mail_saves_it(world: World) -> None:
    invoice, row = given_up(world)
    sending.decide(invoice, was_sent=False, user=make_user("Approver"), note="they have nothing")
    sending.send_due()
    again = fresh(invoice)
    assert again.state == InvoiceState.CREATED
    second = sending.request_sending(again, seal=again.seal, user=None)
    world.ninja.seed({"run_mail_queue": True})

    sending.send_due()

    assert fresh(invoice).state == InvoiceState.SENT
    assert "before, proven by message id; not again" in fresh(second).sentence
    assert (fresh(second).is_called, fresh(row).proven_at is not None) == (False, True)
    assert len(world.mails()) == 1


# --- reminders ------------------------------------------------------------------------------------------------------


@pytest.fixture
def reminded(world: World) -> Reminder:
    """A reminder whose mail was asked for while the mail server is down."""
    invoice = created_invoice(world)
    sending.request_sending(invoice, seal=invoice.seal, user=None)
    sending.send_due()
    world.go_to(FEBRUARY)
    payments.poll()
    mailing(world, "down")
    balance = fresh(invoice).balance
    row = reminding.request_reminder(fresh(invoice), text="reminder1", balance=balance, user=make_user("Approver"))
    reminding.remind_due()
    assert fresh(row).state == ReminderState.SENDING
    return fresh(row)


def look(row: Reminder, **changes: Any) -> str:
    Reminder.objects.filter(pk=row.pk).update(not_before=None, lease_until=None, **changes)
    reminding.remind_due()
    return str(fresh(row).state)


@pytest.mark.parametrize("receipt", [payment, refund, use_of_a_credit])
def test_a_receipt_is_no_proof_of_a_reminder(
    world: World, reminded: Reminder, receipt: Callable[[World], None]
) -> None:
    mailing(world, "sync")
    receipt(world)

    assert look(reminded) == look(reminded) == "sending"
    assert look(reminded, called_at=timezone.now() - dt.timedelta(hours=1)) == "attention"
    assert "The receipt of a payment or refund was mailed since" in fresh(reminded).sentence


def test_the_first_mail_of_the_invoice_is_no_proof_of_its_reminder(world: World, reminded: Reminder) -> None:
    Reminder.objects.update(mails=[{**mail, "before": "another@ninja.example"} for mail in reminded.mails])
    with world.ninja.store.memory.transaction():
        for row in world.ninja.store["activities"].all():
            if int(row["id"]) > reminded.last_activity:
                world.ninja.store["activities"].delete(row["id"])
    assert reminded.last_activity > 0
    assert look(reminded) == "sending"


def test_a_late_proof_of_a_reminder_settles_itself(world: World, reminded: Reminder) -> None:
    assert look(reminded, called_at=timezone.now() - dt.timedelta(hours=1)) == "attention"
    mailing(world, "sync")
    body = {"entity": "invoice", "entity_id": there(world)["id"], "template": "email_template_reminder1"}
    world.api_ninja("POST", "/emails", body)  # the queue did it at last

    assert reminding.decide(fresh(reminded), arrived=False, user=make_user("Approver"), note="they say no") is False
    assert look(reminded) == "sent"
    assert fresh(reminded).sentence == "mailed to billing@acme.example, proven by message id, late"
    assert fresh(reminded).invoice.balance == Decimal("408.38")
