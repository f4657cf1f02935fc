from __future__ import annotations

import json
import re
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from billing_console.states import EntryState, Reason, RecordState
from sync import attention, discovery, outbox, push, upstreams, writeback
from sync.models import RemoteRecord, TimeEntry, UpstreamCall, UpstreamPin
from sync.transitions import advance
from tests.invoicing.world import make_user
from tests.outbound import claimed, expire_lease, fresh, make_due, states_of
from tests.standins import World

CLOSED = 1764579600  # 1 Dec 2025 09:00 UTC, the stand-ins' clock


@pytest.fixture
def entry(world: World) -> TimeEntry:
    """4.5 h of alice on one closed task, read and ready, its task not yet in Invoice Ninja."""
    return world.read(world.add_task(billable=True, hours=4.5))


def pushed(entry: TimeEntry) -> RemoteRecord:
    push.push_due()
    return RemoteRecord.objects.get(pk=entry.remote_task_id)


def test_a_ready_entry_becomes_one_task_with_our_number(world: World, entry: TimeEntry) -> None:
    record = pushed(entry)

    (task,) = world.tasks()
    assert task["number"] == f"TAIGA-T{entry.item.taiga_id}-1"
    assert task["client_id"] == "client_abc123"
    assert task["project_id"] == "proj_web001"
    assert task["description"] == f"Task #{entry.item.ref}: Implement payment gateway"
    assert json.loads(task["time_log"])[0][:2] == [CLOSED - 16200, CLOSED]
    assert Decimal(str(task["rate"])) == Decimal(75)
    assert (record.state, record.remote_id, record.synced_revision) == (RecordState.SYNCED, task["id"], 1)


def test_six_calls_on_the_happy_path(world: World) -> None:
    discovery.ensure_fresh()
    world.read(world.add_task("Warm-up", billable=True, hours=1))
    push.push_due()
    writeback.write_due()
    before = UpstreamCall.objects.count()

    world.read(world.add_task("Second", billable=True, hours=1))
    push.push_due()
    writeback.write_due()

    calls = UpstreamCall.objects.order_by("id")[before:]
    assert [call.method for call in calls] == ["GET", "GET", "POST", "GET", "GET", "PATCH"]


def test_pushing_again_changes_nothing(world: World, entry: TimeEntry) -> None:
    pushed(entry)
    before = world.tasks()
    calls = UpstreamCall.objects.count()

    push.request_task(TimeEntry.objects.get(pk=entry.pk))
    push.push_due()

    assert world.tasks() == before
    assert UpstreamCall.objects.count() == calls


def test_more_hours_update_the_same_task_completely(world: World, entry: TimeEntry) -> None:
    pushed(entry)
    world.set_values(entry.item.taiga_id, hours=6)
    world.read(entry.item.taiga_id)

    record = pushed(entry)

    (task,) = world.tasks()
    assert task["number"] == f"TAIGA-T{entry.item.taiga_id}-1"
    assert json.loads(task["time_log"])[0][:2] == [CLOSED - 21600, CLOSED]
    assert (record.state, record.revision, record.synced_revision) == (RecordState.SYNCED, 2, 2)


def test_the_task_of_what_is_put_off_follows_what_it_is_priced_at(world: World, entry: TimeEntry) -> None:
    push.push_due()
    TimeEntry.objects.filter(pk=entry.pk).update(state=EntryState.HELD, reason=Reason.NEXT_RUN)
    world.set_values(entry.item.taiga_id, hours=6)
    world.read(entry.item.taiga_id)

    push.push_due()

    assert (fresh(entry).state, fresh(entry).reason, fresh(entry).billed_hours) == ("held", "next_run", 6)
    (task,) = world.tasks()
    assert json.loads(task["time_log"])[0][:2] == [CLOSED - 21600, CLOSED]
    assert fresh(entry.remote_task).state == "synced"


def test_an_unticked_item_has_its_task_archived(world: World, entry: TimeEntry) -> None:
    pushed(entry)
    world.set_values(entry.item.taiga_id, billable=False)
    now = world.read(entry.item.taiga_id)

    pushed(now)

    (task,) = world.tasks()
    assert now.state == EntryState.VOID
    assert task["archived_at"] > 0
    assert json.loads(task["time_log"])  # archiving wipes nothing


