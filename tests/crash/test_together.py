"""Several workers at once, one of them killed; and a database that goes away in the middle."""

from __future__ import annotations

import os
import signal
import time
from threading import Thread

import pytest
from django.db import connection

from sync.models import RemoteRecord
from tests.crash.conftest import Nursery, wait_for
from tests.crash.rounds import add_entry, sweep
from tests.crash.test_kills import POST_TASK, assert_one_status, assert_one_task_each
from tests.standins import World

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]


def test_a_worker_whose_database_goes_away_in_the_call_leaves_one_task(near: World, nursery: Nursery) -> None:
    add_entry(near, "Database restarted")
    near.fail("ninja", kind="delay", seconds=0.5, after=True, **POST_TASK)

    def cut(_pid: int) -> None:
        wait_for(lambda: len(near.tasks()) == 1)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )

    nursery.run("sync.push.push_due", middle=cut)

    assert RemoteRecord.objects.get(kind="task").state == "in_flight"
    sweep("task")
    assert_one_task_each(near)


@pytest.mark.long
def test_two_workers_and_two_beats_at_once_write_everything_once(
    near: World, nursery: Nursery, second_nursery: Nursery
) -> None:
    entries = [add_entry(near, f"Together {number}") for number in range(40)]

    def kill(pid: int) -> None:
        wait_for(lambda: len(near.tasks()) >= 5)
        os.kill(pid, signal.SIGKILL)

    first = Thread(target=nursery.run, args=("tests.crash.acts.work_for", 10))
    first.start()
    assert second_nursery.run("tests.crash.acts.work_for", 10, middle=kill) == -9
    assert second_nursery.run("tests.crash.acts.work_for", 6) == 0
    first.join()
    time.sleep(0.1)

    sweep("task", "status")
    assert_one_task_each(near)
    for entry in entries:
        assert_one_status(near, entry)
