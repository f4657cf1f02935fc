"""Reading items back from Taiga: one reader at a time, never an older state over a newer one, no lost mark."""

from __future__ import annotations

import resource
import uuid
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from billing_console import clock
from billing_console.states import EntryState, ItemState, Reason, RecordState
from mappings.models import Membership, Person, Rate, Role
from sync import push, upstreams, work_items, writeback
from sync.clients.taiga import TaigaClient
from sync.marks import Mark, mark_dirty, mark_many
from sync.models import RemoteRecord, TaigaAttributes, TimeEntry, UpstreamCall, UpstreamGate, WorkItem
from tests.standins import MORNING, World

pytestmark = pytest.mark.django_db


def mark(world: World, task_id: int, found_by: str = "webhook", **more: Any) -> WorkItem:
    mark_dirty("T", task_id, found_by=found_by, project_id=world.mapping.taiga_project_id, **more)
    return WorkItem.objects.get(taiga_id=task_id)


def calls_of(item: WorkItem) -> list[str]:
    rows = UpstreamCall.objects.filter(item=item).order_by("id")
    return [f"{call.method} {call.path.partition('?')[0]}" for call in rows]


@pytest.fixture
def meddle(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Callable[[], Any]], None]:
    """Do something else right before (or after) one call of the next reading, once."""

    def install(method: str, act: Callable[[], Any], *, after: bool = False) -> None:
        real = getattr(TaigaClient, method)
        done: list[bool] = []

        def wrapped(self: TaigaClient, *args: Any) -> Any:
            if done:
                return real(self, *args)
            done.append(True)
            if not after:
                act()
                return real(self, *args)
            answer = real(self, *args)
            act()
            return answer

        monkeypatch.setattr(TaigaClient, method, wrapped)

    return install


def test_a_closed_task_is_mirrored_and_priced(world: World) -> None:
    correlation = uuid.uuid4()
    task_id = world.add_task(billable=True, hours=4.5)
    item = mark(world, task_id, correlation_id=correlation)
    assert work_items.read_due() == 1

    item.refresh_from_db()
    task = world.api_taiga("GET", f"/tasks/{task_id}")
    assert (item.ref, item.subject, item.state) == (task["ref"], "Implement payment gateway", ItemState.CLOSED)
    assert (item.task_version, item.values_version) == (task["version"], world.values(task_id)["version"])
    assert item.attributes["hours"] == Decimal("4.5")
    assert item.attributes["billable"] is True
    assert item.status_attribute_id == world.attribute_ids()["Invoice Status"]
    assert (item.project, item.assignee.username) == (world.mapping, "alice")
    assert (item.finished_at, item.closed_seen_at, item.closings) == (MORNING, MORNING, 1)
    assert (item.is_dirty, item.reading_claim, item.error) == (False, None, "")
    assert item.permalink.endswith(f"/task/{task['ref']}")
    entry = TimeEntry.objects.get()
    assert (entry.state, entry.billed_hours, entry.correlation_id) == (EntryState.READY, Decimal("4.50"), correlation)
    assert calls_of(item)[:2] == [f"GET /tasks/{task_id}", f"GET /tasks/custom-attributes-values/{task_id}"]


def test_a_reading_costs_two_calls_once_names_and_roles_are_known(world: World) -> None:
    world.read(world.add_task("First", billable=True, hours=1))
    task_id = world.add_task("Second", billable=True, hours=1)
    item = mark(world, task_id)
    before = UpstreamCall.objects.count()
    work_items.read_due()
    assert UpstreamCall.objects.count() == before + 2
    assert len(calls_of(item)) == 2


def test_an_attribute_we_do_not_know_yet_is_asked_about_at_once(world: World) -> None:
    world.read(world.add_task("First", billable=True, hours=1))
    TaigaAttributes.objects.update(names={str(world.attribute_ids()["Billable"]): "Billable"})
    entry = world.read(world.add_task("Second", billable=True, hours=2))
    assert entry.raw_hours == 2


