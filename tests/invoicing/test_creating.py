from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from billing_console.errors import NotAllowed
from billing_console.states import EntryState, InvoiceState, RecordState
from invoicing import adjusting, content, creating, readings, reconcile, review, verdict
from invoicing.models import Invoice
from mappings.lookups import new_rule_set_version
from mappings.rules import month
from sync import outbox, push, writeback
from sync.attention import try_again
from sync.models import RemoteRecord, TimeEntry, UpstreamCall
from tests.invoicing.world import built, make_user, on_screen, sweep_project
from tests.outbound import (
    JANUARY_2,
    approved_invoice,
    claimed,
    created_invoice,
    expire_lease,
    fresh,
    make_due,
    states_of,
)
from tests.standins import World

POST = {"method": "POST", "path": "/api/v1/invoices"}


def remote_of(invoice: Invoice) -> RemoteRecord:
    return RemoteRecord.objects.get(invoice=invoice)


def created(invoice: Invoice) -> RemoteRecord:
    creating.create_due()
    return remote_of(invoice)


def test_adjusted_lines_and_lines_by_hand_are_created_as_they_were_sealed(world: World) -> None:
    for number, hours in enumerate((4.5, 2.1), 1):
        world.read(world.add_task(f"Task {number}", billable=True, hours=hours))
    push.push_due()
    writeback.write_due()
    worked = [task["time_log"] for task in world.tasks()]
    world.go_to(JANUARY_2)
    sweep_project(world.mapping, JANUARY_2)
    draft = built(month(2025, 12)).invoices.get()
    clerk = make_user("Billing clerk")
    line = draft.lines.order_by("position")[1]
    adjusting.adjust_line(
        line,
        seen=on_screen(line),
        user=clerk,
        hours=Decimal("1.5"),
        rate=Decimal("70.01"),
        reason="Agreed",
        meaning="purpose",
    )
    for text, quantity, price in (("Hosting", "3", "19.99"), ("Discount", "1", "-50.00")):
        adjusting.add_line(
            draft,
            user=clerk,
            text=text,
            quantity=Decimal(quantity),
            price=Decimal(price),
            reason="Agreed",
        )
    invoice = review.approve(draft, revision=5, user=make_user("Approver"))

    record = created(invoice)

    (there,) = world.invoices()
    assert record.state == RecordState.SYNCED, record.sentence
    lines = there["line_items"]
    assert [(line["type_id"], line["product_key"]) for line in lines] == [("2", "Consulting")] * 2 + [("1", "")] * 2
    assert [(Decimal(str(line["quantity"])), Decimal(str(line["cost"]))) for line in lines] == [
        (Decimal("4.5"), Decimal(75)),
        (Decimal("1.5"), Decimal("70.01")),
        (Decimal(3), Decimal("19.99")),
        (Decimal(1), Decimal(-50)),
    ]
    assert [bool(line.get("task_id")) for line in lines] == [True, True, False, False]
    net = Decimal("337.50") + Decimal("105.02") + Decimal("59.97") - 50
    assert Decimal(str(there["amount"])) - Decimal(str(there["total_taxes"])) == net
    assert [task["time_log"] for task in world.tasks()] == worked  # the tasks keep what was worked
    assert fresh(invoice).state == InvoiceState.CREATED
    assert [identity.residue for identity in reconcile.check(month(2025, 12))] == [()] * 4


def test_a_cent_that_the_server_counts_in_binary_is_no_difference(world: World) -> None:
    """Its 3.5 × 12.37 is 43.294999999999995, and its own sum 43.30 (recording 758)."""
    invoice = approved_invoice(world, 3.5, rate=12.37)

    record = created(invoice)

    (there,) = world.invoices()
    assert str(there["line_items"][0]["line_total"]) == "43.294999999999995"
    assert (Decimal(str(there["amount"])), Decimal(str(there["total_taxes"]))) == (Decimal("52.39"), Decimal("9.09"))
    assert record.state == RecordState.SYNCED, record.sentence
    assert fresh(invoice).state == InvoiceState.CREATED
    readings.read_now()
    assert [identity.residue for identity in verdict.prove(month(2025, 12)).identities] == [()] * 8