def test_ticked_again_restores_the_same_task(world: World, entry: TimeEntry) -> None:
    pushed(entry)
    for billable in (False, True):
        world.set_values(entry.item.taiga_id, billable=billable)
        world.read(entry.item.taiga_id)
        push.push_due()

    (task,) = world.tasks()
    assert task["archived_at"] == 0
    assert TimeEntry.objects.get().state == EntryState.READY


@pytest.mark.parametrize("kind", ["lost_answer", "status"])
def test_an_answer_lost_after_the_work_is_looked_up_and_adopted(world: World, entry: TimeEntry, kind: str) -> None:
    discovery.ensure_fresh()
    extra = {"status": 500, "after": True} if kind == "status" else {}
    world.fail("ninja", kind=kind, method="POST", path="/api/v1/tasks", count=1, **extra)
    push.push_due()
    assert RemoteRecord.objects.get(pk=entry.remote_task_id).state == RecordState.IN_DOUBT

    record = pushed(entry)

    assert len(world.tasks()) == 1
    assert record.state == RecordState.SYNCED
    assert states_of(record) == ["pending", "in_flight", "in_doubt", "synced"]


def test_a_write_that_was_not_done_is_done_once(world: World, entry: TimeEntry) -> None:
    discovery.ensure_fresh()
    world.fail("ninja", kind="status", status=500, method="POST", path="/api/v1/tasks", count=1)

    for _attempt in range(3):
        record = pushed(entry)

    assert len(world.tasks()) == 1
    assert record.state == RecordState.SYNCED


@pytest.mark.parametrize("status", [429, 503])
def test_a_refused_call_waits_and_is_tried_again(world: World, entry: TimeEntry, status: int) -> None:
    discovery.ensure_fresh()
    world.fail("ninja", kind="status", status=status, method="POST", path="/api/v1/tasks", count=1)
    push.push_due(limit=1)
    waiting = RemoteRecord.objects.get(pk=entry.remote_task_id)
    assert waiting.state == RecordState.RETRY
    assert waiting.sentence
    assert world.tasks() == []
    if status == 503:  # the server says how long: 60 seconds
        assert waiting.not_before is not None
        assert timedelta(seconds=55) < waiting.not_before - timezone.now() < timedelta(seconds=61)
    make_due(waiting)

    record = pushed(entry)

    assert record.state == RecordState.SYNCED
    assert len(world.tasks()) == 1


def test_a_number_taken_by_our_own_lost_write_is_adopted(world: World, entry: TimeEntry) -> None:
    record = pushed(entry)
    # As after a restored backup: the task is there, our row has forgotten it.
    RemoteRecord.objects.filter(pk=record.pk).update(
        state=RecordState.PENDING, remote_id=None, attempts=0, synced_revision=0
    )

    record = pushed(entry)

    assert len(world.tasks()) == 1
    assert (record.state, record.remote_id) == (RecordState.SYNCED, world.tasks()[0]["id"])


def test_a_task_on_a_foreign_invoice_is_held_and_not_touched(world: World, entry: TimeEntry) -> None:
    record = pushed(entry)
    line = {"task_id": record.remote_id, "quantity": 1, "cost": 1, "type_id": "2", "notes": "by hand"}
    world.api_ninja("POST", "/invoices", {"client_id": "client_abc123", "line_items": [line]})
    world.set_values(entry.item.taiga_id, hours=6)
    world.read(entry.item.taiga_id)

    record = pushed(entry)

    assert record.state == RecordState.ATTENTION
    assert record.reason == "invoiced_by_hand"
    assert TimeEntry.objects.get().reason == "invoiced_by_hand"
    assert json.loads(world.tasks()[0]["time_log"])[0][:2] == [CLOSED - 16200, CLOSED]


def test_a_deleted_task_asks_a_person_and_is_restored_on_try_again(world: World, entry: TimeEntry) -> None:
    record = pushed(entry)
    world.api_ninja("DELETE", f"/tasks/{record.remote_id}")
    world.set_values(entry.item.taiga_id, hours=6)
    world.read(entry.item.taiga_id)
    asked = pushed(entry)
    assert (asked.state, asked.reason) == (RecordState.ATTENTION, "deleted_there")

    advance(asked, RecordState.PENDING, why="tried again")
    record = pushed(entry)

    (task,) = world.tasks()
    assert record.state == RecordState.SYNCED
    assert task["is_deleted"] is False
    assert json.loads(task["time_log"])[0][:2] == [CLOSED - 21600, CLOSED]


