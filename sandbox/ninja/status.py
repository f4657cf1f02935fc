"""An invoice's status: how a draft becomes sent, and what follows from what was paid."""

from __future__ import annotations

from datetime import date, timedelta

from sandbox.memory import Row
from sandbox.ninja.activities import UPDATED, note_invoice
from sandbox.ninja.call import Call
from sandbox.ninja.invitations import mark_invitations
from sandbox.ninja.reminders import next_send_date
from sandbox.ninja.store import Store
from sandbox.ninja.webhooks import fire

DRAFT, SENT, PARTIAL, PAID, CANCELLED, REVERSED = "1", "2", "3", "4", "5", "6"


def mark_sent(call: Call, invoice: Row, *, is_new: bool = False) -> Row:
    """A draft becomes sent: its balance is its amount, it gets a number and a due date if it had none.

    is_new: it is being created, so no update is reported beside the sending.
    """
    if invoice["status_id"] != DRAFT or invoice["is_deleted"]:
        return invoice
    store = call.store
    client = store["clients"].get(invoice["client_id"])
    changes: Row = {
        "status_id": SENT,
        "balance": invoice["amount"],
        "invitations": mark_invitations(store, invoice["invitations"]),
        "number": invoice["number"] or store.next_number("invoices"),
        "due_date": invoice["due_date"] or _due_date(store, invoice, client),
    }
    changes["next_send_date"] = next_send_date(store, {**invoice, **changes})
    row = store.save("invoices", invoice["id"], **changes)
    store.move_client_money(row["client_id"], balance=row["balance"])
    note_invoice(store, UPDATED, row, user_id=call.user["id"])
    if not is_new:
        fire(call, "invoice_update", "invoices", row)
    fire(call, "invoice_sent", "invoices", row)
    return row


def note_payment_status(store: Store, invoice: Row) -> Row:
    """Sets sent, partly paid or paid by what was paid and what is open; drafts and cancelled ones stay. Lowered below
    what was paid it is sent, with a balance below 0 (1380).

    As long as less came in than the deposit that is asked for, it stays sent (recordings 806, 821 and 822).
    """
    if invoice["status_id"] not in (SENT, PARTIAL, PAID):
        return invoice
    has_deposit_open = invoice["partial"] and invoice["balance"] > 0
    if invoice["paid_to_date"] <= 0 or has_deposit_open or invoice["balance"] < 0:
        status = SENT
    else:
        status = PARTIAL if invoice["balance"] > 0 else PAID
    if status == invoice["status_id"]:
        return invoice
    return store.save("invoices", invoice["id"], status_id=status)


def _due_date(store: Store, invoice: Row, client: Row | None) -> str:
    terms = store.setting("payment_terms", client)
    if terms in (None, "") or not str(terms).isdigit():
        return ""
    try:
        day = date.fromisoformat(invoice["date"])
    except ValueError:
        return ""
    return f"{day + timedelta(days=int(terms)):%Y-%m-%d}"