def again(invoice: Invoice) -> RemoteRecord:
    """A person tries again."""
    try_again(remote_of(invoice), user=make_user("Approver"))
    return created(invoice)


def test_an_approved_invoice_is_created_once_and_equals_its_seal(world: World) -> None:
    invoice = approved_invoice(world, 4.5, 2.1)

    record = created(invoice)

    (there,) = world.invoices()
    assert there["private_notes"] == invoice.key
    assert (there["status_id"], there["date"], there["due_date"]) == ("1", "2026-01-02", "2026-02-01")
    assert [(Decimal(str(line["quantity"])), Decimal(str(line["cost"]))) for line in there["line_items"]] == [
        (Decimal("4.5"), Decimal(75)),
        (Decimal("2.25"), Decimal(75)),
    ]
    assert [line["type_id"] for line in there["line_items"]] == ["2", "2"]
    assert (Decimal(str(there["amount"])), Decimal(str(there["total_taxes"]))) == (Decimal("612.56"), Decimal("106.31"))
    assert there["auto_bill_enabled"] is False
    assert {task["invoice_id"] for task in world.tasks()} == {there["id"]}
    row = fresh(invoice)
    assert (row.state, row.number, row.remote_status) == (InvoiceState.CREATED, there["number"], "1")
    assert (record.state, record.remote_id) == (RecordState.SYNCED, there["id"])
    assert set(TimeEntry.objects.values_list("state", flat=True)) == {EntryState.INVOICED}
    for entry in TimeEntry.objects.all():
        assert states_of(entry)[-2:] == ["claimed", "invoiced"]


def test_our_key_is_looked_up_before_the_first_post(world: World) -> None:
    invoice = approved_invoice(world)
    before = UpstreamCall.objects.count()

    created(invoice)

    calls = [(call.method, call.path.split("?")[0]) for call in UpstreamCall.objects.order_by("id")[before:]]
    posted = calls.index(("POST", "/invoices"))
    assert ("GET", "/invoices") in calls[:posted]
    assert len(calls[posted:]) == 3  # POST, the invoice, its task


def test_creating_again_calls_nobody(world: World) -> None:
    created_invoice(world)
    before = UpstreamCall.objects.count()
    assert creating.create_due() == 0
    assert UpstreamCall.objects.count() == before


@pytest.mark.parametrize("fault", [{"kind": "lost_answer"}, {"kind": "status", "status": 500, "after": True}])
def test_an_answer_lost_after_the_work_is_adopted(world: World, fault: dict[str, Any]) -> None:
    invoice = approved_invoice(world)
    world.fail("ninja", count=1, **POST, **fault)
    creating.create_due(limit=1)
    assert remote_of(invoice).state == RecordState.IN_DOUBT
    assert fresh(invoice).state == InvoiceState.APPROVED

    record = created(invoice)

    assert len(world.invoices()) == 1
    assert states_of(record) == ["pending", "in_flight", "in_doubt", "synced"]
    assert fresh(invoice).state == InvoiceState.CREATED


@pytest.mark.parametrize(
    "fault", [{"kind": "html"}, {"kind": "redirect"}, {"kind": "refused"}, {"kind": "status", "status": 502}]
)
def test_an_answer_that_is_none_is_looked_up_and_written_once(world: World, fault: dict[str, Any]) -> None:
    invoice = approved_invoice(world)
    world.fail("ninja", count=1, **POST, **fault)
    creating.create_due(limit=1)
    assert remote_of(invoice).state == RecordState.IN_DOUBT

    created(invoice)

    assert len(world.invoices()) == 1
    assert fresh(invoice).state == InvoiceState.CREATED


def test_what_was_surely_not_done_is_tried_again(world: World) -> None:
    invoice = approved_invoice(world)
    world.fail("ninja", count=1, kind="status", status=429, **POST)
    creating.create_due(limit=1)
    assert remote_of(invoice).state == RecordState.RETRY
    make_due(remote_of(invoice))

    created(invoice)

    assert len(world.invoices()) == 1


