"""A real beat on a machine whose clock is an hour ahead, goes right under it, and is right after a restart."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from django.db import connection
from django.utils import timezone
from django_celery_beat.models import PeriodicTask, PeriodicTasks

from billing_console.processes import CLONE
from billing_console.spawn import stop_process
from sync import schedule
from sync.models import ConsoleProcess
from tests.dates import find_library

RING_SECONDS = 20.0  # beat sleeps five seconds at most, and this machine may be busy
BEAT = [sys.executable, "-m", "celery", "--quiet", "--app", "billing_console", "beat", "--pidfile", ""]


@pytest.fixture
def bells(tmp_path: Path) -> Iterator[redis.Redis]:
    """A queue of our own, in another database of the tests' Redis."""
    with redis.Redis.from_url(os.environ["REDIS_URL"], db=9) as client:
        client.flushdb()
        yield client
        client.flushdb()


@contextmanager
def under_clock(argv: list[str], library: Path, clock: Path) -> Iterator[None]:
    """A process of the console on the tests' database, by the clock whose shift stands in the file `clock`."""
    environment = {
        **os.environ,
        "DATABASE_URL": os.environ["DATABASE_URL"].replace("/billing?", f"/{connection.settings_dict['NAME']}?"),
        "REDIS_URL": f"{os.environ['REDIS_URL']}?virtual_host=9",  # as Celery names another database
        "DJANGO_SETTINGS_MODULE": "billing_console.settings",
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }
    process = subprocess.Popen(argv, cwd=CLONE, env=environment)
    try:
        yield
    finally:
        stop_process(process, seconds=20)


def rings(bells: redis.Redis) -> int:
    """How many bells wait in the queue."""
    return int(bells.llen("console"))  # type: ignore[arg-type]


def wait_for_rings(bells: redis.Redis) -> None:
    before, deadline = rings(bells), time.monotonic() + RING_SECONDS
    while rings(bells) <= before + 5:
        assert time.monotonic() < deadline, "beat rings nothing"
        time.sleep(0.2)


def expiries(bells: redis.Redis) -> list[datetime]:
    """Until when each bell that waits in the queue is worth something, the newest last."""
    messages = reversed(bells.lrange("console", 0, -1))  # type: ignore[arg-type]
    return [datetime.fromisoformat(json.loads(message)["headers"]["expires"]) for message in messages]


@pytest.mark.long
@pytest.mark.parametrize("shift", ["+86400", "-86400"])
def test_the_bells_of_a_beat_whose_clock_alone_is_wrong_are_worth_as_much_as_ever(
    transactional_db: None, bells: redis.Redis, settings: Any, tmp_path: Path, shift: str
) -> None:
    if (library := find_library(tmp_path)) is None:
        pytest.skip("libfaketime is for x86-64 Linux")
    for name in ("TICK_SECONDS", "SWEEP_SECONDS", "POLL_SECONDS", "BREAKER_PROBE_SECONDS"):
        setattr(settings, name, 1.0)
    PeriodicTask.objects.all().delete()
    schedule.set_up()
    clock = tmp_path / "clock"
    clock.write_text(shift)

    with under_clock(BEAT, library, clock):
        wait_for_rings(bells)
        (row,) = ConsoleProcess.objects.filter(kind="beat")
        assert abs(row.ahead - timedelta(seconds=int(shift))) < timedelta(minutes=1)
        bells.delete("console")
        wait_for_rings(bells)
        now = timezone.now()
        assert all(now - timedelta(seconds=20) < at < now + timedelta(minutes=1) for at in expiries(bells))
    last = PeriodicTask.objects.filter(task="sync.tasks.beat").get().last_run_at
    assert abs(last - timezone.now()) < timedelta(minutes=1)


@pytest.mark.long
def test_beat_rings_when_the_clock_of_the_machine_goes_back_an_hour(
    transactional_db: None, bells: redis.Redis, settings: Any, tmp_path: Path
) -> None:
    if (library := find_library(tmp_path)) is None:
        pytest.skip("libfaketime is for x86-64 Linux")
    for name in ("TICK_SECONDS", "SWEEP_SECONDS", "POLL_SECONDS", "BREAKER_PROBE_SECONDS"):
        setattr(settings, name, 1.0)
    PeriodicTask.objects.all().delete()
    schedule.set_up()
    clock = tmp_path / "clock"
    clock.write_text("+3600")

    with under_clock(BEAT, library, clock):
        wait_for_rings(bells)
        clock.write_text("+0")
        wait_for_rings(bells)
    ahead = timezone.now() + timedelta(hours=1)
    PeriodicTask.objects.update(last_run_at=ahead)
    PeriodicTasks.update_changed()
    with under_clock(BEAT, library, clock):
        wait_for_rings(bells)

    assert not PeriodicTask.objects.filter(last_run_at__gt=timezone.now()).exists()
