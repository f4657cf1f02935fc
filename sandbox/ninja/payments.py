"""Payments: what pays invoices, credits included, and what takes the money back."""

from __future__ import annotations

from typing import Any

from sandbox.memory import Row
from sandbox.ninja.activities import note_payment
from sandbox.ninja.call import Call
from sandbox.ninja.credit_use import give_back, use_credit
from sandbox.ninja.errors import invalid, missing, unauthorized
from sandbox.ninja.filters import Filter, contains, equals, select
from sandbox.ninja.mail import send_receipts, wants_receipts
from sandbox.ninja.status import mark_sent, note_payment_status
from sandbox.ninja.store import Store
from sandbox.ninja.transformers import answer_one, answer_page, transform
from sandbox.ninja.values import as_number, as_text, is_on, whole
from sandbox.ninja.webhooks import fire

CUSTOM = ("custom_value1", "custom_value2", "custom_value3", "custom_value4")
TEXTS = ("transaction_reference", "date", "type_id", "private_notes", *CUSTOM)
EMPTY: Row = {
    "user_id": "",
    "assigned_user_id": "",
    "amount": 0,
    "refunded": 0,
    "applied": 0,
    "transaction_reference": "",
    "transaction_id": "",
    "date": "",
    "is_manual": True,
    "type_id": "",
    "invitation_id": "",
    "private_notes": "",
    "number": "",
    **dict.fromkeys(CUSTOM, ""),
    "client_id": "",
    "client_contact_id": "",
    "company_gateway_id": "",
    "gateway_type_id": "",
    "status_id": "4",
    "project_id": "",
    "vendor_id": "",
    "currency_id": "",
    "exchange_rate": 1,
    "exchange_currency_id": "",
    "paymentables": [],
}
OVERPAID = "The amount is greater than the invoice balance. You cannot overpay an invoice."
NO_INVOICE = "Attempting to refund a payment with invoices attached, please specify valid invoice/s to be refunded."
FILTERS: dict[str, Filter] = {
    "filter": contains("amount", "date", "transaction_reference", "number", *CUSTOM),
    "transaction_reference": equals("transaction_reference"),
    "match_transactions": lambda _store, _value: lambda row: not row["is_deleted"],
}


def list_payments(call: Call) -> dict[str, Any]:
    """GET /payments"""
    return answer_page(call, "payments", select(call, "payments", FILTERS))


def get_payment(call: Call, payment_id: str) -> dict[str, Any]:
    """GET /payments/{id}"""
    return answer_one(call, "payments", _payment(call, payment_id))


def create_payment(call: Call) -> dict[str, Any]:
    """POST /payments: amount plus credits, spread over invoices; the same again within a second is 400."""
    if not call.may("create_payment"):
        raise unauthorized()
    store, body = call.store, call.body
    client_id = as_text(body.get("client_id"))
    call.refuse_duplicate(f"payments {body.get('amount')} {client_id}")
    client = store["clients"].get(client_id)
    if client is None or client["is_deleted"]:
        why = "The selected client id is invalid." if client_id else "The client id field is required."
        raise invalid({"client_id": [why]})
    errors: Row = {}
    key = as_text(body.get("idempotency_key"))
    if key and store["payments"].find(_idempotency_key=key):
        errors["idempotency_key"] = ["The idempotency key has already been taken."]
    invoices = _read_invoices(store, body, client_id, errors)
    credits = _read_credits(store, body, client_id, errors)
    if errors:
        raise invalid(errors)
    spent = sum(amount for _, amount in invoices)
    used = sum(amount for _, amount in credits)
    # 0 is no amount: what the credits leave open then counts as money that came (recordings 1224, 1468).
    amount = as_number(body.get("amount") or 0) or whole(max(0, spent - used))
    if spent > amount + used + 1e-9:
        raise invalid({"amount": ["Insufficient balance on payment."]})
    values = {name: as_text(body[name]) for name in TEXTS if name in body}
    own = {"client_id": client_id, "amount": amount, "applied": whole(max(0, spent - used)), "_idempotency_key": key}
    row = _store_payment(call, client, {**values, **own})
    for invoice, part in invoices:
        apply_to_invoice(call, row["id"], invoice, part)
    for credit, part in credits:
        use_credit(call, credit, part, invoices[0][0] if invoices else None)
        _add_part(store, row["id"], {"credit_id": credit["id"], "amount": part})
    row = _payment(call, row["id"])
    fire(call, "payment_create", "payments", row)
    is_wanted = call.value("email_receipt")
    if wants_receipts(store, row) if is_wanted is None else is_on(is_wanted):
        send_receipts(store, row)
    note_payment(store, row)
    return answer_one(call, "payments", row)


