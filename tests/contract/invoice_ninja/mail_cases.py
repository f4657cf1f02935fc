"""The recorded cases of mails, their activities, receipts and repetitions (5.10.42), with the state that each needs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sandbox.ninja.activities import CREATED, note_invoice
from sandbox.ninja.app import InvoiceNinja
from tests.contract.invoice_ninja.recording import Tables, recordings
from tests.contract.invoice_ninja.sending import send
from tests.contract.invoice_ninja.world import Arrange, a_client, next_number

LIVED, ITS_CLIENT = "Opnel56aKB", "kQBeXDWeyK"
ON_DRAFTS = (602, 604, 606, 608, 610, 612, 623, 624)
ON_SENT = (614, 616, 618, 619, 620, 622)
NOBODY = (631, 633)


def client_of(number: int, email: str = "ann@rec.test", **fields: Any) -> Tables:
    """The client of the invoice that an exchange showed, with the one contact Ann."""
    shown = recordings()[number].answer["data"]
    invoice = shown[0] if isinstance(shown, list) else shown
    tables = a_client(invoice["client_id"], **fields)
    contact = tables["clients"][invoice["client_id"]]["contacts"][0]
    contact |= {"id": invoice["invitations"][0]["client_contact_id"], "email": email, "first_name": "Ann"}
    return tables


def _unsent(number: int) -> Arrange:
    """The invoice as it was before this mail, which made a draft a sent one."""

    def arrange(ninja: InvoiceNinja) -> None:
        row = recordings()[number].answer["data"]
        fresh = [{**one, "sent_date": "", "message_id": ""} for one in row["invitations"]]
        with ninja.memory.transaction():
            draft = {"status_id": "1", "balance": 0, "last_sent_date": ""}
            ninja.store.save("invoices", row["id"], **draft, invitations=fresh)

    return arrange


def lived(number: int) -> Arrange:
    """What became of the invoice of 685 to 717 that was not recorded: made, marked as sent, mailed."""

    def arrange(ninja: InvoiceNinja) -> None:
        store = ninja.store
        shown = recordings()[689].answer["data"][0]
        fresh = [{**one, "sent_date": "", "message_id": ""} for one in shown["invitations"]]
        with ninja.memory.transaction():
            store["activities"].last_id = 941
            draft = {"status_id": "1", "balance": 0, "last_sent_date": "", "due_date": "", "invitations": fresh}
            note_invoice(store, CREATED, store.save("invoices", LIVED, **draft))
        next_number("payments", 24)(ninja)
        templates = (["email"] if number >= 687 else []) + (
            ["reminder2", "reminder_endless", "custom1"] if number > 697 else []
        )
        if number >= 686:
            bulk(ninja, "mark_sent")
        for template in templates:
            bulk(ninja, "email", email_type="invoice" if template == "email" else template)
            if template == "email" and number >= 690:
                send(ninja, recordings()[689])
            ninja.store.guard.clear()

    return arrange


def bulk(ninja: InvoiceNinja, action: str, *, invoice_id: str = LIVED, **more: str) -> None:
    """A bulk action that was not recorded, on that invoice unless another is named."""
    ninja.store.guard.clear()
    body = {"action": action, "ids": [invoice_id], **more}
    assert send(ninja, replace(recordings()[689], body=body)).status_code == 200
    ninja.store.guard.clear()


def _just_asked(number: int) -> Arrange:
    return lambda ninja: (send(ninja, recordings()[number]), None)[1]


def alive() -> dict[str, Any]:
    """What `world.before` is given for the invoice of 685 to 717."""
    client = a_client(ITS_CLIENT, name="REC Activity", display_name="REC Activity", settings={"currency_id": "3"})
    invitation = recordings()[689].answer["data"][0]["invitations"][0]
    client["clients"][ITS_CLIENT]["contacts"][0] |= {"id": invitation["client_contact_id"], "first_name": "Ann"}
    return {"also": (689,), "rows": client, "settings": {"client_manual_payment_notification": True}}


def special() -> dict[int, dict[str, Any]]:
    """What `world.before` is given for each."""
    found: dict[int, dict[str, Any]] = {}
    for number in ON_DRAFTS:
        found[number] = {"also": (number,), "rows": client_of(number), "then": _unsent(number)}
    for number in ON_SENT:
        found[number] = {"also": (number,), "rows": client_of(number)}
    for number in NOBODY:
        found[number] = {"also": (number,), "rows": client_of(number, email=""), "then": _unsent(number)}
    found[666] = {"also": (666,), "rows": client_of(666, email=" "), "then": _unsent(666)}
    found[667] = {"also": (668,), "then": _just_asked(668)}
    found[674] = {"then": _just_asked(673), "also": (673,)}
    payments = (698, 701, 704, 707, 711, 714)
    for number in (685, 686, 687, 690, 699, 701, 704, 707, 708, 709, 712, 717):
        found[number] = {**alive(), "then": lived(number), "replay": tuple(one for one in payments if one < number)}
    found[698] = {**alive(), "then": lived(698)}
    return found


EXCHANGES = {
    "send_email": "602 604 606 608 610 612 614 616 618-620 622-624 631 633 666",
    "invoice_activities": "685-687 690 699 712",
    "payment_activities": "717",
    "create_payment": "698 701 704 707-709",
}
OTHERS = {"invoice actions": "667 674"}
