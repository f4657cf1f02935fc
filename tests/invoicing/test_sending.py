from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from billing_console.errors import Busy, ClaimLost, NotAllowed
from billing_console.states import InvoiceState
from invoicing import payments, sending
from invoicing.models import ContactMail, Invoice, Sending
from sync.models import Transition, UpstreamCall, UpstreamGate, UpstreamPin
from tests.invoicing.world import make_user
from tests.outbound import created_invoice, expire_lease, fresh, states_of
from tests.standins import World

EMAIL = {"method": "POST", "path": "/api/v1/emails"}
DUPLICATE = {"message": "Duplicate request"}
THREE = [
    {"first_name": "Ann", "last_name": "A", "email": "ann@acme.example", "send_email": True},
    {"first_name": "Bea", "last_name": "B", "email": "bea@acme.example", "send_email": True},
    {"first_name": "Cy", "last_name": "C", "email": "cy@acme.example", "send_email": False},
]


def ask(invoice: Invoice) -> Sending:
    return sending.request_sending(invoice, seal=invoice.seal, user=make_user("Approver"))


def later(row: Sending) -> Sending:
    """The pause until the next look is over, and the worker looks."""
    Sending.objects.filter(pk=row.pk).update(not_before=None)
    sending.send_due()
    return fresh(row)


def out_of_patience(row: Sending) -> None:
    """The time that the proof may take is over."""
    Sending.objects.filter(pk=row.pk).update(called_at=timezone.now() - timedelta(hours=1))


def set_contacts(world: World, contacts: list[dict[str, Any]]) -> None:
    """The client's contacts, in this order; those that are there keep their id, so that their invitations stay."""
    known = world.api_ninja("GET", "/clients/client_abc123")["data"]["contacts"]
    ids = [{"id": contact["id"]} for contact in known] + [{}] * len(contacts)
    body = {"contacts": [{**one, **key} for one, key in zip(contacts, ids, strict=False)]}
    world.api_ninja("PUT", "/clients/client_abc123", {**body, "settings": {"currency_id": "3"}})


def test_one_mail_with_proof(world: World) -> None:
    invoice = created_invoice(world)
    row = ask(invoice)
    assert fresh(invoice).state == InvoiceState.SENDING

    assert sending.send_due() == 1

    assert world.mails() == ["billing@acme.example"]
    (mail,) = ContactMail.objects.all()
    (invitation,) = world.invoices()[0]["invitations"]
    assert (mail.email, mail.message_id_before, mail.message_id_after) == (
        "billing@acme.example", "", invitation["message_id"],
    )  # fmt: skip
    row, invoice = fresh(row), fresh(invoice)
    assert (row.is_called, row.proven_at is not None, row.finished_at is not None) == (True, True, True)
    assert invoice.state == InvoiceState.SENT
    assert invoice.sent_at is not None
    assert states_of(invoice)[-2:] == ["sending", "sent"]
    assert world.invoices()[0]["status_id"] == "2"


def test_sending_again_looks_at_nothing(world: World) -> None:
    ask(created_invoice(world))
    sending.send_due()
    before = UpstreamCall.objects.count()

    assert sending.send_due() == 0
    assert (UpstreamCall.objects.count(), len(world.mails())) == (before, 1)


def test_every_contact_who_gets_mail_is_proven_and_the_others_are_left_out(world: World) -> None:
    set_contacts(world, THREE)
    invoice = created_invoice(world)

    ask(invoice)
    sending.send_due()

    assert sorted(world.mails()) == ["ann@acme.example", "bea@acme.example"]
    assert sorted(ContactMail.objects.values_list("email", flat=True)) == ["ann@acme.example", "bea@acme.example"]
    assert all(mail.message_id_after for mail in ContactMail.objects.all())
    assert fresh(invoice).state == InvoiceState.SENT


