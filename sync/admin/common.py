"""What the admins of the sync share: rights, and a moment in the office's zone."""

from __future__ import annotations

import datetime as dt

from django.conf import settings

from billing_console import formats

WORK = "sync.work_timeentry"
ADMINISTER = "sync.change_upstreampin"


def moment(instant: dt.datetime | None) -> str:
    """Date and time in BILLING_TIMEZONE."""
    return formats.moment(instant, settings.BILLING_TIMEZONE)