def test_a_sleeping_worker_creates_no_second_invoice(world: World) -> None:
    invoice = approved_invoice(world)
    sleeper = claimed("invoice")
    expire_lease(sleeper.record)
    creating.create_due()  # another worker finds it in doubt, looks, and creates it
    assert len(world.invoices()) == 1

    outbox.write_one(sleeper, creating.HANDLER)

    assert len(world.invoices()) == 1
    assert remote_of(invoice).state == RecordState.SYNCED
    assert states_of(remote_of(invoice)).count("synced") == 1


def test_a_task_on_a_foreign_invoice_stops_it_before_anything_is_taken(world: World) -> None:
    invoice = approved_invoice(world, 4.5, 1)
    task = world.tasks()[0]
    line = {"task_id": task["id"], "quantity": 1, "cost": 1, "type_id": "2", "notes": "by hand"}
    (foreign,) = [world.api_ninja("POST", "/invoices", {"client_id": "client_abc123", "line_items": [line]})["data"]]

    record = created(invoice)

    assert (record.state, record.reason) == (RecordState.ATTENTION, "invoiced_by_hand")
    assert task["number"] in record.sentence
    assert [row["id"] for row in world.invoices()] == [foreign["id"]]
    assert world.tasks()[0]["invoice_id"] == foreign["id"]

    world.api_ninja("DELETE", f"/invoices/{foreign['id']}")
    assert again(invoice).state == RecordState.SYNCED
    assert fresh(invoice).state == InvoiceState.CREATED


def test_a_task_taken_during_our_post_is_noticed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    invoice = approved_invoice(world)
    real = creating.upstreams.InvoiceNinjaClient.create_invoice

    def create(client: Any, body: Any) -> Any:
        answer = real(client, body)
        line = {"task_id": world.tasks()[0]["id"], "quantity": 1, "cost": 1, "type_id": "2", "notes": "by hand"}
        world.api_ninja("POST", "/invoices", {"client_id": "client_abc123", "line_items": [line]})
        return answer

    monkeypatch.setattr(creating.upstreams.InvoiceNinjaClient, "create_invoice", create)

    record = created(invoice)

    assert (record.state, record.reason) == (RecordState.ATTENTION, "differs_there")
    assert "tasks linked" in record.sentence
    assert fresh(invoice).state == InvoiceState.APPROVED


def test_a_deleted_task_is_noticed_before_anything_is_written(world: World) -> None:
    invoice = approved_invoice(world)
    world.api_ninja("DELETE", f"/tasks/{world.tasks()[0]['id']}")

    record = created(invoice)

    assert (record.state, record.reason) == (RecordState.ATTENTION, "deleted_there")
    assert world.invoices() == []


def test_taxes_that_the_server_counts_otherwise_are_noticed_to_the_cent(world: World) -> None:
    invoice = approved_invoice(world)
    world.fail("ninja", kind="lost_answer", count=1, **POST)
    creating.create_due(limit=1)
    (there,) = world.invoices()
    world.api_ninja("PUT", f"/invoices/{there['id']}", {"uses_inclusive_taxes": True, "tax_rate1": 21})

    record = created(invoice)

    assert (record.state, record.reason) == (RecordState.ATTENTION, "differs_there")
    assert "total: 408.38 / 337.5" in record.sentence
    assert record.remote_id == there["id"]


def test_what_a_person_changed_before_we_looked_is_attention_and_fits_again_later(world: World) -> None:
    invoice = approved_invoice(world)
    world.fail("ninja", kind="lost_answer", count=1, **POST)
    creating.create_due(limit=1)
    (there,) = world.invoices()
    world.api_ninja("PUT", f"/invoices/{there['id']}", {"due_date": "2026-03-01"})

    record = created(invoice)
    assert (record.state, record.reason) == (RecordState.ATTENTION, "differs_there")
    assert "due date: 2026-02-01 / 2026-03-01" in record.sentence

    world.api_ninja("PUT", f"/invoices/{there['id']}", {"due_date": "2026-02-01"})
    assert again(invoice).state == RecordState.SYNCED
    assert len(world.invoices()) == 1