def erase_task(world: World, record: RemoteRecord) -> None:
    """Somebody erased the task there for good."""
    store = world.ninja.store
    with store.memory.transaction():
        (row,) = store["tasks"].find(number=record.our_key)
        store["tasks"].delete(row["id"])


def test_an_erased_task_asks_a_person_and_is_made_anew_on_try_again(world: World, entry: TimeEntry) -> None:
    erase_task(world, pushed(entry))
    world.set_values(entry.item.taiga_id, hours=6)
    world.read(entry.item.taiga_id)
    asked = pushed(entry)
    assert (asked.state, asked.reason, world.tasks()) == (RecordState.ATTENTION, "erased_there", [])

    world.fail("ninja", kind="lost_answer", method="POST", path="/api/v1/tasks", count=1)
    attention.try_again(asked, user=make_user("Billing clerk"))
    assert pushed(entry).state == RecordState.IN_DOUBT
    record = pushed(entry)

    (task,) = world.tasks()
    assert (record.state, record.remote_id, record.reason) == (RecordState.SYNCED, task["id"], "")
    assert json.loads(task["time_log"])[0][:2] == [CLOSED - 21600, CLOSED]


def test_a_task_that_came_back_under_another_id_is_adopted_by_its_number(world: World, entry: TimeEntry) -> None:
    record = pushed(entry)
    RemoteRecord.objects.filter(pk=record.pk).update(remote_id="erased")
    world.set_values(entry.item.taiga_id, hours=6)
    world.read(entry.item.taiga_id)

    again = pushed(entry)

    (task,) = world.tasks()
    assert (again.state, again.remote_id, task["id"]) == (RecordState.SYNCED, record.remote_id, record.remote_id)


def mark() -> str:
    return UpstreamPin.objects.get(server="invoice_ninja").mark


def be_another_console(record: RemoteRecord, **changes: Any) -> None:
    """A second console with the same prefix: it knows nothing of what the first one made."""
    UpstreamPin.objects.filter(server="invoice_ninja").update(mark="console-0123456789ab")
    never = {"remote_id": None, "attempts": 0, "revision": 1, "synced_revision": 0, "state": RecordState.PENDING}
    RemoteRecord.objects.filter(pk=record.pk).update(**{**never, **changes})


def test_every_task_carries_the_mark_of_its_console(world: World, entry: TimeEntry) -> None:
    pushed(entry)
    (task,) = world.tasks()
    assert task["custom_value4"] == mark()
    assert re.fullmatch("console-[0-9a-f]{12}", mark())


@pytest.mark.parametrize("attempts", [0, 1])
def test_a_second_console_with_the_same_prefix_changes_nothing_of_the_first(
    world: World, entry: TimeEntry, attempts: int
) -> None:
    """Its number once was enough: the second console wrote its hours over the first one's task."""
    record = pushed(entry)
    before = world.tasks()
    desired = {**record.desired, "description": "Of the second console", "rate": "1.00"}
    be_another_console(record, attempts=attempts, desired=desired)

    refused = pushed(entry)

    assert world.tasks() == before
    assert (refused.state, refused.reason) == (RecordState.ATTENTION, "another_console")
    assert refused.sentence == (
        f"Task {record.our_key} in Invoice Ninja was made by another console that writes there under the same numbers "
        "(TASK_NUMBER_PREFIX is TAIGA-). Nothing was changed. Stop one of the two, or give the newer one another "
        "prefix, then try again."
    )


def test_a_second_console_with_another_prefix_writes_its_own(world: World, entry: TimeEntry, settings: Any) -> None:
    record = pushed(entry)
    (first,) = world.tasks()
    be_another_console(record)
    refused = pushed(entry)

    settings.TASK_NUMBER_PREFIX = "SECOND-"
    attention.try_again(refused, user=make_user("Billing clerk"))
    written = pushed(entry)

    kept, made = world.tasks()
    of_both = {"project": None}  # its hours are those of both tasks
    assert kept | of_both == first | of_both
    assert (written.state, written.our_key, written.reason) == (RecordState.SYNCED, made["number"], "")
    assert (made["number"], made["custom_value4"]) == (f"SECOND-{entry.number}", "console-0123456789ab")


