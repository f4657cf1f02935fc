"""Whom Invoice Ninja mails: read before each mail, refused with names, put right by one button and read back."""

from __future__ import annotations

import datetime as dt
import html
from typing import Any

import pytest
from django.test import Client as Browser
from django.urls import reverse

from billing_console.errors import NotAllowed
from billing_console.states import InvoiceState, RecordState
from invoicing import by_rule, creating, inviting, payments, receivers, reminding, sending
from invoicing.models import Invoice, Reminder, Sending
from sync import discovery
from sync.models import RemoteRecord
from tests.invoicing.test_sending import THREE, set_contacts
from tests.invoicing.world import make_user
from tests.outbound import created_invoice, fresh, make_due
from tests.people import browser_of, hidden_fields, post, press
from tests.standins import World

ANN, BEA, CY = THREE
PUT = {"server": "ninja", "method": "PUT", "path": "/api/v1/invoices/"}


def invited(world: World) -> list[str]:
    """The first names of whom Invoice Ninja mails the (last) invoice."""
    contacts = world.api_ninja("GET", "/clients/client_abc123")["data"]["contacts"]
    names = {contact["id"]: contact["first_name"] for contact in contacts}
    return sorted(names.get(one["client_contact_id"], "?") for one in world.invoices()[-1]["invitations"])


def ann_leaves_for_bea(world: World) -> Invoice:
    """The invoice was made for Ann alone; then she is switched off and Bea is new."""
    set_contacts(world, [ANN])
    invoice = created_invoice(world)
    set_contacts(world, [{**ANN, "send_email": False}, BEA])
    assert invited(world) == ["Ann"]
    return invoice


def read_lists(world: World) -> None:
    """What beat does: the clients are read, and what changed of the invoices."""
    discovery.refresh_invoice_ninja()
    payments.poll()


def ask_right(invoice: Invoice) -> Invoice:
    row = fresh(invoice)
    wanted = receivers.ids_of(receivers.known(row).wanted)
    return inviting.request_invitations(row, contacts=wanted, user=make_user("Approver"))


def send(invoice: Invoice) -> Sending:
    row = fresh(invoice)
    found = sending.request_sending(row, seal=row.seal, user=None)
    sending.send_due()
    return fresh(found)


def test_a_contact_who_was_switched_off_is_not_mailed_unseen(world: World) -> None:
    invoice = ann_leaves_for_bea(world)

    row = send(invoice)

    assert world.mails() == []
    assert row.is_called is False
    invoice = fresh(invoice)
    assert invoice.state == InvoiceState.ATTENTION
    assert invoice.attention_sentence == (
        "Invoice Ninja would mail it to Ann A (ann@acme.example), who does not want invoices by mail. "
        "Bea B (bea@acme.example) wants invoices by mail, but would not be mailed this one. "
        "Put the receivers right on the page of the invoice, then try again."
    )
    assert [person.name for person in receivers.known(invoice).missing] == ["Bea B"]  # what was read is kept


def test_the_receivers_are_put_right_read_back_and_then_mailed(world: World) -> None:
    invoice = ann_leaves_for_bea(world)
    send(invoice)
    ask_right(invoice)
    assert fresh(invoice).state == InvoiceState.ATTENTION  # until it is proven

    creating.create_due()

    assert invited(world) == ["Bea"]
    invoice = fresh(invoice)
    assert (invoice.state, invoice.attention_sentence) == (InvoiceState.CREATED, "")
    assert RemoteRecord.objects.get(invoice=invoice).state == RecordState.SYNCED
    send(invoice)
    assert world.mails() == ["bea@acme.example"]
    assert fresh(invoice).state == InvoiceState.SENT


def test_an_invoice_whose_receivers_are_being_changed_is_not_sent(world: World) -> None:
    invoice = ann_leaves_for_bea(world)
    read_lists(world)
    ask_right(invoice)
    with pytest.raises(NotAllowed, match="just being changed"):
        sending.request_sending(fresh(invoice), seal=invoice.seal, user=None)
    with pytest.raises(NotAllowed, match="just being written"):
        ask_right(invoice)


def test_a_new_contact_is_added_and_nobody_is_lost(world: World) -> None:
    set_contacts(world, [ANN])
    invoice = created_invoice(world)
    set_contacts(world, [ANN, BEA])
    read_lists(world)

    ask_right(invoice)
    creating.create_due()

    assert invited(world) == ["Ann", "Bea"]
    send(invoice)
    assert sorted(world.mails()) == ["ann@acme.example", "bea@acme.example"]


