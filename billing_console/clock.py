"""Business time: today, periods, invoice dates, what is overdue, which run is due.

With ENVIRONMENT=sandbox it follows the stand-ins' clock, which they keep in a small file, in web, worker and
beat alike. Leases, time-outs and back-off never use this clock but `django.utils.timezone.now`.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

from django.conf import settings

_override: dt.datetime | None = None


def now() -> dt.datetime:
    """The business instant, aware, in UTC."""
    if _override is not None:
        return _override
    real = dt.datetime.now(dt.UTC)
    if settings.ENVIRONMENT != "sandbox" or not settings.SANDBOX_CLOCK_FILE:
        return real
    try:
        setting = json.loads(Path(settings.SANDBOX_CLOCK_FILE).read_text())
    except FileNotFoundError:
        return real  # the stand-ins have not been set: they run on real time too
    if frozen := setting.get("frozen"):
        return dt.datetime.fromisoformat(frozen).astimezone(dt.UTC)
    return real + dt.timedelta(seconds=float(setting.get("offset_seconds", 0)))


def today(zone: str) -> dt.date:
    """The business date in the IANA zone `zone`."""
    return now().astimezone(ZoneInfo(zone)).date()


def local_date(instant: dt.datetime, zone: str) -> dt.date:
    """The date of `instant` (aware) in the IANA zone `zone`."""
    return instant.astimezone(ZoneInfo(zone)).date()


def date_of(instant: dt.datetime, zone: str) -> dt.date:
    """The business date, in the IANA zone `zone`, on which the real time `instant` (aware) was; today at the latest."""
    since = max(dt.datetime.now(dt.UTC) - instant, dt.timedelta())
    return local_date(now() - since, zone)


@contextlib.contextmanager
def set_to(instant: dt.datetime) -> Iterator[None]:
    """For tests: business time stands still at `instant` (aware) inside the block, in this process."""
    global _override
    before, _override = _override, instant.astimezone(dt.UTC)
    try:
        yield
    finally:
        _override = before
