"""A real worker whose clock is a day ahead takes no bell from the others, and works once it is right."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import current_app
from django.utils import timezone

from sync.models import ConsoleProcess, Heartbeat
from tests.dates import find_library
from tests.sync.test_beat_on_a_wrong_clock import bells, under_clock  # noqa: F401

WORKER = [
    *(sys.executable, "-m", "celery", "--quiet", "--app", "billing_console", "worker", "--pool", "threads"),
    *("--concurrency", "2", "--without-gossip", "--without-mingle", "--loglevel", "WARNING"),
]


def wait_for(is_done: Callable[[], Any], seconds: float = 40.0) -> None:
    deadline = time.monotonic() + seconds
    while not is_done():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def ring(task: str = "sync.tasks.beat", *, seconds: int = 120, times: int = 1) -> None:
    """As beat does: the bell is worth something for so many seconds."""
    url = f"{os.environ['REDIS_URL'].replace('unix://', 'redis+socket://', 1)}?virtual_host=9"
    with current_app.connection_for_write(url) as broker:
        for _time in range(times):
            expires = timezone.now() + timedelta(seconds=seconds)
            current_app.send_task(task, connection=broker, queue="console", expires=expires)


@pytest.mark.long
def test_a_worker_a_day_ahead_takes_no_bell_and_works_once_its_clock_is_right(
    transactional_db: None,
    bells: redis.Redis,  # noqa: F811
    tmp_path: Path,
) -> None:
    if (library := find_library(tmp_path)) is None:
        pytest.skip("libfaketime is for x86-64 Linux")
    clock = tmp_path / "clock"
    clock.write_text("+86400")

    with under_clock(WORKER, library, clock):
        wait_for(ConsoleProcess.objects.filter(kind="worker", is_idle=True).exists)
        time.sleep(5)  # until it heard of it
        ring()
        time.sleep(5)
        assert bells.llen("console") == 1
        (row,) = ConsoleProcess.objects.all()
        assert abs(row.ahead - timedelta(days=1)) < timedelta(minutes=1)
        assert "is 24 hours ahead of PostgreSQL's" in row.trouble

        clock.write_text("+0")
        wait_for(ConsoleProcess.objects.filter(kind="worker", is_idle=False, trouble="").exists)
        wait_for(Heartbeat.objects.filter(name="worker").exists)
        assert bells.llen("console") == 0
        assert abs(Heartbeat.objects.get(name="worker").at - timezone.now()) < timedelta(minutes=1)
    assert not ConsoleProcess.objects.exists()


@pytest.mark.long
def test_the_bells_of_a_day_in_which_no_worker_ran_are_worth_nothing(
    transactional_db: None,
    bells: redis.Redis,  # noqa: F811
    tmp_path: Path,
) -> None:
    """Beat rang on. What is done once a day is not done 1,440 times, nor what is done each minute."""
    if (library := find_library(tmp_path)) is None:
        pytest.skip("libfaketime is for x86-64 Linux")
    clock = tmp_path / "clock"
    clock.write_text("+0")
    ring("sync.tasks.keep_house", seconds=-60, times=1440)
    ring()

    with under_clock(WORKER, library, clock):
        wait_for(Heartbeat.objects.filter(name="worker").exists)

    assert bells.llen("console") == 0
    assert not Heartbeat.objects.filter(name="housekeeping").exists()
