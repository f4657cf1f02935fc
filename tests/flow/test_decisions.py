"""What happens after the fact (billing-rules: After the fact): unclaimed, and in a draft that nobody approved yet."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from invoicing.models import Invoice, InvoiceLine
from sandbox.scenario import MOBILE, WEBSITE
from sync import attention
from sync.models import Difference, TimeEntry
from tests.flow.steps import Flow, amount_of, december, fresh, hours_of, item_of, january, person, record_of


def draft_with(office: Flow, *entries: TimeEntry) -> Invoice:
    """The only draft of December, with the lines of these entries."""
    (draft,) = office.bill()
    lines = InvoiceLine.objects.filter(invoice=draft, is_voided=False)
    assert sorted(lines.values_list("entry", flat=True)) == sorted(entry.pk for entry in entries)
    return draft


def live_lines(draft: Invoice) -> list[tuple[str, Decimal]]:
    rows = InvoiceLine.objects.filter(invoice=draft, is_voided=False).order_by("position")
    return [(row.notes.split(": ")[1], row.amount) for row in rows]


@pytest.fixture
def kept(office: Flow) -> TimeEntry:
    """Another entry of the same client, which nobody touches: 1 h of bob, 75.00."""
    return office.closed(1, subject="Kept", who="bob")


# --- hours, rate or client changed ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "hours", "rate", "amount"),
    [
        ({"hours": 6}, "6.00", 95, "570.00"),
        ({"hours": "2,1"}, "2.25", 95, "213.75"),
        ({"rate": 110}, "4.50", 110, "495.00"),
    ],
    ids=["hours-up", "hours-down", "rate"],
)
def test_unclaimed_what_is_typed_is_priced_again_in_the_same_task(
    office: Flow, typed: dict[str, Any], hours: str, rate: int, amount: str
) -> None:
    entry = office.closed(4.5)
    (before,) = office.tasks()

    office.type(entry.item.taiga_id, **typed)
    office.work()

    (after,) = office.tasks()
    assert (after["id"], after["number"]) == (before["id"], before["number"])
    assert (hours_of(after), after["rate"], amount_of(after)) == (Decimal(hours), rate, Decimal(amount))
    entry = fresh(entry)
    assert (entry.state, entry.cycle, entry.amount) == ("ready", 1, Decimal(amount))
    assert record_of(entry).synced_revision == 2


def test_unclaimed_another_client_moves_the_task_to_it(office: Flow) -> None:
    entry = office.closed(2)

    office.type(entry.item.taiga_id, client=MOBILE.client_id)
    office.work()
    (task,) = office.tasks()
    assert (fresh(entry).reason, task["client_id"]) == ("brake_client", WEBSITE.client_id)
    attention.confirm_entry(entry, user=person())
    office.work()

    (task,) = office.tasks()
    assert (task["client_id"], task["project_id"], task["number"]) == (MOBILE.client_id, "", f"TAIGA-{entry.number}")
    assert (fresh(entry).state, fresh(entry).client.ninja_id) == ("ready", MOBILE.client_id)


@pytest.mark.parametrize(
    ("typed", "net"), [({"hours": 6}, "645.00"), ({"hours": 2.1}, "288.75"), ({"rate": 110}, "570.00")]
)
def test_in_a_draft_a_change_makes_it_stale_and_a_refresh_takes_it_over(
    office: Flow, kept: TimeEntry, typed: dict[str, Any], net: str
) -> None:
    entry = office.closed(4.5)
    draft = draft_with(office, entry, kept)

    office.type(entry.item.taiga_id, **typed)
    office.work()

    stale = fresh(draft)
    assert (stale.is_stale, stale.net) == (True, Decimal("502.50"))
    assert f"#{entry.item.ref} changed in Taiga" in stale.stale_sentence
    assert fresh(entry).state == "claimed"
    new = office.refresh(draft)
    assert (new.pk, new.state, new.is_stale, new.net) == (draft.pk, "draft", False, Decimal(net))
    assert amount_of(office.task_there(entry)) == Decimal(net) - 75
    assert Difference.objects.count() == 0


def test_in_a_draft_another_client_takes_the_entry_to_its_own_draft(office: Flow, kept: TimeEntry) -> None:
    entry = office.closed(2)
    draft = draft_with(office, entry, kept)

    office.type(entry.item.taiga_id, client=MOBILE.client_id)
    office.work()
    assert fresh(draft).is_stale
    office.refresh(draft)
    attention.confirm_entry(entry, user=person())
    office.work()
    drafts = {row.client.ninja_id: row.net for row in office.bill()}

    assert drafts == {WEBSITE.client_id: Decimal("75.00"), MOBILE.client_id: Decimal("190.00")}


# --- billable unchecked --------------------------------------------------------------------------------------------


def test_unclaimed_and_unticked_is_not_billable_and_leaves_both_servers_as_before(office: Flow) -> None:
    entry = office.closed(2)
    assert office.values(entry.item.taiga_id)["status"] == "Invoiced"

    office.type(entry.item.taiga_id, billable=False)
    office.work()

    assert fresh(entry).state == "void"
    (task,) = office.tasks()
    assert task["archived_at"] > 0
    assert office.values(entry.item.taiga_id) == {"billable": False, "hours": 2}


def test_ticked_again_the_same_task_is_back(office: Flow) -> None:
    entry = office.closed(2)
    for is_billable in (False, True):
        office.type(entry.item.taiga_id, billable=is_billable)
        office.work()

    (task,) = office.tasks()
    assert (task["archived_at"], task["is_deleted"], amount_of(task)) == (0, False, Decimal("190.00"))
    assert fresh(entry).state == "ready"
    assert office.values(entry.item.taiga_id)["status"] == "Invoiced"


def test_in_a_draft_unticked_leaves_on_refresh(office: Flow, kept: TimeEntry) -> None:
    entry = office.closed(2)
    draft = draft_with(office, entry, kept)

    office.type(entry.item.taiga_id, billable=False)
    office.work()
    assert (fresh(draft).is_stale, fresh(entry).state) == (True, "claimed")
    new = office.refresh(draft)

    assert (live_lines(new), new.net, fresh(entry).state) == ([("Kept", Decimal("75.000"))], Decimal(75), "void")
    assert office.task_there(entry)["archived_at"] > 0


def test_the_last_line_unticked_takes_the_draft_away(office: Flow) -> None:
    entry = office.closed(2)
    draft = draft_with(office, entry)

    office.type(entry.item.taiga_id, billable=False)
    office.work()

    assert office.refresh(draft).state == "rejected"
    assert fresh(entry).state == "void"


# --- reopened, closed again ----------------------------------------------------------------------------------------


def test_unclaimed_and_reopened_waits_until_it_is_closed_again(office: Flow) -> None:
    entry = office.closed(2)
    before = office.tasks()

    office.reopen(entry.item.taiga_id, at=december(2))
    assert (fresh(entry).state, fresh(entry).reason) == ("held", "reopened")
    assert office.bill(at=january(2)) == []
    office.close_again(entry.item.taiga_id, at=december(20))

    entry = fresh(entry)
    assert (entry.state, entry.cycle, entry.work_date.isoformat()) == ("ready", 1, "2025-12-01")
    assert office.tasks() == before


def test_in_a_draft_reopened_is_held_on_refresh(office: Flow, kept: TimeEntry) -> None:
    entry = office.closed(2)
    draft = draft_with(office, entry, kept)

    office.reopen(entry.item.taiga_id)

    assert f"#{entry.item.ref} was reopened in Taiga" in fresh(draft).stale_sentence
    new = office.refresh(draft)
    assert (live_lines(new), fresh(entry).state, fresh(entry).reason) == (
        [("Kept", Decimal("75.000"))],
        "held",
        "reopened",
    )


def test_in_a_draft_closed_again_with_the_same_hours_is_nothing(office: Flow, kept: TimeEntry) -> None:
    entry = office.closed(2)
    draft = draft_with(office, entry, kept)
    revision = draft.revision

    office.reopen(entry.item.taiga_id)
    office.close_again(entry.item.taiga_id)

    draft = fresh(draft)
    assert (draft.is_stale, draft.stale_sentence, draft.net) == (False, "", Decimal("265.00"))
    assert (draft.revision, fresh(entry).state) == (revision, "claimed")
    assert office.approve(draft).state == "created"


# --- gone ----------------------------------------------------------------------------------------------------------


def delete(office: Flow, task: int) -> None:
    office.taiga().call("DELETE", f"/tasks/{task}")


def delete_with_its_story(office: Flow, task: int) -> None:
    story = office.taiga().get(f"/tasks/{task}")["user_story"]
    office.taiga().call("DELETE", f"/userstories/{story}")


def promote(office: Flow, task: int) -> None:
    """No webhook and no line in the timeline tells of it: somebody has the task read again."""
    project = office.taiga().get(f"/tasks/{task}")["project"]
    office.taiga().do("POST", f"/tasks/{task}/promote_to_user_story", {"project_id": project})
    attention.try_again(item_of(task), user=person())


@pytest.mark.parametrize("vanish", [delete, delete_with_its_story, promote])
def test_unclaimed_and_gone_waits_for_a_person(office: Flow, vanish: Any) -> None:
    entry = office.closed(2)

    vanish(office, entry.item.taiga_id)
    office.sweep()

    assert (fresh(entry).state, fresh(entry).reason) == ("held", "gone")
    assert fresh(entry).amount == Decimal("190.00")
    assert amount_of(office.task_there(entry)) == Decimal("190.00")


@pytest.mark.parametrize("vanish", [delete, promote])
def test_in_a_draft_gone_is_held_on_refresh(office: Flow, kept: TimeEntry, vanish: Any) -> None:
    entry = office.closed(2)
    draft = draft_with(office, entry, kept)

    vanish(office, entry.item.taiga_id)
    office.sweep()

    assert f"#{entry.item.ref} is no longer in Taiga" in fresh(draft).stale_sentence
    new = office.refresh(draft)
    assert live_lines(new) == [("Kept", Decimal("75.000"))]
    assert (fresh(entry).state, fresh(entry).reason) == ("held", "gone")


# --- somebody else's invoice ---------------------------------------------------------------------------------------


def invoice_by_hand(office: Flow, entry: TimeEntry) -> None:
    """The office makes an invoice of its own with our task on it."""
    task = office.task_there(entry)
    line = {"task_id": task["id"], "type_id": "2", "quantity": 2, "cost": 95, "notes": "by hand"}
    office.ninja.do("POST", "/invoices", {"client_id": task["client_id"], "line_items": [line]})


def test_unclaimed_and_invoiced_by_hand_is_held(office: Flow, kept: TimeEntry) -> None:
    entry = office.closed(2)

    invoice_by_hand(office, entry)
    office.poll()

    assert (fresh(entry).state, fresh(entry).reason) == ("held", "invoiced_by_hand")
    (draft,) = office.bill()
    assert live_lines(draft) == [("Kept", Decimal("75.000"))]


def test_in_a_draft_invoiced_by_hand_makes_it_stale(office: Flow, kept: TimeEntry) -> None:
    entry = office.closed(2)
    draft = draft_with(office, entry, kept)

    invoice_by_hand(office, entry)
    office.poll()

    assert f"TAIGA-{entry.number}" in fresh(draft).stale_sentence
    new = office.refresh(draft)
    assert (live_lines(new), fresh(entry).reason) == ([("Kept", Decimal("75.000"))], "invoiced_by_hand")


def test_the_foreign_invoice_deleted_sets_the_entry_free(office: Flow) -> None:
    entry = office.closed(2)
    invoice_by_hand(office, entry)
    office.poll()
    (foreign,) = office.invoices()
    attention.release_entry(fresh(entry), user=person())
    office.work()
    assert fresh(entry).state == "held"  # a release does not help while the task is on that invoice

    office.ninja.do("POST", "/invoices/bulk", {"action": "delete", "ids": [foreign["id"]]})
    office.poll()

    assert (fresh(entry).state, record_of(entry).state) == ("ready", "synced")
    assert [draft.net for draft in office.bill()] == [Decimal("190.00")]
