"""Whether this process may do any work: does its clock agree with PostgreSQL's, and are the tables those of its code?

Asked in one statement, by whoever begins something: each task of a worker, each form of the web, each command. A
process that is not fit does nothing and says why; all others go on. Real clocks are compared, never the business clock.
"""

from __future__ import annotations

import datetime as dt
import logging
import os
import socket
import threading
import time
from dataclasses import dataclass
from typing import Final

from django.db import ProgrammingError, connection
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from billing_console import tables

logger = logging.getLogger(__name__)

BOUND: Final = dt.timedelta(seconds=60)  # so far the clock of a process may be from PostgreSQL's
BEAT: Final = "beat"
COMMAND: Final = "command"
_LOOK: Final = """
    SELECT clock_timestamp(), pg_try_advisory_xact_lock_shared(%s), count(*), max(id) FROM django_migrations
"""


@dataclass(frozen=True)
class Look:
    """What a process found of itself: how far its clock is ahead of PostgreSQL's, and why its tables are not there.

    `is_changing`: somebody changes the tables, or waits until nobody works any more.
    """

    ahead: dt.timedelta
    tables: str
    is_changing: bool = False

    @property
    def clock(self) -> str:
        """What is wrong with the clock and what to do; "" where it is right."""
        if abs(self.ahead) <= BOUND:
            return ""
        words = {"process": name(), "span": _span(self.ahead)}
        sentence = (
            _("The clock of %(process)s is %(span)s ahead of PostgreSQL's.")
            if self.ahead > dt.timedelta()
            else _("The clock of %(process)s is %(span)s behind PostgreSQL's.")
        )
        what = (
            _("It rings by PostgreSQL's until they agree: let both machines take their time from the network.")
            if kind() == BEAT
            else _("It does nothing until they agree: let both machines take their time from the network.")
        )
        return f"{sentence % words} {what}"

    @property
    def why_idle(self) -> str:
        """Why this process does nothing; "" where it works."""
        return self.clock or self.tables


class _Own:
    """What this process knows of itself. Shared by its threads."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.kind = COMMAND
        self.begun = 0
        self.looked_at = float("-inf")
        self.look = Look(dt.timedelta(), "")
        self.judged: tuple[object, str] = (None, "")


_own = _Own()


def name(kind: str = "", host: str = "", pid: int = 0) -> str:
    """A process as a person finds it: what it is, its machine and its number; without arguments this one."""
    return f"{kind or _own.kind} ({host or socket.gethostname()}, {_('process')} {pid or os.getpid()})"


def is_a(kind: str) -> None:
    """Say what this process is: web, worker or beat. A command needs not say so."""
    _own.kind = kind


def kind() -> str:
    """What this process is."""
    return _own.kind


def begun() -> int:
    """How many steps this process has begun and not ended."""
    return _own.begun


def seen() -> Look:
    """The last look; of a process that has not looked yet, that all is well. Asks nobody."""
    return _own.look


def look(*, at_most_old: float = 0.0) -> Look:
    """Ask PostgreSQL, unless that was done within the last `at_most_old` seconds. Raises DatabaseError."""
    if time.monotonic() - _own.looked_at <= at_most_old:
        return _own.look
    found = _ask()
    if found.why_idle != _own.look.why_idle:
        logger.log(logging.ERROR if found.why_idle else logging.INFO, "%s", found.why_idle or "all is well again")
    _own.look, _own.looked_at = found, time.monotonic()
    return found


def _ask() -> Look:
    before = time.time()
    try:
        with connection.cursor() as cursor:
            cursor.execute(_LOOK, [tables.LOCK_KEY])
            now, is_free, *state = cursor.fetchone()
    except ProgrammingError:
        return Look(dt.timedelta(), _("The database has no tables yet. Run `manage.py prepare`."))
    ahead = _ahead(before, now.timestamp(), time.time())
    if not is_free:
        return Look(ahead, _("The tables are being changed by a newer version; that takes a moment."), True)
    if _own.judged[0] != state:  # nothing was migrated since
        _own.judged = (state, tables.why_not_ours())
    return Look(ahead, _own.judged[1])


def _ahead(before: float, theirs: float, after: float) -> dt.timedelta:
    """How far our clock is ahead at least: how long the question took is nobody's fault."""
    return dt.timedelta(seconds=before - theirs if before > theirs else min(after - theirs, 0.0))


def begin() -> str:
    """Begin a step, if this process may; returns why it may not, "" where it began. Raises DatabaseError.

    Whoever began calls `end`. Who changes the tables waits until all have.
    """
    with _own.lock:
        _own.begun += 1
    why = "no answer"
    try:
        why = look().why_idle
    finally:
        if why:
            end()
    return why


def end() -> None:
    """The step is done."""
    with _own.lock:
        _own.begun -= 1


def forget() -> None:
    """Look anew next time, as a process that has just started."""
    global _own
    own = _Own()
    own.kind, _own = _own.kind, own


def _span(span: dt.timedelta) -> str:
    minutes = round(abs(span).total_seconds() / 60)
    if minutes < 120:
        return ngettext("%(count)d minute", "%(count)d minutes", minutes) % {"count": minutes}
    hours = round(minutes / 60)
    if hours < 48:
        return ngettext("%(count)d hour", "%(count)d hours", hours) % {"count": hours}
    return ngettext("%(count)d day", "%(count)d days", round(hours / 24)) % {"count": round(hours / 24)}
