"""Invoices: POST, GET, PUT, DELETE; every save links the tasks of its lines to it, whoever had them before."""

from __future__ import annotations

import re
from datetime import date
from typing import Any

from sandbox.memory import Row
from sandbox.ninja.activities import CREATED, UPDATED, note_invoice
from sandbox.ninja.call import Call
from sandbox.ninja.errors import DELETED_RECORD, LOCKED_INVOICE, Refusal, broken, invalid, missing, unauthorized
from sandbox.ninja.filters import select
from sandbox.ninja.invitations import check_invitations, ensure_invitations, set_invitations
from sandbox.ninja.invoice_filters import FILTERS
from sandbox.ninja.keywords import cleaned, defuse, replace_keywords
from sandbox.ninja.lifecycle import apply_flags, delete_invoice_row
from sandbox.ninja.reminders import next_send_date
from sandbox.ninja.status import note_payment_status
from sandbox.ninja.store import Store
from sandbox.ninja.totals import NO_TAX, Totals, calculate
from sandbox.ninja.transformers import answer_one, answer_page
from sandbox.ninja.values import as_number, as_text, is_on, whole
from sandbox.ninja.webhooks import fire

TEXTS = (
    *("po_number", "terms", "public_notes", "private_notes", "footer", "partial_due_date"),
    *("tax_name1", "tax_name2", "tax_name3"),
    *("custom_value1", "custom_value2", "custom_value3", "custom_value4"),
)
NUMBERS = (
    *("discount", "tax_rate1", "tax_rate2", "tax_rate3", "partial"),
    *("custom_surcharge1", "custom_surcharge2", "custom_surcharge3", "custom_surcharge4"),
)
FLAGS = ("is_amount_discount", "auto_bill_enabled", "uses_inclusive_taxes")
EMPTY: Row = {
    "user_id": "",
    "project_id": "",
    "assigned_user_id": "",
    "amount": 0,
    "balance": 0,
    "client_id": "",
    "vendor_id": "",
    "status_id": "1",
    "design_id": "Wpmbk5ezJn",
    "recurring_id": "",
    "number": "",
    "date": "",
    "last_sent_date": "",
    "next_send_date": "",
    "due_date": "",
    **dict.fromkeys(TEXTS, ""),
    **dict.fromkeys(NUMBERS, 0),
    "uses_inclusive_taxes": False,
    "total_taxes": 0,
    "is_amount_discount": True,
    "has_tasks": False,
    "has_expenses": False,
    "exchange_rate": 1,
    **{f"custom_surcharge_tax{n}": False for n in (1, 2, 3, 4)},
    "line_items": [],
    "entity_type": "invoice",
    "reminder1_sent": "",
    "reminder2_sent": "",
    "reminder3_sent": "",
    "reminder_last_sent": "",
    "paid_to_date": 0,
    "subscription_id": "",
    "auto_bill_enabled": False,
    "tax_info": {},
    "e_invoice": {},
    "invitations": [],
}
ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
OTHER_DATE = re.compile(r"\d{1,2}[./-]\d{1,2}[./-]\d{2,4}")


def list_invoices(call: Call) -> dict[str, Any]:
    """GET /invoices"""
    return answer_page(call, "invoices", select(call, "invoices", FILTERS))


def get_invoice(call: Call, invoice_id: str) -> dict[str, Any]:
    """GET /invoices/{id}"""
    invoice = find_invoice(call.store, invoice_id)
    if not call.may("view_invoice") and call.user["id"] not in (invoice["user_id"], invoice["assigned_user_id"]):
        raise unauthorized()
    return answer_one(call, "invoices", invoice)


def create_invoice(call: Call) -> dict[str, Any]:
    """POST /invoices: a draft with balance 0, no default tax; the client's public notes win over the sent ones."""
    if not call.may("create_invoice"):
        raise unauthorized()
    store, body = call.store, call.body
    values = read_values(call, None, "invoices")
    client = store["clients"].get(values["client_id"]) or {}
    settings = store.company()["settings"]
    lines = [_prepared_line(store, line) for line in values.pop("line_items", [])]
    values |= _by_settings(store, client)
    totals = calculate({**EMPTY, **values}, lines, **store.money_rules(client))
    values["public_notes"] = client["public_notes"] or values.get("public_notes", "")
    values["terms"] = values.get("terms") or as_text(store.setting("invoice_terms", client))
    values["footer"] = values.get("footer") or as_text(store.setting("invoice_footer", client))
    if "date" not in values:
        values["date"] = f"{store.today():%Y-%m-%d}"
    number = as_text(body.get("number"))
    if not number and settings["counter_number_applied"] != "when_sent":
        number = store.next_number("invoices")
    values |= {"user_id": call.user["id"], "number": number}
    row = store.insert("invoices", {**EMPTY, **values, **_amounts(totals)})
    row = _invite(call, row)
    _keep_defaults(call, row)
    link_tasks(store, row)
    fire(call, "invoice_create", "invoices", row)
    apply_flags(call, row["id"], is_new=True)
    row = find_invoice(store, row["id"])
    note_invoice(store, CREATED, row, user_id=call.user["id"])  # after what the flags did (1358)
    return answer_one(call, "invoices", row)


