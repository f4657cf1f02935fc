"""What takes money back: deleted and refunded payments, and deleted invoices."""

from __future__ import annotations

from typing import Any

from sandbox.memory import Row
from sandbox.ninja.activities import note_payment
from sandbox.ninja.call import Call
from sandbox.ninja.credit_use import give_back
from sandbox.ninja.mail import send_receipts
from sandbox.ninja.payment_checks import read_refund
from sandbox.ninja.payments import find_payment, recount_unapplied
from sandbox.ninja.transformers import answer_bulk, answer_one, transform
from sandbox.ninja.values import as_text, whole
from sandbox.ninja.webhooks import fire


def delete_payment(call: Call, payment_id: str) -> dict[str, Any]:
    """DELETE /payments/{id}: the invoices owe again and the credits are open again; the answer still says that it is
    not deleted (recordings 1229, 1230)."""
    payment = find_payment(call, payment_id)
    answer = {"data": transform(call.store, "payments", payment)}
    _delete(call, payment)
    return answer


def bulk_payments(call: Call) -> dict[str, Any]:
    """POST /payments/bulk: archive, restore, delete; a deleted payment is not restored (1233 to 1236)."""
    action, store = as_text(call.body.get("action")), call.store
    rows = [row for row in map(store["payments"].get, call.body.get("ids") or []) if row is not None]
    for row in rows:
        match action:
            case "archive":
                store.save("payments", row["id"], archived_at=store.now())
            case "restore" if not row["is_deleted"]:
                store.save("payments", row["id"], archived_at=0)
            case "delete":
                _delete(call, row)
    return answer_bulk(call, "payments", [store["payments"].get(row["id"]) or row for row in rows])


def refund_payment(call: Call) -> dict[str, Any]:
    """POST /payments/refund: part of a payment goes back and the invoice is open again by as much, a cancelled one too
    (1397 to 1399)."""
    store, body = call.store, call.body
    payment = find_payment(call, as_text(body.get("id")))
    parts, amount = read_refund(payment, body)
    paymentables = []
    for part in payment["paymentables"]:
        back = parts.get(part.get("invoice_id", ""), 0)
        invoice = store["invoices"].get(part.get("invoice_id", ""))
        if back and invoice is not None:
            _owe_again(call, invoice, back)
        paymentables.append({**part, "refunded": whole(part["refunded"] + back)})
    store.move_client_money(payment["client_id"], paid=-amount)
    refunded = whole(payment["refunded"] + amount)
    status = "6" if refunded >= payment["amount"] else "5"
    row = store.save("payments", payment["id"], refunded=refunded, status_id=status, paymentables=paymentables)
    fire(call, "payment_update", "payments", row)
    if call.flag("email_receipt"):  # never by itself (recordings 711 to 716)
        send_receipts(store, row)
    note_payment(store, row, refunded=amount)
    answer = answer_one(call, "payments", row)
    answer["data"]["paymentables"] = payment["paymentables"]
    return answer


def take_money_back(call: Call, invoice: Row) -> list[Row]:
    """What a deleted invoice does to its payments: each loses that part, and goes when nothing is left.

    Answers what was taken, for a restoration.
    """
    store, taken = call.store, []
    for payment in store["payments"].find(client_id=invoice["client_id"]):
        parts = [part for part in payment["paymentables"] if part.get("invoice_id") == invoice["id"]]
        if not parts or payment["is_deleted"]:
            continue
        amount = sum(part["amount"] - part["refunded"] for part in parts)
        left = whole(round(payment["amount"] - amount, 6))
        changes: Row = {"amount": left, "applied": whole(round(payment["applied"] - amount, 6))}
        changes["_gone"] = [*payment.get("_gone", []), invoice["id"]]
        changes["paymentables"] = [part for part in payment["paymentables"] if part not in parts]
        if left <= 0:
            changes |= {"is_deleted": True, "archived_at": store.now()}
        row = store.save("payments", payment["id"], **changes)
        taken.append({"payment_id": payment["id"], "parts": parts, "amount": amount})
        fire(call, "payment_update", "payments", row)
    return taken


def undo_take_back(call: Call, invoice: Row) -> None:
    """Gives a restored invoice's payments back what its deletion took."""
    store = call.store
    for taken in invoice.get("_taken") or []:
        payment = store["payments"].get(taken["payment_id"])
        if payment is None:
            continue
        row = store.save(
            "payments",
            payment["id"],
            amount=whole(payment["amount"] + taken["amount"]),
            applied=whole(payment["applied"] + taken["amount"]),
            paymentables=[*payment["paymentables"], *taken["parts"]],
            _gone=[],
            is_deleted=False,
            archived_at=0,
        )
        fire(call, "payment_update", "payments", row)


def _delete(call: Call, payment: Row) -> None:
    store = call.store
    if payment["is_deleted"]:
        return
    money = payment["amount"] - payment["refunded"]
    is_of_credits = any("credit_id" in part for part in payment["paymentables"])
    for part in payment["paymentables"]:
        invoice = store["invoices"].get(part.get("invoice_id", ""))
        # A cancelled one stays cancelled where a credit is given back (1424); where money is, it owes again (259).
        if invoice is not None and invoice["status_id"] == "5" and is_of_credits:
            paid = whole(round(invoice["paid_to_date"] - part["amount"] + part["refunded"], 6))
            store.save("invoices", invoice["id"], paid_to_date=paid)
        elif invoice is not None:
            _owe_again(call, invoice, part["amount"] - part["refunded"])
        if (credit := store["credits"].get(part.get("credit_id", ""))) is not None:
            give_back(call, credit, part["amount"])
            money += part["amount"]
    store.move_client_money(payment["client_id"], paid=-money)
    gone: Row = {"is_deleted": True, "archived_at": store.now(), "status_id": "2", "paymentables": []}
    row = store.save("payments", payment["id"], **gone)
    recount_unapplied(store, payment["client_id"])
    fire(call, "payment_delete", "payments", row)


def _owe_again(call: Call, invoice: Row, amount: Any) -> None:
    """The invoice is open by as much more: sent if all of it is, else partly paid, also where nothing is (1356)."""
    store = call.store
    paid = whole(round(invoice["paid_to_date"] - amount, 6))
    balance = whole(round(invoice["balance"] + amount, 6))
    status = "2" if balance == invoice["amount"] else "3"
    store.save("invoices", invoice["id"], paid_to_date=paid, balance=balance, status_id=status)
    store.move_client_money(invoice["client_id"], balance=amount)
