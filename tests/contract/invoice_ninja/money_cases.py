"""What amounts come to on 5.10.42: taxes, floats, currencies, deposits, surcharges, billing by itself.

Recordings 729 to 822; 792 to 798 stand in `cases`.
"""

from __future__ import annotations

from typing import Any

from sandbox.ninja.app import InvoiceNinja
from sandbox.ninja.data import currency_ids
from tests.contract.invoice_ninja.recording import Tables, recordings
from tests.contract.invoice_ninja.sending import post
from tests.contract.invoice_ninja.world import Arrange, a_client, make

EURO, EXEMPT, LATE, GROUPED = "W4QbYEKbzq", "joQeZ6JepZ", "wMvbmwOeYA", "OpnelO5dKB"
DEPOSIT, SURCHARGED = "WjnegZ9dwZ", "Wpmbk55ezJ"
CURRENCIES = {776: "HUF", 779: "TND", 781: "XOF", 783: "KRW", 785: "JPY", 787: "KWD", 790: "BHD"}
GROUP = {"group_settings_id": "Wpmbk5ezJn"}


def _in(currency: str, number: int) -> Tables:
    """The client of an exchange, which was not shown, in this currency."""
    client_id = recordings()[number].body["client_id"]
    return a_client(client_id, settings={"currency_id": currency_ids()[currency]})


def _without_deposit(ninja: InvoiceNinja) -> None:
    with ninja.memory.transaction():
        ninja.store.save("invoices", DEPOSIT, partial=0, partial_due_date="")


def _paid(invoice_id: str, client_id: str, amount: float) -> Arrange:
    """It was sent, and this payment came in."""

    def arrange(ninja: InvoiceNinja) -> None:
        post(ninja, "/invoices/bulk", {"action": "mark_sent", "ids": [invoice_id]})
        part = {"invoice_id": invoice_id, "amount": amount}
        post(ninja, "/payments", {"client_id": client_id, "amount": amount, "invoices": [part]})

    return arrange


_TAXES = (729, 731, 732, 734, 736, 738, 739, 740, 742, 744, 746, 747, 748, 749)
_FLOATS = (758, 761, 764, 767, 770, 773, 774)
_IN_CURRENCIES = (776, 778, 779, 780, 781, 782, 783, 784, 785, 786, 787, 789, 790, 791)
_READ_AGAIN = {730: 729, 733: 732, 735: 734, 737: 736, 741: 740, 743: 742, 745: 744, 751: 750, 759: 758, 762: 761}
_READ_AGAIN |= {765: 764, 768: 767, 771: 770, 777: 776, 788: 787}
_MADE_UNRECORDED = (760, 763, 766, 769, 772)  # 21 % on the lines
_AS_SENT = ("type_id", "notes", "quantity", "cost", "tax_name1", "tax_rate1")
_BY_COUNTRY = {753: "276", 754: "276", 755: "528", 756: "840"}
_COUNTING: dict[str, Any] = {"company": {"calculate_taxes": True}}


def _made(number: int) -> Arrange:
    """The invoice that was read was made with these lines; what they come to is counted anew."""

    def arrange(ninja: InvoiceNinja) -> None:
        row = recordings()[number].answer["data"]
        lines = [{name: line[name] for name in _AS_SENT} for line in row["line_items"]]
        body = {"client_id": row["client_id"], "number": row["number"], "line_items": lines}
        make(ninja, "invoices", row["id"], body)

    return arrange


def _sent(ninja: InvoiceNinja) -> None:
    post(ninja, "/invoices/bulk", {"action": "mark_sent", "ids": [DEPOSIT]})


def _by_country(number: int) -> dict[str, Any]:
    client_id = recordings()[number].body["client_id"]
    return {**_COUNTING, "rows": a_client(client_id, country_id=_BY_COUNTRY[number])}


_STATES: dict[int, dict[str, Any]] = {
    **{number: {"rows": a_client(EURO)} for number in (*_TAXES, *_FLOATS)},
    752: {"company": {"tax_data": recordings()[752].answer["data"]["tax_data"]}},
    **{number: _by_country(number) for number in _BY_COUNTRY},
    757: {"rows": a_client(recordings()[754].body["client_id"], country_id="276")},
    750: {"rows": a_client(EXEMPT, is_tax_exempt=True)},
    **{
        number: {"rows": _in(currency, number)}
        for number in _IN_CURRENCIES
        for first, currency in CURRENCIES.items()
        if recordings()[number].body["client_id"] == recordings()[first].body["client_id"]
    },
    **{number: {"rows": a_client(SURCHARGED), "also": (802,), "then": _without_deposit} for number in (799, 800, 801)},
    **{number: {"rows": a_client(EURO), "then": _made(number)} for number in _MADE_UNRECORDED},
    803: {"rows": a_client(SURCHARGED)},
    804: {"rows": a_client(SURCHARGED)},
    805: {"rows": a_client(SURCHARGED), "then": _sent},
    806: {"rows": a_client(SURCHARGED), "then": _paid(DEPOSIT, SURCHARGED, 50)},
    **{number: {"rows": a_client(SURCHARGED)} for number in (807, 808, 809, 810)},
    812: {"also": (812,)},
    **{number: {"rows": a_client(GROUPED, **GROUP)} for number in (813, 815, 816, 818)},
    820: {"rows": a_client(LATE)},
    821: {"rows": a_client(LATE), "then": _paid("k8mep81eMy", LATE, 30)},
    822: {"rows": a_client(LATE), "then": _paid("k8mep81eMy", LATE, 20)},
}
for _again, _made in _READ_AGAIN.items():
    _STATES[_again] = {**_STATES[_made], "replay": (_made,)}
# The contact of a client that was not shown has another id.
SPECIAL = {number: {**state, "ignore": {"client_contact_id"}} for number, state in _STATES.items()}
EXCHANGES = {
    "create_invoice": (*_TAXES, 750, *_BY_COUNTRY, *_FLOATS, *_IN_CURRENCIES, 807, 808, 809, 810, 813, 815, 820),
    "update_invoice": (757, 799, 800, 801, 803, 804, 816, 818),
    "invoice": (*_READ_AGAIN, *_MADE_UNRECORDED, 802, 805, 806, 814, 817, 819, 821, 822),
}
OTHERS = {"company and people": (752,), "groups of clients": (811, 812)}
