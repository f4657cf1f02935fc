"""A worker is killed at every arrow; whatever it left, the next ordinary round ends in exactly one of each thing.

The moments: before the claim is committed, after it, after the server did the work, before the outcome is committed,
after it. The witness is the whole memory of both servers.
"""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest
from django.utils import timezone

from billing_console import states
from billing_console.states import RecordState
from sync import push
from sync.attention import try_again
from sync.models import RemoteRecord, TimeEntry, UpstreamGate
from tests.crash.conftest import Nursery, kill_when, wait_for
from tests.crash.rounds import KILLED, MOMENTS, RECORD, add_entry, arrows_of, sweep
from tests.invoicing.world import make_user
from tests.outbound import fresh, states_of
from tests.standins import World

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

POST_TASK = {"method": "POST", "path": "/api/v1/tasks$"}
PATCH_VALUES = {"method": "PATCH", "path": "custom-attributes-values"}

# Every arrow of a record is walked below by the worker, or by a person's act, and killed at both moments.
BY_WORKER = {
    ("pending", "in_flight"), ("in_flight", "synced"), ("in_flight", "retry"), ("in_flight", "in_doubt"),
    ("in_flight", "attention"), ("retry", "in_flight"), ("in_doubt", "synced"), ("in_doubt", "pending"),
    ("in_doubt", "attention"), ("synced", "pending"),
}  # fmt: skip
BY_PERSON = {
    ("pending", "dropped"), ("retry", "dropped"), ("retry", "pending"), ("attention", "pending"),
    ("attention", "synced"), ("dropped", "pending"),
}  # fmt: skip


def test_no_arrow_is_without_a_kill() -> None:
    assert arrows_of(states.RECORD) == BY_WORKER | BY_PERSON


# --- tasks ----------------------------------------------------------------------------------------------------------


def assert_one_task_each(world: World) -> None:
    tasks = world.tasks()
    assert sorted(task["number"] for task in tasks) == sorted(
        f"TAIGA-{entry.number}" for entry in TimeEntry.objects.select_related("item")
    )
    assert not [task["number"] for task in tasks if task["is_deleted"] or task["archived_at"]]
    assert set(RemoteRecord.objects.filter(kind="task").values_list("state", flat=True)) == {"synced"}
    for entry in TimeEntry.objects.select_related("remote_task"):
        assert entry.remote_task is not None
        (task,) = [task for task in tasks if task["id"] == entry.remote_task.remote_id]
        assert json.loads(task["time_log"])[0][:2] == entry.remote_task.desired["time_log"]


@pytest.mark.parametrize("arrow", sorted(BY_WORKER), ids="→".join)
def test_a_push_killed_at_an_arrow_ends_in_one_task(near: World, nursery: Nursery, arrow: tuple[str, str]) -> None:
    for moment in MOMENTS:
        entry = add_entry(near, f"Killed {moment} {arrow}")
        record = RemoteRecord.objects.get(entry=entry)
        middle = _prepare_push(near, entry, arrow)

        code = nursery.run("sync.push.push_due", die_at=(RECORD, *arrow, moment), middle=middle)

        assert code == KILLED, moment
        assert (fresh(record).state == arrow[1]) is (moment == "after")
        sweep("task")
        if fresh(record).state == RecordState.ATTENTION:
            try_again(fresh(record), user=make_user())
            sweep("task")
        assert_one_task_each(near)


def _prepare_push(world: World, entry: TimeEntry, arrow: tuple[str, str]) -> Any:
    """Bring the entry's record to where the arrow begins, with what makes the worker take it."""
    match arrow:
        case ("in_flight", "retry"):
            world.fail("ninja", kind="status", status=429, **POST_TASK)
        case ("in_flight", "in_doubt"):
            world.fail("ninja", kind="lost_answer", **POST_TASK)
        case ("in_flight", "attention"):
            world.fail("ninja", kind="status", status=422, body={"errors": {"rate": ["is wrong"]}}, **POST_TASK)
        case ("retry", "in_flight"):
            world.fail("ninja", kind="status", status=429, **POST_TASK)
            push.push_due(limit=1)
            UpstreamGate.objects.update(resume_at=None)
        case ("in_doubt", "synced"):
            world.fail("ninja", kind="lost_answer", **POST_TASK)
            push.push_due(limit=1)
        case ("in_doubt", "pending"):
            world.fail("ninja", kind="status", status=500, **POST_TASK)
            push.push_due(limit=1)
        case ("in_doubt", "attention"):
            world.fail("ninja", kind="lost_answer", **POST_TASK)
            push.push_due(limit=1)
            world.api_ninja("DELETE", f"/tasks/{world.tasks()[-1]['id']}")
        case ("synced", "pending"):
            count = len(world.tasks())
            world.fail("ninja", kind="delay", seconds=0.5, after=True, **POST_TASK)

            def type_more(_pid: int) -> None:
                wait_for(lambda: len(world.tasks()) > count)
                world.set_values(entry.item.taiga_id, hours=6)
                world.read(entry.item.taiga_id)

            return type_more
    return None


