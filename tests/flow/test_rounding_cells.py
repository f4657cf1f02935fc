"""Every cell of the rounding fixture of billing-rules as an invoice of Invoice Ninja: hours, lines and amounts.

Three clients round up, to the nearest and down; each of the six increments with its minimum has a month of its own.
The months with a minimum come first: an entry below the minimum is evaluated again by each later rule set.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from mappings.lookups import new_rule_set_version
from mappings.rules import month
from sandbox import scenario
from sandbox.scenario import API, MOBILE, PROJECTS, WEBSITE, Project
from tests.flow.steps import Flow, client_of

RAW = (0.1, 0.35, 1.05, 2.6)
MODES = {"up": WEBSITE, "nearest": MOBILE, "down": API}
# (rounding, minimum) → mode → billed hours of the lines, hours in all, amount at 95.00
CELLS: dict[tuple[str, str], dict[str, tuple[list[str], str, str]]] = {
    ("quarter_hour", "0.25"): {
        "up": (["0.25", "0.50", "1.25", "2.75"], "4.75", "451.25"),
        "nearest": (["0.25", "0.25", "1.00", "2.50"], "4.00", "380.00"),
        "down": (["0.25", "0.25", "1.00", "2.50"], "4.00", "380.00"),
    },
    ("half_hour", "0.25"): {
        "up": (["0.50", "0.50", "1.50", "3.00"], "5.50", "522.50"),
        "nearest": (["0.25", "0.50", "1.00", "2.50"], "4.25", "403.75"),
        "down": (["0.25", "0.25", "1.00", "2.50"], "4.00", "380.00"),
    },
    ("hour", "0.25"): {
        "up": (["1.00", "1.00", "2.00", "3.00"], "7.00", "665.00"),
        "nearest": (["0.25", "0.25", "1.00", "3.00"], "4.50", "427.50"),
        "down": (["0.25", "0.25", "1.00", "2.00"], "3.50", "332.50"),
    },
    ("quarter_hour", "0"): {
        "up": (["0.25", "0.50", "1.25", "2.75"], "4.75", "451.25"),
        "nearest": (["0.25", "1.00", "2.50"], "3.75", "356.25"),
        "down": (["0.25", "1.00", "2.50"], "3.75", "356.25"),
    },
    ("half_hour", "0"): {
        "up": (["0.50", "0.50", "1.50", "3.00"], "5.50", "522.50"),
        "nearest": (["0.50", "1.00", "2.50"], "4.00", "380.00"),
        "down": (["1.00", "2.50"], "3.50", "332.50"),
    },
    ("hour", "0"): {
        "up": (["1.00", "1.00", "2.00", "3.00"], "7.00", "665.00"),
        "nearest": (["1.00", "3.00"], "4.00", "380.00"),
        "down": (["1.00", "2.00"], "3.00", "285.00"),
    },
}


def close_four(office: Flow, project: Project, number: int) -> None:
    """The fixture's four tasks, closed on the 10th, at an hourly rate of 95.00."""
    taiga = office.taiga()
    path = f"project={project.taiga_id}"
    closed = next(row["id"] for row in taiga.get(f"/task-statuses?{path}") if row["name"] == "Closed")
    story = taiga.get(f"/userstories?{path}")[0]["id"]
    ids = {row["name"]: str(row["id"]) for row in taiga.get(f"/task-custom-attributes?{path}")}
    for hours in RAW:
        subject = f"{hours} h, month {number}"
        body = {"project": project.taiga_id, "subject": subject, "status": closed, "user_story": story}
        task = taiga.do("POST", "/tasks", body)
        typed = {ids[scenario.BILLABLE]: True, ids[scenario.HOURS]: hours, ids[scenario.RATE]: 95}
        body = {"attributes_values": typed, "version": 1}
        taiga.do("PATCH", f"/tasks/custom-attributes-values/{task['id']}", body)


def figures(invoice: dict[str, Any]) -> tuple[list[str], str, str]:
    """Hours of the lines, hours in all and amount of an invoice of Invoice Ninja, with two decimals each."""
    hours = [Decimal(str(line["quantity"])) for line in invoice["line_items"]]
    amounts = [
        Decimal(str(line["cost"])) * quantity for line, quantity in zip(invoice["line_items"], hours, strict=True)
    ]
    assert {line["cost"] for line in invoice["line_items"]} == {95}
    assert sum(amounts).quantize(Decimal("0.01")) == Decimal(str(invoice["amount"])).quantize(Decimal("0.01"))
    return [f"{quantity:.2f}" for quantity in sorted(hours)], f"{sum(hours):.2f}", f"{invoice['amount']:.2f}"


@pytest.mark.slow
def test_every_cell_becomes_an_invoice(office: Flow) -> None:
    for project in PROJECTS:  # the sweep finds them: a webhook for each would only cost time here
        for hook in office.taiga().get(f"/webhooks?project={project.taiga_id}"):
            office.taiga().do("DELETE", f"/webhooks/{hook['id']}")
    seen = {}
    for number, ((rounding, minimum), cells) in enumerate(CELLS.items(), 1):
        period = month(2025, number)
        office.go_to(datetime(2025, number, 10, 12, tzinfo=UTC))
        for mode, project in MODES.items():
            changes = {"rounding": rounding, "rounding_mode": mode, "min_billable_hours": Decimal(minimum)}
            no_tax = {"tax_decision": "no_tax", "no_tax_text": "VAT reverse charge"}
            new_rule_set_version(client_of(project), {**changes, **no_tax})
            close_four(office, project, number)
        office.sweep()

        drafts = {draft.client.ninja_id: draft for draft in office.bill(period)}

        for mode, project in MODES.items():
            invoice = office.approve(drafts[project.client_id])
            assert invoice.state == "created"
            seen[rounding, minimum, mode] = figures(office.invoice_there(invoice))
        assert {mode: seen[rounding, minimum, mode] for mode in MODES} == cells
    assert len(seen) == 18
    assert len(office.invoices()) == 18