def test_a_name_that_no_column_holds_keeps_no_invoice_from_being_sent(world: World) -> None:
    long = {"first_name": "Ann\u0000" + "a" * 186, "last_name": "B" * 190, "email": "ann@acme.example"}
    set_contacts(world, [{**long, "send_email": True}])
    invoice = created_invoice(world)

    ask(invoice)
    sending.send_due()

    assert world.mails() == ["ann@acme.example"]
    assert fresh(invoice).state == InvoiceState.SENT
    assert ContactMail.objects.get().name == "Ann\ufffd" + "a" * 186 + " " + "B" * 64


@pytest.mark.parametrize("email", ["", " "])
def test_a_contact_without_an_address_stops_the_mail_before_the_call(world: World, email: str) -> None:
    set_contacts(world, [THREE[0], {**THREE[1], "email": email}])
    invoice = created_invoice(world)

    row = ask(invoice)
    sending.send_due()

    assert world.mails() == []
    assert world.invoices()[0]["status_id"] == "1"
    invoice = fresh(invoice)
    assert invoice.state == InvoiceState.ATTENTION
    assert invoice.attention_sentence.startswith("Client Acme Corp: Bea B has no e-mail address.")
    assert fresh(row).is_called is False

    set_contacts(world, THREE[:2])
    sending.decide(invoice, was_sent=False, user=make_user("Approver"), note="address added")
    ask(fresh(invoice))
    sending.send_due()
    assert sorted(world.mails()) == ["ann@acme.example", "bea@acme.example"]


def test_a_queued_mail_is_waited_for_and_proven_when_it_leaves(world: World) -> None:
    world.ninja.seed({"switches": {"mail_mode": "queued", "mail_delay_seconds": None}})
    invoice = created_invoice(world)
    row = ask(invoice)
    sending.send_due()
    assert fresh(invoice).state == InvoiceState.SENDING
    assert fresh(row).not_before > timezone.now()

    row = later(row)
    assert (row.is_called, row.finished_at) == (True, None)
    world.ninja.seed({"run_mail_queue": True})
    later(row)

    assert fresh(invoice).state == InvoiceState.SENT
    assert len(world.mails()) == 1


def test_a_proof_that_does_not_come_is_asked_about_and_never_mailed_again(world: World) -> None:
    world.ninja.seed({"switches": {"mail_mode": "queued", "mail_delay_seconds": None}})
    invoice = created_invoice(world)
    row = ask(invoice)
    sending.send_due()
    out_of_patience(row)

    row = later(row)

    invoice = fresh(invoice)
    assert invoice.state == InvoiceState.ATTENTION
    assert "no proof that it left. Invoice Ninja has no new message id for billing@acme" in invoice.attention_sentence
    assert row.finished_at is not None
    sending.send_due()
    assert len(world.mails()) == 1


def test_only_some_proofs_are_none(world: World) -> None:
    set_contacts(world, THREE[:2])
    world.ninja.seed({"switches": {"mail_mode": "queued", "mail_delay_seconds": None}})
    invoice = created_invoice(world)
    row = ask(invoice)
    sending.send_due()
    first = world.ninja.store["mails"].all()[0]
    there = world.ninja.store["invoices"].all()[0]
    invitations = [
        {**one, "message_id": "x@y"} if one["id"] == first["invitation_id"] else one for one in there["invitations"]
    ]
    with world.ninja.store.memory.transaction():
        world.ninja.store.save("invoices", there["id"], invitations=invitations)
    out_of_patience(row)

    later(row)

    proven = {mail.email: bool(mail.message_id_after) for mail in ContactMail.objects.all()}
    assert proven == {first["to"]: True, ({"ann@acme.example", "bea@acme.example"} - {first["to"]}).pop(): False}
    assert fresh(invoice).state == InvoiceState.ATTENTION


