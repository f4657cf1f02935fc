"""The timeline finds what no webhook said, reads it once, and says so when it cannot."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from billing_console.states import EntryState, ItemState
from mappings.models import Client, ProjectMapping
from sync import ingest, sweep, work_items
from sync.clients.taiga import TaigaClient
from sync.clients.taiga_rows import TaigaId, TimelineEntry, TimelinePage
from sync.models import ProjectSweep, TimeEntry, UpstreamCall, WebhookDelivery, WorkItem
from sync.payloads import read_delivery
from tests.standins import MORNING, World

pytestmark = pytest.mark.django_db


def swept(world: World) -> sweep.SweepResult:
    result = sweep.sweep_project(world.mapping)
    work_items.read_due()
    return result


def timeline_calls() -> int:
    return UpstreamCall.objects.filter(path__startswith="/timeline/").count()


def test_a_task_without_a_story_is_found_and_billed(world: World) -> None:
    task_id = world.add_task(billable=True, hours=0.35, has_story=False)
    result = swept(world)
    assert (result.error, result.is_busy) == ("", False)
    entry = TimeEntry.objects.get()
    assert (entry.item.taiga_id, entry.state) == (task_id, EntryState.READY)
    assert (entry.item.found_by, entry.item.closing_found_by) == ("sweep", "sweep")
    assert entry.item.has_story is False


def test_everything_in_the_past_of_a_newly_mapped_project_is_found(world: World) -> None:
    tasks = {world.add_task(f"Task {number}", billable=True, hours=1) for number in range(3)}
    swept(world)
    assert set(WorkItem.objects.values_list("taiga_id", flat=True)) == tasks
    row = ProjectSweep.objects.get()
    assert row.last_timeline_id > 0
    assert (row.started_at, row.finished_at, row.error) == (MORNING, MORNING, "")


def test_a_second_sweep_reads_one_page_more_and_no_item_again(world: World) -> None:
    world.add_task(billable=True, hours=1)
    swept(world)
    before, pages = UpstreamCall.objects.count(), timeline_calls()
    assert swept(world).marked == 0
    assert UpstreamCall.objects.count() == before + 1
    assert timeline_calls() == pages + 1


def told_of(world: World, task_id: int, at: datetime) -> None:
    """A delivery tells of a change that happened `at`, by Taiga's clock, and the item is read."""
    body = {
        "action": "change",
        "type": "task",
        "date": at.isoformat(),
        "data": {"id": task_id, "project": {"id": world.mapping.taiga_project_id}},
    }
    raw = json.dumps(body).encode()
    ingest.receive(raw, read_delivery(raw), headers={}, address=None, mapping=None)
    ingest.process_due()
    work_items.read_due()


@pytest.mark.parametrize("later", [timedelta(minutes=5), timedelta(hours=3)])
def test_what_happens_after_taigas_clock_was_ahead_is_found(world: World, later: timedelta) -> None:
    task_id = world.add_task(billable=True, hours=1)
    swept(world)  # with the first comparison of the whole project, which is next made tomorrow
    told_of(world, task_id, MORNING + timedelta(hours=2))
    world.go_to(MORNING + timedelta(minutes=5))
    world.set_values(task_id, hours=2)  # and its delivery is lost
    world.go_to(MORNING + later)  # the time that was told lies ahead still, or in the past by now
    WebhookDelivery.objects.update(received_at=timezone.now() - later)

    swept(world)

    assert TimeEntry.objects.get().raw_hours == 2


def test_what_a_delivery_told_is_not_read_again(world: World) -> None:
    task_id = world.add_task(billable=True, hours=1)
    told_of(world, task_id, MORNING + timedelta(seconds=1))
    assert swept(world).marked == 0
    assert WorkItem.objects.get().closing_found_by == "webhook"

    world.taiga.clock.set(MORNING + timedelta(minutes=5))
    world.set_values(task_id, hours=2)  # and its delivery is lost
    assert swept(world).marked == 1
    assert TimeEntry.objects.get().raw_hours == 2
    assert WorkItem.objects.get().closing_found_by == "webhook"  # the closing was; only the hours were not


def test_a_deleted_task_is_found_gone(world: World) -> None:
    task_id = world.add_task(billable=True, hours=1)
    swept(world)
    world.api_taiga("DELETE", f"/tasks/{task_id}")
    swept(world)
    assert WorkItem.objects.get().state == ItemState.GONE
    assert TimeEntry.objects.get().reason == "gone"


def test_tasks_that_vanish_with_their_story_are_found_gone(world: World) -> None:
    world.add_task(billable=True, hours=1)
    swept(world)
    world.api_taiga("DELETE", f"/userstories/{world.story()}")
    swept(world)
    assert WorkItem.objects.get().state == ItemState.GONE