def test_the_role_is_known_before_anything_is_priced_by_it(world: World) -> None:
    role = Role.objects.create(key="senior_dev")
    Rate.objects.create(level="role", role=role, amount=Decimal(95), currency="EUR")
    entry = world.read(world.add_task(billable=True, hours=1, who="alice"))
    assert (entry.rate, entry.facts["rate"]["source"]) == (Decimal(95), "role")
    assert Membership.objects.filter(person=entry.person, role_key="senior_dev").count() == 1
    assert Person.objects.get(username="alice") == entry.person


def test_an_open_task_is_mirrored_without_an_entry_and_dated_by_its_closing(world: World) -> None:
    task_id = world.add_task(billable=True, hours=1)
    world.set_status(task_id, "New")
    mark(world, task_id)
    work_items.read_due()
    item = WorkItem.objects.get()
    assert (item.state, item.finished_at, item.closings) == (ItemState.OPEN, None, 0)
    assert not TimeEntry.objects.exists()

    later = MORNING + timedelta(days=2)
    world.taiga.clock.set(later)
    with clock.set_to(later):
        world.set_status(task_id, "Closed")
        entry = world.read(task_id)
    item.refresh_from_db()
    assert (item.state, item.closings, item.closed_seen_at) == (ItemState.CLOSED, 1, later)
    assert str(entry.work_date) == "2025-12-03"


def test_reopened_and_closed_again_between_two_readings_is_seen_by_its_date(world: World) -> None:
    task_id = world.add_task(billable=True, hours=1)
    world.read(task_id)
    world.set_status(task_id, "New")
    world.taiga.clock.set(MORNING + timedelta(days=1))
    world.set_status(task_id, "Closed")
    world.read(task_id)
    assert WorkItem.objects.get().closings == 2
    assert TimeEntry.objects.get().work_date.isoformat() == "2025-12-01"


def test_a_deleted_task_is_gone_and_its_entry_waits_for_a_person(world: World) -> None:
    task_id = world.add_task(billable=True, hours=1)
    world.read(task_id)
    world.api_taiga("DELETE", f"/tasks/{task_id}")
    entry = world.read(task_id)
    assert WorkItem.objects.get().state == ItemState.GONE
    assert (entry.state, entry.reason) == (EntryState.HELD, Reason.GONE)
    assert WorkItem.objects.get().is_dirty is False


def test_a_task_that_was_never_seen_and_is_gone_leaves_no_entry(world: World) -> None:
    mark(world, 4711)
    work_items.read_due()
    assert WorkItem.objects.get().state == ItemState.GONE
    assert not TimeEntry.objects.exists()


def test_invoiced_typed_by_a_person_is_looked_up_at_invoice_ninja_first(world: World) -> None:
    task_id = world.add_task(billable=True, hours=1, status="Invoiced")
    entry = world.read(task_id)
    assert (entry.state, entry.reason) == (EntryState.HELD, Reason.BILLED_ELSEWHERE)
    assert any(call.startswith("GET /tasks") for call in calls_of(entry.item)[2:])


def test_invoiced_on_a_task_that_invoice_ninja_has_under_our_number_is_ours(world: World) -> None:
    task_id = world.add_task(billable=True, hours=1, status="Invoiced")
    body = {"client_id": "client_abc123", "number": f"TAIGA-T{task_id}-1", "time_log": "[]", "rate": 75}
    world.api_ninja("POST", "/tasks", body)
    entry = world.read(task_id)
    assert (entry.state, entry.reason) == (EntryState.READY, "")
    push.push_due()
    assert len(world.tasks()) == 1
    assert RemoteRecord.objects.get(kind="task").state == RecordState.SYNCED


