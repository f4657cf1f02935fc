"""Credits: found again only by listing a client's and comparing; `private_notes` is no filter for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sandbox.memory import Row
from sandbox.ninja.activities import note_credit
from sandbox.ninja.call import Call
from sandbox.ninja.credit_use import DRAFT, mark_credit_sent
from sandbox.ninja.errors import DELETED_RECORD, Refusal, invalid, missing, unauthorized
from sandbox.ninja.filters import ALL, Filter, at_least, contains, select, within
from sandbox.ninja.invitations import ensure_invitations
from sandbox.ninja.invoices import EMPTY as INVOICE
from sandbox.ninja.invoices import read_values
from sandbox.ninja.mail import send_mails
from sandbox.ninja.store import Store
from sandbox.ninja.totals import calculate
from sandbox.ninja.transformers import answer_bulk, answer_one, answer_page
from sandbox.ninja.values import as_text, whole
from sandbox.ninja.webhooks import fire

EMPTY: Row = {
    **{name: value for name, value in INVOICE.items() if name not in ("recurring_id", "auto_bill_enabled")},
    "entity_type": "credit",
    "invoice_id": "",
}
CUSTOM = ("custom_value1", "custom_value2", "custom_value3", "custom_value4")
STATUS_WORDS = {"draft": "1", "sent": "2", "partial": "3", "applied": "4"}


def _by_client_status(_store: Store, value: str) -> Callable[[Row], bool]:
    wanted = {STATUS_WORDS[word] for word in value.split(",") if word in STATUS_WORDS}
    return (lambda row: row["status_id"] in wanted) if wanted else ALL


FILTERS: dict[str, Filter] = {
    "filter": contains("number", "date", "amount", "balance", *CUSTOM),
    "client_status": _by_client_status,
    "applicable": lambda _store, _value: lambda row: row["status_id"] in ("2", "3") and row["balance"] > 0,
    "date": at_least("date"),
    "date_range": within("date"),
}


def list_credits(call: Call) -> dict[str, Any]:
    """GET /credits"""
    return answer_page(call, "credits", select(call, "credits", FILTERS))


def get_credit(call: Call, credit_id: str) -> dict[str, Any]:
    """GET /credits/{id}"""
    return answer_one(call, "credits", _credit(call, credit_id))


def create_credit(call: Call) -> dict[str, Any]:
    """POST /credits: a draft with balance 0; negative quantities are taken."""
    if not call.may("create_credit"):
        raise unauthorized()
    store = call.store
    values = read_values(call, None, "credits")
    values.pop("auto_bill_enabled", None)
    lines = values.pop("line_items", [])
    client = store["clients"].get(values["client_id"])
    totals = calculate({**EMPTY, **values}, lines, **store.money_rules(client))
    if values_of := _reversed(store, call.body, totals.amount):
        values |= values_of
    values.setdefault("date", f"{store.utc_today():%Y-%m-%d}")
    values["partial_due_date"] = values.get("partial_due_date") or f"{store.utc_today():%Y-%m-%d}"
    number = as_text(call.body.get("number")) or store.next_number("credits")
    amounts = {"line_items": totals.lines, "total_taxes": totals.total_taxes, "amount": totals.amount}
    own = {"user_id": call.user["id"], "number": number}
    row = store.insert("credits", {**EMPTY, **values, **own, **amounts})
    if row["invoice_id"]:
        store.move_client_money(row["client_id"], paid=-row["amount"])
    row = ensure_invitations(store, "credits", row, call.base_url)
    note_credit(call.store, row)
    fire(call, "credit_create", "credits", row)
    if call.flag("mark_sent"):
        row = mark_credit_sent(call, row)
    return answer_one(call, "credits", row)


def update_credit(call: Call, credit_id: str) -> dict[str, Any]:
    """PUT /credits/{id}: partial."""
    store, credit = call.store, _credit(call, credit_id)
    if credit["is_deleted"]:
        raise Refusal(400, {"message": DELETED_RECORD})
    values = read_values(call, credit, "credits")
    lines = values.pop("line_items", credit["line_items"])
    client = store["clients"].get(credit["client_id"])
    totals = calculate({**credit, **values}, lines, **store.money_rules(client))
    values |= {"line_items": totals.lines, "total_taxes": totals.total_taxes, "amount": totals.amount}
    if credit["status_id"] != DRAFT:
        values["balance"] = whole(round(totals.amount - credit["paid_to_date"], 6))
        store.move_client_money(credit["client_id"], credit=values["balance"] - credit["balance"])
    row = store.save("credits", credit_id, **values)
    fire(call, "credit_update", "credits", row)
    if call.flag("mark_sent"):
        row = mark_credit_sent(call, row)
    return answer_one(call, "credits", row)


def bulk_credits(call: Call) -> dict[str, Any]:
    """POST /credits/bulk: mark_sent, email, archive, restore, delete; anything else does nothing."""
    action = as_text(call.body.get("action"))
    rows = [row for row in map(call.store["credits"].get, call.body.get("ids") or []) if row is not None]
    return answer_bulk(call, "credits", [_act(call, row, action) for row in rows])


def _reversed(store: Store, body: Row, amount: Any) -> Row:
    """The invoice whose payments a credit takes back (1202, 1370 to 1376). Raises Refusal 422 above what is paid."""
    invoice = store["invoices"].get(as_text(body.get("invoice_id")))
    if invoice is None:
        return {}
    if invoice["paid_to_date"] <= 0:
        raise invalid({"invoice_id": ["Cannot reverse an invoice with no payment applied."]})
    if amount > invoice["paid_to_date"]:
        raise invalid({"invoice_id": [ABOVE_PAID]})
    return {"invoice_id": invoice["id"]}


ABOVE_PAID = "Credit cannot exceed the payment / credits already applied to invoice."


def _credit(call: Call, credit_id: str) -> Row:
    credit = call.store["credits"].get(credit_id)
    if credit is None:
        raise missing("Credit", credit_id)
    return credit


def _act(call: Call, credit: Row, action: str) -> Row:
    store, now = call.store, call.store.now()
    match action:
        case "mark_sent":
            return mark_credit_sent(call, credit)
        case "email" | "send_email":
            return send_mails(call, "credits", mark_credit_sent(call, credit), "credit")
        case "archive":
            return store.save("credits", credit["id"], archived_at=now)
        case "restore":
            if credit["is_deleted"]:
                _move(call, credit, 1)
            return store.save("credits", credit["id"], archived_at=0, is_deleted=False)
        case "delete":
            if not credit["is_deleted"]:
                _move(call, credit, -1)
            return store.save("credits", credit["id"], archived_at=now, is_deleted=True)
    return credit


def _move(call: Call, credit: Row, sign: int) -> None:
    """A deleted credit takes its rest with it; what it paid stays paid, what it took back comes back (1257, 1376)."""
    taken = credit["amount"] if credit["invoice_id"] else 0
    call.store.move_client_money(credit["client_id"], credit=sign * credit["balance"], paid=-sign * taken)
