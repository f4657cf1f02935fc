"""What the server writes down of invoices, payments and credits: POST /activities/entity, newest first.

Recorded on 5.10.42 (685 to 721, 1358, 1485): every mail of an invoice is a 6 whatever its template, written when it is
asked for, not when a mail left; a 5 is a marking as sent or a PUT; a receipt is a 138 of the payment, and nothing of
the invoice.
"""

from __future__ import annotations

from typing import Any

from sandbox.memory import Row
from sandbox.ninja.call import Call
from sandbox.ninja.errors import Refusal
from sandbox.ninja.hashids import encode
from sandbox.ninja.money_text import money_text
from sandbox.ninja.store import Store
from sandbox.ninja.values import as_text

CREATED, UPDATED, MAILED, PAID, CREDIT_CREATED, REFUNDED, CANCELLATION, RECEIPT = 4, 5, 6, 10, 14, 40, 59, 138
ENTITIES = ("invoice", "payment", "credit")


def list_activities(call: Call) -> dict[str, Any]:
    """POST /activities/entity: `entity` (invoice, payment, credit) and `entity_id`."""
    kind, row_id = as_text(call.body.get("entity")), as_text(call.body.get("entity_id"))
    if kind not in ENTITIES or call.store[f"{kind}s"].get(row_id) is None:
        raise Refusal(401, {"message": ""})
    rows = call.store["activities"].find(**{f"_{kind}": row_id})
    newest = sorted(rows, key=lambda row: int(row["id"]), reverse=True)
    return {"data": [{name: value for name, value in row.items() if not name.startswith("_")} for row in newest]}


def note_invoice(store: Store, kind: int, invoice: Row, *, user_id: str = "", contact: Row | None = None) -> None:
    """It was created, changed, marked sent, mailed, cancelled; a mail names its first contact, by the client's id."""
    row: Row = {**_user(store, user_id), "invoice": _named(invoice)}
    if contact is not None:
        name = f"{contact['first_name']} {contact['last_name']}"
        row["contact"] = {"label": name, "hashed_id": invoice["client_id"], "contact_entity": "clients"}
    _write(store, kind, {**row, **_client(store, invoice)}, _invoice=invoice["id"])


def note_credit(store: Store, credit: Row) -> None:
    """A credit was created."""
    row = {**_user(store, credit["user_id"]), "credit": _named(credit), **_client(store, credit)}
    _write(store, CREDIT_CREATED, row, _credit=credit["id"])


def note_payment(store: Store, payment: Row, *, refunded: Any = None) -> None:
    """A payment came, or part of it went back; its invoices' lists show it too."""
    amount = {
        "payment_amount": {
            "label": money_text(store, store["clients"].get(payment["client_id"]), payment["amount"]),
            "hashed_id": "",
        }
    }
    common = {**_user(store, payment["user_id"]), "payment": _named(payment), **amount, **_client(store, payment)}
    for part in payment["paymentables"]:
        invoice = store["invoices"].get(part.get("invoice_id", ""))
        if invoice is None:
            continue
        keys = {"_payment": payment["id"], "_invoice": invoice["id"]}
        if refunded is None:
            _write(store, PAID, {**common, "invoice": _named(invoice)}, **keys)
            continue
        back = {
            "adjustment": {
                "label": money_text(store, store["clients"].get(payment["client_id"]), refunded),
                "hashed_id": "",
            }
        }
        notes = f"Refunded : {refunded} - Gateway Refund : No"
        _write(store, REFUNDED, {**common, **back}, notes=notes, **keys)


def note_receipt(store: Store, payment: Row) -> None:
    """The receipt of a payment or of its refund was mailed."""
    _write(store, RECEIPT, {"payment": _named(payment), **_client(store, payment)}, _payment=payment["id"])


def _write(store: Store, kind: int, row: Row, *, notes: str = "", **keys: str) -> None:
    number = store["activities"].next_id()
    own = {"activity_type_id": kind, "id": str(number), "hashed_id": encode(number), "notes": notes}
    store["activities"].insert({**row, **own, "created_at": store.now(), "ip": "127.0.0.1", **keys})


def _named(row: Row) -> Row:
    return {"label": row["number"], "hashed_id": row["id"]}


def _user(store: Store, user_id: str) -> Row:
    user = store["users"].get(user_id) or store.owner()
    return {"user": {"label": f"{user['first_name']} {user['last_name']}", "hashed_id": user["id"]}}


def _client(store: Store, row: Row) -> Row:
    client = store["clients"].get(row["client_id"])
    return {} if client is None else {"client": {"label": client["display_name"], "hashed_id": client["id"]}}
