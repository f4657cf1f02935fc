"""The Celery application: the doorbell, never the inbox (design: The database is the inbox).

A process that is not fit (`fitness`: a wrong clock, tables of another version) does no task, and a worker takes no bell
meanwhile, so that others hear them.
"""

from __future__ import annotations

import os
from datetime import datetime
from typing import Any

from celery import Celery, bootsteps
from celery import Task as CeleryTask
from celery.signals import beat_init, worker_init, worker_shutting_down

from billing_console import stopping

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "billing_console.settings")

_CHECK_SECONDS = 2.0


class Task(CeleryTask):
    """A task that a process does only while it is fit; else it returns None, and who is fit finds the rows."""

    abstract = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Do it, if this process may. Raises DatabaseError where that cannot be asked."""
        from billing_console import fitness  # noqa: PLC0415 -- the settings are loaded when a task is called

        if fitness.begin():
            return None
        try:
            return super().__call__(*args, **kwargs)
        finally:
            fitness.end()


class Console(Celery):
    """Bells are dated by PostgreSQL's clock: a beat whose own is wrong rings none that have ended already."""

    task_cls = "billing_console.celery:Task"

    def now(self) -> datetime:
        """The present, in the zone of the schedule, as PostgreSQL has it when this process last asked."""
        from billing_console import fitness  # noqa: PLC0415

        present: datetime = super().now()
        return present - fitness.seen().ahead


class Ears(bootsteps.StartStopStep):
    """A worker that is not fit takes no bell from the queue, and takes them again when it is."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, parent: Any, **kwargs: Any) -> None:
        super().__init__(parent, **kwargs)
        self._timer: Any = None
        self._is_deaf = False

    def start(self, parent: Any) -> None:
        """Look every two seconds at what the last look of this process found; asks nobody."""
        self._timer = parent.timer.call_repeatedly(_CHECK_SECONDS, self._listen, (parent,))

    def stop(self, parent: Any) -> None:
        """The connection to the broker is gone, or the worker ends."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _listen(self, consumer: Any) -> None:
        from billing_console import fitness  # noqa: PLC0415

        is_idle = bool(fitness.seen().why_idle)
        if is_idle == self._is_deaf:
            return
        self._is_deaf = is_idle
        (consumer.cancel_task_queue if is_idle else consumer.add_task_queue)(consumer.app.conf.task_default_queue)


app = Console("billing_console")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
worker_shutting_down.connect(stopping.begin)
app.steps["consumer"].add(Ears)


@worker_init.connect
def tell_of_the_worker(**_kwargs: Any) -> None:
    """From now on the worker tells every few seconds how it is."""
    from sync import presence  # noqa: PLC0415

    presence.tell_of("worker")


@beat_init.connect
def read_lists_at_the_start(**_kwargs: Any) -> None:
    """The first start shows clients and projects at once, not when the first schedule is due. Never fails the start."""
    from billing_console import fitness  # noqa: PLC0415
    from sync import doorbell, presence  # noqa: PLC0415  # the apps are loaded when beat begins, not when this is imported

    presence.tell_of(fitness.BEAT)
    doorbell.ring("lists")
