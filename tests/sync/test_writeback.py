from __future__ import annotations

from typing import Any

import pytest

from billing_console.states import EntryState, RecordState
from invoicing import creating, sending
from mappings.models import RuleSet
from sync import attention, attributes, decisions, outbox, push, writeback
from sync.models import RemoteRecord, TaigaAttributes, TimeEntry, UpstreamCall, WorkItem
from tests.invoicing.world import make_user
from tests.outbound import approved_invoice, claimed, created_invoice, expire_lease, fresh, make_due, states_of
from tests.standins import World

STATUS, HOURS, BILLABLE, RATE = "Invoice Status", "Duration (Hours)", "Billable", "Hourly Rate"


def pushed(world: World, **values: Any) -> TimeEntry:
    """A ready entry whose task is in Invoice Ninja; its status is due but not yet written."""
    has_story = values.pop("has_story", True)
    entry = world.read(world.add_task(has_story=has_story, **({"billable": True, "hours": 4.5} | values)))
    push.push_due()
    return fresh(entry)


def written(entry: TimeEntry) -> RemoteRecord:
    writeback.write_due()
    return RemoteRecord.objects.get(kind="status", item=entry.item)


def add_status_attribute(world: World) -> None:
    """The owner adds the attribute (again); it has an id of its own."""
    body = {"project": world.mapping.taiga_project_id, "name": STATUS, "type": "text"}
    world.api_taiga("POST", "/task-custom-attributes", body, who="owner")


def delete_status_attribute(world: World) -> None:
    """The owner deletes the attribute; its values go with it."""
    world.api_taiga("DELETE", f"/task-custom-attributes/{world.attribute_ids()[STATUS]}", who="owner")


def test_a_pushed_item_says_invoiced_and_keeps_everything_else(world: World) -> None:
    entry = pushed(world, rate=110)

    record = written(entry)

    assert world.named_values(entry.item.taiga_id) == {BILLABLE: True, HOURS: 4.5, RATE: 110, STATUS: "Invoiced"}
    item = fresh(entry.item)
    assert (record.state, item.status_written) == (RecordState.SYNCED, "Invoiced")
    assert item.status_before_ours == {"value": None}
    assert item.values_version == world.values(item.taiga_id)["version"]


def test_a_status_that_is_there_already_costs_one_reading(world: World) -> None:
    entry = pushed(world)
    world.set_values(entry.item.taiga_id, status="Invoiced")
    before = UpstreamCall.objects.count()
    written(entry)

    calls = UpstreamCall.objects.order_by("id")[before:]
    assert [call.method for call in calls if "custom-attributes-values" in call.path] == ["GET"]


def test_writing_again_changes_nothing(world: World) -> None:
    entry = pushed(world)
    written(entry)
    version = world.values(entry.item.taiga_id)["version"]

    writeback.request_status(fresh(entry.item))
    written(entry)

    assert world.values(entry.item.taiga_id)["version"] == version


def between(monkeypatch: pytest.MonkeyPatch, *acts: Any) -> None:
    """Each act happens once: right before one of the next PATCHes, after its values were read."""
    waiting = list(acts)
    real = writeback.TaigaClient.patch_values

    def patch(client: Any, *args: Any) -> Any:
        if waiting:
            waiting.pop(0)()
        return real(client, *args)

    monkeypatch.setattr(writeback.TaigaClient, "patch_values", patch)


