"""What webhooks never say is found by comparing whole projects (design: Catching what webhooks never say)."""

from __future__ import annotations

import json
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from billing_console.errors import ConsoleError
from billing_console.states import EntryState, ItemState, Reason
from mappings.models import Company
from sandbox import scenario
from sync import census, gate, sweep, upstreams, work_items
from sync.attribute_names import configured_names
from sync.models import ProjectSweep, TimeEntry, UpstreamCall, UpstreamGate, WorkItem
from tests.standins import MORNING, World

pytestmark = pytest.mark.django_db


@pytest.fixture
def known(world: World) -> World:
    """The project was swept a moment ago; from now on the timeline says nothing more."""
    sweep.sweep_project(world.mapping)
    work_items.read_due()
    return world


def seen(world: World, **values: Any) -> int:
    """A closed task that the console has read; returns its Taiga id."""
    task = world.add_task(billable=True, hours=2, **values)
    world.read(task)
    work_items.read_due()
    forget_timeline()
    return task


def forget_timeline() -> None:
    """All that happened so far is behind the last seen entry of the timeline."""
    ProjectSweep.objects.update(last_timeline_id=10**9, recent_ids=list(range(10**4)))


def counted(world: World) -> list[tuple[str, int]]:
    """Take a census; returns what it marked."""
    found = census.take(world.mapping.taiga_project_id, upstreams.taiga_client())
    return sorted((mark.kind, mark.taiga_id) for mark in found.marks)


def test_nothing_differs_and_nothing_is_read(known: World) -> None:
    seen(known)
    seen(known, rate="85.25", status="Pending Invoice", client="client_abc123")
    seen(known, rate=85.25)
    assert counted(known) == []


@pytest.mark.parametrize("hours", [2.5, 2, "2,5", "=1+1", "'2", "two hours", True])
def test_a_value_that_the_csv_writes_in_its_own_way_is_the_same(known: World, hours: Any) -> None:
    task = known.add_task(billable=True, hours=hours)
    known.read(task)
    work_items.read_due()

    assert counted(known) == []


def test_a_closed_task_that_nobody_told_of_is_found(known: World) -> None:
    task = known.add_task(billable=True, hours=1)
    assert counted(known) == [("T", task)]


def test_an_open_task_is_left_alone(known: World) -> None:
    task = known.add_task(billable=True, hours=1)
    known.set_status(task, "In progress")
    assert counted(known) == []


@pytest.mark.parametrize(
    ("change", "state"),
    [
        (lambda world, task: world.set_values(task, hours=3), EntryState.READY),
        (lambda world, task: world.set_values(task, billable=False), EntryState.VOID),
        (lambda world, task: world.set_values(task, hours="two"), EntryState.HELD),
        (lambda world, task: world.set_status(task, "In progress"), EntryState.HELD),
        (lambda world, task: world.api_taiga("DELETE", f"/tasks/{task}", who="owner"), EntryState.HELD),
        (lambda world, task: flip_status(world, "Closed"), EntryState.HELD),
        (lambda world, task: delete_status(world, "Closed", "In progress"), EntryState.HELD),
        (lambda world, task: promote(world, task), EntryState.HELD),
        (lambda world, task: delete_story(world), EntryState.HELD),
    ],
    ids=["hours", "billable", "unreadable", "reopened", "deleted", "flipped", "status-deleted", "promoted", "story"],
)
def test_a_change_without_a_delivery_is_found_and_followed(known: World, change: Any, state: str) -> None:
    task = seen(known)
    change(known, task)

    assert ("T", task) in counted(known)
    work_items.read_due()
    assert TimeEntry.objects.get(item__taiga_id=task, item__kind="T").state == state


def flip_status(world: World, name: str) -> None:
    """Somebody makes a column one whose tasks are open."""
    world.api_taiga("PATCH", f"/task-statuses/{world.statuses()[name]}", {"is_closed": False}, who="owner")


def delete_status(world: World, name: str, heir: str) -> None:
    """Somebody deletes a column; its tasks go to another."""
    statuses = world.statuses()
    world.api_taiga("DELETE", f"/task-statuses/{statuses[name]}?moveTo={statuses[heir]}", who="owner")


def promote(world: World, task: int) -> None:
    """Somebody makes a story of the task."""
    world.api_taiga("POST", f"/tasks/{task}/promote_to_user_story", {"project_id": world.mapping.taiga_project_id})


def delete_story(world: World) -> None:
    """Somebody deletes the story; its tasks vanish with it."""
    world.api_taiga("DELETE", f"/userstories/{world.story()}", who="owner")


def test_a_deleted_one_is_gone_once(known: World) -> None:
    task = seen(known)
    known.api_taiga("DELETE", f"/tasks/{task}", who="owner")
    counted(known)
    work_items.read_due()
    assert WorkItem.objects.get(kind="T").state == ItemState.GONE

    assert counted(known) == []


def test_closed_again_between_two_readings_is_found(known: World) -> None:
    task = seen(known)
    known.set_status(task, "In progress")
    known.go_to(MORNING + timedelta(hours=5))
    known.set_status(task, "Closed")

    assert counted(known) == [("T", task)]


def test_who_is_no_administrator_reads_lists_and_each_unbilled_item(known: World) -> None:
    task = seen(known)
    other = known.add_task("Other", billable=True, hours=1)
    rows = known.taiga.store.memberships
    with known.taiga.memory.transaction():
        for row in rows.find(user=known.user(scenario.SERVICE_USER)):
            rows.update(row["id"], is_admin=False)
    before = censuses()
    known.set_values(task, hours=3)

    assert counted(known) == [("T", task), ("T", other)]
    assert censuses() == before


# --- when -------------------------------------------------------------------------------------------------------------


