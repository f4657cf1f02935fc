"""Numbers that several things share: both servers count each kind of thing by itself, from 1.

Taiga has a task 1, a story 1 and an issue 1; Invoice Ninja gives its first client, project, task, invoice, payment and
credit one and the same id (upstreams/invoice-ninja/README a; recordings 501 to 505 of Taiga).
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from billing_console.states import EntryState, InvoiceState, RecordState
from invoicing.models import Payment
from mappings.models import Client, NinjaProject
from sandbox import scenario
from sandbox.scenario import MOBILE, WEBSITE
from sync import discovery
from sync.models import RemoteRecord, WorkItem
from tests.flow.steps import Flow, december, fresh, january, mapping_of
from tests.flow.test_kinds import Board, entry_of


@pytest.fixture
def board(office: Flow) -> Board:
    return Board(office)


def test_a_task_a_story_and_an_issue_of_one_number_are_each_billed_and_marked(board: Board) -> None:
    """The record of the written status once kept the bare number: the second of them stayed in doubt for ever."""
    for kind in "UI":
        board.add_attributes(kind)
    number = board.billed("U", "Shop")
    while board.billed("I", "Bug", hours=1) < number:
        pass
    while board.office.close(3, subject="Part") < number:
        pass

    board.office.work()

    same = WorkItem.objects.filter(taiga_id=number)
    assert sorted(same.values_list("kind", flat=True)) == ["I", "T", "U"]
    statuses = RemoteRecord.objects.filter(kind="status", item__in=same).order_by("our_key")
    assert [(row.our_key, row.remote_id, row.state) for row in statuses] == [
        (f"{kind}{number}", f"{kind}{number}", RecordState.SYNCED) for kind in "ITU"
    ]
    assert [board.values(kind, number)[scenario.STATUS] for kind in "UI"] == ["Invoiced", "Invoiced"]
    assert board.office.values(number)["status"] == "Invoiced"
    assert [entry_of(kind, number).amount for kind in "TUI"] == [
        285,
        150,
        75,
    ]  # 3 h of Alice at 95.00, 2 and 1 h of nobody at 75.00


def test_the_sweep_asks_for_the_item_of_the_kind_that_changed_alone(board: Board) -> None:
    board.add_attributes("U")
    number = board.billed("U", "Shop")
    while board.office.close(3, subject="Part") < number:
        pass
    board.office.work()
    store = board.office.running.taiga.store
    with store.memory.transaction():  # nothing is delivered from here on
        for hook in store.webhooks.all():
            store.webhooks.delete(hook["id"])
    board.office.go_to(december(2))
    board.office.type(number, hours=4)
    read = {row.kind: row.read_at for row in WorkItem.objects.filter(taiga_id=number)}

    board.office.sweep()

    again = {row.kind: row.read_at for row in WorkItem.objects.filter(taiga_id=number)}
    assert [kind for kind in "TU" if again[kind] != read[kind]] == ["T"]
    assert (entry_of("T", number).amount, entry_of("U", number).amount) == (380, 150)


@pytest.fixture
def fourth(office: Flow) -> dict[str, Any]:
    """A fourth client whose first project, task, invoice and payment are all the fourth of their kind."""
    client = office.ninja.do("POST", "/clients", {"name": "Delta", "contacts": [{"email": "pay@delta.example"}]})
    project = office.ninja.do("POST", "/projects", {"name": "Delta", "client_id": client["data"]["id"]})
    for _number in range(3):
        office.ninja.do("POST", "/tasks", {"client_id": WEBSITE.client_id, "description": "by hand"})
        line = {"quantity": 1, "cost": 10, "notes": "by hand"}
        made = office.ninja.do("POST", "/invoices", {"client_id": WEBSITE.client_id, "line_items": [line]})
        office.running.ninja.store.guard.clear()  # more than a second later
        office.ninja.do("POST", "/invoices/bulk", {"action": "mark_paid", "ids": [made["data"]["id"]]})
    discovery.refresh_invoice_ninja()
    mapping = mapping_of(MOBILE)
    mapping.client = Client.objects.get(ninja_id=client["data"]["id"])
    mapping.ninja_project = NinjaProject.objects.get(ninja_id=project["data"]["id"])
    mapping.save()
    return {"id": client["data"]["id"], "project": project["data"]["id"]}


def test_one_id_of_a_client_a_project_a_task_an_invoice_and_a_payment(office: Flow, fourth: dict[str, Any]) -> None:
    entry = office.closed(2, project=MOBILE, at=december(9))
    assert entry.remote_task is not None
    (draft,) = office.bill()
    invoice = office.send(office.approve(draft))
    office.go_to(january(20))
    office.pay(invoice, invoice.gross)
    office.poll()

    (payment,) = Payment.objects.filter(invoice=invoice)
    there = office.invoice_there(invoice)
    task = office.task_there(entry)
    assert {fourth["id"], fourth["project"], task["id"], there["id"], payment.ninja_id} == {fourth["id"]}
    assert (task["client_id"], task["project_id"], task["invoice_id"]) == (fourth["id"],) * 3
    assert (fresh(entry).state, fresh(invoice).state) == (EntryState.INVOICED, InvoiceState.PAID)
    records = RemoteRecord.objects.filter(server="invoice_ninja", remote_id=fourth["id"]).order_by("kind")
    assert [(row.kind, row.state) for row in records] == [("invoice", "synced"), ("task", "synced")]
    assert fresh(invoice).paid_to_date == Decimal(str(there["amount"]))