@pytest.mark.parametrize(
    "fault",
    [{"kind": "lost_answer"}, {"kind": "status", "status": 500, "after": True}, {"kind": "html"}, {"kind": "redirect"},
     {"kind": "status", "status": 503}, {"kind": "refused"}],
    ids=lambda fault: f"{fault['kind']}{fault.get('status', '')}",
)  # fmt: skip
def test_a_lost_answer_is_proven_or_asked_about_and_never_mailed_twice(world: World, fault: dict[str, Any]) -> None:
    invoice = created_invoice(world)
    world.fail("ninja", count=1, **EMAIL, **fault)
    row = ask(invoice)
    sending.send_due()
    assert fresh(invoice).state == InvoiceState.SENDING
    left = len(world.mails())

    row = later(row)
    assert fresh(invoice).state == (InvoiceState.SENT if left else InvoiceState.SENDING)
    out_of_patience(row)
    later(row)

    assert fresh(invoice).state == (InvoiceState.SENT if left else InvoiceState.ATTENTION)
    assert len(world.mails()) == left


@pytest.mark.parametrize("status", [400, 429])
def test_a_mail_taken_for_a_repetition_is_taken_back_and_mailed_a_second_later(world: World, status: int) -> None:
    invoice = created_invoice(world)
    world.fail("ninja", kind="status", status=status, body=DUPLICATE, count=1, **EMAIL)
    row = ask(invoice)
    asked = timezone.now()
    sending.send_due()

    row = fresh(row)
    assert (row.is_called, row.called_at, row.lease_until, ContactMail.objects.count()) == (False, None, None, 0)
    assert timedelta(seconds=1) < row.not_before - asked < timedelta(seconds=5)
    assert "did nothing: a request of the same kind came a moment before" in row.sentence
    assert (fresh(invoice).state, world.mails()) == (InvoiceState.SENDING, [])
    gate = UpstreamGate.objects.get(server="invoice_ninja")
    assert (gate.resume_at, gate.failures) == (None, 0)  # others are called at once

    later(row)
    assert fresh(invoice).state == InvoiceState.SENT
    assert world.mails() == ["billing@acme.example"]


def test_a_server_that_asks_to_slow_down_did_nothing_and_is_asked_again_later(world: World) -> None:
    invoice = created_invoice(world)
    world.fail("ninja", kind="status", status=429, count=1, **EMAIL)
    row = ask(invoice)
    sending.send_due()

    assert (fresh(row).is_called, world.mails()) == (False, [])
    assert UpstreamGate.objects.get(server="invoice_ninja").resume_at is not None
    UpstreamGate.objects.update(resume_at=None)
    later(row)
    assert (fresh(invoice).state, world.mails()) == (InvoiceState.SENT, ["billing@acme.example"])


def test_a_time_out_of_the_call_is_proven_later(world: World, settings: Any) -> None:
    invoice = created_invoice(world)
    row = ask(invoice)
    settings.CALL_DEADLINE_SECONDS = 0.4
    world.fail("ninja", kind="delay", seconds=0.8, after=True, count=1, **EMAIL)
    sending.send_due()
    assert fresh(invoice).state == InvoiceState.SENDING

    settings.CALL_DEADLINE_SECONDS = 2
    later(row)

    assert fresh(invoice).state == InvoiceState.SENT
    assert len(world.mails()) == 1


def test_a_refusal_is_asked_about_at_once(world: World) -> None:
    invoice = created_invoice(world)
    body = {"message": "The given data was invalid.", "errors": {"ids": ["Quota reached."]}}
    world.fail("ninja", kind="status", status=422, body=body, count=1, **EMAIL)

    ask(invoice)
    sending.send_due()

    invoice = fresh(invoice)
    assert invoice.state == InvoiceState.ATTENTION
    assert "Quota reached." in invoice.attention_sentence
    assert world.mails() == []


def test_killed_between_the_commit_and_the_call_nothing_is_mailed_again(world: World) -> None:
    invoice = created_invoice(world)
    row = ask(invoice)
    killed = sending._claim_next()
    assert killed is not None
    ninja = sending.upstreams.ninja_client()
    there = ninja.invoice(invoice.remote.remote_id)
    assert sending._commit_to_calling(killed, there, ninja.client(there.client_id))
    sending.send_due()  # its lease still runs
    assert world.mails() == []

    expire_lease(row)
    sending.send_due()
    out_of_patience(row)
    later(row)

    assert world.mails() == []
    assert fresh(invoice).state == InvoiceState.ATTENTION


