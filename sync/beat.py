"""Beat, on a machine whose clock may go back: what it rang "in the future" was rung just now.

django-celery-beat reckons from `last_run_at`, and beat keeps in memory at what time each entry is next looked at. Both
lie an hour ahead after the clock went back an hour, and nothing is rung until it comes again. A beat whose clock alone
is wrong rings on: it does no step itself, and it dates its bells and its notes by PostgreSQL (`fitness`).
"""

from __future__ import annotations

import logging
from typing import Any

from django.db import DatabaseError, InterfaceError, close_old_connections
from django.utils import timezone
from django_celery_beat.schedulers import DatabaseScheduler, ModelEntry

from billing_console import fitness
from sync import future_times

logger = logging.getLogger(__name__)

_LOOK_SECONDS = 10.0


class DatedEntry(ModelEntry):
    """An entry whose times in the database are PostgreSQL's, however wrong the clock of beat is."""

    def save(self) -> None:
        """Write when it was rung last."""
        own = self.model.last_run_at
        self.model.last_run_at = own - fitness.seen().ahead
        try:
            super().save()
        finally:
            self.model.last_run_at = own


class SteadyScheduler(DatabaseScheduler):
    """The scheduler of the database, which looks before each round whether the clock went back."""

    Entry = DatedEntry

    def enabled_models(self) -> list[Any]:
        """What is rung, as the database has it, in times of the clock of beat."""
        models: list[Any] = super().enabled_models()
        ahead = fitness.look(at_most_old=_LOOK_SECONDS).ahead
        for model in models:
            if model.last_run_at is not None:
                model.last_run_at += ahead
            elif model.start_time is None:  # never rung: reckoned from when it was set up
                model.last_run_at = model.date_changed + ahead
        return models

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Ring what is due; returns the seconds until the next look (Celery's `Scheduler.tick`)."""
        self._set_right()
        seconds: float = super().tick(*args, **kwargs)
        return seconds

    def _set_right(self) -> None:
        # By its own clock: of that are the times in its memory.
        now = timezone.now()
        models = [entry.model for entry in self.schedule.values()]
        ahead = [model for model in models if model.last_run_at > now + future_times.MARGIN]
        if not ahead:
            return
        try:
            close_old_connections()
            future_times.set_right()
        except (DatabaseError, InterfaceError):
            logger.exception("the clock went back; what is in the database is set right by the next look")
        for model in ahead:
            model.last_run_at = now
            self._dirty.add(model.name)
        self._last_full_sync = timezone.localtime().replace(tzinfo=None)
        self._schedule = {model.name: self.Entry(model, app=self.app) for model in models}
        self._heap = None  # its times are of the clock as it was