def update_payment(call: Call, payment_id: str) -> dict[str, Any]:
    """PUT /payments/{id}: `invoices` are added to what is applied; the amount never changes (recordings 1268 to 1279).

    An empty list unapplies nothing, and the status is 4 again (1336).
    """
    payment, store = _payment(call, payment_id), call.store
    client_id = payment["client_id"]
    errors: Row = {}
    invoices = _read_invoices(store, call.body, client_id, {})
    if any(amount > invoice["balance"] for invoice, amount in invoices) or len(invoices) < len(
        call.body.get("invoices") or []
    ):
        errors["invoices"] = ["Amount cannot be greater than invoice balance"]
    elif sum(amount for _, amount in invoices) > payment["amount"] - payment["applied"] + 1e-9:
        errors["invoices"] = ["Insufficient applied amount remaining to cover payment."]
    if errors:
        raise invalid(errors)
    for invoice, part in invoices:
        apply_to_invoice(call, payment_id, invoice, part)
    applied = whole(round(payment["applied"] + sum(amount for _, amount in invoices), 6))
    values = {name: as_text(call.body[name]) for name in TEXTS if name in call.body}
    if "invoices" in call.body:
        values["status_id"] = "4"
    row = store.save("payments", payment_id, applied=applied, **values)
    fire(call, "payment_update", "payments", row)
    return answer_one(call, "payments", row)


def delete_payment(call: Call, payment_id: str) -> dict[str, Any]:
    """DELETE /payments/{id}: the invoices owe again and the credits are open again; the answer still says that it is
    not deleted (recordings 1229, 1230)."""
    payment = _payment(call, payment_id)
    answer = {"data": transform(call.store, "payments", payment)}
    if payment["is_deleted"]:
        return answer
    store = call.store
    for part in payment["paymentables"]:
        invoice = store["invoices"].get(part.get("invoice_id", ""))
        if invoice is not None:
            _owe_again(call, invoice, part["amount"] - part["refunded"])
        if (credit := store["credits"].get(part.get("credit_id", ""))) is not None:
            give_back(call, credit, part["amount"])
    gone: Row = {"is_deleted": True, "archived_at": store.now(), "status_id": "2", "paymentables": []}
    row = store.save("payments", payment_id, **gone)
    fire(call, "payment_delete", "payments", row)
    return answer


def refund_payment(call: Call) -> dict[str, Any]:
    """POST /payments/refund: part of a payment goes back and the invoice is open again by as much.

    What is on invoices is refunded by what these name, whatever the amount says, and never without one (1297, 1299).
    """
    store, body = call.store, call.body
    payment = _payment(call, as_text(body.get("id")))
    parts = {as_text(p.get("invoice_id")): as_number(p.get("amount")) for p in body.get("invoices") or []}
    is_applied = any(part.get("invoice_id") for part in payment["paymentables"])
    if is_applied and not parts:
        raise invalid({"id": [NO_INVOICE]})
    amount = sum(parts.values()) if parts else as_number(body.get("amount") or 0)
    if amount > payment["amount"] - payment["refunded"]:
        raise invalid({"amount": ["Attempting to refund more than allowed for this payment"]})
    paymentables = []
    for part in payment["paymentables"]:
        back = parts.get(part.get("invoice_id", ""), 0)
        invoice = store["invoices"].get(part.get("invoice_id", ""))
        if back and invoice is not None:
            _owe_again(call, invoice, back)
        paymentables.append({**part, "refunded": whole(part["refunded"] + back)})
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


def pay_by_hand(call: Call, invoice: Row, amount: Any, day: str) -> Row:
    """A completed payment "Manual entry" of this amount on one invoice; answers it."""
    client = call.store["clients"].get(invoice["client_id"]) or {}
    values = {"transaction_reference": "Manual entry", "date": day, "amount": amount, "applied": amount}
    row = _store_payment(call, client, {**values, "client_id": invoice["client_id"]})
    apply_to_invoice(call, row["id"], invoice, amount)
    row = _payment(call, row["id"])
    note_payment(call.store, row)
    fire(call, "payment_create", "payments", row)
    fire(call, "invoice_update", "invoices", call.store["invoices"].get(invoice["id"]) or invoice)
    return row