def test_a_sleeper_that_wakes_after_its_lease_mails_nothing(world: World) -> None:
    invoice = created_invoice(world)
    row = ask(invoice)
    sleeper = sending._claim_next()
    assert sleeper is not None
    expire_lease(row)
    sending.send_due()  # another worker sends it
    assert len(world.mails()) == 1

    with pytest.raises(ClaimLost):
        sending._step(sleeper)

    assert len(world.mails()) == 1
    assert states_of(fresh(invoice)).count("sent") == 1


def test_a_late_look_changes_no_proof(world: World) -> None:
    world.ninja.seed({"switches": {"mail_mode": "queued", "mail_delay_seconds": None}})
    invoice = created_invoice(world)
    row = ask(invoice)
    sending.send_due()
    Sending.objects.filter(pk=row.pk).update(not_before=None)
    sleeper = sending._claim_next()
    assert sleeper is not None
    old = sending.upstreams.ninja_client().invoice(invoice.remote.remote_id)  # read, then it sleeps
    world.ninja.seed({"run_mail_queue": True})
    expire_lease(row)
    later(row)
    proof = ContactMail.objects.get().message_id_after
    assert proof

    sending._look_for_proof(sleeper, sending.upstreams.ninja_client(), old)

    assert ContactMail.objects.get().message_id_after == proof
    assert fresh(invoice).state == InvoiceState.SENT


def test_two_workers_send_one_mail(world: World) -> None:
    invoice = created_invoice(world)
    ask(invoice)
    first = sending._claim_next()
    assert first is not None
    assert sending._claim_next() is None
    with pytest.raises(IntegrityError), transaction.atomic():
        Sending.objects.create(invoice=invoice, seal=invoice.seal)


def test_what_was_changed_by_hand_is_shown_and_not_sent(world: World) -> None:
    invoice = created_invoice(world)
    line = {"task_id": world.tasks()[0]["id"], "quantity": 9, "cost": 75, "type_id": "2", "notes": "Task"}
    world.api_ninja("PUT", f"/invoices/{invoice.remote.remote_id}", {"line_items": [line]})

    ask(invoice)
    sending.send_due()

    invoice = fresh(invoice)
    assert invoice.state == InvoiceState.ATTENTION
    assert "net: 337.50 / 675.00" in invoice.attention_sentence
    assert world.mails() == []


@pytest.mark.parametrize("act", ["delete", "cancel"])
def test_what_is_gone_is_not_sent(world: World, act: str) -> None:
    invoice = created_invoice(world)
    if act == "cancel":
        world.api_ninja("POST", "/invoices/bulk", {"action": "mark_sent", "ids": [invoice.remote.remote_id]})
    world.api_ninja("POST", "/invoices/bulk", {"action": act, "ids": [invoice.remote.remote_id]})

    ask(invoice)
    sending.send_due()

    assert fresh(invoice).state == InvoiceState.ATTENTION
    assert world.mails() == []


@pytest.mark.parametrize("act", ["delete", "cancel"])
def test_what_is_gone_is_taken_over_as_cancelled_once_a_person_said_so(world: World, act: str) -> None:
    invoice = created_invoice(world)
    for step in ("mark_sent", act) if act == "cancel" else (act,):
        world.api_ninja("POST", "/invoices/bulk", {"action": step, "ids": [invoice.remote.remote_id]})
    ask(invoice)
    sending.send_due()
    payments.poll()  # in our hands: left to the person
    assert fresh(invoice).state == InvoiceState.ATTENTION

    sending.decide(fresh(invoice), was_sent=False, user=make_user("Approver"), note="it was wrong")
    payments.poll()

    assert fresh(invoice).state == InvoiceState.CANCELLED
    assert world.mails() == []