def test_the_clients_own_notes_do_not_replace_our_exemption(world: World) -> None:
    world.api_ninja("PUT", "/clients/client_abc123", {"public_notes": "Thank you!", "settings": {"currency_id": "3"}})
    new_rule_set_version(
        None, {"tax_decision": "no_tax", "tax_name": "", "tax_rate": 0, "no_tax_text": "Reverse charge, art. 196"}
    )
    invoice = approved_invoice(world)

    record = created(invoice)

    (there,) = world.invoices()
    assert there["public_notes"] == "Reverse charge, art. 196"
    assert (record.state, fresh(invoice).state) == (RecordState.SYNCED, InvoiceState.CREATED)
    assert {task["invoice_id"] for task in world.tasks()} == {there["id"]}


def test_a_deleted_invoice_is_asked_about_and_made_anew_when_tried_again(world: World) -> None:
    invoice = approved_invoice(world)
    world.fail("ninja", kind="lost_answer", count=1, **POST)
    creating.create_due(limit=1)
    (there,) = world.invoices()
    world.api_ninja("DELETE", f"/invoices/{there['id']}")

    record = created(invoice)
    assert (record.state, record.reason) == (RecordState.ATTENTION, "deleted_there")
    assert len(world.invoices()) == 1

    record = again(invoice)
    assert record.state == RecordState.SYNCED
    living = [row for row in world.invoices() if not row["is_deleted"]]
    assert [row["id"] for row in living] == [record.remote_id]


def test_a_key_that_is_there_twice_is_never_guessed(world: World) -> None:
    invoice = approved_invoice(world)
    for _copy in range(2):
        world.api_ninja("POST", "/invoices", {"client_id": "client_abc123", "private_notes": invoice.key})

    record = created(invoice)

    assert (record.state, record.reason) == (RecordState.ATTENTION, "found_twice")
    assert len(world.invoices()) == 2


def test_a_refusal_is_shown_in_the_servers_words(world: World) -> None:
    invoice = approved_invoice(world)
    world.api_ninja("POST", "/clients/bulk", {"action": "delete", "ids": ["client_abc123"]})

    record = created(invoice)

    assert (record.state, record.reason) == (RecordState.ATTENTION, "refused")
    assert "The selected client id is invalid." in record.sentence


def test_a_long_invoice_asks_for_its_tasks_in_one_list(world: World) -> None:
    invoice = approved_invoice(world, 1, 2, 3, 4)
    before = UpstreamCall.objects.count()

    created(invoice)

    paths = [call.path.split("?")[0] for call in UpstreamCall.objects.order_by("id")[before:]]
    assert paths.count("/tasks") == 2  # before the POST and after it
    assert not [path for path in paths if path.startswith("/tasks/")]
    assert fresh(invoice).state == InvoiceState.CREATED


def test_a_withdrawn_approval_is_not_created_and_a_new_one_is_once(world: World) -> None:
    invoice = approved_invoice(world)
    draft = review.withdraw_approval(invoice, user=make_user("Approver"), reason="wrong month")
    creating.create_due()
    assert world.invoices() == []
    assert states_of(remote_of(invoice)) == ["pending", "dropped"]

    review.approve(draft, revision=draft.revision, user=make_user("Approver"))
    record = created(invoice)

    assert len(world.invoices()) == 1
    assert (record.state, record.revision, record.synced_revision) == (RecordState.SYNCED, 2, 2)


def test_an_approval_cannot_be_withdrawn_while_it_is_being_created(world: World) -> None:
    invoice = approved_invoice(world)
    claimed("invoice")

    with pytest.raises(NotAllowed):
        review.withdraw_approval(fresh(invoice), user=make_user("Approver"), reason="too late")

    assert fresh(invoice).state == InvoiceState.APPROVED


def test_the_seal_still_fits_what_is_stored(world: World) -> None:
    invoice = created_invoice(world, 4.5, 2.1)
    assert content.seal_of(invoice) == invoice.seal


def test_a_failed_reading_of_our_tasks_waits(world: World) -> None:
    invoice = approved_invoice(world)
    world.fail("ninja", kind="status", status=503, method="GET", path="/api/v1/tasks", count=1)

    creating.create_due(limit=1)

    record = remote_of(invoice)
    assert record.state == RecordState.RETRY
    assert world.invoices() == []
    make_due(record)
    assert created(invoice).state == RecordState.SYNCED
