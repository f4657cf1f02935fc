"""An old copy of Taiga answers now and then: an item is not gone for it, and what a delivery told is not passed by."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from billing_console.states import EntryState, ItemState
from sync import work_items
from sync.marks import mark_dirty
from sync.models import TimeEntry, WorkItem
from sync.models.items import FoundBy
from tests.standins import World


@pytest.fixture(autouse=True)
def patience(world: World, settings: Any) -> None:
    """Looks are a minute apart; `a_minute_later` says when it is over."""
    settings.LOOK_UP_AFTER_SECONDS = 60.0


def mark(world: World, task_id: int) -> None:
    mark_dirty("T", task_id, found_by=FoundBy.SWEEP, project_id=world.mapping.taiga_project_id)


def a_minute_later() -> None:
    WorkItem.objects.exclude(missed_at=None).update(missed_at=timezone.now() - timedelta(minutes=1))
    WorkItem.objects.update(not_before=None)


def lag(world: World) -> None:
    world.taiga.faults.add({"kind": "old_copy", "path": r"/api/v1/(tasks|history)", "count": None})


def test_a_new_task_that_the_copy_does_not_show_yet_is_billed_as_soon_as_it_does(world: World) -> None:
    world.taiga.keep_copy()
    task = world.add_task(billable=True, hours=2)
    lag(world)
    mark(world, task)
    work_items.read_due()

    item = WorkItem.objects.get()
    assert (item.state, item.is_dirty) == (ItemState.OPEN, True)
    assert "asked for once more" in item.error
    mark(world, task)  # a sweep that marks it again takes no second look for granted
    work_items.read_due()
    assert WorkItem.objects.get().state == ItemState.OPEN
    world.taiga.faults.clear()
    a_minute_later()
    work_items.read_due()

    assert TimeEntry.objects.get().raw_hours == 2


def test_a_task_that_is_missing_twice_is_gone(world: World) -> None:
    task = world.add_task(billable=True, hours=2)
    world.read(task)
    world.api_taiga("DELETE", f"/tasks/{task}")
    mark(world, task)
    work_items.read_due()
    assert TimeEntry.objects.get().state == EntryState.READY

    a_minute_later()
    work_items.read_due()

    assert WorkItem.objects.get().state == ItemState.GONE
    assert TimeEntry.objects.get().state == EntryState.HELD


def test_a_closing_that_a_delivery_told_is_waited_for(world: World) -> None:
    """Its version is the one that we have: only the delivery says that there is a newer one."""
    task = world.add_task(billable=True, hours=2)
    world.set_status(task, "In progress")
    mark(world, task)
    work_items.read_due()
    assert WorkItem.objects.get().state == ItemState.OPEN
    world.taiga.keep_copy()
    world.go_to(world.taiga.clock.now() + timedelta(minutes=5))
    world.set_status(task, "Closed")
    told = world.api_taiga("GET", f"/tasks/{task}")["modified_date"]
    WorkItem.objects.update(told_at=told)
    mark(world, task)
    lag(world)
    work_items.read_due()

    item = WorkItem.objects.get()
    assert (item.state, item.is_dirty) == (ItemState.OPEN, True)
    assert "older state" in item.error
    world.taiga.faults.clear()
    a_minute_later()
    work_items.read_due()

    assert TimeEntry.objects.get().state == EntryState.READY


def test_an_older_backup_that_was_restored_is_believed_in_the_end(world: World) -> None:
    task = world.add_task(billable=True, hours=2)
    mark(world, task)
    WorkItem.objects.update(told_at=timezone.now() + timedelta(days=400), read_attempts=9)
    work_items.read_due()
    assert not TimeEntry.objects.exists()

    a_minute_later()
    work_items.read_due()

    assert TimeEntry.objects.get().state == EntryState.READY