def update_invoice(call: Call, invoice_id: str) -> dict[str, Any]:
    """PUT /invoices/{id}: partial, but sent lines replace all lines, and the tasks of the lines are taken back."""
    store = call.store
    invoice = find_invoice(store, invoice_id)
    if not call.may("edit_invoice"):
        raise unauthorized()
    if invoice["is_deleted"]:
        raise Refusal(400, {"message": DELETED_RECORD})
    if _is_locked(store, invoice):
        raise invalid({"number": LOCKED_INVOICE}, message="")
    values = read_values(call, invoice, "invoices")
    if as_text(call.body.get("number")):
        values["number"] = as_text(call.body["number"])
    before = invoice
    lines = invoice["line_items"]
    if "line_items" in values:
        lines = [_prepared_line(store, line, is_new=False) for line in values.pop("line_items")]
    client = store["clients"].get(invoice["client_id"]) or {}
    if client.get("is_tax_exempt"):
        values |= NO_TAX
    totals = calculate({**invoice, **values}, lines, **store.money_rules(client))
    changes = {**values, **_amounts(totals)}
    if invoice["status_id"] not in ("1", "5", "6"):
        changes["balance"] = whole(round(totals.amount - invoice["paid_to_date"], 6))
    row = store.save("invoices", invoice["id"], **changes)
    if invoice["status_id"] not in ("1", "2", "3"):  # nobody is reminded of what was settled before (1347, 1380)
        row = store.save("invoices", row["id"], next_send_date="")
    if invoice["status_id"] == "5":  # any PUT makes a cancelled one a paid one (1347, 1400)
        row = store.save("invoices", row["id"], status_id="4")
    else:
        row = note_payment_status(store, row)
    note_invoice(store, UPDATED, row, user_id=call.user["id"])
    store.move_client_money(row["client_id"], balance=row["balance"] - before["balance"])
    row = _invite(call, row)
    link_tasks(store, row)
    fire(call, "invoice_update", "invoices", row)
    is_paid_only = call.flag("paid") and not call.flag("mark_sent")
    apply_flags(call, row["id"])
    # The answer to ?paid=true is the invoice before its payment, marked as sent at most.
    shown = find_invoice(store, row["id"])
    if is_paid_only and shown["status_id"] == "4":
        shown = {**shown, "status_id": "2", "balance": row["amount"], "paid_to_date": 0}
        shown["next_send_date"] = next_send_date(store, shown)
    return answer_one(call, "invoices", shown)


def delete_invoice(call: Call, invoice_id: str) -> dict[str, Any]:
    """DELETE /invoices/{id}: paid ones too; the row stays, its number gets `_Deleted`, its tasks are free."""
    invoice = find_invoice(call.store, invoice_id)
    return answer_one(call, "invoices", delete_invoice_row(call, invoice))


def find_invoice(store: Store, invoice_id: str) -> Row:
    """The invoice. Raises Refusal 400 if there is none."""
    invoice = store["invoices"].get(invoice_id)
    if invoice is None:
        raise missing("Invoice", invoice_id)
    return invoice


def link_tasks(store: Store, invoice: Row) -> None:
    """Clears all tasks of this invoice, then gives it every living task that a line names; client and project
    are not looked at, and a task of another invoice changes hands."""
    wanted = {as_text(line.get("task_id")) for line in invoice["line_items"]} - {""}
    for task in store["tasks"].find(invoice_id=invoice["id"]):
        if task["id"] not in wanted:
            store.save("tasks", task["id"], invoice_id="")
    for task_id in sorted(wanted):
        named = store["tasks"].get(task_id)
        if named is not None and not named["is_deleted"]:
            store.save("tasks", task_id, invoice_id=invoice["id"])


