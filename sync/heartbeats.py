"""When each part of the machine last did its work, in real time."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from sync.models import Heartbeat


def note(name: str, detail: str = "") -> None:
    """Remember that `name` (worker, sweep, payments, taiga, invoice_ninja) did its work just now."""
    Heartbeat.objects.update_or_create(name=name, defaults={"at": timezone.now(), "detail": detail})


def is_alive(name: str, within: timedelta) -> bool:
    """Whether `name` did its work within the last `within`."""
    return Heartbeat.objects.filter(name=name, at__gte=timezone.now() - within).exists()
