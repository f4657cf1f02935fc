"""One invoice as two sides hold it, in one form, and side by side: field by field and line by line. Pure.

A snapshot is JSON: texts, exact numbers as text, lines in order. Ours is made of what we want there, theirs of what was
read; both can be kept as a row and compared again later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from django.utils.translation import gettext as _

from billing_console import formats, money
from invoicing import extras, fees
from invoicing.calculator import plain
from sync.clients.ninja_rows import DRAFT, NinjaInvoice

Snapshot = dict[str, Any]
Line = Mapping[str, str]
NOTHING = "–"


@dataclass(frozen=True)
class Cell:
    """One field on both sides; `where` is the invoice or one of its lines."""

    where: str
    what: str
    ours: str
    theirs: str

    @property
    def differs(self) -> bool:
        """Whether a person must look at it."""
        return " ".join(self.ours.split()) != " ".join(self.theirs.split())


def ours_of(desired: Mapping[str, Any]) -> Snapshot:
    """Our side, from what is wanted there (`creating.desired_invoice`)."""
    texts = ("client_id", "date", "due_date", "terms", "footer", "public_notes", "currency")
    return {
        **{name: desired[name] for name in texts},
        "status": DRAFT,
        "extras": extras.ours(desired),
        "tax_name": desired["tax_name1"],
        "tax_rate": plain(Decimal(desired["tax_rate1"])),
        **{name: plain(Decimal(desired[name])) for name in ("net", "tax", "gross")},
        "lines": [
            {
                "task_id": line["task_id"],
                "product_key": line["product_key"],
                "notes": line["notes"],
                **{name: plain(Decimal(line[name])) for name in ("quantity", "cost", "amount")},
            }
            for line in desired["lines"]
        ],
    }


def theirs_of(found: NinjaInvoice, currency: str) -> Snapshot:
    """Their side, as it was read, without the server's own fees. A line total as the server adds it up, at its decimals
    of `currency`; all else as it is.
    """
    lines, own = fees.billed_lines(found), fees.fees_of(found, currency)
    amounts = [money.quantize(line.line_total, currency) for line in lines]
    return {
        "client_id": found.client_id,
        "date": found.date.isoformat() if found.date else "",
        "due_date": found.due_date.isoformat() if found.due_date else "",
        "terms": found.terms,
        "footer": found.footer,
        "public_notes": found.public_notes,
        "currency": currency,
        "status": found.status_id,
        "extras": extras.theirs(found),
        "tax_name": found.tax_name,
        "tax_rate": plain(found.tax_rate),
        "net": plain(money.total(amounts)),
        "tax": plain(found.total_taxes - own.tax),
        "gross": plain(found.amount - own.gross),
        "lines": [
            {
                "task_id": line.task_id,
                "product_key": line.product_key,
                "notes": line.notes,
                "quantity": plain(line.quantity),
                "cost": plain(line.cost),
                "amount": plain(amount),
            }
            for line, amount in zip(lines, amounts, strict=True)
        ],
    }


def pair_lines(ours: Sequence[Line], theirs: Sequence[Line]) -> list[tuple[int | None, int | None]]:
    """Which line is which: by its task, else by its text, else by its turn. Theirs in order, then what they lack."""
    free = list(range(len(ours)))
    found: dict[int, int] = {}

    def same_task(ours: Line, theirs: Line) -> bool:
        return ours["task_id"] == theirs["task_id"] != ""

    def same_text(ours: Line, theirs: Line) -> bool:
        return ours["task_id"] == theirs["task_id"] == "" and ours["notes"] == theirs["notes"]

    def both_manual(ours: Line, theirs: Line) -> bool:
        return ours["task_id"] == theirs["task_id"] == ""

    for is_same in (same_task, same_text, both_manual):
        for index, line in enumerate(theirs):
            match = next((one for one in free if index not in found and is_same(ours[one], line)), None)
            if match is not None:
                found[index] = match
                free.remove(match)
    return [(found.get(index), index) for index in range(len(theirs))] + [(one, None) for one in free]


def side_by_side(ours: Snapshot, theirs: Snapshot) -> list[Cell]:
    """Every field of the invoice, then of every line, ours beside theirs; where ours is empty their text may stand."""
    currency = ours["currency"]
    head = _("Invoice")

    def amount(side: Snapshot, name: str) -> str:
        return formats.exact_money(Decimal(side[name]), currency)

    def tax(side: Snapshot) -> str:
        return f"{side['tax_name']} {side['tax_rate']} %".strip() if Decimal(side["tax_rate"]) else _("none")

    def day(side: Snapshot, name: str) -> str:
        return formats.day(date.fromisoformat(side[name]) if side[name] else None)

    cells = [
        Cell(head, _("Invoice date"), day(ours, "date"), day(theirs, "date")),
        Cell(head, _("Due"), day(ours, "due_date"), day(theirs, "due_date")),
        Cell(head, _("Tax"), tax(ours), tax(theirs)),
        Cell(head, _("Before tax"), amount(ours, "net"), amount(theirs, "net")),
        Cell(head, _("Tax amount"), amount(ours, "tax"), amount(theirs, "tax")),
        Cell(head, _("With tax"), amount(ours, "gross"), amount(theirs, "gross")),
    ]
    if ours["currency"] != theirs["currency"]:
        cells.insert(0, Cell(head, _("Currency"), ours["currency"], theirs["currency"]))
    if ours["client_id"] != theirs["client_id"]:
        cells.insert(0, Cell(head, _("Client"), ours["client_id"], theirs["client_id"]))
    asked = ours.get("extras", {}), theirs.get("extras", {})
    for name in extras.differing(*asked):
        ours_says, theirs_says = (extras.in_words(name, side.get(name, "")) for side in asked)
        cells.append(Cell(head, str(extras.LABELS[name]), ours_says, theirs_says))
    for name, label in (("terms", _("Terms")), ("footer", _("Footer")), ("public_notes", _("Notes"))):
        if ours[name].strip():
            cells.append(Cell(head, label, ours[name], theirs[name] or NOTHING))
    for mine, their in pair_lines(ours["lines"], theirs["lines"]):
        cells += _line_cells(
            (mine, ours["lines"][mine]) if mine is not None else None,
            (their, theirs["lines"][their]) if their is not None else None,
            currency,
        )
    return cells


def _line_cells(ours: tuple[int, Line] | None, theirs: tuple[int, Line] | None, currency: str) -> list[Cell]:
    shown = ours or theirs
    assert shown is not None
    where = _("Line %(position)d: %(text)s") % {"position": shown[0] + 1, "text": shown[1]["notes"]}

    def cell(what: str, name: str) -> Cell:
        return Cell(where, what, _shown(ours, name, currency), _shown(theirs, name, currency))

    cells = [
        cell(_("Text"), "notes"),
        cell(_("Hours or quantity"), "quantity"),
        cell(_("Rate"), "cost"),
        cell(_("Amount"), "amount"),
    ]
    if ours and theirs and ours[1]["task_id"] and "product_key" in ours[1] and "product_key" in theirs[1]:
        cells.insert(1, cell(_("Product"), "product_key"))
    if ours and theirs and ours[0] != theirs[0]:
        cells.append(Cell(where, _("Place"), str(ours[0] + 1), str(theirs[0] + 1)))
    return cells


def _shown(side: tuple[int, Line] | None, name: str, currency: str) -> str:
    if side is None:
        return _("not there")
    value = side[1][name]
    if name in ("notes", "product_key"):
        return value or NOTHING
    if name == "quantity":
        return formats.amount(Decimal(value), "") if len(value.partition(".")[2]) <= 2 else value
    return formats.rate(Decimal(value), currency) if name == "cost" else formats.exact_money(Decimal(value), currency)


def gross_of(side: Snapshot) -> Decimal:
    """What the client pays, by one side."""
    return Decimal(side["gross"])