# --- failures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["^/api/v1/tasks/[0-9]+$", "/custom-attributes-values/"])
@pytest.mark.parametrize("fault", [{"kind": "status", "status": 500}, {"kind": "refused"}, {"kind": "html"}])
def test_a_failed_reading_is_a_sentence_and_is_tried_again(world: World, path: str, fault: dict[str, Any]) -> None:
    task_id = world.add_task(billable=True, hours=1)
    world.fail("taiga", method="GET", path=path, count=1, **fault)
    item = mark(world, task_id)
    work_items.read_item(item.pk)
    item.refresh_from_db()
    assert (item.is_dirty, item.reading_claim, item.read_attempts) == (True, None, 1)
    assert item.error.endswith(".")
    assert not TimeEntry.objects.exists()

    assert work_items.read_due() == 1
    item.refresh_from_db()
    assert (item.is_dirty, item.read_attempts, item.error) == (False, 0, "")
    assert TimeEntry.objects.get().state == EntryState.READY


def test_a_waiting_failure_is_not_tried_before_its_time_but_a_new_mark_is(world: World, settings: Any) -> None:
    settings.RETRY_BASE_SECONDS = 60.0
    task_id = world.add_task(billable=True, hours=1)
    world.fail("taiga", kind="status", status=503, method="GET", path="/api/v1/tasks/", count=1)
    mark(world, task_id)
    assert work_items.read_due() == 1
    assert work_items.read_due() == 0
    mark(world, task_id)
    assert work_items.read_due() == 1
    assert TimeEntry.objects.exists()


def test_a_project_that_our_user_may_not_see_is_not_gone(world: World) -> None:
    task_id = world.add_task(billable=True, hours=1)
    world.read(task_id)
    world.fail("taiga", kind="status", status=403, method="GET", path="^/api/v1/tasks/[0-9]+$", count=1)
    mark(world, task_id)
    work_items.read_due()
    assert WorkItem.objects.get().state == ItemState.CLOSED
    assert "permission" in WorkItem.objects.get().error
    assert TimeEntry.objects.get().state == EntryState.READY


# --- the other thing in the middle ------------------------------------------------------------------------------------


def test_a_value_that_changes_between_the_two_calls_is_in_the_end_the_newer_one(
    world: World, meddle: Callable[..., None]
) -> None:
    task_id = world.add_task(billable=True, hours=1)
    item = mark(world, task_id)

    def change() -> None:
        world.set_values(task_id, hours=3)
        mark(world, task_id)  # its delivery

    meddle("values", change)
    work_items.read_item(item.pk)
    item.refresh_from_db()
    assert item.is_dirty  # marked in the middle of the reading: read once more
    assert TimeEntry.objects.get().raw_hours == 3
    work_items.read_due()
    item.refresh_from_db()
    assert item.is_dirty is False


def test_a_change_after_both_calls_is_read_by_the_mark_that_it_left(world: World, meddle: Callable[..., None]) -> None:
    task_id = world.add_task(billable=True, hours=1)
    item = mark(world, task_id)

    def change() -> None:
        world.set_values(task_id, hours=3)
        mark(world, task_id)

    meddle("values", change, after=True)
    work_items.read_item(item.pk)
    assert TimeEntry.objects.get().raw_hours == 1
    assert work_items.read_due() == 1
    assert TimeEntry.objects.get().raw_hours == 3


def test_a_task_that_vanishes_between_the_two_calls_is_gone(world: World, meddle: Callable[..., None]) -> None:
    task_id = world.add_task(billable=True, hours=1)
    world.read(task_id)
    item = mark(world, task_id)
    meddle("values", lambda: world.api_taiga("DELETE", f"/tasks/{task_id}"))
    work_items.read_item(item.pk)
    assert WorkItem.objects.get().state == ItemState.GONE
    assert TimeEntry.objects.get().reason == Reason.GONE


def test_only_one_reads_at_a_time(world: World, meddle: Callable[..., None]) -> None:
    task_id = world.add_task(billable=True, hours=1)
    item = mark(world, task_id)
    second: list[Any] = []
    meddle("values", lambda: second.append((work_items.read_item(item.pk), work_items.read_due())))
    assert work_items.read_item(item.pk) is True
    assert second == [(False, 0)]
    assert len(calls_of(item)) >= 2


