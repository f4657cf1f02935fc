"""POST /invoices/bulk, GET /invoices/{id}/{action} (the same verbs, and it changes things) and POST /emails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sandbox.memory import Row
from sandbox.ninja.call import Call
from sandbox.ninja.credit_use import mark_credit_sent
from sandbox.ninja.errors import Refusal, broken, invalid
from sandbox.ninja.invoices import find_invoice
from sandbox.ninja.lifecycle import archive, cancel, delete_invoice_row, mark_paid, restore
from sandbox.ninja.mail import TEMPLATES, has_address, send_mails
from sandbox.ninja.reminders import chosen_template
from sandbox.ninja.status import mark_sent
from sandbox.ninja.transformers import answer_bulk, answer_one
from sandbox.ninja.values import as_text

Action = Callable[[Call, Row], Row]


def _email(call: Call, invoice: Row) -> Row:
    kind = as_text(call.body.get("email_type"))
    row = mark_sent(call, invoice)
    return send_mails(call, "invoices", row, kind or chosen_template(call.store, row))


def _nothing(_call: Call, invoice: Row) -> Row:
    return invoice


def _no_pdf(_call: Call, _invoice: Row) -> Row:
    raise broken()


ENTITIES = {"invoice": "invoices", "credit": "credits"}
ACTIONS: dict[str, Action] = {
    "mark_sent": mark_sent,
    "mark_paid": mark_paid,
    "email": _email,
    "send_email": _email,
    "cancel": cancel,
    "archive": archive,
    "restore": restore,
    "delete": delete_invoice_row,
    "auto_bill": mark_sent,
    # Answered 200, and nothing happens (1349, 1394); by GET it is refused (1350).
    "reverse": _nothing,
    "download": _no_pdf,
    "bulk_download": _no_pdf,
}


def bulk_invoices(call: Call) -> dict[str, Any]:
    """POST /invoices/bulk: an unknown action is 200 without effect, the same action within a second is refused."""
    body = call.body
    action, ids = as_text(body.get("action")), body.get("ids")
    if not isinstance(ids, list) or not ids:
        raise invalid({"ids": ["The ids field is required."]})
    if body.get("email_type") is not None and as_text(body["email_type"]) not in TEMPLATES:
        raise invalid({"email_type": ["The selected email type is invalid."]})
    call.refuse_duplicate(f"invoices/bulk {action}")
    found = [row for row in (call.store.find("invoices", i) for i in ids) if row is not None]
    if not found:
        return {"message": "No Invoices Found"}
    act = ACTIONS.get(action, _nothing)
    return answer_bulk(call, "invoices", [act(call, row) for row in found])


def act_by_get(call: Call, invoice_id: str, action: str) -> dict[str, Any]:
    """GET /invoices/{id}/{action}"""
    row = find_invoice(call.store, invoice_id)
    if action not in ACTIONS or action == "reverse":
        raise Refusal(400, {"message": f"The requested action {action} is not available."})
    return answer_one(call, "invoices", ACTIONS[action](call, row))


def send_email(call: Call) -> dict[str, Any]:
    """POST /emails: entity, entity_id and template; marks a draft as sent, one without an address not (631 to 634)."""
    body = call.body
    if not body.get("entity"):
        raise broken()
    template = as_text(body.get("template")).removeprefix("email_template_")
    if template not in TEMPLATES or body.get("template") == template:
        raise invalid({"template": ["The template field is required."]})
    table = ENTITIES.get(as_text(body["entity"]).lower().split("\\")[-1])
    row = call.store[table].get(as_text(body.get("entity_id"))) if table else None
    if table is None or row is None:
        raise Refusal(401, {"message": ""})
    if has_address(call.store, row):
        row = mark_sent(call, row) if table == "invoices" else mark_credit_sent(call, row)
    texts = {name: as_text(body.get(name)) for name in ("subject", "body", "cc_email")}
    row = send_mails(call, table, row, template, **texts)
    if table == "credits":  # a bulk email leaves it empty (1238, 1247)
        row = call.store.save(table, row["id"], last_sent_date=call.store.moment())
    return answer_one(call, table, row)