def apply_to_invoice(call: Call, payment_id: str, invoice: Row, amount: Any) -> None:
    """Puts a part of a payment on an invoice; a draft is sent by it."""
    store = call.store
    row = mark_sent(call, invoice)
    paid, balance = whole(row["paid_to_date"] + amount), whole(round(row["balance"] - amount, 6))
    changes: Row = {"paid_to_date": paid, "balance": balance, "next_send_date": "", **_less_deposit(row, amount)}
    note_payment_status(store, store.save("invoices", row["id"], **changes))
    store.move_client_money(row["client_id"], balance=-amount, paid=amount)
    _add_part(store, payment_id, {"invoice_id": row["id"], "amount": amount})


def _less_deposit(invoice: Row, amount: Any) -> Row:
    """A payment takes off the deposit that was asked for first; nothing is asked for any more once it is paid."""
    if not invoice["partial"]:
        return {}
    left = whole(round(invoice["partial"] - amount, 6))
    return {"partial": left} if left > 0 else {"partial": 0, "partial_due_date": ""}


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
            is_deleted=False,
            archived_at=0,
        )
        fire(call, "payment_update", "payments", row)


def _payment(call: Call, payment_id: str) -> Row:
    payment = call.store["payments"].get(payment_id)
    if payment is None:
        raise missing("Payment", payment_id)
    return payment


def _store_payment(call: Call, client: Row, values: Row) -> Row:
    store = call.store
    company = store.company()["settings"]["currency_id"]
    currency = as_text(store.setting("currency_id", client))
    own = {
        "user_id": call.user["id"],
        "number": store.next_number("payments"),
        "currency_id": currency,
        "exchange_currency_id": company if currency != company else "",
    }
    values.setdefault("date", f"{store.today():%Y-%m-%d}")
    return store.insert("payments", {**EMPTY, **own, **values})


def _read_invoices(store: Store, body: Row, client_id: str, errors: Row) -> list[tuple[Row, Any]]:
    found = []
    for position, part in enumerate(body.get("invoices") or []):
        invoice = store["invoices"].get(as_text(part.get("invoice_id")))
        field, amount = f"invoices.{position}.invoice_id", as_number(part.get("amount"))
        if invoice is None or invoice["is_deleted"] or invoice["client_id"] != client_id:
            errors[field] = ["The requested invoice is not available"]
        elif amount > (invoice["amount"] if invoice["status_id"] == "1" else invoice["balance"]):
            errors[field] = [OVERPAID]
        else:
            found.append((invoice, amount))
    return found


def _read_credits(store: Store, body: Row, client_id: str, errors: Row) -> list[tuple[Row, Any]]:
    found = []
    for position, part in enumerate(body.get("credits") or []):
        credit = store["credits"].get(as_text(part.get("credit_id")))
        field, amount = f"credits.{position}.credit_id", as_number(part.get("amount"))
        if credit is None or credit["is_deleted"] or credit["client_id"] != client_id:
            errors[field] = ["The requested credit is not available"]
        elif amount > (credit["amount"] if credit["status_id"] == "1" else credit["balance"]):
            errors[field] = ["Insufficient balance on credit."]
        else:
            found.append((credit, amount))
    return found


def _add_part(store: Store, payment_id: str, part: Row) -> None:
    now = store.now()
    row_id = store.new_id("paymentables")
    times = {"refunded": 0, "created_at": now, "updated_at": now, "archived_at": 0}
    payment = store["payments"].get(payment_id)
    assert payment is not None
    parts = [*payment["paymentables"], {"id": row_id, **part, **times}]
    store.save("payments", payment_id, paymentables=parts)


def _owe_again(call: Call, invoice: Row, amount: Any) -> None:
    store = call.store
    paid = whole(round(invoice["paid_to_date"] - amount, 6))
    balance = whole(round(invoice["balance"] + amount, 6))
    status = "3" if paid > 0 else "2"
    store.save("invoices", invoice["id"], paid_to_date=paid, balance=balance, status_id=status)
    store.move_client_money(invoice["client_id"], balance=amount, paid=-amount)
