"""The clock of the machine goes back an hour: beat rings, and what waited for the later time goes on."""

from __future__ import annotations

import datetime as dt
import heapq
import time
from typing import Any

import pytest
from celery.beat import event_t
from django.utils import timezone
from django_celery_beat.models import PeriodicTask, PeriodicTasks

from billing_console.celery import app
from billing_console.states import RecordState
from invoicing import machine_health, work_numbers
from sync import future_times, heartbeats, push, schedule, sweep, tasks
from sync.beat import SteadyScheduler
from sync.models import DoctorCheck, Heartbeat, ProjectSweep, RemoteRecord, UpstreamGate, UpstreamPin, WorkItem
from tests.outbound import claimed
from tests.standins import World

HOUR, MINUTE = dt.timedelta(hours=1), dt.timedelta(minutes=1)


class Listening(SteadyScheduler):
    """Beat, of which we hear what it rings; nobody answers."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.rung: list[str] = []
        super().__init__(*args, **kwargs)

    def apply_entry(self, entry: Any, producer: Any = None) -> None:
        self.rung.append(entry.task)

    def listen(self, seconds: float) -> set[str]:
        """What is rung within `seconds`."""
        self.rung.clear()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(min(self.tick(), 0.05))
        return set(self.rung)


@pytest.fixture
def each_second(settings: Any, transactional_db: None) -> set[str]:
    """The tasks that beat rings each second, just set up."""
    for name in ("TICK_SECONDS", "SWEEP_SECONDS", "POLL_SECONDS", "BREAKER_PROBE_SECONDS"):
        setattr(settings, name, 1.0)
    PeriodicTask.objects.all().delete()
    schedule.set_up()
    return set(PeriodicTask.objects.filter(interval__every=1).values_list("task", flat=True))


def beat() -> Listening:
    return Listening(app=app, lazy=True)


def test_beat_rings_after_a_restart_with_times_that_have_not_come(each_second: set[str]) -> None:
    PeriodicTask.objects.update(last_run_at=timezone.now() + HOUR)
    PeriodicTasks.update_changed()

    assert beat().listen(1.6) == each_second


def test_beat_rings_on_after_the_clock_went_back_under_it(each_second: set[str]) -> None:
    PeriodicTask.objects.update(last_run_at=timezone.now() - 2 * MINUTE)
    running = beat()
    assert running.listen(0.5) >= each_second
    # What its memory looks like then: all that it noted lies an hour ahead.
    for event in running._heap:
        event.entry.model.last_run_at += HOUR
        event.entry.last_run_at += HOUR
    running._heap = [event_t(event.time + 3600, event.priority, event.entry) for event in running._heap]
    heapq.heapify(running._heap)

    assert running.listen(1.6) == each_second

    running.sync()
    assert PeriodicTask.objects.filter(last_run_at__gt=timezone.now()).count() == 0


def test_times_that_have_not_come_are_set_to_now_and_said(world: World) -> None:
    task = world.add_task("A task", billable=True, hours=1)
    world.read(task)
    sweep.sweep_project(world.mapping)
    push.push_due()
    ahead = timezone.now() + HOUR
    for name in ("worker", "sweep", "payments"):
        heartbeats.note(name)
    Heartbeat.objects.update(at=ahead)
    ProjectSweep.objects.update(census_at=ahead, succeeded_at=ahead)
    UpstreamPin.objects.update(checked_at=ahead)
    UpstreamGate.objects.update(resume_at=ahead)
    DoctorCheck.objects.create(key="machine", tried_at=ahead)
    assert not heartbeats.is_alive("worker", MINUTE)
    before = timezone.now()

    tasks.watch()

    now = timezone.now()
    assert before <= Heartbeat.objects.get(name="worker").at <= now
    assert before <= ProjectSweep.objects.get().census_at <= now  # type: ignore[operator]
    assert before <= UpstreamPin.objects.earliest("id").checked_at <= now  # type: ignore[operator]
    assert before <= DoctorCheck.objects.get(key="machine").tried_at <= now  # type: ignore[operator]
    assert UpstreamGate.objects.earliest("id").resume_at <= now  # type: ignore[operator]
    said = "The clock of this machine went back by 60 minutes or more."
    checks = machine_health.live_checks(work_numbers.machine(), None, 0, "UTC")
    assert [check.state for check in checks if said in check.sentence] == ["warning"]
    assert future_times.set_right() is None


def test_what_is_in_flight_is_left_alone_as_long_as_ever_and_what_waits_not_for_an_hour_more(
    world: World, settings: Any
) -> None:
    settings.LOOK_UP_AFTER_SECONDS, settings.LEASE_SECONDS = 600.0, 300.0
    world.read(world.add_task("A task", billable=True, hours=1))
    record = claimed("task").record
    now = timezone.now()
    RemoteRecord.objects.filter(pk=record.pk).update(lease_until=now + HOUR + 5 * MINUTE)
    WorkItem.objects.update(not_before=now + HOUR + 20 * MINUTE, reading_until=now + 2 * MINUTE)
    heartbeats.note("worker")
    Heartbeat.objects.update(at=now + HOUR)

    step = future_times.set_right()

    assert step is not None
    assert HOUR - MINUTE < step <= HOUR
    row, item = RemoteRecord.objects.get(pk=record.pk), WorkItem.objects.get()
    assert row.state == RecordState.IN_FLIGHT
    assert now + 5 * MINUTE <= row.lease_until <= now + 6 * MINUTE  # type: ignore[operator]
    assert now + 20 * MINUTE <= item.not_before <= now + 21 * MINUTE  # type: ignore[operator]
    assert item.reading_until == now + 2 * MINUTE


@pytest.mark.django_db
@pytest.mark.parametrize("seconds", [0, 10, -3600])
def test_two_machines_with_clocks_a_little_apart_are_no_fault(seconds: int) -> None:
    at = timezone.now() + dt.timedelta(seconds=seconds)
    Heartbeat.objects.create(name="worker", at=at)

    assert future_times.set_right() is None
    assert Heartbeat.objects.get().at == at
