"""The Celery application: the doorbell, never the inbox (design: The database is the inbox)."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery
from celery.signals import beat_init, worker_shutting_down

from billing_console import stopping

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "billing_console.settings")

app = Celery("billing_console")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
worker_shutting_down.connect(stopping.begin)


@beat_init.connect
def read_lists_at_the_start(**_kwargs: Any) -> None:
    """The first start shows clients and projects at once, not when the first schedule is due. Never fails the start."""
    from sync import doorbell  # noqa: PLC0415  # the apps are loaded when beat begins, not when this is imported

    doorbell.ring("lists")
