"""Who would be mailed, who wants mail, and what is said where they are not the same people."""

from __future__ import annotations

from typing import Any

import pytest

from invoicing import receivers
from invoicing.models import Invoice
from mappings.models import Client

ANN = {"id": "a", "name": "Ann", "email": "ann@acme.example", "send_email": True}
BEN = {"id": "b", "name": "Ben", "email": "ben@acme.example", "send_email": True}
CY = {"id": "c", "name": "Cy", "email": "cy@acme.example", "send_email": True}
DAN = {"id": "d", "name": "Dan", "email": "dan@acme.example", "send_email": True}
ANN_TOO = "Invoice Ninja would mail it to Ann (ann@acme.example), who does not want invoices by mail."
NOBODY = "No contact of client Acme gets invoices by mail."
RIGHT = "Put the receivers right on the page of the invoice, then try again."


def off(contact: dict[str, Any]) -> dict[str, Any]:
    return {**contact, "send_email": False}


@pytest.mark.parametrize(
    ("contacts", "invited", "emails", "why"),
    [
        ([ANN, BEN], ["a", "b"], ["ann@acme.example", "ben@acme.example"], ""),
        ([ANN, off(BEN)], ["a"], ["ann@acme.example"], ""),
        (
            [off(ANN), BEN],
            ["a"],
            ["ann@acme.example"],
            f"{ANN_TOO} Ben (ben@acme.example) wants invoices by mail, but would not be mailed this one. {RIGHT}",
        ),
        (
            [ANN, BEN],
            ["a"],
            ["ann@acme.example"],
            f"Ben (ben@acme.example) wants invoices by mail, but would not be mailed this one. {RIGHT}",
        ),
        (
            [BEN],
            ["a", "b"],
            ["ben@acme.example"],
            f"Invoice Ninja would mail it to a contact who was deleted, who does not want invoices by mail. {RIGHT}",
        ),
        (
            [off(ANN), off(BEN)],
            ["a"],
            ["ann@acme.example"],
            f"{NOBODY} Switch that on for one in Invoice Ninja, then try again.",
        ),
        (
            [ANN, {**BEN, "email": " "}],
            ["a", "b"],
            ["ann@acme.example"],
            "Client Acme: Ben has no e-mail address. Add it in Invoice Ninja, then try again.",
        ),
        ([ANN, off(BEN)], None, ["ann@acme.example"], ""),
        (
            [off(ANN), off(BEN), CY, DAN],
            ["a", "b"],
            ["ann@acme.example", "ben@acme.example"],
            (
                "Invoice Ninja would mail it to Ann (ann@acme.example), Ben (ben@acme.example), who do not want "
                "invoices by mail. Cy (cy@acme.example), Dan (dan@acme.example) want invoices by mail, but would not "
                f"be mailed this one. {RIGHT}"
            ),
        ),
    ],
)
def test_who_is_mailed_and_why_not(
    contacts: list[dict[str, Any]], invited: list[str] | None, emails: list[str], why: str
) -> None:
    invitations = None if invited is None else [{"contact": one} for one in invited]
    invoice = Invoice(client=Client(name="Acme", contacts=contacts), invitations=invitations)

    found = receivers.known(invoice)

    assert (found.emails, found.why_not()) == (emails, why)
    assert found.differ is why.endswith(RIGHT)