def test_a_second_console_archives_nothing_of_the_first(world: World, entry: TimeEntry) -> None:
    record = pushed(entry)
    before = world.tasks()
    be_another_console(record, attempts=1, desired={**record.desired, "archived": True})

    done = pushed(entry)

    assert (done.state, done.remote_id, world.tasks()) == (RecordState.SYNCED, None, before)


def test_a_task_that_is_older_than_marks_is_marked_with_its_next_change(world: World, entry: TimeEntry) -> None:
    record = pushed(entry)
    store = world.ninja.store
    for kept, expected in (("", mark()), ("Phase 2", "Phase 2")):
        with store.memory.transaction():
            store.save("tasks", record.remote_id, custom_value4=kept)
        RemoteRecord.objects.filter(pk=record.pk).update(
            desired={**record.desired, "description": f"Changed {kept}."}, revision=9, state=RecordState.PENDING
        )
        assert pushed(entry).state == RecordState.SYNCED
        (task,) = world.tasks()
        assert (task["description"], task["custom_value4"]) == (f"Changed {kept}.", expected)


def test_an_erased_task_that_nobody_wants_any_more_is_left_alone(world: World, entry: TimeEntry) -> None:
    erase_task(world, pushed(entry))
    world.set_values(entry.item.taiga_id, billable=False)
    world.read(entry.item.taiga_id)

    record = pushed(entry)

    assert (record.state, record.remote_id, world.tasks()) == (RecordState.SYNCED, None, [])


def test_times_rewritten_by_the_server_are_attention_with_both_values(world: World) -> None:
    world.ninja.seed({"company": {"settings": {"task_round_to_nearest": 3600, "task_round_up": True}}})
    entry = world.read(world.add_task(billable=True, hours=4.5))

    record = pushed(entry)

    assert (record.state, record.reason) == (RecordState.ATTENTION, "differs_there")
    assert "times" in record.sentence


def test_a_project_unknown_to_the_server_is_noticed_although_it_answers_200(world: World, entry: TimeEntry) -> None:
    discovery.ensure_fresh()
    world.mapping.ninja_project.ninja_id = "proj_gone"
    world.mapping.ninja_project.save()
    push.request_task(TimeEntry.objects.get(pk=entry.pk))

    record = pushed(entry)

    assert (record.state, record.reason) == (RecordState.ATTENTION, "differs_there")
    assert "proj_gone" in record.sentence


def test_free_of_charge_is_written_by_an_update(world: World, entry: TimeEntry) -> None:
    with transaction.atomic():
        TimeEntry.objects.filter(pk=entry.pk).update(rate=0, amount=0)
        push.request_task(TimeEntry.objects.get(pk=entry.pk))

    record = pushed(entry)

    (task,) = world.tasks()
    assert record.state == RecordState.SYNCED
    assert Decimal(str(task["rate"])) == 0


def test_withdrawn_before_the_first_write_is_dropped_without_a_call(world: World, entry: TimeEntry) -> None:
    push.withdraw_task(TimeEntry.objects.get(pk=entry.pk))

    record = pushed(entry)

    assert record.state == RecordState.DROPPED
    assert world.tasks() == []


def test_a_revision_that_comes_during_the_call_is_written_afterwards(world: World, entry: TimeEntry) -> None:
    claim = claimed("task")
    world.set_values(entry.item.taiga_id, hours=6)
    world.read(entry.item.taiga_id)  # the other thing, in the middle
    outbox.write_one(claim, push.HANDLER)

    record = pushed(entry)

    assert json.loads(world.tasks()[0]["time_log"])[0][:2] == [CLOSED - 21600, CLOSED]
    assert (record.state, record.synced_revision) == (RecordState.SYNCED, 2)


# --- the fence ----------------------------------------------------------------------------------------------------


