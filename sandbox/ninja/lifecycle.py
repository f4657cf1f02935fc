"""What becomes of an invoice: marked sent, paid, cancelled, archived, deleted, restored."""

from __future__ import annotations

from typing import Any

from sandbox.memory import Row
from sandbox.ninja.activities import CANCELLATION, note_invoice
from sandbox.ninja.call import Call
from sandbox.ninja.mail import send_mails, send_receipts, wants_receipts
from sandbox.ninja.payment_undo import take_money_back, undo_take_back
from sandbox.ninja.payments import pay_by_hand
from sandbox.ninja.status import CANCELLED, PAID, PARTIAL, SENT, mark_sent
from sandbox.ninja.values import as_number, is_on
from sandbox.ninja.webhooks import fire

DELETED_SUFFIX = "_Deleted"


def mark_paid(call: Call, invoice: Row) -> Row:
    """Pays what is open with a payment "Manual entry"; nothing happens to a paid, cancelled or deleted invoice."""
    if invoice["is_deleted"] or invoice["status_id"] in (PAID, CANCELLED):
        return invoice
    row = mark_sent(call, invoice)
    if row["balance"] or not row["amount"]:  # one of 0 is closed by a payment of 0 (960, 966)
        pay_by_hand(call, row, row["balance"], row["date"])
    return _again(call, row)


def cancel(call: Call, invoice: Row) -> Row:
    """A sent or partly paid invoice is cancelled: balance 0, its tasks stay linked; a draft or a paid one is left as it
    is (1359 to 1362)."""
    if invoice["status_id"] not in (SENT, PARTIAL) or invoice["is_deleted"]:
        return invoice
    call.store.move_client_money(invoice["client_id"], balance=-invoice["balance"])
    row = call.store.save("invoices", invoice["id"], status_id=CANCELLED, balance=0)
    note_invoice(call.store, CANCELLATION, row, user_id=call.user["id"])
    fire(call, "invoice_update", "invoices", row)
    return row


def archive(call: Call, invoice: Row) -> Row:
    """Puts it away; the link to its tasks is kept."""
    row = call.store.save("invoices", invoice["id"], archived_at=call.store.now())
    fire(call, "invoice_archive", "invoices", row)
    return row


def delete_invoice_row(call: Call, invoice: Row) -> Row:
    """Marks it deleted: number + `_Deleted`, tasks that point to it are free, its payments shrink or go."""
    store = call.store
    if invoice["is_deleted"]:
        return invoice
    for task in store["tasks"].find(invoice_id=invoice["id"]):
        store.save("tasks", task["id"], invoice_id="")
    taken = take_money_back(call, invoice)
    store.move_client_money(invoice["client_id"], balance=-invoice["balance"], paid=-invoice["paid_to_date"])
    row = store.save(
        "invoices",
        invoice["id"],
        is_deleted=True,
        archived_at=invoice["archived_at"] or store.now(),
        number=f"{invoice['number']}{DELETED_SUFFIX}",
        _taken=taken,
    )
    fire(call, "invoice_delete", "invoices", row)
    return row


def restore(call: Call, invoice: Row) -> Row:
    """Brings it back, with its number if that is still free, else with a new one; tasks are not linked again."""
    store = call.store
    if not invoice["is_deleted"]:
        row = store.save("invoices", invoice["id"], archived_at=0)
        fire(call, "invoice_restore", "invoices", row)
        return row
    number = invoice["number"].removesuffix(DELETED_SUFFIX)
    if store.has_number("invoices", number, besides=invoice["id"]):
        number = store.next_number("invoices")
    undo_take_back(call, invoice)
    store.move_client_money(invoice["client_id"], balance=invoice["balance"], paid=invoice["paid_to_date"])
    row = store.save("invoices", invoice["id"], is_deleted=False, archived_at=0, number=number, _taken=[])
    # The server does report a deletion here.
    fire(call, "invoice_delete", "invoices", row)
    fire(call, "invoice_update", "invoices", row)
    return row


def apply_flags(call: Call, invoice_id: str, *, is_new: bool = False) -> None:
    """The flags of POST and PUT (query or body): mark_sent, paid, amount_paid, send_email, cancel, auto_bill."""
    store = call.store

    def current() -> Row:
        row = store["invoices"].get(invoice_id)
        assert row is not None
        return row

    if call.flag("mark_sent") or call.flag("auto_bill"):
        mark_sent(call, current(), is_new=is_new)
    amount = call.value("amount_paid")
    if call.flag("paid"):
        mark_paid(call, current())
    elif amount is not None and as_number(amount) > 0:
        row = mark_sent(call, current())
        today = f"{store.utc_today():%Y-%m-%d}"
        payment = pay_by_hand(call, row, min(as_number(amount), row["balance"]), today)
        if wants_receipts(store, payment):
            send_receipts(store, payment)
    if call.flag("send_email"):
        send_mails(call, "invoices", mark_sent(call, current(), is_new=is_new), "invoice")
    if is_on(call.value("cancel")):
        cancel(call, current())


def _again(call: Call, invoice: Row) -> Row:
    row: Any = call.store["invoices"].get(invoice["id"])
    return row if row is not None else invoice
