"""What happens after the fact (billing-rules: After the fact) once an invoice is approved, sent or paid.

The invoice stays as it was approved, whatever Taiga says; what changed is a Difference, or the next cycle.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from billing_console.errors import NotAllowed
from invoicing import reconcile, review, sending
from invoicing.models import Invoice, Payment
from sandbox.scenario import MOBILE
from sync.models import Difference, RemoteRecord, TimeEntry
from tests.flow.steps import (
    DECEMBER,
    JANUARY,
    Flow,
    amount_of,
    december,
    fresh,
    january,
    open_difference,
    person,
    record_of,
)

CASES = ("more", "fewer", "rate", "client", "unticked", "reopened", "same again", "more again", "deleted", "kept")


@pytest.fixture
def entries(office: Flow) -> dict[str, TimeEntry]:
    """Ten entries of alice, 2 h × 95.00 each, in one draft's worth of December."""
    tasks = {case: office.close(2, subject=case, at=december(3)) for case in CASES}
    office.work()
    return {case: office.entry(task) for case, task in tasks.items()}


def reach(office: Flow, stage: str) -> Invoice:
    """December's only invoice: approved (and not yet in Invoice Ninja), sent, or paid."""
    (draft,) = office.bill()
    assert draft.gross == Decimal("2299.00")
    if stage == "approved":
        review.approve(draft, revision=draft.revision, user=person())
        return fresh(draft)
    invoice = office.send(office.approve(draft))
    if stage == "paid":
        office.pay(invoice, invoice.gross)
        office.poll()
    assert fresh(invoice).state == stage
    return invoice


def change_everything(office: Flow, entries: dict[str, TimeEntry]) -> None:
    """In Taiga, each of the entries meets its fate."""
    task = {case: entry.item.taiga_id for case, entry in entries.items()}
    office.go_to(january(5))
    office.type(task["more"], hours=3)
    office.type(task["fewer"], hours=1)
    office.type(task["rate"], rate=110)
    office.type(task["client"], client=MOBILE.client_id)
    office.type(task["unticked"], billable=False)
    for case in ("reopened", "same again", "more again"):
        office.move(task[case], "In progress")
    office.taiga().call("DELETE", f"/tasks/{task['deleted']}")
    office.work()
    office.type(task["more again"], hours=2.5)
    for case in ("same again", "more again"):
        office.move(task[case], "Closed")
    office.work()