def test_a_deleted_contact_vanishes_and_what_was_on_screen_is_not_mailed_to_others(world: World) -> None:
    set_contacts(world, [ANN, BEA])
    invoice = created_invoice(world)
    shown = ["ann@acme.example", "bea@acme.example"]
    set_contacts(world, [ANN])
    assert invited(world) == ["Ann"]

    row = fresh(invoice)
    sending.request_sending(row, seal=row.seal, user=None, shown_to=shown)
    sending.send_due()

    assert world.mails() == []
    assert fresh(invoice).attention_sentence == (
        "You were shown ann@acme.example, bea@acme.example, but Invoice Ninja would mail it to ann@acme.example. "
        "Look at it again."
    )


def test_a_lost_answer_is_looked_up_and_the_change_is_made_once(world: World) -> None:
    invoice = ann_leaves_for_bea(world)
    read_lists(world)
    ask_right(invoice)
    world.fail(**PUT, kind="lost_answer")
    creating.create_due()
    record = RemoteRecord.objects.get(invoice=invoice)
    assert record.state == RecordState.IN_DOUBT

    make_due(record)
    creating.create_due()

    assert fresh(record).state == RecordState.SYNCED
    assert invited(world) == ["Bea"]


def other_people(world: World) -> None:
    set_contacts(world, [ANN, {**BEA, "send_email": False}])


def other_currency(world: World) -> None:
    body = {"settings": {"currency_id": "1"}}
    world.api_ninja("PUT", "/clients/client_abc123", body)


def edited(world: World) -> None:
    lines = world.invoices()[-1]["line_items"]
    body = {"line_items": [{**lines[0], "quantity": 1}], "date": "2026-01-02", "due_date": "2026-02-01"}
    world.api_ninja("PUT", f"/invoices/{world.invoices()[-1]['id']}", body)


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (other_people, "Other contacts of Acme Corp want mail by now."),
        (other_currency, "Client Acme Corp is in USD by now, but the invoice in EUR."),
        (edited, "was changed in Invoice Ninja since its approval"),
    ],
)
def test_what_is_not_as_it_was_on_screen_is_not_written_and_can_be_left(
    world: World, spoil: Any, sentence: str
) -> None:
    invoice = ann_leaves_for_bea(world)
    read_lists(world)
    ask_right(invoice)
    spoil(world)

    creating.create_due()

    record = RemoteRecord.objects.get(invoice=invoice)
    assert (record.state, invited(world)) == (RecordState.ATTENTION, ["Ann"])
    assert sentence in record.sentence
    assert inviting.is_stuck(fresh(invoice))
    inviting.leave(fresh(invoice), user=make_user("Approver"))
    assert "invite" not in fresh(record).desired


def test_a_sent_invoice_is_put_right_before_it_is_reminded_of(world: World) -> None:
    set_contacts(world, [ANN])
    invoice = created_invoice(world)
    send(invoice)
    set_contacts(world, [{**ANN, "send_email": False}, BEA])
    world.ninja.clock.set(world.ninja.clock.now() + dt.timedelta(days=60))
    row = fresh(invoice)
    reminder = Reminder.objects.create(invoice=row, text="reminder1", balance=row.gross)

    with_clock(world)
    reminding.remind_due()

    assert fresh(reminder).state == "refused"
    assert "Invoice Ninja would mail it to Ann A (ann@acme.example)" in fresh(reminder).sentence
    assert world.mails() == ["ann@acme.example"]
    ask_right(invoice)
    creating.create_due()
    assert invited(world) == ["Bea"]
    assert fresh(invoice).state == InvoiceState.SENT
    Reminder.objects.create(invoice=row, text="reminder1", balance=row.gross)
    reminding.remind_due()
    assert world.mails() == ["ann@acme.example", "bea@acme.example"]


def with_clock(world: World) -> None:
    """The console's business clock follows the servers'."""
    world.go_to(world.ninja.clock.now())


def test_nothing_is_sent_by_rule_that_would_reach_others(world: World) -> None:
    invoice = ann_leaves_for_bea(world)
    read_lists(world)
    Invoice.objects.filter(pk=invoice.pk).update(approved_by=None)
    type(invoice.rule_set).objects.update(auto_send=True)
    assert by_rule.send_created() == 0


# --- the pages ------------------------------------------------------------------------------------------------------


def page_of(invoice: Invoice, name: str) -> str:
    return reverse(f"admin:invoicing_invoice_{name}", args=[invoice.pk])


def words(answer: Any) -> str:
    return " ".join(html.unescape(answer.content.decode()).split())


@pytest.fixture
def wrong(world: World) -> Invoice:
    """An invoice whose receivers are wrong, and the console knows."""
    invoice = ann_leaves_for_bea(world)
    read_lists(world)
    return fresh(invoice)


