"""Every field of an invoice that Invoice Ninja answers: compared with what was approved, or not, and why not."""

from __future__ import annotations

import copy
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from invoicing.creating_compare import differences
from sandbox.ninja.invoices import EMPTY
from sandbox.ninja.totals import LINE_DEFAULTS
from sync.clients.ninja_parse_invoices import parse_invoice
from sync.clients.wire import decode_json

RECORDING = Path(__file__).parents[1] / "contract/invoice_ninja/recordings/758-float-head21-35-times-1237.json"

COMPARED = {
    *("client_id", "date", "due_date", "terms", "footer", "public_notes", "po_number", "line_items"),
    *("amount", "total_taxes", "discount", "partial", "partial_due_date", "uses_inclusive_taxes"),
    *("custom_surcharge1", "custom_surcharge2", "custom_surcharge3", "custom_surcharge4"),
    *("tax_name1", "tax_name2", "tax_name3", "tax_rate1", "tax_rate2", "tax_rate3"),
    *("auto_bill_enabled", "exchange_rate"),
}
NOT_COMPARED = {
    "archived_at": "put away there: it asks the client for nothing else",
    "assigned_user_id": "who looks after it in the office",
    "balance": "what is open: polled with the payments",
    "created_at": "when it was made",
    "custom_surcharge_tax1": "only says whether a surcharge is taxed, and there must be none",
    "custom_surcharge_tax2": "as custom_surcharge_tax1",
    "custom_surcharge_tax3": "as custom_surcharge_tax1",
    "custom_surcharge_tax4": "as custom_surcharge_tax1",
    "custom_value1": "a field of the office's own; it asks for nothing",
    "custom_value2": "as custom_value1",
    "custom_value3": "as custom_value1",
    "custom_value4": "as custom_value1",
    "design_id": "how it looks, not what it says",
    "documents": "what hangs on it there",
    "e_invoice": "the electronic form, which the server makes of the fields that are compared",
    "entity_type": "always invoice",
    "has_expenses": "always false for us",
    "has_tasks": "stays false whatever its lines bill",
    "id": "by it, and by our key, it was found",
    "invitations": "who gets the mail: read and compared before every mail (invoicing.sending_checks)",
    "is_amount_discount": "only says how a discount is meant, and there must be none",
    "is_deleted": "read before every write and mail, and polled (invoicing.payments)",
    "last_sent_date": "when it was mailed: read as proof of a mail",
    "next_send_date": "the server's schedule: polled",
    "number": "Invoice Ninja's own",
    "paid_to_date": "polled with the payments",
    "private_notes": "our key: by it the invoice was found",
    "project_id": "where it stands in the server's lists",
    "recurring_id": "set where the server made it by itself; ours it never does",
    "reminder1_sent": "the server's schedule: polled",
    "reminder2_sent": "as reminder1_sent",
    "reminder3_sent": "as reminder1_sent",
    "reminder_last_sent": "as reminder1_sent",
    "status_id": "draft, sent, paid: read before every write and mail, and polled",
    "subscription_id": "set where the server made it by itself",
    "tax_info": "the server's own notes",
    "updated_at": "when it changed: says which reading is newer",
    "user_id": "who made it",
    "vendor_id": "invoices have none",
}
LINE_COMPARED = {
    *("task_id", "notes", "product_key", "quantity", "cost", "line_total", "discount"),
    *("tax_name1", "tax_name2", "tax_name3", "tax_rate1", "tax_rate2", "tax_rate3"),
}
LINE_NOT_COMPARED = {
    "custom_value1": "a field of the office's own; it asks for nothing",
    "custom_value2": "as custom_value1",
    "custom_value3": "as custom_value1",
    "custom_value4": "as custom_value1",
    "date": "a note of the office",
    "expense_id": "links an expense; what it costs is in the line",
    "gross_line_total": "follows from the line total and its taxes, and the total is compared",
    "is_amount_discount": "only says how a discount is meant, and there must be none",
    "product_cost": "what it costs the office",
    "sort_id": "always 0; lines are compared in their order",
    "tax_amount": "follows from its taxes, and their sum is compared",
    "tax_id": "the kind of its tax, for electronic forms",
    "type_id": "the heading it stands under; fees are told by it once it was sent (invoicing.fees)",
    "unit_code": "the unit, for electronic forms",
}


def recorded() -> dict[str, Any]:
    """An invoice of 5.10.42, with a due date and a task, so that each field has a value that can be another."""
    answer = json.loads(RECORDING.read_text(encoding="utf-8"))["response"]["body"]["data"]
    texts = {"due_date": "2026-12-30", "terms": "30 days", "footer": "IBAN", "public_notes": "Thank you"}
    answer |= {**texts, "private_notes": "bc-1;"}
    answer["line_items"][0] |= {"task_id": "task1", "product_key": "Consulting"}
    return dict(answer)


