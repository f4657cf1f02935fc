"""The clock of this machine went back: what was noted of the later time would stand for "just now" until that comes.

A machine boots with its hardware clock in local time, works for some minutes, and is set right by the network. Whoever
asks "was this done within a minute?" then hears yes for an hour. Seen by a heartbeat or a schedule that lies in the
future of PostgreSQL; set right by whoever sees it, beat and every look of `watch`. All times are PostgreSQL's.
"""

from __future__ import annotations

import datetime as dt
import logging
from typing import Final

from django.apps import apps
from django.conf import settings
from django.db import connection
from django.db.models import DateTimeField, ExpressionWrapper, F, Max, Model, Value
from django.db.models.functions import Greatest, Least
from django.utils.translation import gettext as _
from django_celery_beat.models import PeriodicTask

from billing_console import clock
from sync import heartbeats
from sync.models import Alarm, DoctorCheck, Heartbeat, ProjectSweep, TaigaAttributes, UpstreamGate, UpstreamPin

logger = logging.getLogger(__name__)

MARGIN: Final = heartbeats.AHEAD
_APPS: Final = ("mappings", "sync", "invoicing")
# When something was done, from which is reckoned when it is done next. Whole names, or of any model of ours.
_DONE: Final[tuple[tuple[type[Model], tuple[str, ...]], ...]] = (
    (PeriodicTask, ("last_run_at",)),
    (ProjectSweep, ("census_at", "succeeded_at", "heard_at")),
    (UpstreamPin, ("checked_at",)),
    (UpstreamGate, ("open_since", "paused_at")),
    (DoctorCheck, ("checked_at", "tried_at")),
    (TaigaAttributes, ("read_at",)),
    (Alarm, ("raised_at",)),
)
_DONE_NAMES: Final = ("refreshed_at", "called_at", "finished_at")
_BUSINESS: Final = ("started_at", "finished_at", "counted_at")  # of a sweep


def set_right() -> dt.timedelta | None:
    """Look whether our clock went back and, if it did, set what lies in the future to now; returns how far at least.

    What waits for a time (a lease, a pause, the next try) waits as much shorter, but never less than it would from now:
    what is in flight is left alone for as long as ever. Safe to run by many at once; may raise OperationalError.
    """
    now = _present()
    newest = [
        Heartbeat.objects.aggregate(at=Max("at"))["at"],
        PeriodicTask.objects.aggregate(at=Max("last_run_at"))["at"],
    ]
    step = max((at - now for at in newest if at is not None), default=dt.timedelta())
    if step <= MARGIN:
        return None
    for model, columns in _DONE:
        _to_now(model, columns, now)
    for model in _ours():
        names = {field.name for field in model._meta.concrete_fields}
        if model is not ProjectSweep:
            _to_now(model, [name for name in _DONE_NAMES if name in names], now)
        for name, least in _waits():
            if name in names:
                _shorten(model, name, step, now, least)
    _to_now(ProjectSweep, _BUSINESS, clock.now())
    sentence = _(
        "The clock of this machine went back by %(minutes)s minutes or more. What was noted of the later time was set "
        "to now, and everything goes on. Let the machine take its time from the network, and keep its hardware clock "
        "in UTC."
    ) % {"minutes": max(1, round(step.total_seconds() / 60))}
    heartbeats.note_failure(heartbeats.CLOCK, sentence)
    # The heartbeats last: whoever dies on the way leaves the rest to the next look.
    _to_now(Heartbeat, ("at",), now)
    logger.error("%s", sentence)
    return step


def _present() -> dt.datetime:
    """PostgreSQL's: the clock of a process alone says nothing about what others noted, and ends nobody's lease."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        present: dt.datetime = cursor.fetchone()[0]
    return present


def _ours() -> list[type[Model]]:
    return [model for app in _APPS for model in apps.get_app_config(app).get_models()]


def _waits() -> tuple[tuple[str, dt.timedelta], ...]:
    """Columns of what waits until a time, and for how long at least from now."""
    lease = dt.timedelta(seconds=max(settings.LEASE_SECONDS, settings.CALL_DEADLINE_SECONDS * 2))
    return (
        ("lease_until", lease),
        ("reading_until", lease),
        ("not_before", dt.timedelta(seconds=settings.LOOK_UP_AFTER_SECONDS)),
        ("resume_at", dt.timedelta()),
    )


def _to_now(model: type[Model], columns: tuple[str, ...] | list[str], now: dt.datetime) -> None:
    for name in columns:
        if isinstance(model._meta.get_field(name), DateTimeField):
            model._default_manager.filter(**{f"{name}__gt": now}).update(**{name: now})


def _shorten(model: type[Model], name: str, step: dt.timedelta, now: dt.datetime, least: dt.timedelta) -> None:
    shorter = ExpressionWrapper(F(name) - Value(step), DateTimeField())
    rows = model._default_manager.filter(**{f"{name}__gt": now + least})
    rows.update(**{name: Least(F(name), Greatest(shorter, Value(now + least)))})