def without_times(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows without what other rows change: the server's own time, and the project with the sum of all its hours."""
    return [{key: value for key, value in row.items() if key not in ("updated_at", "project")} for row in rows]


@pytest.mark.parametrize("stage", ["approved", "sent", "paid"])
def test_the_invoice_stays_and_what_changed_is_a_difference_or_the_next_cycle(
    office: Flow, entries: dict[str, TimeEntry], stage: str
) -> None:
    invoice = reach(office, stage)
    before = without_times(office.invoices()), without_times(office.tasks()), office.mails()

    change_everything(office, entries)
    office.poll()

    after = fresh(invoice)
    assert (after.seal, after.gross, after.is_stale) == (invoice.seal, Decimal("2299.00"), False)
    assert after.state == {"approved": "created"}.get(stage, stage)
    new = office.entry(entries["more again"].item.taiga_id)
    if stage == "approved":
        (there,) = office.invoices()
        assert (there["amount"], len(there["line_items"])) == (Decimal("2299.00"), 10)
    else:
        tasks = [row for row in office.tasks() if row["number"] != f"TAIGA-{new.number}"]
        assert (without_times(office.invoices()), without_times(tasks), office.mails()) == before
    found = {
        case: (difference.billed_hours, difference.hours_now, difference.amount)
        for case, entry in entries.items()
        if (difference := open_difference(entry))
    }
    two, none = Decimal("2.00"), Decimal("0.00")
    assert found == {
        "more": (two, Decimal("3.00"), Decimal("95.00")),
        "fewer": (two, Decimal("1.00"), Decimal("-95.00")),
        "rate": (two, two, Decimal("30.00")),
        "client": (two, none, Decimal("-190.00")),
        "unticked": (two, none, Decimal("-190.00")),
    }
    assert {fresh(entry).state for entry in entries.values()} == {"invoiced"}
    assert (new.cycle, new.state, new.billed_hours, new.amount) == (2, "ready", Decimal("0.50"), Decimal("47.50"))
    assert amount_of(office.task_there(new)) == Decimal("47.50")
    assert TimeEntry.objects.count() == 11
    assert set(RemoteRecord.objects.values_list("kind", "state")) == {
        ("task", "synced"),
        ("status", "synced"),
        ("invoice", "synced"),
    }
    assert [identity.residue for identity in reconcile.check(DECEMBER) if not identity.is_true] == []


def test_the_next_run_bills_the_next_cycle_of_what_was_closed_again(office: Flow) -> None:
    entry = office.closed(2)
    (draft,) = office.bill()
    office.approve(draft)
    office.reopen(entry.item.taiga_id, at=january(5))
    office.close_again(entry.item.taiga_id, at=january(6), hours=2.1)
    assert office.entry(entry.item.taiga_id).amount == Decimal("23.75")  # 2.25 h in all, not 2.00 + 0.25 rounded anew
    office.reopen(entry.item.taiga_id, at=january(7))
    office.close_again(entry.item.taiga_id, at=january(8), hours=2.3)

    (draft,) = office.bill(JANUARY)
    assert (draft.net, draft.lines.get().billed_hours) == (Decimal("47.50"), Decimal("0.50"))
    assert [task["number"][-2:] for task in office.tasks()] == ["-1", "-2"]


def test_an_open_difference_closes_when_taiga_says_again_what_was_billed(office: Flow) -> None:
    entry = office.closed(2)
    (draft,) = office.bill()
    office.approve(draft)

    office.type(entry.item.taiga_id, hours=3)
    office.work()
    assert open_difference(entry) is not None
    office.type(entry.item.taiga_id, hours=2)
    office.work()

    assert [row.state for row in Difference.objects.all()] == ["closed"]


def test_sent_by_hand_is_adopted_and_never_mailed_again(office: Flow) -> None:
    office.closed(2)
    (draft,) = office.bill()
    invoice = office.approve(draft)

    office.act("email", invoice)
    office.poll()

    assert fresh(invoice).state == "sent"
    assert office.mails() == ["billing@acme.example"]
    with pytest.raises(NotAllowed):
        sending.request_sending(invoice, seal=invoice.seal, user=person())
    office.work()
    assert office.mails() == ["billing@acme.example"]


def test_edited_by_hand_is_shown_before_it_is_sent_and_not_mailed(office: Flow) -> None:
    office.closed(2)
    (draft,) = office.bill()
    invoice = office.approve(draft)
    there = office.invoice_there(invoice)
    lines = [{**there["line_items"][0], "cost": 100}]
    office.ninja.do("PUT", f"/invoices/{there['id']}", {"line_items": lines})

    invoice = office.send(invoice)

    assert (invoice.state, office.mails()) == ("attention", [])
    assert "2.00 × 95.00" in invoice.attention_sentence
    assert "2.00 × 100.00" in invoice.attention_sentence


def test_cancelled_there_is_cancelled_here_but_not_where_money_came_in(office: Flow) -> None:
    office.closed(2)
    office.closed(2, project=MOBILE, who="bob", subject="Push notifications")
    unpaid, paid = (office.send(office.approve(draft)) for draft in office.bill())
    office.pay(paid, Decimal("100.00"))
    office.poll()
    for invoice in (unpaid, paid):
        office.act("cancel", invoice)
    office.poll()

    assert (fresh(unpaid).state, fresh(unpaid).attention_sentence) == ("cancelled", "")
    assert fresh(paid).state == "partly_paid"
    assert "although money came in" in fresh(paid).attention_sentence
    assert [(row.invoice_id, row.amount) for row in Payment.objects.all()] == [(paid.pk, Decimal("100.00"))]
    # Nothing is billed again by itself: releasing the entries is a person's decision.
    assert {entry.state for entry in TimeEntry.objects.all()} == {"invoiced"}
    assert office.bill() == []


@pytest.mark.parametrize("stage", ["approved", "sent"])
def test_a_task_taken_by_a_foreign_invoice_is_an_alert(office: Flow, stage: str) -> None:
    entry = office.closed(2)
    invoice = office.bill()[0]
    if stage == "approved":
        review.approve(invoice, revision=invoice.revision, user=person())
    else:
        invoice = office.send(office.approve(invoice))
    task = office.task_there(entry)
    line = {"task_id": task["id"], "type_id": "2", "quantity": 2, "cost": 95, "notes": "by hand"}
    office.ninja.do("POST", "/invoices", {"client_id": task["client_id"], "line_items": [line]})

    office.poll()

    if stage == "approved":
        assert (fresh(invoice).state, fresh(invoice).remote.reason) == ("approved", "invoiced_by_hand")
        assert len(office.invoices()) == 1
    else:
        assert fresh(invoice).state == "sent"
        assert (record_of(entry).state, record_of(entry).reason) == ("attention", "invoiced_by_hand")
        assert len(office.invoices()) == 2
    assert fresh(entry).state == {"approved": "claimed", "sent": "invoiced"}[stage]
