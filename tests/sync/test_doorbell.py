from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from celery import current_app
from django.utils import timezone

from sync import doorbell, fan_out
from sync.models import Heartbeat


@pytest.fixture
def broker(settings: Any) -> Iterator[Any]:
    """A broker in this process; its queue is read as a worker reads it."""
    settings.DOORBELL_ENABLED = True
    before = current_app.conf.broker_url
    current_app.conf.broker_url = "memory://"
    connection = current_app.connection_for_read()
    queue = connection.SimpleQueue(current_app.conf.task_default_queue)
    queue.clear()
    yield queue
    queue.close()
    connection.release()
    current_app.conf.broker_url = before


def heard(queue: Any, wait: float = 3.0) -> list[str]:
    """Names of the tasks that arrive until nothing came for a second."""
    names: list[str] = []
    until = time.monotonic() + wait
    while time.monotonic() < until:
        try:
            message = queue.get(timeout=1)
        except queue.Empty:
            if names:
                break
            continue
        message.ack()
        names.append(message.headers["task"])
    return names


def test_every_bell_names_a_task_that_exists() -> None:
    import invoicing.tasks
    import sync.tasks

    for name in doorbell.TASKS.values():
        module, _dot, function = name.rpartition(".")
        assert hasattr({"sync.tasks": sync.tasks, "invoicing.tasks": invoicing.tasks}[module], function)


