"""An invoice in Invoice Ninja against what was sealed: what is sent, what differs, what is kept as proof. Pure.

Compared three ways, net lines, tax, net + tax (billing-rules: Order of calculation), and unrounded: their amounts are
never brought to our decimals first. So is everything else that changes what the client is asked for; which field is in
and which is not, and why, `tests/invoicing/test_compared_fields.py` holds complete.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext as _

from billing_console import money
from invoicing import extras, fees
from invoicing.calculator import plain
from sync.clients.ninja_rows import NinjaInvoice, NinjaLine
from sync.clients.ninja_texts import trim

if TYPE_CHECKING:
    from sync.models import RemoteRecord

TASK_LINE = "2"  # Invoice Ninja's type of a line that bills a task
OTHER_LINE = "1"  # of any other
DATES = ("date", "due_date", "terms")

Differences = dict[str, tuple[str, str]]


def wanted(remote: RemoteRecord) -> dict[str, Any]:
    """What is wanted there, with what the server itself chose when the invoice was made: its exchange rate."""
    rate = remote.seen.get(extras.EXCHANGE_RATE)
    return {**remote.desired, extras.EXCHANGE_RATE: rate} if rate else dict(remote.desired)


def invoice_body(desired: Mapping[str, Any]) -> dict[str, Any]:
    """The request body, complete: numbers as exact Decimals, one task per line, nothing billed by itself."""
    keys = ("client_id", "date", "due_date", "terms", "footer", "public_notes", "private_notes", "tax_name1")
    return {
        **{key: desired[key] for key in keys},
        "po_number": desired.get("po_number", ""),
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


def change_body(desired: Mapping[str, Any], found: NinjaInvoice) -> dict[str, Any]:
    """The same for a PUT, which leaves alone what it is not given: what a person may have put beside it goes.

    The server's own fees stay.
    """
    body = {**invoice_body(desired), **extras.OFF}
    body["line_items"] += [dict(line.raw) for line in fees.fee_lines(found)]
    if rate := desired.get(extras.EXCHANGE_RATE):
        body[extras.EXCHANGE_RATE] = Decimal(rate)
    return body


def _what_it_bills(line: Mapping[str, Any]) -> dict[str, Any]:
    """A task, or for a line that was added by hand nothing of Invoice Ninja's."""
    return {"type_id": TASK_LINE, "task_id": line["task_id"]} if line["task_id"] else {"type_id": OTHER_LINE}


def differences(found: NinjaInvoice, desired: Mapping[str, Any]) -> Differences:
    """Where the invoice there is not as `wanted`: what → (ours, theirs). The server's own fees are no difference."""
    return content_differences(found, desired) | chosen_differences(found, desired)


def content_differences(found: NinjaInvoice, desired: Mapping[str, Any]) -> Differences:
    """Client, dates, lines, amounts and what else is asked for that are not as sealed: what → (ours, theirs)."""
    currency = desired["currency"]
    own, rate, net = fees.fees_of(found, currency), Decimal(desired["tax_rate1"]), Decimal(desired["net"])
    lines = fees.billed_lines(found)

    def exact(value: Any) -> str:
        return str(money.exact(Decimal(value), currency))

    pairs = {
        _("client"): (desired["client_id"], found.client_id),
        _("invoice date"): (desired["date"], _iso(found.date)),
        _("due date"): (desired["due_date"], _iso(found.due_date)),
        _("lines"): (str(len(desired["lines"])), str(len(lines))),
        _("tax rate"): (plain(rate), plain(found.tax_rate)),
        _("tax"): (exact(money.tax_amount(net, rate)), exact(found.total_taxes - own.tax)),
        _("total"): (exact(desired["gross"]), exact(found.amount - own.gross)),
        _("net"): (exact(net), exact(fees.net_of(lines, currency))),
    }
    for position, (ours, theirs) in enumerate(zip(desired["lines"], lines, strict=False), 1):
        pairs |= _line_pairs(_("line %(position)d") % {"position": position}, ours, theirs, currency)
    return _unequal(pairs) | _extra_pairs(found, desired, chosen=False)


def _line_pairs(name: str, ours: Mapping[str, Any], theirs: NinjaLine, currency: str) -> Differences:
    """A line on both sides. Its line total is the product itself: the server rounds it when it adds it up."""

    def words(text: str, quantity: Decimal, cost: Decimal, task_id: str) -> str:
        hours = money.quantize_hours(quantity)
        shown = f"{hours:.2f}" if hours == quantity else plain(quantity)
        return f"{text} | {shown} × {money.exact(cost, currency)} | {task_id}"

    quantity, cost = Decimal(ours["quantity"]), Decimal(ours["cost"])
    is_exact = theirs.line_total == quantity * cost
    taxes = [(what, rate) for what, rate in ((theirs.tax_name, theirs.tax_rate), *theirs.more_taxes) if what or rate]
    return {
        name: (
            words(ours["notes"], quantity, cost, ours["task_id"]),
            words(theirs.notes, theirs.quantity, theirs.cost, theirs.task_id),
        ),
        f"{name} {_('amount')}": (
            str(money.exact(Decimal(ours["amount"]), currency)),
            str(money.exact(Decimal(ours["amount"]) if is_exact else theirs.line_total, currency)),
        ),
        f"{name} {_('product')}": (ours["product_key"], theirs.product_key if ours["task_id"] else ours["product_key"]),
        f"{name} {_('discount')}": ("0", plain(theirs.discount)),
        f"{name} {_('tax')}": (
            "",
            ", ".join(f"{what} {plain(rate)} %".strip() for what, rate in taxes),
        ),
    }


def chosen_differences(found: NinjaInvoice, desired: Mapping[str, Any]) -> Differences:
    """What a server chooses by its own settings when an invoice is made, and keeps as it is given by a PUT.

    Printed texts (where ours is empty the server's own default may stand), and whether it is charged by itself.
    """
    pairs = {
        _("terms"): (desired["terms"], found.terms),
        _("footer"): (desired["footer"], found.footer),
        _("notes"): (desired["public_notes"], found.public_notes),
    }
    texts = {name: (_plain(ours), _plain(theirs)) for name, (ours, theirs) in pairs.items() if ours.strip()}
    texts[_("tax name")] = (_plain(desired["tax_name1"]), _plain(found.tax_name))
    return _unequal(texts) | _extra_pairs(found, desired, chosen=True)


def _extra_pairs(found: NinjaInvoice, desired: Mapping[str, Any], *, chosen: bool) -> Differences:
    ours, theirs = extras.ours(desired), extras.theirs(found)
    return {
        str(extras.LABELS[name]): (
            extras.in_words(name, ours.get(name, "")),
            extras.in_words(name, theirs.get(name, "")),
        )
        for name in extras.differing(ours, theirs)
        if chosen == (name == extras.AUTO_BILL)
    }


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


def figures_of(found: NinjaInvoice, currency: str) -> dict[str, Any]:
    """What is kept besides: the server's own fees with the tax on them, and the exchange rate it was made with."""
    own = fees.fees_of(found, currency)
    return {
        "fees": str(own.gross),
        "fees_tax": str(own.tax),
        extras.EXCHANGE_RATE: plain(found.exchange_rate),
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
