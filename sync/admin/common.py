"""What the admins of the sync share: rights, a row by its id as text, a moment in the office's zone."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _t

from billing_console import formats
from billing_console.errors import ConsoleError

WORK = "sync.work_timeentry"
ADMINISTER = "sync.change_upstreampin"


def find_row(model: type[Model], object_id: str) -> Any:
    """The row whose id stands in the address. Raises ConsoleError when there is none."""
    row = model._default_manager.filter(pk=object_id).first() if str(object_id).isdecimal() else None  # type: ignore[misc]
    if row is None:
        raise ConsoleError(_t("This row is gone. Reload the list."))
    return row


def act_on_each(request: HttpRequest, rows: QuerySet[Any], act: Callable[..., None]) -> int:
    """Do `act(row, user=…)` with each of the selected rows and return with how many; what it refuses is said."""
    done = 0
    for row in rows:
        try:
            act(row, user=request.user)
            done += 1
        except ConsoleError as error:
            messages.warning(request, f"{row}: {error.sentence}")
    return done


def moment(instant: dt.datetime | None) -> str:
    """Date and time in BILLING_TIMEZONE."""
    return formats.moment(instant, settings.BILLING_TIMEZONE)
