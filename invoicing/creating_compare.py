"""An invoice in Invoice Ninja against what was sealed: what is sent, what differs, what is kept as proof. Pure.

Amounts are compared at the currency's precision, three ways: net lines, tax, net + tax (billing-rules: Order of
calculation).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from django.utils.translation import gettext as _

from billing_console import money
from sync.clients.ninja_rows import NinjaInvoice
from sync.clients.ninja_texts import trim

TASK_LINE = "2"  # Invoice Ninja's type of a line that bills a task
OTHER_LINE = "1"  # of any other
DATES = ("date", "due_date", "terms")

Differences = dict[str, tuple[str, str]]


def invoice_body(desired: Mapping[str, Any]) -> dict[str, Any]:
    """The request body, complete: numbers as exact Decimals, one task per line, nothing billed by itself."""
    keys = ("client_id", "date", "due_date", "terms", "footer", "public_notes", "private_notes", "tax_name1")
    return {
        **{key: desired[key] for key in keys},
        "tax_rate1": Decimal(desired["tax_rate1"]),
        "auto_bill_enabled": False,
        "line_items": [
            {
                **_what_it_bills(line),
                "product_key": line["product_key"],
                "notes": line["notes"],
                "quantity": Decimal(line["quantity"]),
                "cost": Decimal(line["cost"]),
            }
            for line in desired["lines"]
        ],
    }


def change_body(desired: Mapping[str, Any]) -> dict[str, Any]:
    """The same for a PUT, which leaves alone what it is not given: what a person may have put beside it goes."""
    none = {"discount": 0, "partial": 0, "tax_name2": "", "tax_rate2": 0, "tax_name3": "", "tax_rate3": 0}
    return {**invoice_body(desired), **none}


def _what_it_bills(line: Mapping[str, Any]) -> dict[str, Any]:
    """A task, or for a line that was added by hand nothing of Invoice Ninja's."""
    return {"type_id": TASK_LINE, "task_id": line["task_id"]} if line["task_id"] else {"type_id": OTHER_LINE}


def differences(found: NinjaInvoice, desired: Mapping[str, Any]) -> Differences:
    """Where the invoice there is not as sealed: what → (ours, theirs)."""
    return content_differences(found, desired) | text_differences(found, desired)


def content_differences(found: NinjaInvoice, desired: Mapping[str, Any]) -> Differences:
    """Client, dates, lines and amounts that are not as sealed: what → (ours, theirs)."""
    currency = desired["currency"]

    def rounded(value: Any) -> str:
        return str(money.quantize(Decimal(value), currency))

    pairs = {
        _("client"): (desired["client_id"], found.client_id),
        _("invoice date"): (desired["date"], _iso(found.date)),
        _("due date"): (desired["due_date"], _iso(found.due_date)),
        _("lines"): (str(len(desired["lines"])), str(len(found.lines))),
        _("tax rate"): (f"{Decimal(desired['tax_rate1']):.3f}", f"{found.tax_rate:.3f}"),
        _("tax"): (rounded(desired["tax"]), rounded(found.total_taxes)),
        _("total"): (rounded(desired["gross"]), rounded(found.amount)),
        _("net"): (
            rounded(desired["net"]),
            str(money.total(money.quantize(line.line_total, currency) for line in found.lines)),
        ),
    }
    for position, (ours, theirs) in enumerate(zip(desired["lines"], found.lines, strict=False), 1):
        name = _("line %(position)d") % {"position": position}
        pairs[name] = (
            f"{ours['notes']} | {Decimal(ours['quantity']):.2f} × {rounded(ours['cost'])} | {ours['task_id']}",
            f"{theirs.notes} | {theirs.quantity:.2f} × {rounded(theirs.cost)} | {theirs.task_id}",
        )
        pairs[name + " " + _("amount")] = (rounded(ours["amount"]), rounded(theirs.line_total))
    return _unequal(pairs)


def text_differences(found: NinjaInvoice, desired: Mapping[str, Any]) -> Differences:
    """Printed texts that are not as sealed. Where ours is empty the server's own default may stand."""
    pairs = {
        _("terms"): (desired["terms"], found.terms),
        _("footer"): (desired["footer"], found.footer),
        _("notes"): (desired["public_notes"], found.public_notes),
        _("tax name"): (desired["tax_name1"], found.tax_name),
    }
    return _unequal({name: (_plain(ours), _plain(theirs)) for name, (ours, theirs) in pairs.items() if ours.strip()})


def as_it_was(desired: Mapping[str, Any]) -> dict[str, Any]:
    """What was wanted before the change that `desired` is, for the parts that a change replaces."""
    return {**desired, **desired.get("was", {})}


def describe(wrong: Differences) -> str:
    """ "total: 660.96 / 546.25; …" for a sentence to a person."""
    return "; ".join(f"{name}: {ours} / {theirs}" for name, (ours, theirs) in wrong.items())


def facts_of(found: NinjaInvoice) -> dict[str, Any]:
    """What is kept of an invoice that was read back (JSON values); amounts as text in the invoice's currency."""
    return {
        "number": found.number,
        "status_id": found.status_id,
        "amount": str(found.amount),
        "balance": str(found.balance),
        "total_taxes": str(found.total_taxes),
        "updated_at": found.updated_at.isoformat() if found.updated_at else None,
        "invited": [invitation.contact_id for invitation in found.invitations],
    }


def task_ids(desired: Mapping[str, Any]) -> set[str]:
    """Invoice Ninja's ids of the tasks that the lines bill."""
    lines: Iterable[Mapping[str, Any]] = desired["lines"]
    return {line["task_id"] for line in lines if line["task_id"]}


def _unequal(pairs: Differences) -> Differences:
    return {name: (ours, theirs) for name, (ours, theirs) in pairs.items() if ours != theirs}


def _iso(day: Any) -> str:
    return day.isoformat() if day else ""


def _plain(text: str) -> str:
    """The words alone: the server keeps its own kind of line ends and trims."""
    return " ".join(trim(text).split())