def test_a_reader_that_slept_past_its_lease_stores_nothing(world: World, meddle: Callable[..., None]) -> None:
    task_id = world.add_task(billable=True, hours=1)
    item = mark(world, task_id)

    def overtaken() -> None:
        WorkItem.objects.update(reading_until=timezone.now() - timedelta(seconds=1))
        world.set_values(task_id, hours=3)
        assert work_items.read_item(item.pk) is True

    meddle("values", overtaken, after=True)
    work_items.read_item(item.pk)
    assert TimeEntry.objects.get().raw_hours == 3
    item.refresh_from_db()
    assert item.values_version == world.values(task_id)["version"]
    assert item.is_dirty is False


def test_several_items_are_stored_together_and_each_is_priced(world: World) -> None:
    tasks = [world.add_task(f"Work {number}", billable=True, hours=number) for number in range(1, 7)]
    for task_id in tasks:
        mark(world, task_id)
    assert work_items.read_due() == 6
    assert list(TimeEntry.objects.order_by("item__taiga_id").values_list("raw_hours", flat=True)) == [1, 2, 3, 4, 5, 6]
    assert not WorkItem.objects.filter(is_dirty=True).exists()


def test_an_item_that_cannot_be_stored_keeps_nobody_else_back(world: World, caplog: pytest.LogCaptureFixture) -> None:
    tasks = [world.add_task(subject, billable=True, hours=1) for subject in ("First", "Poison", "Third")]
    for task_id in tasks:
        mark(world, task_id)
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE sync_workitem ADD CONSTRAINT no_poison CHECK (subject <> 'Poison')")

    work_items.read_due()

    assert set(TimeEntry.objects.values_list("item__taiga_id", flat=True)) == {tasks[0], tasks[2]}
    poison = WorkItem.objects.get(is_dirty=True)
    assert (poison.taiga_id, poison.read_attempts, poison.reading_claim) == (tasks[1], 1, None)
    assert poison.error == "The console failed on this; its log says why. It is tried again by itself."
    assert poison.not_before is not None
    assert any("no_poison" in str(record.exc_info) for record in caplog.records)