def read_values(call: Call, known: Row | None, table: str) -> Row:
    """The sent fields of an invoice or a credit, checked and cast. Raises Refusal 422 with every reason."""
    store, body = call.store, call.body
    errors: Row = {}
    values: Row = {name: as_text(body[name]) for name in TEXTS if name in body}
    values |= {name: as_number(body[name]) for name in NUMBERS if name in body}
    values |= {name: is_on(body[name]) for name in FLAGS if name in body}
    if known is not None and "exchange_rate" in body:  # a new one gets the server's own
        values["exchange_rate"] = as_number(body["exchange_rate"])
    client = store.find("clients", body.get("client_id"))
    if known is not None:
        if body.get("client_id") is not None and (client is None or client["id"] != known["client_id"]):
            errors["client_id"] = ["The selected client id is invalid."]
        client = store["clients"].get(known["client_id"])
    elif body.get("client_id") is None:
        errors["client_id"] = ["The client id field is required."]
    elif client is None or client["is_deleted"]:
        errors["client_id"] = ["The selected client id is invalid."]
    else:
        values["client_id"] = client["id"]
    if body.get("project_id") is not None:
        project = store.find("projects", body["project_id"])
        if project is None:
            errors["project_id"] = ["Project not found"]
        elif client is not None and project["client_id"] != client["id"]:
            errors["project_id"] = ["Project client does not match entity client"]
        else:
            values["project_id"] = project["id"]
    elif "project_id" in body:
        values["project_id"] = ""
    _read_dates(body, values, errors, known)
    if body.get("line_items") is not None:
        if isinstance(body["line_items"], list):
            values["line_items"] = [line for line in body["line_items"] if isinstance(line, dict)]
        else:
            errors["line_items"] = ["The line items must be an array."]
    if known is not None and as_text(body.get("status_id")) == "5":
        errors["status_id"] = [LOCKED_INVOICE]
    number = as_text(body.get("number"))
    if number and store.has_number(table, number, besides=known["id"] if known else ""):
        if known is None and store.has_race(table, number):
            raise broken()
        errors["number"] = ["The number has already been taken."]
    if errors:
        raise invalid(errors)
    check_invitations(body)
    return values


def _read_dates(body: Row, values: Row, errors: Row, known: Row | None) -> None:
    """`20.11.2026` passes and is stored as nonsense; what is no date at all is refused."""
    for name in ("date", "due_date"):
        sent = body.get(name)
        if sent is None:
            if name == "due_date" and name in body:
                values[name] = ""
            continue
        text = as_text(sent)
        if ISO_DATE.match(text) and _is_day(text[:10]):
            values[name] = text[:10]
        elif OTHER_DATE.fullmatch(text):
            values[name] = "-0001-11-30"
        else:
            errors[name] = [f"The {name.replace('_', ' ')} is not a valid date."]
    _read_deposit(body, errors, known)
    is_put_of_both = known is not None and values.get("date") and values.get("due_date")
    if is_put_of_both and values["due_date"] < values["date"]:
        errors["due_date"] = ["The due date must be a date after or equal to date."]


def _read_deposit(body: Row, errors: Row, known: Row | None) -> None:
    """A deposit is no less than 0 and due before the invoice is; a PUT of its day with no other day breaks (799)."""
    day = as_text(body.get("partial_due_date"))
    if as_number(body.get("partial")) < 0:
        errors["partial"] = ["The partial must be greater than or equal to 0."]
    if not day:
        return
    due = as_text(body.get("due_date"))
    if known is not None and not due and not body.get("date"):
        raise broken()
    if due and day > due:
        errors["partial_due_date"] = ["The partial due date must be a date before due date."]
        errors["due_date"] = ["The due date must be a date after partial due date."]


def _is_day(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _invite(call: Call, row: Row) -> Row:
    sent = check_invitations(call.body)
    if sent is not None:
        row = set_invitations(call.store, "invoices", row, sent, call.base_url)
    return ensure_invitations(call.store, "invoices", row, call.base_url)


def _prepared_line(store: Store, line: Row, *, is_new: bool = True) -> Row:
    """A line with its notes as they are stored; reserved words are replaced only when the invoice is made."""
    notes = line.get("notes")
    if not isinstance(notes, str):
        return line
    notes = replace_keywords(defuse(notes), store.today()) if is_new else defuse(notes)
    return {**line, "notes": cleaned(notes) if store.is_2026() else notes}


def _by_settings(store: Store, client: Row) -> Row:
    """What a new invoice is, whatever was sent: billed by itself where the client's group or the company says so
    (recordings 811 to 815), and without taxes for a client that pays none (750)."""
    values: Row = dict(NO_TAX) if client.get("is_tax_exempt") else {}
    if is_on(store.setting("auto_bill_standard_invoices", client)) and store.setting("auto_bill", client) == "always":
        values["auto_bill_enabled"] = True
    return values


def _amounts(totals: Totals) -> Row:
    return {"line_items": totals.lines, "total_taxes": totals.total_taxes, "amount": totals.amount}


def _keep_defaults(call: Call, invoice: Row) -> None:
    """The flags save_default_terms and save_default_footer make the sent texts the company's."""
    kept = {
        f"invoice_{name}": invoice[name]
        for name in ("terms", "footer")
        if call.flag(f"save_default_{name}") and invoice[name]
    }
    if kept:
        company = call.store.company()
        call.store.save("companies", company["id"], settings={**company["settings"], **kept})


def _is_locked(store: Store, invoice: Row) -> bool:
    mode = store.setting("lock_invoices", store["clients"].get(invoice["client_id"]))
    if mode == "when_sent":
        return invoice["status_id"] != "1"
    if mode == "when_paid":
        return invoice["status_id"] == "4"
    return mode == "end_of_month" and invoice["date"][:7] < f"{store.today():%Y-%m}"