DESIRED = {
    "client_id": "W4QbYEKbzq", "date": "2026-11-30", "due_date": "2026-12-30", "terms": "30 days", "footer": "IBAN",
    "public_notes": "Thank you", "private_notes": "bc-1;", "po_number": "", "tax_name1": "BTW", "tax_rate1": "21.000",
    "net": "43.30", "tax": "9.09", "gross": "52.39", "currency": "EUR", "exchange_rate": "1",
    "lines": [
        {"task_id": "task1", "product_key": "Consulting", "notes": "Work", "quantity": "3.50", "cost": "12.37",
         "amount": "43.30"},
    ],
}  # fmt: skip


def differing(answer: dict[str, Any]) -> dict[str, tuple[str, str]]:
    # By way of JSON text, as it comes: fractions are exact decimals, and what the server counted in binary is not.
    return differences(parse_invoice(decode_json(json.dumps(answer))), DESIRED)


def other(value: Any, name: str) -> Any:
    """Another value of the same kind."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, list):
        return [*value, copy.deepcopy(value[0])] if value and name == "line_items" else []
    if isinstance(value, dict):
        return {"other": 1}
    return "2026-12-24" if name.endswith(("date", "_sent", "_at")) or name == "date" else f"{value}x"


def test_what_was_approved_is_no_difference() -> None:
    assert differing(recorded()) == {}


def test_every_field_is_in_exactly_one_of_the_lists() -> None:
    answer = recorded()
    assert set(answer) | set(EMPTY) == COMPARED | NOT_COMPARED.keys()
    assert not COMPARED & NOT_COMPARED.keys()
    line = answer["line_items"][0]
    assert set(line) | set(LINE_DEFAULTS) == LINE_COMPARED | LINE_NOT_COMPARED.keys()
    assert not LINE_COMPARED & LINE_NOT_COMPARED.keys()
    assert all(NOT_COMPARED.values())
    assert all(LINE_NOT_COMPARED.values())


@pytest.mark.parametrize("name", sorted(COMPARED))
def test_a_compared_field_that_changes_is_a_difference(name: str) -> None:
    answer = recorded()
    answer[name] = other(answer[name], name)
    assert len(differing(answer)) >= 1


@pytest.mark.parametrize("name", sorted(NOT_COMPARED))
def test_another_field_is_none(name: str) -> None:
    answer = recorded()
    answer[name] = other(answer[name], name)
    assert differing(answer) == {}


@pytest.mark.parametrize("name", sorted(LINE_COMPARED))
def test_a_compared_field_of_a_line_that_changes_is_a_difference(name: str) -> None:
    answer = recorded()
    line = answer["line_items"][0]
    line[name] = other(line[name], name)
    assert len(differing(answer)) >= 1


@pytest.mark.parametrize("name", sorted(LINE_NOT_COMPARED))
def test_another_field_of_a_line_is_none(name: str) -> None:
    answer = recorded()
    line = answer["line_items"][0]
    line[name] = other(line[name], name)
    assert differing(answer) == {}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"partial": 100}, {"deposit": ("none", "100")}),
        ({"discount": 10, "is_amount_discount": False}, {"discount": ("none", "10 %")}),
        ({"tax_name2": "IRPF", "tax_rate2": -19}, {"second tax": ("none", "IRPF -19 %")}),
        ({"custom_surcharge3": 7.5}, {"surcharge 3": ("none", "7.5")}),
        ({"auto_bill_enabled": True}, {"charged by itself": ("none", "yes")}),
        ({"exchange_rate": 1.17}, {"exchange rate": ("1", "1.17")}),
        ({"po_number": "4711"}, {"PO number": ("none", "4711")}),
        ({"amount": 52.394}, {"total": ("52.39", "52.394")}),  # theirs is not rounded to our decimals
        ({"total_taxes": 9.090000000000002}, {}),  # a double that means 9.09
    ],
)
def test_what_it_says(changes: dict[str, Any], said: dict[str, tuple[str, str]]) -> None:
    assert differing({**recorded(), **changes}) == said


def test_3750_and_a_quarter_francs_are_not_3750() -> None:
    """The server counts XOF with two decimals, we with none."""
    answer = recorded() | {"amount": 3750.25, "total_taxes": 0, "tax_rate1": 0, "tax_name1": ""}
    answer["line_items"][0] |= {"quantity": 0.25, "cost": 15001, "line_total": 3750.25}
    line = {**DESIRED["lines"][0], "quantity": "0.25", "cost": "15001", "amount": "3750"}  # type: ignore[index]
    desired = {**DESIRED, "tax_rate1": "0", "tax_name1": "", "net": "3750", "tax": "0", "gross": "3750"}
    there = parse_invoice(decode_json(json.dumps(answer)))
    assert there.amount == Decimal("3750.25")
    assert differences(there, {**desired, "currency": "XOF", "lines": [line]}) == {"total": ("3750", "3750.25")}