def test_the_page_of_the_invoice_offers_to_put_them_right(wrong: Invoice) -> None:
    page = words(browser_of("approver").get(page_of(wrong, "change")))
    assert "Invoice Ninja would mail it to Ann A (ann@acme.example)" in page
    assert "Put the receivers right…" in page
    assert "Put the receivers right…" not in words(browser_of("viewer").get(page_of(wrong, "change")))


def test_a_refused_mail_is_said_once_with_what_mends_it(world: World, wrong: Invoice) -> None:
    send(wrong)
    approver = browser_of("approver")
    said = "Invoice Ninja would mail it to Ann A (ann@acme.example), who does not want invoices by mail."

    boxes = words(approver.get(page_of(wrong, "change"))).split("Both sides")[0]
    assert boxes.count(said) == 1
    assert "Put the receivers right…" in boxes
    assert "It arrived…" not in boxes  # nothing left that could have
    again = words(approver.get(reverse("admin:invoicing_invoice_decide", args=[wrong.pk, "again"])))
    assert "No mail left. It can be sent after this; everything is checked again right before the mail." in again
    assert "gets the invoice twice" not in again
    asked = words(approver.get(reverse("admin:sync_attention")))
    assert said in asked
    assert "Nothing is stuck" not in asked


def test_a_change_that_waits_for_a_person_can_be_left_from_the_page_though_nobody_is_wrong_any_more(
    world: World, wrong: Invoice
) -> None:
    send(wrong)
    ask_right(wrong)
    other_people(world)
    creating.create_due()
    page = words(browser_of("approver").get(page_of(wrong, "change")))
    assert "Other contacts of Acme Corp want mail by now." in page
    assert "Leave them as they are…" in page


def test_the_question_names_both_and_get_changes_nothing(wrong: Invoice) -> None:
    before = list(RemoteRecord.objects.values()), list(Invoice.objects.values())
    page = words(browser_of("approver").get(page_of(wrong, "receivers")))
    assert f"Make bea@acme.example the receiver of {wrong.number}, and nobody else?" in page
    assert "Nothing is mailed by this." in page
    assert "Change the receivers, mail nothing" in page
    assert (list(RemoteRecord.objects.values()), list(Invoice.objects.values())) == before


def test_the_button_asks_once(world: World, wrong: Invoice) -> None:
    approver, address = browser_of("approver"), page_of(wrong, "receivers")
    form = hidden_fields(approver, address)
    assert "being changed in Invoice Ninja" in words(post(approver, address, form, follow=True))
    page = words(approver.get(page_of(wrong, "change")))  # the message is gone, the page still says it
    assert "They are being changed in Invoice Ninja. It is not mailed before they were read back." in page
    assert "Invoice Ninja would mail it to Ann A" not in page
    revision = fresh(wrong.remote).revision
    assert "just being written" in words(post(approver, address, form, follow=True))
    assert fresh(wrong.remote).revision == revision
    creating.create_due()
    assert invited(world) == ["Bea"]


def test_other_contacts_than_on_screen_are_not_asked_for(world: World, wrong: Invoice) -> None:
    approver, address = browser_of("approver"), page_of(wrong, "receivers")
    form = hidden_fields(approver, address)
    set_contacts(world, [{**ANN, "send_email": False}, BEA, {**CY, "send_email": True}])
    discovery.refresh_invoice_ninja()
    assert "This is not what you saw: Now was" in words(post(approver, address, form, follow=True))
    assert fresh(wrong.remote).revision == wrong.remote.revision


@pytest.mark.parametrize("name", ["receivers", "receivers_leave", "bounced"])
@pytest.mark.parametrize("who", ["", "stranger", "viewer", "clerk"])
def test_others_neither_see_nor_do_it(wrong: Invoice, who: str, name: str) -> None:
    browser: Browser = browser_of(who)
    for answer in (browser.get(page_of(wrong, name)), post(browser, page_of(wrong, name), {"contacts": "x"})):
        assert answer.status_code == (403 if who else 302)
    assert fresh(wrong.remote).revision == wrong.remote.revision


def test_what_is_stuck_is_left_as_it_is_by_a_button(world: World, wrong: Invoice) -> None:
    ask_right(wrong)
    other_people(world)
    creating.create_due()
    answer = press(browser_of("administrator"), page_of(wrong, "receivers_leave"), follow=True)
    assert "are left as they are" in words(answer)
    creating.create_due()
    assert fresh(wrong.remote).state == RecordState.SYNCED
    assert invited(world) == ["Ann"]
