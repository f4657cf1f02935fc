"""Payments: what pays invoices, credits included."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sandbox.memory import Row
from sandbox.ninja.activities import note_payment
from sandbox.ninja.call import Call
from sandbox.ninja.credit_use import use_credit
from sandbox.ninja.errors import DELETED_RECORD, Refusal, invalid, missing, unauthorized
from sandbox.ninja.filters import ALL, Filter, contains, select
from sandbox.ninja.mail import send_receipts, wants_receipts
from sandbox.ninja.payment_checks import read_more_invoices, read_parts
from sandbox.ninja.status import PAID, SENT, mark_sent, note_payment_status
from sandbox.ninja.store import Store
from sandbox.ninja.transformers import answer_one, answer_page
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
STATUS_WORDS = {"pending": "1", "cancelled": "2", "failed": "3", "completed": "4", "partially_refunded": "5"}
STATUS_WORDS["refunded"] = "6"


def _by_client_status(_store: Store, value: str) -> Callable[[Row], bool]:
    """By words; `unapplied` is none, and deleted payments are among the partly unapplied (1325 to 1329)."""
    words = set(value.split(",")) & {*STATUS_WORDS, "partially_unapplied"}
    wanted = {STATUS_WORDS[word] for word in words if word in STATUS_WORDS}

    def passes(row: Row) -> bool:
        return row["status_id"] in wanted or ("partially_unapplied" in words and row["amount"] > row["applied"])

    return passes if words else ALL


# transaction_reference= and amount= are no filters: the whole list comes (1321, 1331).
FILTERS: dict[str, Filter] = {
    "filter": contains("amount", "date", "transaction_reference", "number", *CUSTOM),
    "client_status": _by_client_status,
    "match_transactions": lambda _store, _value: lambda row: not row["is_deleted"],
}


def list_payments(call: Call) -> dict[str, Any]:
    """GET /payments"""
    return answer_page(call, "payments", select(call, "payments", FILTERS))


def get_payment(call: Call, payment_id: str) -> dict[str, Any]:
    """GET /payments/{id}"""
    return answer_one(call, "payments", find_payment(call, payment_id))


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
    invoices, credits = read_parts(store, body, client_id, errors)
    if errors:
        raise invalid(errors)
    spent = sum(amount for _, amount in invoices)
    used = sum(amount for _, amount in credits)
    # 0 is no amount: what the credits leave open then counts as money that came (recordings 1224, 1468).
    amount = as_number(body.get("amount") or 0) or whole(max(0, spent - used))
    if invoices and spent > amount + used + 1e-9:
        raise invalid({"amount": ["Amounts do not balance correctly."]})
    values: Row = {name: as_text(body[name]) for name in TEXTS if name in body}
    if body.get("exchange_rate") is not None:
        values["exchange_rate"] = as_number(body["exchange_rate"])
    own = {"client_id": client_id, "amount": amount, "_idempotency_key": key}
    row = _store_payment(call, client, {**values, **own})
    store.save("payments", row["id"], applied=whole(max(0, spent - used)))
    store.move_client_money(client_id, paid=amount + used)
    for invoice, part in invoices:
        apply_to_invoice(call, row["id"], invoice, part)
    for credit, part in credits:
        use_credit(call, credit, part, invoices[0][0] if invoices else None)
        _add_part(store, row["id"], {"credit_id": credit["id"], "amount": part})
    row = find_payment(call, row["id"])
    fire(call, "payment_create", "payments", row)
    is_wanted = call.value("email_receipt")
    if wants_receipts(store, row) if is_wanted is None else is_on(is_wanted):
        send_receipts(store, row)
    note_payment(store, row)
    return answer_one(call, "payments", row)


def update_payment(call: Call, payment_id: str) -> dict[str, Any]:
    """PUT /payments/{id}: texts and date, and more invoices for what is unapplied; `amount` is ignored (1268 to 1279).

    With the key `invoices` a partly refunded payment says completed again (1336).
    """
    store, body = call.store, call.body
    payment = find_payment(call, payment_id)
    if payment["is_deleted"]:
        raise Refusal(400, {"message": DELETED_RECORD})
    invoices = read_more_invoices(store, payment, body)
    changes: Row = {name: as_text(body[name]) for name in TEXTS if name in body}
    if "invoices" in body:
        changes["status_id"] = "4"
    changes["applied"] = whole(round(payment["applied"] + sum(amount for _, amount in invoices), 6))
    store.save("payments", payment_id, **changes)
    for invoice, amount in invoices:
        apply_to_invoice(call, payment_id, invoice, amount)
    recount_unapplied(store, payment["client_id"])
    row = find_payment(call, payment_id)
    fire(call, "payment_update", "payments", row)
    return answer_one(call, "payments", row)


def pay_by_hand(call: Call, invoice: Row, amount: Any, day: str) -> Row:
    """A completed payment "Manual entry" of this amount on one invoice; answers it."""
    client = call.store["clients"].get(invoice["client_id"]) or {}
    values = {"transaction_reference": "Manual entry", "date": day, "amount": amount, "applied": amount}
    row = _store_payment(call, client, {**values, "client_id": invoice["client_id"]})
    call.store.move_client_money(invoice["client_id"], paid=amount)
    apply_to_invoice(call, row["id"], invoice, amount)
    row = find_payment(call, row["id"])
    note_payment(call.store, row)
    fire(call, "payment_create", "payments", row)
    fire(call, "invoice_update", "invoices", call.store["invoices"].get(invoice["id"]) or invoice)
    return row


def apply_to_invoice(call: Call, payment_id: str, invoice: Row, amount: Any) -> None:
    """Puts a part of a payment on an invoice; a draft is sent by it."""
    store = call.store
    row = mark_sent(call, invoice)
    paid, balance = whole(row["paid_to_date"] + amount), whole(round(row["balance"] - amount, 6))
    changes: Row = {"paid_to_date": paid, "balance": balance, **_less_deposit(row, amount)}
    if balance <= 0:  # a partly paid one is reminded on (1215)
        changes["next_send_date"] = ""
    row = store.save("invoices", row["id"], **changes)
    if balance == 0 and row["status_id"] == SENT:  # one of 0 by a payment of 0 too (961, 965)
        store.save("invoices", row["id"], status_id=PAID)
    else:
        note_payment_status(store, row)
    store.move_client_money(row["client_id"], balance=-amount)
    _add_part(store, payment_id, {"invoice_id": row["id"], "amount": amount})


def _less_deposit(invoice: Row, amount: Any) -> Row:
    """A payment takes off the deposit that was asked for first; nothing is asked for any more once it is paid."""
    if not invoice["partial"]:
        return {}
    left = whole(round(invoice["partial"] - amount, 6))
    return {"partial": left} if left > 0 else {"partial": 0, "partial_due_date": ""}


def find_payment(call: Call, payment_id: str) -> Row:
    """The payment. Raises Refusal 400 if there is none."""
    payment = call.store["payments"].get(payment_id)
    if payment is None:
        raise missing("Payment", payment_id)
    return payment


def recount_unapplied(store: Store, client_id: str) -> None:
    """The client's `payment_balance`: what no invoice has of its living payments, less what went back of them.

    The server counts it when a payment is posted (before it notes what is applied), changed or deleted, and else leaves
    it as it was, so it cannot be trusted (recordings 1225 to 1429).
    """
    rows = [row for row in store["payments"].find(client_id=client_id) if not row["is_deleted"]]
    unapplied = sum(row["amount"] - row["applied"] - row["refunded"] for row in rows)
    store.save("clients", client_id, payment_balance=whole(round(unapplied, 6)))


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
    row = store.insert("payments", {**EMPTY, **own, **values})
    recount_unapplied(store, row["client_id"])
    return row


def _add_part(store: Store, payment_id: str, part: Row) -> None:
    now = store.now()
    row_id = store.new_id("paymentables")
    times = {"refunded": 0, "created_at": now, "updated_at": now, "archived_at": 0}
    payment = store["payments"].get(payment_id)
    assert payment is not None
    parts = [*payment["paymentables"], {"id": row_id, **part, **times}]
    store.save("payments", payment_id, paymentables=parts)
