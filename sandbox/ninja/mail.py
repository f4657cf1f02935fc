"""Sending: marks as sent whether or not there is an address; only an invitation's message_id tells that a mail went.

Every invitation is mailed, whatever its contact's send_email says by now (recordings 639, 640, 653 of 5.10.42).
"""

from __future__ import annotations

import secrets
import time

from sandbox.memory import Row
from sandbox.ninja.activities import MAILED, note_invoice, note_receipt
from sandbox.ninja.call import Call
from sandbox.ninja.errors import Refusal, missing
from sandbox.ninja.invitations import mark_invitations
from sandbox.ninja.store import Store
from sandbox.ninja.webhooks import fire

TEMPLATES = (
    *("invoice", "quote", "credit", "payment", "payment_partial", "statement", "purchase_order"),
    *("reminder1", "reminder2", "reminder3", "reminder_endless", "custom1", "custom2", "custom3"),
)
SUBJECTS = {
    "invoice": "New invoice {number} from {company}",
    "credit": "New credit {number} from {company}",
    "payment": "Payment received for {number}",
}
SUBJECT_OF_REMINDERS = "Reminder: invoice {number} from {company}"


def send_mails(
    call: Call, table: str, row: Row, template: str, *, subject: str = "", body: str = "", cc_email: str = ""
) -> Row:
    """A mail for each invitation whose contact has an address; the dates are set for all of them all the same.

    With the switch mail_mode `queued` the message_id comes `mail_delay_seconds` of real time later (never if that is
    null); with `down`, as with a mail server that does not answer, all is as ever, but no mail leaves and no message_id
    comes (recordings 1483 to 1485).

    Raises Refusal 500 where the company attaches PDFs and the switch pdf_engine is off.
    """
    store = call.store
    client = store["clients"].get(row["client_id"])
    if client is None:
        raise missing("Client", row["client_id"])
    if store.setting("pdf_email_attachment", client) and not store.switch("pdf_engine", False):
        raise Refusal(500, {"message": "Unable to generate the raw PDF"})
    texts = {"subject": subject, "body": body, "cc": cc_email}
    for invitation, contact in _reachable(store, row):
        _queue_mail(store, table, row, invitation, contact, template, texts)
    # An invoice's sent_date is the moment when it became sent; a mail to somebody new leaves his empty (649).
    sent: Row = {"invitations": mark_invitations(store, row["invitations"])}
    if table == "invoices":
        sent = {"last_sent_date": f"{store.utc_today():%Y-%m-%d}"}
    saved = store.save(table, row["id"], **sent)
    if table == "invoices":
        note_invoice(store, MAILED, saved, user_id=call.user["id"], contact=_first_contact(store, saved))
    fire(call, f"{table.removesuffix('s')}_sent", table, saved)
    run_queue(store)
    return store[table].get(row["id"]) or saved


def has_address(store: Store, row: Row) -> bool:
    """Whether somebody who is invited has an address in the server's eyes: a lone space is one (665, 666)."""
    client = store["clients"].get(row["client_id"])
    contacts = {contact["id"]: contact for contact in client["contacts"]} if client is not None else {}
    invited = [contacts.get(invitation["client_contact_id"]) for invitation in row["invitations"]]
    return any(contact is not None and contact["email"] for contact in invited)


def wants_receipts(store: Store, payment: Row) -> bool:
    """Whether a payment entered by hand, a use of a credit too, is followed by a receipt unless the call forbids it."""
    return bool(store.setting("client_manual_payment_notification", store["clients"].get(payment["client_id"])))


def send_receipts(store: Store, payment: Row) -> None:
    """Mail the receipt of a payment or refund to the first contact of each of its invoices.

    It goes through the invoice's invitation, so it changes that message_id as if the invoice had been mailed again.
    """
    for part in payment["paymentables"]:
        invoice = store["invoices"].get(part.get("invoice_id", ""))
        reachable = _reachable(store, invoice) if invoice is not None else []
        for invitation, contact in [pair for pair in reachable if pair[1]["send_email"]][:1]:
            _queue_mail(store, "invoices", invoice or {}, invitation, contact, "payment", {"payment_id": payment["id"]})
    run_queue(store)