@pytest.mark.parametrize("status", ["paid", "partly"])
def test_what_was_paid_by_hand_is_adopted_and_never_mailed(world: World, status: str) -> None:
    invoice = created_invoice(world)
    amount = world.invoices()[0]["amount"] / (1 if status == "paid" else 2)
    row = {"invoice_id": invoice.remote.remote_id, "amount": amount}
    world.api_ninja("POST", "/invoices/bulk", {"action": "mark_sent", "ids": [row["invoice_id"]]})
    world.api_ninja("POST", "/payments", {"client_id": "client_abc123", "amount": amount, "invoices": [row]})
    mails = len(world.mails())

    ask(invoice)
    sending.send_due()
    assert fresh(invoice).state == InvoiceState.SENT
    payments.poll()

    assert fresh(invoice).state == (InvoiceState.PAID if status == "paid" else InvoiceState.PARTLY_PAID)
    assert len(world.mails()) == mails


def test_what_waits_for_a_slot_was_not_called_and_asks_nobody(world: World, settings: Any) -> None:
    invoice = created_invoice(world)
    row = ask(invoice)
    claimed = sending._claim_next()
    assert claimed is not None
    settings.CALL_DEADLINE_SECONDS = 0.5
    ninja = sending.upstreams.ninja_client()
    there = ninja.invoice(invoice.remote.remote_id)
    client = ninja.client(there.client_id)
    bound, settings.UPSTREAM_CALLS_AT_A_TIME = settings.UPSTREAM_CALLS_AT_A_TIME, 0

    with pytest.raises(Busy):
        sending._call(claimed, ninja, there, client)

    assert (fresh(row).is_called, ContactMail.objects.count(), world.mails()) == (False, 0, [])
    settings.UPSTREAM_CALLS_AT_A_TIME, settings.CALL_DEADLINE_SECONDS = bound, 2
    expire_lease(row)
    later(row)
    assert fresh(invoice).state == InvoiceState.SENT
    assert world.mails() == ["billing@acme.example"]


def test_what_was_sent_by_hand_is_adopted_and_never_mailed(world: World) -> None:
    invoice = created_invoice(world)
    mail = {"action": "email", "ids": [invoice.remote.remote_id], "email_type": "invoice"}
    world.api_ninja("POST", "/invoices/bulk", mail)

    row = ask(invoice)
    sending.send_due()

    assert fresh(invoice).state == InvoiceState.SENT
    assert (fresh(row).is_called, len(world.mails())) == (False, 1)


def test_seen_as_sent_by_hand_before_anybody_asks(world: World) -> None:
    invoice = created_invoice(world)
    mail = {"action": "email", "ids": [invoice.remote.remote_id], "email_type": "invoice"}
    world.api_ninja("POST", "/invoices/bulk", mail)
    payments.poll()

    with pytest.raises(NotAllowed, match="it is “Sent” by now"):
        ask(invoice)
    assert len(world.mails()) == 1


def test_a_person_may_allow_a_second_mail_and_it_leaves_once(world: World) -> None:
    world.ninja.seed({"switches": {"mail_mode": "queued", "mail_delay_seconds": None}})
    invoice = created_invoice(world)
    row = ask(invoice)
    sending.send_due()
    out_of_patience(row)
    later(row)
    world.ninja.seed({"switches": {"mail_mode": "sync"}})
    approver = make_user("Approver")

    assert sending.decide(fresh(invoice), was_sent=False, user=approver, note="they have nothing") is False
    waiting = fresh(invoice)
    assert waiting.state == InvoiceState.ATTENTION  # until it was read once more
    sentence = "It may be sent again (they have nothing), once Invoice Ninja was read once more."
    assert waiting.attention_sentence == sentence
    with pytest.raises(NotAllowed, match="said already"):
        sending.decide(fresh(invoice), was_sent=False, user=approver, note="twice")
    sending.send_due()
    payments.poll()  # the server says "sent", because we asked; the person knows better
    assert fresh(invoice).state == InvoiceState.CREATED
    trail = Transition.objects.filter(model="invoicing.invoice", row_id=invoice.pk).latest("pk")
    assert (trail.user, trail.why) == (approver, "they have nothing")
    ask(fresh(invoice))
    sending.send_due()

    assert fresh(invoice).state == InvoiceState.SENT
    assert len(world.mails()) == 2
    with pytest.raises(NotAllowed):
        sending.decide(fresh(invoice), was_sent=False, user=approver, note="again")


