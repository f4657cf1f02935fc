"""A mail that was asked for days ago is not sent by itself: what the person saw then is old by now.

The console may have stood still in between: its machine slept, its schedule did not run, a server was away. The invoice
bears the date of back then, and less of its term is left (billing-rules: Terms, dates and text).
"""

from __future__ import annotations

import datetime as dt

from django.conf import settings
from django.utils.translation import gettext as _

from billing_console import clock, formats


def days_late(asked_at: dt.datetime, zone: str) -> int:
    """How many local days of the IANA zone `zone` have passed since `asked_at` (real time)."""
    return (clock.today(zone) - clock.date_of(asked_at, zone)).days


def too_late(asked_at: dt.datetime, zone: str) -> str:
    """Why a mail that was asked for then does not leave any more; "" within LATE_MAIL_DAYS."""
    if days_late(asked_at, zone) <= settings.LATE_MAIL_DAYS:
        return ""
    return _("It was asked for on %(day)s and could not leave until today, so it was not mailed. Look at it again.") % {
        "day": formats.day(clock.date_of(asked_at, zone))
    }
