"""A mail that came back after its proof: read with the payments, asked about, settled by a person, asked anew."""

from __future__ import annotations

import datetime as dt
import html
from typing import Any

import pytest
from django.urls import reverse

from billing_console.errors import NotAllowed
from billing_console.states import InvoiceState
from invoicing import bouncing, payments, sending
from invoicing.models import Invoice
from sync import hooks
from tests.invoicing.world import make_user
from tests.outbound import created_invoice, fresh
from tests.people import browser_of, post, press
from tests.standins import World

ADDRESS = "billing@acme.example"


@pytest.fixture
def sent(world: World) -> Invoice:
    invoice = created_invoice(world)
    sending.request_sending(invoice, seal=invoice.seal, user=None)
    sending.send_due()
    assert fresh(invoice).state == InvoiceState.SENT
    return fresh(invoice)


def come_back(world: World, status: str = "bounced", reason: str = "mailbox not found") -> None:
    """The mail provider reports it to Invoice Ninja, in a later second; then the console polls."""
    world.ninja.clock.set(world.ninja.clock.now() + dt.timedelta(seconds=1))
    world.ninja.seed({"bounces": [{"address": ADDRESS, "status": status, "reason": reason}]})
    payments.poll()


def mail_again(world: World, invoice: Invoice) -> None:
    body = {"entity": "invoice", "entity_id": invoice.remote.remote_id, "template": "email_template_reminder1"}
    world.ninja.clock.set(world.ninja.clock.now() + dt.timedelta(seconds=1))
    world.api_ninja("POST", "/emails", body)


@pytest.mark.parametrize("status", ["bounced", "spam"])
def test_a_mail_that_came_back_is_asked_about(world: World, sent: Invoice, status: str) -> None:
    come_back(world, status)

    invoice = fresh(sent)
    assert invoice.state == InvoiceState.SENT  # it was mailed, and the client owes it
    assert invoice.bounce_sentence == (
        f"The mail of invoice {sent.number} came back from {ADDRESS} (mailbox not found). Correct the address in "
        "Invoice Ninja and remind the client, or hand it over in another way; then say here what was done."
    )
    assert [question.sentence for question in hooks.questions()] == [invoice.bounce_sentence]


def test_what_was_delivered_is_asked_about_by_nobody(world: World, sent: Invoice) -> None:
    come_back(world, "delivered", "")
    assert fresh(sent).bounce_sentence == ""
    assert hooks.questions() == []


def test_settled_it_stays_settled_until_another_mail_comes_back(world: World, sent: Invoice) -> None:
    come_back(world)
    with pytest.raises(NotAllowed, match="Say what was done"):
        bouncing.settle(sent, user=make_user("Approver"), note=" ")
    bouncing.settle(sent, user=make_user("Approver"), note="sent on paper")
    come_back(world)
    assert fresh(sent).bounce_sentence == ""
    with pytest.raises(NotAllowed, match="waits for this decision"):
        bouncing.settle(sent, user=make_user("Approver"), note="again")

    mail_again(world, sent)
    come_back(world)

    assert ADDRESS in fresh(sent).bounce_sentence


def test_an_address_that_takes_mail_again_ends_the_question(world: World, sent: Invoice) -> None:
    come_back(world)
    come_back(world, "delivered", "")
    assert fresh(sent).bounce_sentence == ""


def words(answer: Any) -> str:
    return " ".join(html.unescape(answer.content.decode()).split())


def test_the_page_asks_with_a_reason_and_once(world: World, sent: Invoice) -> None:
    come_back(world)
    approver = browser_of("approver")
    page = words(approver.get(reverse("admin:invoicing_invoice_change", args=[sent.pk])))
    assert "A mail came back" in page
    address = reverse("admin:invoicing_invoice_bounced", args=[sent.pk])
    assert f"came back from {ADDRESS}" in words(approver.get(address))
    assert fresh(sent).bounce_sentence
    assert "Say what was done" in words(press(approver, address, {"reason": ""}, follow=True))

    press(approver, address, {"reason": "they have it by now"})

    assert fresh(sent).bounce_sentence == ""
    assert "waits for this decision any more" in words(post(approver, address, {"reason": "x"}, follow=True))