def test_a_person_may_say_that_it_arrived(world: World) -> None:
    world.ninja.seed({"switches": {"mail_mode": "queued", "mail_delay_seconds": None}})
    invoice = created_invoice(world)
    row = ask(invoice)
    sending.send_due()
    out_of_patience(row)
    later(row)
    with pytest.raises(NotAllowed, match="Say how you know"):
        sending.decide(fresh(invoice), was_sent=True, user=make_user("Approver"), note=" ")

    sending.decide(fresh(invoice), was_sent=True, user=make_user("Approver"), note="they called")

    invoice = fresh(invoice)
    assert (invoice.state, invoice.attention_sentence) == (InvoiceState.SENT, "")
    with pytest.raises(NotAllowed):
        ask(invoice)
    assert len(world.mails()) == 1


def test_the_second_click_is_refused_with_the_state(world: World) -> None:
    invoice = created_invoice(world)
    ask(invoice)
    with pytest.raises(NotAllowed, match="it is “Sending” by now"):
        ask(invoice)
    assert Sending.objects.count() == 1


def test_a_failed_reading_is_tried_again_and_mails_once(world: World) -> None:
    invoice = created_invoice(world)
    row = ask(invoice)
    world.fail("ninja", kind="status", status=503, method="GET", path="/api/v1/invoices/", count=1)
    sending.send_due()
    row = fresh(row)
    assert (row.is_called, row.lease_until, fresh(invoice).state) == (False, None, InvoiceState.SENDING)
    assert "down for maintenance" in row.sentence

    later(row)

    assert fresh(invoice).state == InvoiceState.SENT
    assert len(world.mails()) == 1


@pytest.mark.parametrize("function", ["refusal", "_look_for_proof"])
def test_a_fault_of_our_own_waits_with_a_sentence_and_mails_once(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, settings: Any, function: str
) -> None:
    settings.RETRY_BASE_SECONDS = 600
    invoice = created_invoice(world)
    row = ask(invoice)

    def break_down(*args: Any, **more: Any) -> Any:
        raise ZeroDivisionError("nobody thought of this")

    monkeypatch.setattr(sending, function, break_down)
    assert sending.send_due() == 1  # and the queue behind it goes on

    row = fresh(row)
    assert row.sentence == "The console failed on this; its log says why. It is tried again by itself."
    assert (row.finished_at, row.lease_until, row.is_called) == (None, None, function != "refusal")
    assert any("nobody thought" in str(record.exc_info) for record in caplog.records)

    monkeypatch.undo()
    later(row)
    assert fresh(invoice).state == InvoiceState.SENT
    assert world.mails() == ["billing@acme.example"]


def test_nothing_is_mailed_from_another_server(world: World) -> None:
    invoice = created_invoice(world)
    UpstreamPin.objects.filter(server="invoice_ninja").update(identity="somebody-else", checked_at=None)

    row = ask(invoice)
    sending.send_due()

    assert world.mails() == []
    assert "Another Invoice Ninja answers" in fresh(row).sentence


def test_paid_while_it_was_being_sent_is_caught_up_with(world: World) -> None:
    world.ninja.seed({"switches": {"mail_mode": "queued", "mail_delay_seconds": None}})
    invoice = created_invoice(world)
    row = ask(invoice)
    sending.send_due()
    world.api_ninja("POST", "/invoices/bulk", {"action": "mark_paid", "ids": [invoice.remote.remote_id]})
    payments.poll()
    assert fresh(invoice).state == InvoiceState.SENDING
    world.ninja.seed({"run_mail_queue": True})
    later(row)
    assert fresh(invoice).state == InvoiceState.SENDING  # a receipt could have changed the message id
    later(row)

    payments.poll()

    assert fresh(invoice).state == InvoiceState.PAID