def test_a_worker_that_slept_past_its_lease_calls_nobody(world: World, entry: TimeEntry) -> None:
    upstreams.check_pin("invoice_ninja")
    discovery.ensure_fresh()
    claim = claimed("task")
    expire_lease(claim.record)  # it slept; no clock of its own tells
    calls = UpstreamCall.objects.count()

    outbox.write_one(claim, push.HANDLER)

    assert world.tasks() == []
    assert UpstreamCall.objects.count() == calls
    assert fresh(claim.record).state == RecordState.RETRY  # nothing was written: nobody has to look it up


def test_a_worker_whose_lease_ran_out_during_the_call_writes_no_outcome(world: World, entry: TimeEntry) -> None:
    claim = claimed("task")

    def sleep(execute: Any, sql: str, *args: Any) -> Any:
        answer = execute(sql, *args)
        if sql.startswith("SELECT EXISTS (") and "clock_timestamp()" in sql:  # the bytes are about to leave
            expire_lease(claim.record)
            outbox.expire_leases("task")
        return answer

    with connection.execute_wrapper(sleep):
        outbox.write_one(claim, push.HANDLER)  # it knows nothing of that, and its POST still gets through

    late = fresh(claim.record)
    assert (late.state, late.synced_revision, late.remote_id) == (RecordState.IN_DOUBT, 0, None)

    record = pushed(entry)
    assert record.state == RecordState.SYNCED
    assert len(world.tasks()) == 1


def test_what_a_dead_worker_left_waits_until_the_server_must_be_done(
    world: World, entry: TimeEntry, settings: Any
) -> None:
    settings.LOOK_UP_AFTER_SECONDS = 600
    claim = claimed("task")
    expire_lease(claim.record)

    push.push_due()

    waiting = fresh(claim.record)
    assert waiting.state == RecordState.IN_DOUBT
    assert timedelta(seconds=590) < waiting.not_before - timezone.now() < timedelta(seconds=601)
    assert world.tasks() == []

    make_due(waiting)
    assert pushed(entry).state == RecordState.SYNCED
    assert states_of(waiting) == ["pending", "in_flight", "in_doubt", "pending", "in_flight", "synced"]


# --- what only a person can decide --------------------------------------------------------------------------------


def test_a_deleted_task_that_we_no_longer_want_is_left_alone(world: World, entry: TimeEntry) -> None:
    record = pushed(entry)
    world.api_ninja("DELETE", f"/tasks/{record.remote_id}")
    world.set_values(entry.item.taiga_id, billable=False)
    now = world.read(entry.item.taiga_id)

    record = pushed(now)

    assert record.state == RecordState.SYNCED
    assert world.tasks()[0]["is_deleted"] is True


def test_excluding_what_was_invoiced_by_hand_leaves_that_invoice_alone(world: World, entry: TimeEntry) -> None:
    record = pushed(entry)
    line = {"task_id": record.remote_id, "quantity": 1, "cost": 1, "type_id": "2", "notes": "by hand"}
    world.api_ninja("POST", "/invoices", {"client_id": "client_abc123", "line_items": [line]})
    world.set_values(entry.item.taiga_id, billable=False)
    now = world.read(entry.item.taiga_id)

    record = pushed(now)

    assert record.state == RecordState.SYNCED
    (task,) = world.tasks()
    assert task["archived_at"] == 0
    assert task["invoice_id"] == world.invoices()[0]["id"]


def test_a_deleted_client_is_noticed_before_anything_is_written(world: World, entry: TimeEntry) -> None:
    world.api_ninja("POST", "/clients/bulk", {"action": "delete", "ids": ["client_abc123"]})
    discovery.refresh_invoice_ninja()

    record = pushed(entry)

    assert (record.state, record.reason) == (RecordState.ATTENTION, "unknown_client")
    assert "client_abc123" in record.sentence
    assert world.tasks() == []


def test_another_server_behind_the_address_is_not_written_to(world: World, entry: TimeEntry) -> None:
    pushed(entry)
    UpstreamPin.objects.filter(server="invoice_ninja").update(identity="somebody-else", checked_at=None)
    world.set_values(entry.item.taiga_id, hours=6)
    world.read(entry.item.taiga_id)

    push.push_due(limit=1)

    record = RemoteRecord.objects.get(pk=entry.remote_task_id)
    assert record.state == RecordState.RETRY
    assert "Another Invoice Ninja answers" in record.sentence
    assert json.loads(world.tasks()[0]["time_log"])[0][:2] == [CLOSED - 16200, CLOSED]


