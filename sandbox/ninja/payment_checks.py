"""What the server refuses of a payment, of a change of one and of a refund."""

from __future__ import annotations

from typing import Any

from sandbox.memory import Row
from sandbox.ninja.errors import invalid
from sandbox.ninja.store import Store
from sandbox.ninja.values import as_number, as_text

OVERPAID = "The amount is greater than the invoice balance. You cannot overpay an invoice."
ANOTHERS = "Selected invoices are not from a single client"
Parts = list[tuple[Row, Any]]


def read_parts(store: Store, body: Row, client_id: str, errors: Row) -> tuple[Parts, Parts]:
    """The invoices and the credits of a new payment with the amount of each; why not is added to `errors`."""
    invoices = _read_invoices(store, body, client_id, errors)
    credits = _read_credits(store, body, client_id, errors)
    if credits and sum(amount for _, amount in credits) > sum(amount for _, amount in invoices) + 1e-9:
        for position, _ in enumerate(credits):
            errors.setdefault(f"credits.{position}.amount", [TOO_MUCH_CREDIT])
    return invoices, credits


TOO_MUCH_CREDIT = "Total credits applied cannot be MORE than total of invoices"


def _read_invoices(store: Store, body: Row, client_id: str, errors: Row) -> Parts:
    found: Parts = []
    sent = body.get("invoices") or []
    ids = [as_text(part.get("invoice_id")) for part in sent]
    for position, part in enumerate(sent):
        invoice = store["invoices"].get(ids[position])
        field, amount = f"invoices.{position}.invoice_id", as_number(part.get("amount"))
        if ids.count(ids[position]) > 1:
            errors[field] = [f"The {field} field has a duplicate value."]
        elif invoice is None or invoice["is_deleted"]:
            errors[field] = ["The requested invoice is not available"]
        elif invoice["client_id"] != client_id:
            errors[field] = [ANOTHERS]
        elif amount > (invoice["amount"] if invoice["status_id"] == "1" else invoice["balance"]):
            errors[field] = [OVERPAID]
        else:
            found.append((invoice, amount))
        if invoice is not None and invoice["status_id"] not in ("1", "2", "3"):
            errors["invoices"] = ["One or more of these invoices have been paid"]
    return found


def _read_credits(store: Store, body: Row, client_id: str, errors: Row) -> Parts:
    found: Parts = []
    for position, part in enumerate(body.get("credits") or []):
        credit = store["credits"].get(as_text(part.get("credit_id")))
        field, amount = f"credits.{position}.credit_id", as_number(part.get("amount"))
        if credit is None or credit["is_deleted"]:
            errors[field] = ["The requested credit is not available"]
        elif credit["client_id"] != client_id:
            errors[field] = [ANOTHERS]
        elif amount > (credit["amount"] if credit["status_id"] == "1" else credit["balance"]):
            errors[field] = ["Insufficient balance on credit."]
        else:
            found.append((credit, amount))
    return found


def read_more_invoices(store: Store, payment: Row, body: Row) -> Parts:
    """The invoices that a PUT puts on a payment (1268 to 1277).

    Raises Refusal 422 for more than an invoice owes, or than is left of the payment.
    """
    found: Parts = []
    for part in body.get("invoices") or []:
        invoice = store["invoices"].get(as_text(part.get("invoice_id")))
        if invoice is None or invoice["is_deleted"] or invoice["client_id"] != payment["client_id"]:
            raise invalid({"invoices": ["The requested invoice is not available"]})
        amount = as_number(part.get("amount"))
        if amount > invoice["balance"]:
            raise invalid({"invoices": ["Amount cannot be greater than invoice balance"]})
        found.append((invoice, amount))
    if sum(amount for _, amount in found) > payment["amount"] - payment["applied"] + 1e-9:
        raise invalid({"invoices": ["Insufficient applied amount remaining to cover payment."]})
    return found


def read_refund(payment: Row, body: Row) -> tuple[dict[str, Any], Any]:
    """What goes back of each invoice by id, and the sum. Raises Refusal 422.

    Of a payment with invoices only what they name goes back, whatever `amount` says (1297); the unapplied rest of it
    cannot be refunded (1299).
    """
    parts = {as_text(part.get("invoice_id")): as_number(part.get("amount")) for part in body.get("invoices") or []}
    on_invoices = {part["invoice_id"]: part for part in payment["paymentables"] if "invoice_id" in part}
    if on_invoices and not parts:
        raise invalid({"id": [NAME_INVOICES]})
    for invoice_id, amount in parts.items():
        part = on_invoices.get(invoice_id, {"amount": 0, "refunded": 0})
        most = as_number(part["amount"] - part["refunded"])
        if amount > most:
            allowed = f"more than allowed for invoice id {invoice_id}, maximum refundable amount is {most}"
            only = f"Attempting to refund {amount} only {most} available for refund"
            raise invalid({"id": [f"Attempting to refund {allowed}"], "invoices": [only]})
    amount = sum(parts.values()) if parts else as_number(body.get("amount"))
    if amount > payment["amount"] - payment["refunded"]:
        raise invalid({"amount": ["Attempting to refund more than allowed for this payment"]})
    return parts, amount


NAME_INVOICES = "Attempting to refund a payment with invoices attached, please specify valid invoice/s to be refunded."