def censuses() -> int:
    return UpstreamCall.objects.filter(path__startswith="/tasks/csv").count()


@pytest.mark.parametrize(
    ("changes", "is_due"),
    [
        ({}, False),
        ({"census_at": timedelta(hours=25)}, True),
        ({"succeeded_at": timedelta(hours=2)}, True),
        ({"census_wanted": True}, True),
    ],
    ids=["fresh", "a day old", "after an outage", "asked for"],
)
def test_a_sweep_takes_a_census_when_it_is_due(
    known: World, settings: Any, changes: dict[str, Any], is_due: bool
) -> None:
    settings.CENSUS_SECONDS, settings.OUTAGE_SECONDS = 86400, 3600
    past = {name: timezone.now() - ago if isinstance(ago, timedelta) else ago for name, ago in changes.items()}
    ProjectSweep.objects.update(**past)
    before = censuses()

    sweep.sweep_project(known.mapping)

    assert censuses() - before == int(is_due)
    assert ProjectSweep.objects.get().census_wanted is False


def test_one_is_wanted_when_taiga_is_back(known: World) -> None:
    UpstreamGate.objects.filter(server="taiga").update(open_since=timezone.now(), resume_at=None)
    gate.probe_due()
    assert ProjectSweep.objects.get().census_wanted


def test_a_failed_census_leaves_the_position_and_the_wish(known: World) -> None:
    sweep.want_census(known.mapping.pk)
    known.fail("taiga", kind="status", status=503, path="/api/v1/tasks/csv", count=1)

    assert "maintenance" in sweep.sweep_project(known.mapping).error
    assert ProjectSweep.objects.get().census_wanted


# --- sync_now ---------------------------------------------------------------------------------------------------------


def sync_now(*args: str) -> Any:
    out = StringIO()
    call_command("sync_now", "--json", *args, stdout=out, stderr=StringIO())
    return json.loads(out.getvalue())


def test_sync_now_reads_what_is_missing(world: World) -> None:
    world.add_task(billable=True, hours=1)

    assert sync_now() == {"to_read": {"Website Redesign": 1}, "unread": 0, "errors": []}
    assert TimeEntry.objects.get().state == EntryState.READY


def test_a_dry_run_says_what_would_come_and_writes_nothing(world: World) -> None:
    world.add_task("Old", billable=True, hours=1)
    world.go_to(MORNING + timedelta(days=10))
    world.add_task("Fix header", billable=True, hours=2.1)
    world.add_task("Free", billable=False, hours=2)
    world.add_task("Spike", billable=True, hours="two hours")
    ProjectSweep.objects.all().delete()

    (result,) = sync_now("--since", "2025-12-05", "--dry-run")

    assert result == {
        "project": "Website Redesign",
        "items": 3,
        "known": 0,
        "hours": "2.25",
        "amounts": {"EUR": "168.75"},
        "held": {Reason.UNREADABLE_HOURS: 1},
        "not_billable": 1,
        "error": "",
    }
    assert not WorkItem.objects.exists()
    text = StringIO()
    call_command("sync_now", "--since", "2025-12-05", "--dry-run", stdout=text)
    assert "3 closed, 0 of them known; new: 2.25" in text.getvalue()


def test_since_reads_known_items_too(known: World) -> None:
    task = seen(known)
    item = WorkItem.objects.get(kind="T", taiga_id=task)

    assert sync_now("--since", "2025-12-01")["to_read"] == {"Website Redesign": 1}
    assert WorkItem.objects.get(pk=item.pk).read_at > item.read_at


@pytest.mark.parametrize("args", [["--dry-run"], ["--since", "yesterday"]])
def test_a_wrong_call_is_one_sentence(world: World, args: list[str]) -> None:
    with pytest.raises(CommandError, match="--since|no day"):
        call_command("sync_now", *args)


def test_no_project_is_one_sentence(db: None) -> None:
    with pytest.raises(CommandError, match="Map one first"):
        call_command("sync_now")


def test_a_project_that_cannot_be_looked_at_is_named_and_fails(world: World) -> None:
    world.fail("taiga", kind="status", status=403, path="/timeline", count=1)
    errors = StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("sync_now", stdout=StringIO(), stderr=errors)
    assert ended.value.code == 1
    assert errors.getvalue().startswith("Website Redesign: ")


# --- a CSV that is too much -----------------------------------------------------------------------------------------


def test_a_description_of_megabytes_keeps_nothing_from_being_counted(known: World) -> None:
    task, other = seen(known), seen(known)
    version = known.api_taiga("GET", f"/tasks/{task}")["version"]
    known.api_taiga("PATCH", f"/tasks/{task}", {"version": version, "description": "x" * 17_000_000})
    known.set_values(other, hours=3)
    forget_timeline()
    WorkItem.objects.update(is_dirty=False)

    assert counted(known) == [("T", other)]


@pytest.mark.parametrize(
    "fault",
    [{"kind": "status", "status": 500}, {"kind": "html"}, {"kind": "lost_answer"}],
    ids=["fails", "odd", "cut"],
)
def test_where_the_csv_fails_the_list_is_read(known: World, fault: dict[str, Any], caplog: Any) -> None:
    seen(known)
    known.fail("taiga", path="/api/v1/tasks/csv", count=9, **fault)

    found = census.take(known.mapping.taiga_project_id, upstreams.taiga_client())

    assert found.counted == len(known.taiga.state()["tasks"])
    assert "its list is read" in caplog.text


def test_a_row_that_cannot_be_read_is_named() -> None:
    row = {"id": "7x", "ref": "59", "subject": "Odd", "is_closed": "True", "finished_date": "", "assigned_to": ""}
    with pytest.raises(ConsoleError, match=r"says of #59 \(id 7x\) what cannot be read"):
        census._from_csv("T", row, configured_names(Company.current()))
