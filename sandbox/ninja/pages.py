"""The HTML that the server answers where a caller expects JSON, and what the sandbox shows of its memory."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from markupsafe import escape
from werkzeug.wrappers import Response

from sandbox.app import PageTable
from sandbox.memory import Memory
from sandbox.ninja.store import Store

HTML = "text/html; charset=utf-8"
STATUS = {"1": "draft", "2": "sent", "3": "partial", "4": "paid", "5": "cancelled", "6": "reversed"}
HIDDEN = ("tokens", "counters", "contacts", "invoices_invitations", "credits_invitations", "paymentables")


def single_page() -> Response:
    """What every unknown GET route answers, with status 200."""
    body = "<!DOCTYPE html>\n<html><head><title>Invoice Ninja</title></head><body><div id=root></div></body></html>"
    return Response(body, 200, content_type=HTML)


def redirect(target: str) -> Response:
    """302 to the server's own address: what a refused value answers to a caller who did not ask for JSON."""
    where = escape(target)
    body = f"<!DOCTYPE html>\n<html><head><title>Redirecting to {where}</title></head><body>{where}</body></html>"
    return Response(body, 302, {"Location": target}, content_type=HTML)


def error_page(status: int, headers: dict[str, str] | None = None) -> Response:
    """An error as a page."""
    body = f"<!DOCTYPE html>\n<html><head><title>{HTTPStatus(status).phrase}</title></head><body></body></html>"
    return Response(body, status, headers, content_type=HTML)


def state(memory: Memory) -> dict[str, Any]:
    """Every table but tokens; rows without the stand-in's own fields."""
    return {
        name: [{key: value for key, value in row.items() if not key.startswith("_")} for row in rows]
        for name, rows in memory.dump().items()
        if name not in HIDDEN
    }


def tables(store: Store) -> list[PageTable]:
    """What a person wants to see."""
    names = {row["id"]: row["name"] for table in ("clients", "projects") for row in store[table].all()}
    numbers = {row["id"]: row["number"] for row in store["invoices"].all()}
    clients = [
        [row["id"], row["name"], row["balance"], row["paid_to_date"], _addresses(row["contacts"])]
        for row in store["clients"].all()
    ]
    projects = [
        [row["id"], row["name"], names.get(row["client_id"]), row["task_rate"]] for row in store["projects"].all()
    ]
    tasks = [
        [
            row["number"],
            row["description"][:80],
            names.get(row["project_id"]),
            row["rate"],
            row["time_log"],
            numbers.get(row["invoice_id"]),
            _flags(row),
        ]
        for row in store["tasks"].all()
    ]
    invoices = [
        [
            row["number"],
            names.get(row["client_id"]),
            STATUS.get(row["status_id"]),
            row["date"],
            row["due_date"],
            row["total_taxes"],
            row["amount"],
            row["balance"],
            row["private_notes"],
            _flags(row),
        ]
        for row in store["invoices"].all()
    ]
    payments = [
        [row["number"], names.get(row["client_id"]), row["date"], row["amount"], row["refunded"], _flags(row)]
        for row in store["payments"].all()
    ]
    mails = [
        [row["at"], row["to"], row["subject"], row["number"], row["message_id"] or "waits"]
        for row in store["mails"].all()
    ]
    money = ("tax", "amount", "balance")
    return [
        ("Clients", ("id", "name", "balance", "paid", "mail to"), clients),
        ("Projects", ("id", "name", "client", "rate"), projects),
        ("Tasks", ("number", "description", "project", "rate", "time log", "invoice", ""), tasks),
        ("Invoices", ("number", "client", "status", "date", "due", *money, "private notes", ""), invoices),
        ("Payments", ("number", "client", "date", "amount", "refunded", ""), payments),
        ("Mails sent", ("at (UTC)", "to", "subject", "number", "message id"), mails),
    ]


def _addresses(contacts: list[dict[str, Any]]) -> str:
    return ", ".join(contact["email"] for contact in contacts if contact["send_email"])


def _flags(row: dict[str, Any]) -> str:
    return "deleted" if row["is_deleted"] else "archived" if row["archived_at"] else ""
