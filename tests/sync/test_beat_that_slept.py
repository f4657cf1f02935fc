"""Beat sleeps for a day (a closed lid, a paused machine): each job is rung once when it wakes, and at once."""

from __future__ import annotations

import datetime as dt
import heapq
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from celery.beat import event_t
from django.utils import timezone
from django_celery_beat import utils as beat_utils
from django_celery_beat.models import PeriodicTask, PeriodicTasks

from billing_console import fitness
from billing_console.celery import app
from sync import schedule
from sync.beat import DatedEntry
from tests.clocks import own_clock
from tests.sync.test_future_times import Listening, beat

DAY, HOUR, MINUTE = dt.timedelta(days=1), dt.timedelta(hours=1), dt.timedelta(minutes=1)


@pytest.fixture
def jobs(settings: Any, transactional_db: None) -> Iterator[Counter[str]]:
    """All jobs of production, each to be rung once."""
    fitness.forget()
    settings.TICK_SECONDS, settings.SWEEP_SECONDS, settings.POLL_SECONDS = 60.0, 300.0, 600.0
    settings.BREAKER_PROBE_SECONDS = 30.0
    PeriodicTask.objects.all().delete()
    schedule.set_up()
    yield Counter(PeriodicTask.objects.filter(interval__isnull=False).values_list("task", flat=True))
    fitness.forget()


def rung(listening: Listening, seconds: float = 1.0) -> Counter[str]:
    listening.listen(seconds)
    return Counter(task for task in listening.rung if task != "celery.backend_cleanup")


def sleep(listening: Listening, span: dt.timedelta) -> None:
    """What the memory of beat looks like when it wakes: all that it noted is so long ago."""
    for event in listening._heap:
        event.entry.model.last_run_at -= span
        event.entry.last_run_at = event.entry.model.last_run_at
    listening._heap = [
        event_t(event.time - span.total_seconds(), event.priority, event.entry) for event in listening._heap
    ]
    heapq.heapify(listening._heap)


@pytest.mark.parametrize("span", [DAY + MINUTE, 31 * DAY])
def test_it_rings_each_job_once_when_it_wakes_and_then_as_ever(jobs: Counter[str], span: dt.timedelta) -> None:
    PeriodicTask.objects.update(last_run_at=timezone.now())
    listening = beat()
    assert rung(listening, 0.3) == Counter()

    sleep(listening, span)

    assert rung(listening) == jobs
    assert rung(listening, 0.5) == Counter()
    listening.sync()
    assert not PeriodicTask.objects.filter(interval__isnull=False, last_run_at__lt=timezone.now() - MINUTE).exists()


def test_a_beat_that_was_dead_for_a_day_rings_each_job_once(jobs: Counter[str]) -> None:
    """Also what is done once a night: after waking, not at the next night."""
    PeriodicTask.objects.update(last_run_at=timezone.now() - DAY - MINUTE)
    PeriodicTasks.update_changed()

    assert rung(beat()) == jobs


def test_what_is_done_once_a_day_is_not_done_again_after_an_hour(jobs: Counter[str]) -> None:
    PeriodicTask.objects.update(last_run_at=timezone.now() - HOUR)
    daily = set(PeriodicTask.objects.filter(interval__every=86400).values_list("task", flat=True))
    assert len(daily) == 3

    assert rung(beat()) == Counter({task: count for task, count in jobs.items() if task not in daily})


@pytest.mark.parametrize(
    "now",
    [
        dt.datetime(2026, 10, 25, 1, 30, tzinfo=dt.UTC),  # summer time ended half an hour ago
        dt.datetime(2027, 3, 28, 1, 30, tzinfo=dt.UTC),  # it began half an hour ago
        dt.datetime(2028, 2, 29, 23, 30, tzinfo=dt.UTC),
        dt.datetime(2026, 12, 31, 23, 30, tzinfo=dt.UTC),
    ],
)
def test_a_day_is_24_hours_over_a_change_of_summer_time_and_a_months_end(
    jobs: Counter[str], monkeypatch: pytest.MonkeyPatch, now: dt.datetime
) -> None:
    row = PeriodicTask.objects.get(task="sync.tasks.keep_house")
    monkeypatch.setattr(timezone, "now", lambda: now)
    monkeypatch.setattr(beat_utils, "timezone", timezone)
    for ago, is_due in ((DAY - MINUTE, False), (DAY + MINUTE, True)):
        row.last_run_at = now - ago
        assert Listening.Entry(row, app=app).is_due().is_due is is_due


@pytest.mark.parametrize("ahead", [DAY, -DAY])
def test_a_beat_whose_clock_is_wrong_rings_on_and_notes_postgresqls_time(
    jobs: Counter[str], monkeypatch: pytest.MonkeyPatch, ahead: dt.timedelta
) -> None:
    monkeypatch.setattr(DatedEntry, "_default_now", lambda entry: timezone.now())
    PeriodicTask.objects.update(last_run_at=timezone.now() - 2 * MINUTE)
    frequent = Counter(PeriodicTask.objects.filter(interval__every__lte=60).values_list("task", flat=True))
    before = timezone.now()

    with own_clock(ahead):
        listening = beat()
        assert rung(listening) == frequent  # nothing that is done once a day
        listening.sync()
        # A bell is worth something for who hears it.
        assert abs(app.now() - (dt.datetime.now(dt.UTC) - ahead)) < MINUTE

    noted = PeriodicTask.objects.filter(interval__every__lte=60)
    assert not noted.exclude(last_run_at__range=(before - MINUTE, timezone.now())).exists()
