"""Beat, on a machine whose clock may go back: what it rang "in the future" was rung just now.

django-celery-beat reckons from `last_run_at`, and beat keeps in memory at what time each entry is next looked at. Both
lie an hour ahead after the clock went back an hour, and nothing is rung until it comes again.
"""

from __future__ import annotations

import logging
from typing import Any

from django.db import DatabaseError, InterfaceError, close_old_connections
from django.utils import timezone
from django_celery_beat.schedulers import DatabaseScheduler

from sync import future_times

logger = logging.getLogger(__name__)


class SteadyScheduler(DatabaseScheduler):
    """The scheduler of the database, which looks before each round whether the clock went back."""

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Ring what is due; returns the seconds until the next look (Celery's `Scheduler.tick`)."""
        self._set_right()
        seconds: float = super().tick(*args, **kwargs)
        return seconds

    def _set_right(self) -> None:
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