def test_an_item_on_which_the_console_fails_while_reading_keeps_nobody_else_back(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tasks = [world.add_task(subject, billable=True, hours=1) for subject in ("First", "Poison", "Third")]
    for task_id in tasks:
        mark(world, task_id)
    real = TaigaClient.values

    def fail_on_one(self: TaigaClient, kind: str, taiga_id: int) -> Any:
        if taiga_id == tasks[1]:
            raise KeyError("nobody thought of this")
        return real(self, kind, taiga_id)

    monkeypatch.setattr(TaigaClient, "values", fail_on_one)
    assert work_items.read_due() == 3

    assert set(TimeEntry.objects.values_list("item__taiga_id", flat=True)) == {tasks[0], tasks[2]}
    poison = WorkItem.objects.get(is_dirty=True)
    assert (poison.taiga_id, poison.read_attempts, poison.reading_claim) == (tasks[1], 1, None)
    assert "thought" not in poison.error
    assert any("nobody thought" in str(record.exc_info) for record in caplog.records)

    monkeypatch.undo()
    work_items.read_item(poison.pk)
    poison.refresh_from_db()
    assert (poison.is_dirty, poison.error, poison.read_attempts) == (False, "", 0)


def test_a_gate_that_closes_in_the_middle_costs_the_rest_no_attempt(world: World, settings: Any) -> None:
    settings.BREAKER_FAILURES = 1
    for number in range(3):
        mark(world, world.add_task(f"Work {number}", billable=True, hours=1))
    world.taiga.faults.add({"kind": "status", "status": 503, "count": None})
    work_items.read_due()
    assert list(WorkItem.objects.order_by("pk").values_list("read_attempts", flat=True)) == [1, 0, 0]


@pytest.mark.parametrize("column", ["task_version", "values_version"])
def test_an_older_reading_is_dropped_and_read_again(world: World, meddle: Callable[..., None], column: str) -> None:
    task_id = world.add_task(billable=True, hours=1)
    item = mark(world, task_id)
    newer = {column: 99}

    meddle("values", lambda: WorkItem.objects.update(**newer), after=True)
    work_items.read_item(item.pk)
    item.refresh_from_db()
    assert (item.is_dirty, getattr(item, column), item.state) == (True, 99, ItemState.OPEN)
    assert "older" in item.error
    assert not TimeEntry.objects.exists()

    WorkItem.objects.update(**{column: None})
    assert work_items.read_due() == 1
    assert TimeEntry.objects.get().state == EntryState.READY


def test_a_reader_that_dies_leaves_the_item_to_the_next(world: World) -> None:
    task_id = world.add_task(billable=True, hours=1)
    item = mark(world, task_id)
    WorkItem.objects.update(reading_claim=uuid.uuid4(), reading_until=timezone.now() + timedelta(seconds=30))
    assert work_items.read_due() == 0
    WorkItem.objects.update(reading_until=timezone.now() - timedelta(seconds=1))
    assert work_items.read_due() == 1
    item.refresh_from_db()
    assert item.is_dirty is False


# --- the status we wrote ----------------------------------------------------------------------------------------------


def test_a_stale_page_that_undoes_our_status_is_answered_once_per_change(world: World) -> None:
    task_id = world.add_task(billable=True, hours=1)
    world.read(task_id)
    push.push_due()
    writeback.write_due()
    assert world.named_values(task_id)["Invoice Status"] == "Invoiced"

    world.set_values(task_id, status="Pending Invoice")
    world.read(task_id)
    writeback.write_due()
    assert world.named_values(task_id)["Invoice Status"] == "Invoiced"

    before = UpstreamCall.objects.filter(method="PATCH").count()
    world.read(task_id)
    writeback.write_due()
    assert UpstreamCall.objects.filter(method="PATCH").count() == before


def test_not_billable_typed_over_our_status_stays(world: World) -> None:
    task_id = world.add_task(billable=True, hours=1)
    world.read(task_id)
    push.push_due()
    writeback.write_due()

    world.set_values(task_id, status="Not Billable")
    assert world.read(task_id).state == EntryState.VOID
    for _round in range(2):
        push.push_due()
        writeback.write_due()
        work_items.read_due()
    assert world.named_values(task_id)["Invoice Status"] == "Not Billable"
    assert world.tasks()[0]["archived_at"] > 0


# --- marks ------------------------------------------------------------------------------------------------------------


def test_a_sweeps_mark_does_not_take_a_webhooks_place(world: World) -> None:
    mark(world, 1, "webhook")
    assert mark(world, 1, "sweep").marked_by == "webhook"
    assert mark(world, 2, "sweep").marked_by == "sweep"
    assert mark(world, 2, "webhook").marked_by == "webhook"
    WorkItem.objects.update(is_dirty=False)
    assert mark(world, 1, "sweep").marked_by == "sweep"


def test_many_marks_cost_a_few_statements_and_kinds_are_not_mixed_up(
    world: World, django_assert_max_num_queries: Any
) -> None:
    marks = [Mark("T", number, 1) for number in range(1, 201)] + [Mark("U", 1), Mark("I", 1), Mark("T", 1)]
    with django_assert_max_num_queries(6):  # savepoints included
        mark_many(marks, found_by="sweep")
    assert WorkItem.objects.count() == 202
    with django_assert_max_num_queries(1):
        mark_many(marks, found_by="webhook")
    assert sorted(WorkItem.objects.filter(taiga_id=1).values_list("kind", flat=True)) == ["I", "T", "U"]


def test_an_item_that_could_not_be_read_for_want_of_descriptors_is_read_within_a_minute(
    world: World, settings: Any
) -> None:
    settings.RETRY_BASE_SECONDS = 600
    item = mark(world, world.add_task("No descriptor", billable=True, hours=1))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    upstreams._kept.adapter_of("taiga").poolmanager.clear()
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        work_items.read_due()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    item.refresh_from_db()
    assert item.error.startswith("Taiga was not asked: this machine has nothing left to ask with")
    assert item.not_before is not None
    assert timedelta(seconds=50) < item.not_before - timezone.now() <= timedelta(minutes=1)
    assert not UpstreamGate.objects.filter(failures__gt=0).exists()
