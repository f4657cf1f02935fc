"""What becomes of a credit: marked sent, and used up by payments."""

from __future__ import annotations

from datetime import date
from typing import Any

from sandbox.memory import Row
from sandbox.ninja.call import Call
from sandbox.ninja.invitations import mark_invitations
from sandbox.ninja.money_text import money_text
from sandbox.ninja.totals import LINE_DEFAULTS
from sandbox.ninja.values import as_text, whole

DRAFT, SENT, PARTIAL, APPLIED = "1", "2", "3", "4"


def use_credit(call: Call, credit: Row, amount: Any, invoice: Row | None) -> None:
    """Takes `amount` of a credit for an invoice; a draft is sent by it, a used-up one is status 4."""
    store = call.store
    row = mark_credit_sent(call, credit)
    balance = whole(round(row["balance"] - amount, 6))
    note = _usage_note(call, row, amount, invoice)
    line = {**LINE_DEFAULTS, "tax_id": "", "cost": -amount, "notes": note}
    store.save(
        "credits",
        row["id"],
        balance=balance,
        paid_to_date=whole(round(row["paid_to_date"] + amount, 6)),
        status_id=APPLIED if balance <= 0 else PARTIAL,
        line_items=[*row["line_items"], line],
    )
    store.move_client_money(row["client_id"], credit=-amount)


def give_back(call: Call, credit: Row, amount: Any) -> None:
    """Its payment was deleted: as much is open again, and its status is 2 also where a part stays used (1230)."""
    balance = whole(round(credit["balance"] + amount, 6))
    paid = whole(round(credit["paid_to_date"] - amount, 6))
    call.store.save("credits", credit["id"], balance=balance, paid_to_date=paid, status_id=SENT)
    call.store.move_client_money(credit["client_id"], credit=amount)


def mark_credit_sent(call: Call, credit: Row) -> Row:
    """A draft becomes sent: its balance is its amount."""
    if credit["status_id"] != DRAFT:
        return credit
    store = call.store
    invitations = mark_invitations(store, credit["invitations"])
    store.move_client_money(credit["client_id"], credit=credit["amount"])
    return store.save("credits", credit["id"], status_id=SENT, balance=credit["amount"], invitations=invitations)


def _usage_note(call: Call, credit: Row, amount: Any, invoice: Row | None) -> str:
    client = call.store["clients"].get(credit["client_id"])
    day = date.fromisoformat(as_text(call.body.get("date")) or f"{call.store.today()}")
    money = money_text(call.store, client, amount)
    number = invoice["number"] if invoice is not None else ""
    return f"{day:%d/%b/%Y} - Credit applied to Invoice {number} {money}"