# --- answers that are none ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["html", "redirect"])
def test_a_page_instead_of_an_answer_leaves_the_write_in_doubt(world: World, entry: TimeEntry, kind: str) -> None:
    discovery.ensure_fresh()
    world.fail("ninja", kind=kind, method="POST", path="/api/v1/tasks", count=1)
    push.push_due(limit=1)
    assert RemoteRecord.objects.get(pk=entry.remote_task_id).state == RecordState.IN_DOUBT

    record = pushed(entry)

    assert record.state == RecordState.SYNCED
    assert len(world.tasks()) == 1


def test_a_server_that_is_down_is_tried_again(world: World, entry: TimeEntry) -> None:
    discovery.ensure_fresh()
    world.fail("ninja", kind="refused", method="POST", path="/api/v1/tasks", count=1)

    push.push_due(limit=1)
    record = pushed(entry)

    assert record.state == RecordState.SYNCED
    assert len(world.tasks()) == 1


def test_a_time_out_is_looked_up(world: World, entry: TimeEntry, settings: Any) -> None:
    discovery.ensure_fresh()
    settings.CALL_DEADLINE_SECONDS = 0.3
    world.fail("ninja", kind="delay", seconds=0.6, after=True, method="POST", path="/api/v1/tasks", count=1)
    push.push_due(limit=1)
    doubtful = RemoteRecord.objects.get(pk=entry.remote_task_id)
    assert doubtful.state == RecordState.IN_DOUBT
    assert "looked up before anything is repeated" in doubtful.sentence

    record = pushed(entry)

    assert record.state == RecordState.SYNCED
    assert len(world.tasks()) == 1


def test_a_refusal_is_shown_in_the_words_of_the_server(world: World, entry: TimeEntry) -> None:
    discovery.ensure_fresh()
    body = {"message": "The given data was invalid.", "errors": {"client_id": ["The selected client id is invalid."]}}
    world.fail("ninja", kind="status", status=422, body=body, method="POST", path="/api/v1/tasks", count=1)

    record = pushed(entry)

    assert (record.state, record.reason) == (RecordState.ATTENTION, "refused")
    assert "The selected client id is invalid." in record.sentence
    assert world.tasks() == []


def test_a_lost_answer_to_an_update_changes_nothing_twice(world: World, entry: TimeEntry) -> None:
    pushed(entry)
    world.set_values(entry.item.taiga_id, hours=6)
    world.read(entry.item.taiga_id)
    world.fail("ninja", kind="lost_answer", method="PUT", path="/api/v1/tasks", count=1)
    push.push_due(limit=1)
    assert RemoteRecord.objects.get(pk=entry.remote_task_id).state == RecordState.IN_DOUBT
    calls = UpstreamCall.objects.count()

    record = pushed(entry)

    assert record.state == RecordState.SYNCED
    assert [call.method for call in UpstreamCall.objects.order_by("id")[calls:]] == ["GET"]
    assert json.loads(world.tasks()[0]["time_log"])[0][:2] == [CLOSED - 21600, CLOSED]


def test_a_failed_reading_after_the_write_leaves_it_in_doubt(world: World, entry: TimeEntry) -> None:
    discovery.ensure_fresh()
    world.fail("ninja", kind="status", status=503, method="GET", path=r"/api/v1/tasks/\w+", count=1)
    push.push_due(limit=1)
    assert RemoteRecord.objects.get(pk=entry.remote_task_id).state == RecordState.IN_DOUBT

    assert pushed(entry).state == RecordState.SYNCED
    assert len(world.tasks()) == 1


def test_the_journal_counts_the_attempts(world: World, entry: TimeEntry) -> None:
    discovery.ensure_fresh()
    world.fail("ninja", kind="status", status=503, method="POST", path="/api/v1/tasks", count=1)
    push.push_due(limit=1)
    make_due(RemoteRecord.objects.get(pk=entry.remote_task_id))
    pushed(entry)

    tries = UpstreamCall.objects.filter(path="/tasks", method="POST").order_by("id")
    assert list(tries.values_list("status", "attempt")) == [(503, 1), (200, 2)]
