"""What amounts come to on 5.10.42: taxes, floats, currencies, deposits, surcharges, billing by itself.

Recordings 729 to 822; 792 to 798 stand in `cases`. Not among them: 752 to 757 (taxes that the server chooses by
country: the doctor calls that setting an error) and readings of invoices whose making was not recorded.
"""

from __future__ import annotations

from typing import Any

from sandbox.ninja.app import InvoiceNinja
from sandbox.ninja.data import currency_ids
from tests.contract.invoice_ninja.recording import Tables, recordings
from tests.contract.invoice_ninja.sending import post
from tests.contract.invoice_ninja.world import Arrange, a_client

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
_STATES: dict[int, dict[str, Any]] = {
    **{number: {"rows": a_client(EURO)} for number in (*_TAXES, *_FLOATS)},
    750: {"rows": a_client(EXEMPT, is_tax_exempt=True)},
    **{
        number: {"rows": _in(currency, number)}
        for number in _IN_CURRENCIES
        for first, currency in CURRENCIES.items()
        if recordings()[number].body["client_id"] == recordings()[first].body["client_id"]
    },
    **{number: {"rows": a_client(SURCHARGED), "also": (802,), "then": _without_deposit} for number in (799, 800, 801)},
    803: {"rows": a_client(SURCHARGED)},
    804: {"rows": a_client(SURCHARGED)},
    806: {"rows": a_client(SURCHARGED), "then": _paid(DEPOSIT, SURCHARGED, 50)},
    **{number: {"rows": a_client(SURCHARGED)} for number in (807, 808, 809, 810)},
    812: {"also": (812,)},
    **{number: {"rows": a_client(GROUPED, **GROUP)} for number in (813, 815, 816, 818)},
    820: {"rows": a_client(LATE)},
    821: {"rows": a_client(LATE), "then": _paid("k8mep81eMy", LATE, 30)},
    822: {"rows": a_client(LATE), "then": _paid("k8mep81eMy", LATE, 20)},
}
# The contact of a client that was not shown has another id.
SPECIAL = {number: {**state, "ignore": {"client_contact_id"}} for number, state in _STATES.items()}
EXCHANGES = {
    "create_invoice": (*_TAXES, 750, *_FLOATS, *_IN_CURRENCIES, 807, 808, 809, 810, 813, 815, 820),
    "update_invoice": (799, 800, 801, 803, 804, 816, 818),
    "invoice": (806, 821, 822),
}
OTHERS = {"groups of clients": (811, 812)}