def test_what_a_person_types_between_reading_and_writing_is_given_back(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = pushed(world)
    between(monkeypatch, lambda: world.set_values(entry.item.taiga_id, hours=6, rate=90))

    record = written(entry)

    assert world.named_values(entry.item.taiga_id) == {BILLABLE: True, HOURS: 6, RATE: 90, STATUS: "Invoiced"}
    assert record.state == RecordState.SYNCED


def test_two_persons_in_between_and_one_more_during_the_repair(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = pushed(world, rate=80)
    task_id = entry.item.taiga_id

    def two() -> None:
        world.set_values(task_id, hours=5)
        world.set_values(task_id, hours=7)

    between(monkeypatch, two, lambda: world.set_values(task_id, rate=None))

    record = written(entry)

    assert world.named_values(task_id) == {BILLABLE: True, HOURS: 7, STATUS: "Invoiced"}
    assert record.state == RecordState.SYNCED


def test_a_write_that_changed_nothing_is_not_undone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = pushed(world)
    task_id = entry.item.taiga_id

    def back_and_forth() -> None:
        world.set_values(task_id, hours=9)
        world.set_values(task_id, hours=4.5, status="Invoiced")  # now ours changes nothing and leaves no history

    between(monkeypatch, back_and_forth)

    written(entry)

    assert world.named_values(task_id) == {BILLABLE: True, HOURS: 4.5, STATUS: "Invoiced"}


def test_who_never_stops_typing_is_named_with_both_values(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = pushed(world)
    task_id = entry.item.taiga_id
    between(monkeypatch, *[lambda hours=hours: world.set_values(task_id, hours=hours) for hours in (5, 6, 7, 8)])

    record = written(entry)

    assert (record.state, record.reason) == (RecordState.ATTENTION, "status_contested")
    assert "Invoiced" in record.sentence


@pytest.mark.parametrize("word", ["Not Billable", "non-billable"])
def test_not_billable_is_never_overwritten_and_read_at_once(world: World, word: str) -> None:
    entry = pushed(world)
    world.set_values(entry.item.taiga_id, status=word)  # we have not read that yet

    record = written(entry)

    assert record.state == RecordState.SYNCED
    assert world.named_values(entry.item.taiga_id)[STATUS] == word
    item = fresh(entry.item)
    assert (item.is_dirty, item.status_written) == (True, "")

    now = world.read(item.taiga_id)
    push.push_due()
    writeback.write_due()
    assert now.state == EntryState.VOID
    assert world.named_values(item.taiga_id)[STATUS] == word
    assert world.tasks()[0]["archived_at"] > 0


def test_not_billable_typed_during_the_write_is_given_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = pushed(world)
    between(monkeypatch, lambda: world.set_values(entry.item.taiga_id, status="Not Billable"))

    written(entry)

    assert world.named_values(entry.item.taiga_id)[STATUS] == "Not Billable"
    assert fresh(entry.item).is_dirty


def test_not_billable_after_ours_stays_when_the_task_is_archived(world: World) -> None:
    entry = pushed(world)
    written(entry)
    world.set_values(entry.item.taiga_id, status="Not Billable")

    now = world.read(entry.item.taiga_id)
    push.push_due()
    record = written(entry)

    assert now.state == EntryState.VOID
    assert record.desired == {"restore": True}
    assert world.named_values(entry.item.taiga_id)[STATUS] == "Not Billable"


@pytest.mark.parametrize("original", [None, "Pending Invoice"])
def test_an_item_no_longer_ours_gets_its_first_value_back(world: World, original: str | None) -> None:
    entry = pushed(world, status=original)
    written(entry)
    assert world.named_values(entry.item.taiga_id)[STATUS] == "Invoiced"
    world.set_values(entry.item.taiga_id, billable=False)
    world.read(entry.item.taiga_id)
    push.push_due()

    record = written(entry)

    assert record.state == RecordState.SYNCED
    assert world.named_values(entry.item.taiga_id).get(STATUS) == original
    assert fresh(entry.item).status_written == ""


def test_billable_again_says_invoiced_again(world: World) -> None:
    entry = pushed(world)
    written(entry)
    for billable in (False, True):
        world.set_values(entry.item.taiga_id, billable=billable)
        world.read(entry.item.taiga_id)
        push.push_due()
        writeback.write_due()

    assert world.named_values(entry.item.taiga_id)[STATUS] == "Invoiced"


def test_a_task_without_a_story_answers_500_and_is_written_all_the_same(world: World) -> None:
    entry = pushed(world, has_story=False)

    record = written(entry)

    assert world.named_values(entry.item.taiga_id) == {BILLABLE: True, HOURS: 4.5, STATUS: "Invoiced"}
    assert record.state == RecordState.SYNCED
    assert record.attempts == 0
    assert states_of(record) == ["pending", "in_flight", "synced"]


def test_a_500_that_did_nothing_is_looked_up_and_written_again(world: World) -> None:
    entry = pushed(world)
    world.fail("taiga", kind="status", status=500, method="PATCH", path="custom-attributes-values", count=1)
    writeback.write_due(limit=1)
    record = RemoteRecord.objects.get(kind="status")
    assert record.state == RecordState.IN_DOUBT

    record = written(entry)

    assert record.state == RecordState.SYNCED
    assert world.named_values(entry.item.taiga_id)[STATUS] == "Invoiced"


@pytest.mark.parametrize("fault", [{"kind": "lost_answer"}, {"kind": "html"}, {"kind": "redirect"}])
def test_an_answer_that_is_none_is_read_again_at_once(world: World, fault: dict[str, Any]) -> None:
    entry = pushed(world)
    world.fail("taiga", method="PATCH", path="custom-attributes-values", count=1, **fault)

    written(entry)
    record = written(entry)

    assert record.state == RecordState.SYNCED
    assert world.named_values(entry.item.taiga_id)[STATUS] == "Invoiced"


@pytest.mark.parametrize(("status", "wait"), [(429, 57), (451, None), (503, None)])
def test_a_refusal_waits_and_is_written_later(world: World, status: int, wait: int | None) -> None:
    entry = pushed(world)
    fault = {"wait_seconds": wait} if wait else {}
    world.fail("taiga", kind="status", status=status, method="PATCH", path="custom", count=1, **fault)
    writeback.write_due(limit=1)
    record = RemoteRecord.objects.get(kind="status")
    assert record.state == RecordState.RETRY
    assert record.sentence

    make_due(record)
    assert written(entry).state == RecordState.SYNCED


def test_a_project_without_the_attribute_is_named(world: World) -> None:
    entry = pushed(world)
    number = world.attribute_ids()[STATUS]
    world.api_taiga("DELETE", f"/task-custom-attributes/{number}", who="owner")
    world.read(entry.item.taiga_id)
    type(entry.item).objects.update(status_attribute_id=None)

    record = written(entry)

    assert (record.state, record.reason) == (RecordState.ATTENTION, "no_status_attribute")
    assert "Invoice Status" in record.sentence


def test_an_attribute_made_anew_is_found_and_nothing_typed_is_lost(world: World) -> None:
    entry = pushed(world, rate=110)
    written(entry)
    delete_status_attribute(world)
    add_status_attribute(world)
    assert writeback.reassert_status(fresh(entry.item))

    record = written(entry)

    assert record.state == RecordState.SYNCED
    assert world.named_values(entry.item.taiga_id) == {BILLABLE: True, HOURS: 4.5, RATE: 110, STATUS: "Invoiced"}
    assert fresh(entry.item).status_attribute_id == world.attribute_ids()[STATUS]


def test_a_deleted_attribute_is_asked_for_and_written_once_it_is_back(world: World) -> None:
    entry = pushed(world)
    written(entry)
    delete_status_attribute(world)
    assert writeback.reassert_status(fresh(entry.item))
    record = written(entry)
    assert (record.state, record.reason) == (RecordState.ATTENTION, "no_status_attribute")
    assert world.named_values(entry.item.taiga_id) == {BILLABLE: True, HOURS: 4.5}

    add_status_attribute(world)
    attention.try_again(record, user=make_user("Billing clerk"))

    assert written(entry).state == RecordState.SYNCED
    assert world.named_values(entry.item.taiga_id) == {BILLABLE: True, HOURS: 4.5, STATUS: "Invoiced"}


def test_an_attribute_that_is_back_is_written_without_a_click(world: World) -> None:
    entry = pushed(world)
    delete_status_attribute(world)
    assert written(entry).reason == "no_status_attribute"
    add_status_attribute(world)
    TaigaAttributes.objects.all().delete()  # the names are ten minutes old

    world.read(entry.item.taiga_id)

    assert written(entry).state == RecordState.SYNCED
    assert world.named_values(entry.item.taiga_id)[STATUS] == "Invoiced"


def test_a_renamed_attribute_keeps_its_id_and_is_written(world: World) -> None:
    entry = pushed(world)
    number = world.attribute_ids()[STATUS]
    world.api_taiga("PATCH", f"/task-custom-attributes/{number}", {"name": "Billing state"}, who="owner")

    assert written(entry).state == RecordState.SYNCED
    assert world.values(entry.item.taiga_id)["attributes_values"][str(number)] == "Invoiced"


def test_a_missing_right_asks_a_person_and_is_written_on_try_again(world: World) -> None:
    entry = pushed(world)
    world.fail("taiga", kind="status", status=403, method="PATCH", path="custom", count=1)
    record = written(entry)
    assert (record.state, record.reason) == (RecordState.ATTENTION, "not_allowed")
    assert "Give that user the permission" in record.sentence

    attention.try_again(record, user=make_user("Billing clerk"))

    assert written(entry).state == RecordState.SYNCED
    assert world.named_values(entry.item.taiga_id)[STATUS] == "Invoiced"


def test_a_status_that_cannot_be_written_may_be_left_as_it_is(world: World) -> None:
    entry = pushed(world)
    world.fail("taiga", kind="status", status=403, method="PATCH", path="custom", count=1)
    record = written(entry)
    before = world.values(entry.item.taiga_id)

    decisions.adopt_record(record, user=make_user("Billing clerk"), note="The project is archived.")

    assert written(entry).state == RecordState.SYNCED
    assert world.values(entry.item.taiga_id) == before
    assert states_of(record)[-2:] == [RecordState.ATTENTION, RecordState.SYNCED]


def test_a_stale_page_that_undid_the_status_is_answered_once(world: World) -> None:
    entry = pushed(world)
    written(entry)
    world.set_values(entry.item.taiga_id, status="Pending Invoice")
    world.read(entry.item.taiga_id)

    record = written(entry)

    assert record.state == RecordState.SYNCED
    assert world.named_values(entry.item.taiga_id)[STATUS] == "Invoiced"
    assert attributes.parse_status(fresh(entry.item).status_written) == attributes.INVOICED


@pytest.mark.parametrize(("when", "words"), [("approved", "Pending Invoice Invoiced Invoiced"),
                                             ("sent", "Pending Invoice Pending Invoice Invoiced")])  # fmt: skip
def test_the_rule_set_says_when_an_item_counts_as_invoiced(world: World, when: str, words: str) -> None:
    RuleSet.objects.update(taiga_invoiced_when=when)
    said = []
    entry = pushed(world)
    written(entry)
    said.append(world.named_values(entry.item.taiga_id)[STATUS])

    invoice = approved_invoice(world, 1)
    writeback.write_due()
    said.append(world.named_values(entry.item.taiga_id)[STATUS])

    creating.create_due()
    sending.request_sending(fresh(invoice), seal=fresh(invoice).seal, user=None)
    sending.send_due()
    writeback.write_due()
    said.append(world.named_values(entry.item.taiga_id)[STATUS])

    assert " ".join(said) == words


def test_a_worker_that_slept_writes_no_outcome(world: World) -> None:
    entry = pushed(world)
    claim = claimed("status")
    expire_lease(claim.record)
    outbox.expire_leases("status")

    outbox.write_one(claim, writeback.HANDLER)
    late = fresh(claim.record)
    assert (late.state, late.synced_revision) == (RecordState.IN_DOUBT, 0)

    record = written(entry)
    assert record.state == RecordState.SYNCED
    assert world.named_values(entry.item.taiga_id)[STATUS] == "Invoiced"


def test_created_invoices_leave_pushed_statuses_alone(world: World) -> None:
    created_invoice(world, 4.5)
    version = world.values(1)["version"]

    writeback.write_due()

    assert world.values(1)["version"] == version


@pytest.mark.parametrize(("typed", "wanted"), [({"hours": 6, "rate": 90}, "Invoiced"),
                                               ({"status": "Not Billable"}, "Not Billable")])  # fmt: skip
def test_what_a_worker_overwrote_and_did_not_live_to_see_is_given_back(
    world: World, monkeypatch: pytest.MonkeyPatch, typed: dict[str, Any], wanted: str
) -> None:
    entry = pushed(world)
    task_id = entry.item.taiga_id
    between(monkeypatch, lambda: world.set_values(task_id, **typed))
    claim = claimed("status")
    monkeypatch.setattr(outbox, "prove", lambda *args, **more: pytest.fail("killed before it could write that down"))
    monkeypatch.setattr(writeback, "_overwritten", lambda *args: pytest.fail("killed after its first PATCH"))
    with pytest.raises(pytest.fail.Exception):
        outbox.write_one(claim, writeback.HANDLER)
    monkeypatch.undo()
    assert world.named_values(task_id)[STATUS] == "Invoiced"
    expire_lease(claim.record)

    record = written(entry)

    expected = {BILLABLE: True, HOURS: typed.get("hours", 4.5), STATUS: wanted}
    assert world.named_values(task_id) == expected | ({RATE: 90} if "rate" in typed else {})
    assert record.state == RecordState.SYNCED
    version = world.values(task_id)["version"]
    RemoteRecord.objects.filter(pk=record.pk).update(state="pending", attempts=2)
    written(entry)
    assert world.values(task_id)["version"] == version  # a repair is not taken for another loss


def test_an_item_that_is_gone_is_written_when_it_is_back(world: World) -> None:
    entry = pushed(world)
    gone = {"kind": "status", "status": 404, "body": {"_error_message": "No Task matches the given query."}}
    for path in ("custom-attributes-values", f"/tasks/{entry.item.taiga_id}$"):
        world.fail("taiga", method="GET", path=path, **gone)

    record = written(entry)

    assert (record.state, record.remote_id, record.seen) == ("synced", None, {"value": None, "is_ours": False})
    assert fresh(entry.item).is_dirty  # whether it is gone is for the reader to say
    WorkItem.objects.update(state="gone")
    world.read(entry.item.taiga_id)
    assert written(entry).seen["value"] == "Invoiced"
    assert world.named_values(entry.item.taiga_id)[STATUS] == "Invoiced"
