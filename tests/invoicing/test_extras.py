"""What somebody, or a setting, puts on an invoice beside its lines: nobody is mailed before it is seen."""

from __future__ import annotations

from typing import Any

import pytest

from billing_console.errors import NotAllowed
from billing_console.states import InvoiceState, RecordState
from invoicing import adopting, creating, deviations, payments
from invoicing.models import Deviation, Invoice
from tests.invoicing.test_adopting import adopt, check_books, edit, found, send
from tests.invoicing.world import make_user
from tests.outbound import approved_invoice, created_invoice, fresh
from tests.standins import World

TYPED: list[tuple[dict[str, Any], str]] = [
    ({"partial": 100}, "deposit: none / 100"),
    ({"partial": 100, "partial_due_date": "2026-01-10", "due_date": "2026-02-01"}, "deposit due: none / 2026-01-10"),
    ({"discount": 5}, "discount: none / 5"),
    ({"custom_surcharge1": 7.5}, "surcharge 1: none / 7.5"),
    ({"custom_surcharge4": -7.5}, "surcharge 4: none / -7.5"),
    ({"tax_name2": "IRPF", "tax_rate2": -19}, "second tax: none / IRPF -19 %"),
    ({"tax_name3": "Stamp", "tax_rate3": 0}, "third tax: none / Stamp 0 %"),
    ({"uses_inclusive_taxes": True}, "prices include the tax: none / yes"),
    ({"auto_bill_enabled": True}, "charged by itself: none / yes"),
    ({"exchange_rate": 1.17}, "exchange rate: 1 / 1.17"),
    ({"po_number": "4711"}, "PO number: none / 4711"),
]


@pytest.mark.parametrize(("typed", "said"), TYPED)
def test_what_was_typed_by_hand_is_asked_before_anybody_is_mailed(
    world: World, typed: dict[str, Any], said: str
) -> None:
    invoice = created_invoice(world)
    edit(world, **typed)

    deviation = found(world, invoice)

    assert world.mails() == []
    assert said in fresh(invoice).attention_sentence

    adopting.overwrite(deviation, user=make_user("Approver"), reason="not agreed")
    creating.create_due()
    (there,) = world.invoices()
    record = fresh(invoice).remote
    assert record.state == RecordState.SYNCED, record.sentence
    for name in typed.keys() - {"due_date"}:
        assert there[name] in (0, "", False, 1), name
    send(world, invoice)
    assert fresh(invoice).state == InvoiceState.SENT


def test_a_group_that_charges_by_itself_is_put_right_before_anybody_is_asked(world: World) -> None:
    """POST with false comes back true; a PUT with false sticks (recordings 813 to 819)."""
    settings = {"auto_bill": "always", "auto_bill_standard_invoices": True}
    group = world.api_ninja("POST", "/group_settings", {"name": "Retainers", "settings": settings})["data"]
    with world.ninja.memory.transaction():
        world.ninja.store.save("clients", "client_abc123", group_settings_id=group["id"])
    invoice = approved_invoice(world)

    creating.create_due()

    (there,) = world.invoices()
    row = fresh(invoice)
    assert (row.state, there["auto_bill_enabled"]) == (InvoiceState.CREATED, False)
    send(world, invoice)
    (there,) = world.invoices()
    assert (there["status_id"], there["auto_bill_enabled"]) == ("2", False)


def test_a_po_number_is_taken_over_sealed_and_stays(world: World) -> None:
    invoice = created_invoice(world)
    edit(world, po_number="4711")

    adopt(found(world, invoice))
    creating.create_due()

    row = fresh(invoice)
    assert (row.po_number, row.remote.state) == ("4711", RecordState.SYNCED)
    assert row.seal != invoice.seal
    check_books()
    send(world, invoice)
    assert fresh(invoice).state == InvoiceState.SENT


def test_a_deposit_cannot_be_taken_over(world: World) -> None:
    invoice = created_invoice(world)
    edit(world, partial=100)
    deviation = found(world, invoice)

    with pytest.raises(NotAllowed, match=r"no place for what it asks for besides \(deposit: 100\)"):
        adopt(deviation)


def test_what_is_typed_after_it_was_sent_is_shown(world: World) -> None:
    invoice = created_invoice(world)
    send(world, invoice)
    payments.poll()
    assert deviations.open_of(invoice) is None

    edit(world, partial=100)
    payments.poll()

    deviation = deviations.open_of(Invoice.objects.get(pk=invoice.pk))
    assert deviation is not None
    assert deviation.theirs["extras"] == {"partial": "100", "exchange_rate": "1"}
    assert Deviation.objects.count() == 1
