"""Sending: marks as sent whether or not there is an address; only an invitation's message_id tells that a mail went."""

from __future__ import annotations

import secrets
import time
from datetime import date, timedelta

from sandbox.memory import Row
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
    "payment": "Payment received",
}
SUBJECT_OF_REMINDERS = "Reminder: invoice {number} from {company}"


def send_mails(
    call: Call, table: str, row: Row, template: str, *, subject: str = "", body: str = "", cc_email: str = ""
) -> Row:
    """A mail for each invitation whose contact has an address; the dates are set for all of them all the same.

    With the switch mail_mode `queued` the message_id comes `mail_delay_seconds` of real time later (never if that is
    null). Raises Refusal 500 where the company attaches PDFs and the switch pdf_engine is off.
    """
    store = call.store
    client = store["clients"].get(row["client_id"])
    if client is None:
        raise missing("Client", row["client_id"])
    if store.setting("pdf_email_attachment", client) and not store.switch("pdf_engine", False):
        raise Refusal(500, {"message": "Unable to generate the raw PDF"})
    contacts = {contact["id"]: contact for contact in client["contacts"]}
    subject = subject or SUBJECTS.get(template, SUBJECT_OF_REMINDERS)
    subject = subject.format(number=row["number"], company=store.company()["settings"]["name"]) if subject else ""
    mails = []
    for invitation in row["invitations"]:
        contact = contacts.get(invitation["client_contact_id"])
        if contact is None or not contact["email"].strip() or not contact["send_email"]:
            continue
        mail = {
            "to": contact["email"],
            "cc": cc_email,
            "subject": subject,
            "body": body,
            "template": template,
            "entity": table.removesuffix("s"),
            "entity_id": row["id"],
            "invoice_id": row["id"] if table == "invoices" else "",
            "number": row["number"],
            "invitation_id": invitation["id"],
            "client_contact_id": contact["id"],
            "at": store.moment(),
            "message_id": "",
            "_due": _due(store),
        }
        mails.append(store["mails"].insert(mail))
    sent = {"last_sent_date": f"{store.utc_today():%Y-%m-%d}"} if table == "invoices" else {}
    saved = store.save(table, row["id"], invitations=mark_invitations(store, row["invitations"]), **sent)
    fire(call, f"{table.removesuffix('s')}_sent", table, saved)
    run_queue(store)
    return store[table].get(row["id"]) or saved


def run_queue(store: Store, *, everything: bool = False) -> None:
    """Does the mails that are due (or all that wait): gives each an id and writes it to its invitation."""
    waiting = store["mails"].find(message_id="")
    now = time.time()
    due = [mail for mail in waiting if everything or (mail["_due"] is not None and mail["_due"] <= now)]
    if not due:
        return
    with store.memory.transaction():
        for mail in due:
            message_id = f"{secrets.token_hex(16)}@ninja.example"
            store["mails"].update(mail["id"], message_id=message_id)
            table = f"{mail['entity']}s"
            row = store[table].get(mail["entity_id"])
            if row is None:
                continue
            fresh = {"message_id": message_id, "updated_at": store.now()}
            invitations = [{**i, **fresh} if i["id"] == mail["invitation_id"] else i for i in row["invitations"]]
            store.save(table, row["id"], invitations=invitations)


def chosen_template(store: Store, invoice: Row) -> str:
    """What an e-mail without email_type says: the reminder in whose window today is, else the invoice text."""
    client = store["clients"].get(invoice["client_id"])
    for number in (1, 2, 3):
        start = _reminder_day(store, invoice, client, number)
        if start is not None and not invoice[f"reminder{number}_sent"] and store.today() == start:
            return f"reminder{number}"
    return "invoice"


def _reminder_day(store: Store, invoice: Row, client: Row | None, number: int) -> date | None:
    if not store.setting(f"enable_reminder{number}", client):
        return None
    days = timedelta(days=int(store.setting(f"num_days_reminder{number}", client) or 0))
    schedule = store.setting(f"schedule_reminder{number}", client)
    base = invoice["date"] if schedule == "after_invoice_date" else invoice["due_date"]
    try:
        day = date.fromisoformat(base)
    except ValueError:
        return None
    return day - days if schedule == "before_due_date" else day + days


def _due(store: Store) -> float | None:
    """When the mail job runs, in seconds of real time; None is never by itself."""
    if store.switch("mail_mode", "sync") != "queued":
        return 0.0
    delay = store.switch("mail_delay_seconds", 0)
    return None if delay is None else time.time() + float(delay)