@pytest.mark.parametrize("fault", [{"kind": "status", "status": 503}, {"kind": "refused"}, {"kind": "html"}])
def test_a_failure_is_a_sentence_on_the_row_and_loses_nothing(world: World, fault: dict[str, Any]) -> None:
    task_id = world.add_task(billable=True, hours=1)
    world.fail("taiga", method="GET", path="/timeline/", count=1, **fault)
    result = swept(world)
    row = ProjectSweep.objects.get()
    assert result.error == row.error
    assert row.error.endswith(".")
    assert (row.last_timeline_id, row.started_at, row.lease_until) == (0, None, None)
    assert swept(world).error == ""
    assert ProjectSweep.objects.get().error == ""
    assert TimeEntry.objects.get().item.taiga_id == task_id


def test_one_failing_project_leaves_the_others_alone(world: World) -> None:
    payer = Client.objects.get()
    ProjectMapping.objects.create(taiga_project_id=999, taiga_project_name="Gone", client=payer)
    ProjectMapping.objects.create(taiga_project_id=998, taiga_project_name="Off", client=payer, is_active=False)
    world.add_task(billable=True, hours=1)
    assert sweep.sweep_all() == 1
    assert ProjectSweep.objects.get(project__taiga_project_id=999).error
    assert not ProjectSweep.objects.filter(project__taiga_project_id=998).exists()


def test_a_fault_of_our_own_is_a_sentence_on_the_row_and_leaves_the_others_alone(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    broken = ProjectMapping.objects.create(taiga_project_id=999, client=world.mapping.client)
    real = sweep._walk

    def break_down(mapping: ProjectMapping, *args: Any) -> Any:
        if mapping == broken:
            raise ZeroDivisionError("nobody thought of this")
        return real(mapping, *args)

    monkeypatch.setattr(sweep, "_walk", break_down)
    monkeypatch.setattr(sweep, "_refresh_roles", lambda mapping, taiga: None)
    monkeypatch.setattr(sweep, "names_for", lambda *args: {})
    assert sweep.sweep_all() == 1

    row = ProjectSweep.objects.get(project=broken)
    assert row.error == "The console failed on this; its log says why. It is tried again by itself."
    assert row.lease_until is None
    assert any("nobody thought" in str(record.exc_info) for record in caplog.records)


def test_one_sweep_of_a_project_at_a_time(world: World) -> None:
    row = ProjectSweep.objects.create(
        project=world.mapping, claim_id=uuid.uuid4(), lease_until=timezone.now() + timedelta(seconds=30)
    )
    assert sweep.sweep_project(world.mapping).is_busy
    assert timeline_calls() == 0
    ProjectSweep.objects.filter(pk=row.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
    assert sweep.sweep_project(world.mapping).is_busy is False


# --- the order of the timeline ----------------------------------------------------------------------------------------


def event(number: int, task_id: int, *, action: str = "change") -> TimelineEntry:
    return TimelineEntry(
        id=TaigaId(number),
        event_type=f"tasks.task.{action}",
        action=action,
        kind="T",
        item_id=TaigaId(task_id),
        item_ref=task_id,
        item_subject="",
        project_id=TaigaId(1),
        user_id=TaigaId(1),
        username="alice",
        created_at=datetime(2025, 12, 1, tzinfo=UTC),
        values_diff={},
        raw={},
    )


def serve_pages(monkeypatch: pytest.MonkeyPatch, *pages: list[TimelineEntry]) -> list[int]:
    """Taiga's timeline is these pages; returns the numbers of the pages that are asked for."""
    asked: list[int] = []

    def timeline(self: TaigaClient, project_id: int, page: int = 1, page_size: int = 100) -> TimelinePage:
        asked.append(page)
        return TimelinePage(tuple(pages[page - 1]), page, sum(map(len, pages)), has_next=page < len(pages))

    monkeypatch.setattr(TaigaClient, "timeline", timeline)
    return asked


def test_an_entry_that_turns_up_behind_newer_ones_is_found(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    serve_pages(monkeypatch, [event(12, 2), event(9, 1)])
    sweep.sweep_project(world.mapping)
    WorkItem.objects.update(is_dirty=False)

    # 11 was committed after 12 was seen; 13 is an edited comment, put in again at its old place.
    serve_pages(monkeypatch, [event(12, 2), event(11, 3), event(9, 1), event(13, 4)])
    assert sweep.sweep_project(world.mapping).marked == 2
    assert set(WorkItem.objects.filter(is_dirty=True).values_list("taiga_id", flat=True)) == {3, 4}


def test_it_stops_one_page_behind_the_last_seen_entry(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = dict.fromkeys(("census_at", "succeeded_at"), timezone.now())
    recent = list(range(50, 0, -1))
    ProjectSweep.objects.create(project=world.mapping, last_timeline_id=50, recent_ids=recent, **counted)
    asked = serve_pages(monkeypatch, [event(60, 1)], [event(55, 2)], [event(50, 3)], [event(40, 4)], [event(30, 5)])
    assert sweep.sweep_project(world.mapping).marked == 2
    assert asked == [1, 2, 3, 4]
    assert ProjectSweep.objects.get().last_timeline_id == 60