def test_a_push_killed_while_the_server_works_ends_in_one_task(near: World, nursery: Nursery) -> None:
    entry = add_entry(near, "Killed in the call")
    near.fail("ninja", kind="delay", seconds=3, after=True, **POST_TASK)

    assert nursery.run("sync.push.push_due", middle=kill_when(lambda: len(near.tasks()) == 1)) == KILLED

    assert fresh(RemoteRecord.objects.get(entry=entry)).state == RecordState.IN_FLIGHT
    sweep("task")
    assert_one_task_each(near)


@pytest.mark.parametrize("arrow", sorted(BY_PERSON), ids="→".join)
def test_a_persons_act_killed_at_its_arrow_is_done_or_not(
    near: World, nursery: Nursery, arrow: tuple[str, str]
) -> None:
    for moment in MOMENTS:
        entry = add_entry(near, f"Act killed {moment} {arrow}")
        record = RemoteRecord.objects.get(entry=entry)
        columns: dict[str, Any] = {"state": arrow[0]}
        if arrow[0] in ("retry", "attention"):
            columns |= {"attempts": 1, "not_before": timezone.now() + dt.timedelta(hours=1)}
        RemoteRecord.objects.filter(pk=record.pk).update(**columns)
        call, *args = {
            ("pending", "dropped"): ("withdraw", entry.pk),
            ("retry", "dropped"): ("drop", record.pk),
            ("retry", "pending"): ("try_again", record.pk),
            ("attention", "pending"): ("try_again", record.pk),
            ("attention", "synced"): ("adopt", record.pk, f"adopted-{moment}"),
            ("dropped", "pending"): ("request", entry.pk),
        }[arrow]

        code = nursery.run(f"tests.crash.acts.{call}", *args, die_at=(RECORD, *arrow, moment))

        assert code == KILLED
        row = fresh(record)
        assert row.state == (arrow[1] if moment == "after" else arrow[0])
        assert states_of(row) == ["pending", *([arrow[1]] if moment == "after" else [])]
        before = len(near.tasks())
        sweep("task")
        written = fresh(record).state == "synced" and arrow != ("attention", "synced")
        assert len(near.tasks()) - before == int(written)
        RemoteRecord.objects.filter(pk=record.pk).exclude(state="synced").update(state="dropped")


# --- statuses -------------------------------------------------------------------------------------------------------


def test_a_write_back_killed_while_the_server_works_ends_in_one_status(near: World, nursery: Nursery) -> None:
    entry = add_entry(near, "Status killed in the call")
    push.push_due()
    near.fail("taiga", kind="delay", seconds=3, after=True, **PATCH_VALUES)

    def is_there() -> bool:
        return "Invoice Status" in near.named_values(entry.item.taiga_id)

    assert nursery.run("sync.writeback.write_due", middle=kill_when(is_there)) == KILLED

    assert_one_status(near, entry)


def assert_one_status(world: World, entry: TimeEntry) -> None:
    sweep("status")
    expected = {"Billable": True, "Duration (Hours)": 4.5, "Invoice Status": "Invoiced"}
    assert world.named_values(entry.item.taiga_id) == expected
    # One history entry of ours: what was there is not written again.
    history = world.api_taiga("GET", f"/history/task/{entry.item.taiga_id}")
    ours = [row for row in history if row["user"]["username"] == "billing" and "custom_attributes" in row["diff"]]
    assert len(ours) == 1
    assert fresh(entry.item).status_written == "Invoiced"
    assert RemoteRecord.objects.get(kind="status", item=entry.item).state == RecordState.SYNCED
