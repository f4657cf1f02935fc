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


def ring() -> None:
    """As beat does: the bell is worth something for two minutes."""
    url = f"{os.environ['REDIS_URL'].replace('unix://', 'redis+socket://', 1)}?virtual_host=9"
    with current_app.connection_for_write(url) as broker:
        current_app.send_task("sync.tasks.beat", connection=broker, queue="console", expires=120)


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
