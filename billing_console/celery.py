"""The Celery application: the doorbell, never the inbox (design: The database is the inbox)."""

from __future__ import annotations

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "billing_console.settings")

app = Celery("billing_console")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