def run_queue(store: Store, *, everything: bool = False) -> None:
    """Does the mails that are due (or all that wait): gives each an id and writes it to its invitation."""
    waiting = store["mails"].find(message_id="")
    now = time.time()
    due = [mail for mail in waiting if everything or (mail["_due"] is not None and mail["_due"] <= now)]
    if not due:
        return
    with store.memory.transaction():
        for mail in due:
            payment = store["payments"].get(mail["_payment_id"])
            if payment is not None:
                note_receipt(store, payment)
            message_id = f"{secrets.token_hex(16)}@ninja.example"
            store["mails"].update(mail["id"], message_id=message_id)
            table = f"{mail['entity']}s"
            row = store[table].get(mail["entity_id"])
            if row is None:
                continue
            fresh = {"message_id": message_id, "updated_at": store.now()}
            invitations = [{**i, **fresh} if i["id"] == mail["invitation_id"] else i for i in row["invitations"]]
            store.save(table, row["id"], invitations=invitations)


def bounce(store: Store, address: str, status: str, reason: str) -> int:
    """What a provider's webhook does: the invitation of each last mail to `address` says so; answers how many.

    It is found by the message id (the server's ProcessPostmarkWebhook), so a mail that came later hides it.
    """
    ids = {mail["message_id"] for mail in store["mails"].all() if mail["to"] == address and mail["message_id"]}
    count = 0
    for row in store["invoices"].all():
        fresh = {"email_status": status, "email_error": reason, "updated_at": store.now()}
        invitations = [{**one, **fresh} if one["message_id"] in ids else one for one in row["invitations"]]
        if invitations != row["invitations"]:
            store.save("invoices", row["id"], invitations=invitations)
            count += 1
    return count


def _reachable(store: Store, row: Row) -> list[tuple[Row, Row]]:
    """The invitations whose contact has an address, with that contact."""
    client = store["clients"].get(row["client_id"])
    contacts = {contact["id"]: contact for contact in client["contacts"]} if client is not None else {}
    pairs = [(invitation, contacts.get(invitation["client_contact_id"])) for invitation in row["invitations"]]
    return [(i, c) for i, c in pairs if c is not None and c["email"].strip()]


def _first_contact(store: Store, row: Row) -> Row | None:
    reachable = _reachable(store, row)
    return reachable[0][1] if reachable else None


def _queue_mail(
    store: Store, table: str, row: Row, invitation: Row, contact: Row, template: str, texts: dict[str, str]
) -> None:
    if store.switch("mail_mode", "sync") == "down":
        return
    # A custom text without words of its own has the subject of the invoice's mail (612, 622).
    subject = texts.get("subject") or SUBJECTS.get(
        "invoice" if template.startswith("custom") else template, SUBJECT_OF_REMINDERS
    )
    names = {"{number}": row["number"], "{company}": store.company()["settings"]["name"]}
    for word, value in names.items():
        subject = subject.replace(word, value)
    mail = {
        "to": contact["email"],
        "cc": texts.get("cc", ""),
        "subject": subject,
        "body": texts.get("body", ""),
        "template": template,
        "entity": table.removesuffix("s"),
        "entity_id": row["id"],
        "invoice_id": row["id"] if table == "invoices" else "",
        "number": row["number"],
        "invitation_id": invitation["id"],
        "client_contact_id": contact["id"],
        "at": store.moment(),
        "message_id": "",
        "_payment_id": texts.get("payment_id", ""),
        "_due": _due(store),
    }
    store["mails"].insert(mail)


def _due(store: Store) -> float | None:
    """When the mail job runs, in seconds of real time; None is never by itself."""
    if store.switch("mail_mode", "sync") != "queued":
        return 0.0
    delay = store.switch("mail_delay_seconds", 0)
    return None if delay is None else time.time() + float(delay)