def test_a_bell_without_a_thread_raises_nothing_and_rings_with_the_next(
    broker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(doorbell, "_ringer", None)
    with monkeypatch.context() as without:
        without.setattr(threading.Thread, "start", start)
        doorbell.ring("push")
    doorbell.ring("writeback")

    assert sorted(heard(broker)) == ["sync.tasks.push_tasks", "sync.tasks.write_statuses"]


def test_a_hundred_rings_are_one_task(broker: Any) -> None:
    for _ring in range(100):
        doorbell.ring("push")
    doorbell.ring("writeback")

    names = heard(broker)

    assert sorted(set(names)) == ["sync.tasks.push_tasks", "sync.tasks.write_statuses"]
    assert names.count("sync.tasks.push_tasks") <= 2  # one at once, one after the pause


def test_an_unknown_bell_is_a_mistake_of_ours() -> None:
    with pytest.raises(ValueError, match="no bell"):
        doorbell.ring("church")


def test_ringing_costs_nothing_where_it_is_switched_off(settings: Any) -> None:
    settings.DOORBELL_ENABLED = False
    doorbell._waiting.clear()
    doorbell.ring("push")
    assert doorbell._waiting == set()


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1/0", "redis+socket:///nowhere/redis.sock"])
def test_a_broken_broker_costs_the_caller_nothing_and_is_logged(
    settings: Any, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    settings.DOORBELL_ENABLED = True
    before = current_app.conf.broker_url
    current_app.conf.broker_url = url
    try:
        began = time.monotonic()
        doorbell.ring("push")
        took = time.monotonic() - began
        until = time.monotonic() + 5
        while "did not ring" not in caplog.text and time.monotonic() < until:
            time.sleep(0.05)
    finally:
        current_app.conf.broker_url = before
    assert took < 0.1
    assert "the doorbell did not ring (push)" in caplog.text
    assert "beat will find the rows" in caplog.text


def test_the_ringer_lives_on_after_a_failure(broker: Any) -> None:
    current_app.conf.broker_url = "redis://127.0.0.1:1/0"
    doorbell.ring("sweep")
    time.sleep(1.2)
    current_app.conf.broker_url = "memory://"

    doorbell.ring("push")

    assert heard(broker) == ["sync.tasks.push_tasks"]


def test_a_dead_ringer_is_replaced(broker: Any) -> None:
    doorbell.ring("push")
    assert heard(broker) == ["sync.tasks.push_tasks"]
    alive = doorbell._ringer
    doorbell._ringer = None  # as after a fork: threads do not survive one

    doorbell.ring("payments")

    assert doorbell._ringer is not alive
    assert heard(broker) == ["invoicing.tasks.poll_payments"]


def test_a_thread_keeps_its_connection_and_replaces_one_that_broke(
    broker: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    doorbell._drop()
    doorbell.call_helpers("push", 1)
    kept = doorbell._kept.connection
    doorbell.call_helpers("push", 1)
    assert doorbell._kept.connection is kept
    assert heard(broker, 1.5) == ["sync.tasks.push_tasks"] * 2
    real, failures = current_app.send_task, [ConnectionError("Redis was restarted")]

    def send(*args: Any, **more: Any) -> Any:
        if failures:
            raise failures.pop()
        return real(*args, **more)

    monkeypatch.setattr(current_app, "send_task", send)
    doorbell.call_helpers("push", 1)

    assert heard(broker, 1.5) == ["sync.tasks.push_tasks"]
    assert doorbell._kept.connection not in (None, kept)
    assert caplog.records == []


def test_a_broker_that_is_down_is_tried_twice_at_most_and_said_once(
    broker: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    doorbell._drop()
    doorbell.call_helpers("push", 1)
    tried: list[str] = []

    def fail(name: str, **more: Any) -> Any:
        tried.append(name)
        raise ConnectionError("nobody listens")

    monkeypatch.setattr(current_app, "send_task", fail)
    doorbell.call_helpers("push", 1)
    assert len(tried) == 2
    doorbell.call_helpers("push", 1)

    assert len(tried) == 3  # there was no connection that could have been stale
    assert doorbell._kept.connection is None
    assert ["the doorbell did not ring (push)" in record.getMessage() for record in caplog.records] == [True, True]


def test_helpers_come_at_once_and_call_nobody(broker: Any) -> None:
    doorbell.call_helpers("push", 3)

    assert heard(broker, 1.5) == ["sync.tasks.push_tasks"] * 3


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """The helpers that are called."""
    calls: list[tuple[str, int]] = []
    monkeypatch.setattr(doorbell, "call_helpers", lambda bell, count: calls.append((bell, count)))
    return calls


def drain(waiting: int, hands: int, *, done: int = 0, is_helper: bool = False, most: int = 11) -> int:
    """Drain a queue of so many rows beside so many hands; returns how many rows this one did."""
    rows = [Heartbeat(name=f"{number}", at=timezone.now()) for number in range(waiting + hands)]
    Heartbeat.objects.bulk_create(rows)
    due = Heartbeat.objects.filter(name__in=[row.name for row in rows[:waiting]])
    busy = Heartbeat.objects.filter(name__in=[row.name for row in rows[waiting:]])
    return fan_out.drain_together("push", lambda: done, due, busy=busy, is_helper=is_helper, most=most)


@pytest.mark.parametrize(
    ("waiting", "hands", "called"),
    [(3, 0, 0), (4, 0, 1), (11, 0, 2), (500, 0, 11), (500, 4, 7), (500, 11, 0), (500, 30, 0), (11, 10, 1)],
)
@pytest.mark.django_db
def test_long_queues_call_helpers_beside_the_hands_at_work(
    calls: list[tuple[str, int]], waiting: int, hands: int, called: int
) -> None:
    assert drain(waiting, hands) == 0
    assert calls == [("push", called)]


@pytest.mark.django_db
def test_a_helper_calls_nobody(calls: list[tuple[str, int]]) -> None:
    assert drain(500, 20, done=5, is_helper=True) == 5
    assert calls == []


@pytest.mark.django_db
def test_hands_that_may_be_dead_keep_nobody_from_working(calls: list[tuple[str, int]]) -> None:
    assert drain(500, 12, done=5) == 5


@pytest.mark.django_db
def test_what_is_left_is_rung_for(calls: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch) -> None:
    rung: list[str] = []
    monkeypatch.setattr(doorbell, "ring", rung.append)

    assert drain(1, 0, done=200) == 200

    assert rung == ["push"]


@pytest.mark.django_db
def test_a_stage_that_others_wait_for_calls_few(calls: list[tuple[str, int]]) -> None:
    drain(500, 0, most=fan_out.STAGE_HELPERS)

    assert calls == [("push", 4)]
