"""What an invoice in Invoice Ninja may ask a client for beside its lines and its one tax; ours has none of it. Pure.

A person can type a deposit, a discount or a surcharge, a second tax, a PO number; a group of clients can have a new
invoice charged to a card by itself, whatever was sent (recordings 799 to 822). Each is compared with what was approved.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from invoicing.calculator import plain
from sync.clients.ninja_rows import NinjaInvoice

PO_NUMBER, AUTO_BILL, EXCHANGE_RATE = "po_number", "auto_bill_enabled", "exchange_rate"
Extras = dict[str, str]


@dataclass(frozen=True)
class Extra:
    """One field of an invoice: its name there, its name for people, what it says there as text; "" where it is off."""

    name: str
    label: Promise
    read: Callable[[NinjaInvoice], str]


def _amount(value: Decimal) -> str:
    return plain(value) if value else ""


def _discount(found: NinjaInvoice) -> str:
    return _amount(found.discount) + ("" if found.is_amount_discount or not found.discount else " %")


def _tax(index: int) -> Callable[[NinjaInvoice], str]:
    def read(found: NinjaInvoice) -> str:
        name, rate = found.more_taxes[index]
        return f"{name} {plain(rate)} %".strip() if name or rate else ""

    return read


def _surcharge(index: int) -> Callable[[NinjaInvoice], str]:
    return lambda found: _amount(found.surcharges[index])


def _switch(name: str) -> Callable[[NinjaInvoice], str]:
    return lambda found: "1" if getattr(found, name) else ""


ALL: Final = (
    Extra("partial", _("deposit"), lambda found: _amount(found.partial)),
    Extra("partial_due_date", _("deposit due"), lambda found: f"{found.partial_due_date or ''}"),
    Extra("discount", _("discount"), _discount),
    Extra("custom_surcharge1", _("surcharge 1"), _surcharge(0)),
    Extra("custom_surcharge2", _("surcharge 2"), _surcharge(1)),
    Extra("custom_surcharge3", _("surcharge 3"), _surcharge(2)),
    Extra("custom_surcharge4", _("surcharge 4"), _surcharge(3)),
    Extra("tax_name2", _("second tax"), _tax(0)),
    Extra("tax_name3", _("third tax"), _tax(1)),
    Extra("uses_inclusive_taxes", _("prices include the tax"), _switch("uses_inclusive_taxes")),
    Extra(AUTO_BILL, _("charged by itself"), _switch("is_auto_bill_enabled")),
    Extra(EXCHANGE_RATE, _("exchange rate"), lambda found: plain(found.exchange_rate)),
    Extra(PO_NUMBER, _("PO number"), lambda found: found.po_number.strip()),
)
LABELS: Final = {extra.name: extra.label for extra in ALL}
# What a PUT takes back; the exchange rate is the server's own, and goes along only once it is known.
OFF: Final[dict[str, Any]] = {
    "partial": 0,
    "partial_due_date": "",
    "discount": 0,
    **{f"custom_surcharge{n}": 0 for n in (1, 2, 3, 4)},
    **{f"tax_name{n}": "" for n in (2, 3)},
    **{f"tax_rate{n}": 0 for n in (2, 3)},
    "uses_inclusive_taxes": False,
}


def theirs(found: NinjaInvoice) -> Extras:
    """What the invoice there asks for beside lines and tax: field → text, of those that are not off."""
    return {extra.name: text for extra in ALL if (text := extra.read(found))}


def ours(desired: Mapping[str, Any]) -> Extras:
    """The same of what is wanted there: nothing but a PO number, and the exchange rate that it was made with."""
    return {name: text for name in (PO_NUMBER, EXCHANGE_RATE) if (text := desired.get(name) or "")}


def differing(ours: Extras, theirs: Extras) -> Iterator[str]:
    """Names of the fields that are not the same, in order. An exchange rate is compared once it is known."""
    for extra in ALL:
        if extra.name == EXCHANGE_RATE and not ours.get(EXCHANGE_RATE):
            continue
        if ours.get(extra.name, "") != theirs.get(extra.name, ""):
            yield extra.name


def in_words(name: str, text: str) -> str:
    """What one field says, for a person."""
    if not text:
        return str(_("none"))
    return str(_("yes")) if name in (AUTO_BILL, "uses_inclusive_taxes") else text
