"""Our database is yesterday's copy again while both servers went on: nothing is billed twice."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator

import pytest
from django.db import connection

from sync import gate, restoring
from sync.models import RemoteRecord, TimeEntry, UpstreamCall
from tests.emptying import empty_our_tables
from tests.flow.conftest import Copy
from tests.machine.office import Office
from tests.machine.rest import DRAINS, come_to_rest, end_leases

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def yesterday() -> Iterator[Copy]:
    """A copy of all rows; the one that the flows keep is put aside meanwhile."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER SCHEMA kept RENAME TO kept_aside" if _has_schema("kept") else "SELECT 1")
    yield Copy()
    with connection.cursor() as cursor:
        cursor.execute("DROP SCHEMA IF EXISTS kept CASCADE")
        cursor.execute("ALTER SCHEMA kept_aside RENAME TO kept" if _has_schema("kept_aside") else "SELECT 1")


def _has_schema(name: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = %s)", [name])
        return bool(cursor.fetchone()[0])


def restore(copy: Copy) -> None:
    empty_our_tables()
    copy.put_back()
    restoring.after_restore()


def drain() -> None:
    end_leases()
    for name in ("sweep", "items", "push", "writeback", "invoices", "mails", "runs"):
        DRAINS[name]()


def test_tasks_of_the_lost_day_are_adopted(office: Callable[[], Office], yesterday: Copy) -> None:
    day = office()
    day.close(1, has_story=True, types_late=False)
    drain()
    yesterday.take()
    day.close(4.5, has_story=False, types_late=False)  # closed, pushed and marked; then forgotten
    day.type_hours(1, "2,5")
    drain()
    before = [(task["id"], task["number"], task["time_log"]) for task in day.world.tasks()]

    restore(yesterday)
    known = UpstreamCall.objects.latest("id").pk
    drain()

    assert TimeEntry.objects.count() == 2
    calls = UpstreamCall.objects.filter(id__gt=known).exclude(path="/auth")
    assert set(calls.values_list("method", flat=True)) == {"GET"}  # paused: nothing is written
    assert gate.reconciled()
    come_to_rest(day.world)
    assert [(task["id"], task["number"], task["time_log"]) for task in day.world.tasks()] == before
    assert set(RemoteRecord.objects.values_list("state", flat=True)) == {"synced"}
    day.teardown()


def test_an_invoice_of_the_lost_day_is_not_made_again(office: Callable[[], Office], yesterday: Copy) -> None:
    day = office()
    day.close(1, has_story=True, types_late=False)
    drain()
    yesterday.take()
    day.bill(is_sent=True)
    drain()
    assert len(day.world.invoices()) == len(day.world.mails()) == 1

    restore(yesterday)
    gate.reconciled()
    drain()
    day.pass_time(dt.timedelta(days=40))
    day.bill(is_sent=True)
    drain()

    assert len(day.world.invoices()) == len(day.world.mails()) == 1
    assert list(TimeEntry.objects.values_list("state", "reason")) == [("held", "on_unknown_invoice")]
    day.clocks.close()


def test_an_invoice_made_by_hand_is_not_made_again(office: Callable[[], Office]) -> None:
    day = office()
    task = day.close(1, has_story=True, types_late=False)
    drain()
    (there,) = day.world.tasks()
    line = {"task_id": there["id"], "type_id": "2", "quantity": 1, "cost": 75, "product_key": "By hand"}
    day.ninja("POST", "/invoices", {"client_id": there["client_id"], "line_items": [line]})
    day.type_hours(task, 4.5)
    drain()
    day.bill(is_sent=True)
    drain()

    assert [row["private_notes"] for row in day.world.invoices()] == [""]
    assert [row["time_log"] for row in day.world.tasks()] == [there["time_log"]]
    assert list(TimeEntry.objects.values_list("state", "reason")) == [("held", "invoiced_by_hand")]
    assert day.world.mails() == []
    day.clocks.close()
