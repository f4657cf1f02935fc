"""Each process of the console tells every few seconds how it is; whoever draws a page, or changes the tables, reads it.

What a process says of itself (`fitness`) it says also where it does nothing. It compares the settings it was started
with, by keyed hashes, with those of the process that has run for longest. All times are PostgreSQL's.
"""

from __future__ import annotations

import atexit
import contextlib
import datetime as dt
import json
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.db import Error, connection
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from billing_console import fitness, settings_prints, tables
from sync.models import ConsoleProcess

logger = logging.getLogger(__name__)

EVERY_SECONDS: Final = 10.0
WAITED_FOR_SECONDS: Final = 1.0  # while somebody waits until nobody works
LIVES: Final = dt.timedelta(seconds=30)  # after this long without a word it is dead, or its machine sleeps
PATIENCE_SECONDS: Final = 120.0  # more than a call may take
_PAUSE_SECONDS: Final = 0.2
_FORGOTTEN: Final = dt.timedelta(days=1)
_TELL: Final = """
    INSERT INTO sync_consoleprocess
        (kind, host, pid, started_at, seen_at, ahead, begun, is_idle, trouble, prints)
    VALUES (%s, %s, %s, clock_timestamp(), clock_timestamp(), %s, %s, %s, %s, %s)
    ON CONFLICT (host, pid) DO UPDATE SET kind = EXCLUDED.kind, seen_at = EXCLUDED.seen_at, ahead = EXCLUDED.ahead,
        begun = EXCLUDED.begun, is_idle = EXCLUDED.is_idle, trouble = EXCLUDED.trouble, prints = EXCLUDED.prints
"""

_is_over = threading.Event()
_thread: threading.Thread | None = None
_is_known = False  # the last word of this process was written down


def live() -> QuerySet[ConsoleProcess]:
    """The processes that told of themselves within the last half minute, the oldest first."""
    return ConsoleProcess.objects.filter(seen_at__gt=Now() - LIVES).order_by("started_at", "pk")


def name_of(process: ConsoleProcess) -> str:
    """What it is, its machine and its number."""
    return fitness.name(process.kind, process.host, process.pid)


def troubles() -> dict[str, str]:
    """Each sentence that a live process says of itself, by a key that stays the same while it is so."""
    found: dict[str, str] = {}
    for process in live().exclude(trouble=""):
        for number, sentence in enumerate(process.trouble.splitlines()):
            if sentence not in found.values():
                found[f"process-{process.kind}-{process.host[:60]}-{process.pid}-{number}"] = sentence
    return found


def tell() -> None:
    """Write down how this process is. Raises DatabaseError."""
    begun, look = fitness.begun(), fitness.look()
    own: dict[str, Any] = {"host": socket.gethostname()[:255], "pid": os.getpid()}
    prints = settings_prints.prints()
    sentences = [look.clock, look.tables, *_about_settings(own, prints)]
    trouble = "\n".join(sentence for sentence in sentences if sentence)
    # How many steps are counted after the look: whoever begins one later has looked later too.
    begun = max(begun, fitness.begun())
    values = [fitness.kind(), own["host"], own["pid"], look.ahead, begun, bool(look.why_idle), trouble]
    with connection.cursor() as cursor:
        cursor.execute(_TELL, [*values, json.dumps(prints)])


def _about_settings(own: dict[str, Any], prints: dict[str, str]) -> list[str]:
    sentences = []
    if settings_prints.is_env_file_changed():
        sentence = _("Restart the console: %(file)s was changed after it was started, and it runs with the old one.")
        sentences.append(sentence % {"file": Path(settings.ENV_FILE)})
    first = live().exclude(**own).first()
    if first is None or ConsoleProcess.objects.filter(**own, started_at__lt=first.started_at).exists():
        return sentences
    is_same_machine = first.host == own["host"]
    if names := settings_prints.differing(prints, first.prints, is_same_machine=is_same_machine):
        words = {"process": fitness.name(), "names": ", ".join(names), "other": name_of(first)}
        sentence = _("Restart the console: %(process)s was started with other settings (%(names)s) than %(other)s.")
        sentences.append(sentence % words)
    return sentences


def tell_of(kind: str) -> None:
    """From now on a thread tells how this process is; `kind` is web, worker or beat. Never raises for the database."""
    global _thread
    fitness.is_a(kind)
    if _thread is None or not _thread.is_alive():
        _is_over.clear()
        _thread = threading.Thread(target=_tell_forever, name="presence", daemon=True)
        _thread.start()
        atexit.register(_say_goodbye)


def _tell_forever() -> None:
    global _is_known
    _try(_forget_old)
    while True:
        _is_known = _try(tell)
        if _is_over.wait(WAITED_FOR_SECONDS if fitness.seen().is_changing else EVERY_SECONDS):
            return


def _say_goodbye() -> None:
    _is_over.set()
    if not _is_known:  # there is no database to say it to, and nobody waits for one at the end
        return
    own = ConsoleProcess.objects.filter(host=socket.gethostname()[:255], pid=os.getpid())
    _try(own.delete)


class StillAtWork(Exception):
    """A process did not stop working in time; the text is one plain sentence."""


@contextlib.contextmanager
def nobody_works(tell: Callable[[str], Any]) -> Iterator[None]:
    """Wait until no process does anything, and let none begin anything in the block: tables are changed in it.

    Each process learns of it when it would begin something, and with its next word. `tell` says once whom we wait for.
    Holds an advisory lock of this session. Raises StillAtWork after PATIENCE_SECONDS.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [tables.LOCK_KEY])
        try:
            if ConsoleProcess._meta.db_table in connection.introspection.table_names(cursor):
                cursor.execute("SELECT clock_timestamp()")
                _wait_for_rest(cursor.fetchone()[0], tell, time.monotonic() + PATIENCE_SECONDS)
            yield
        finally:
            with contextlib.suppress(Error):  # a session that broke has lost it by itself
                cursor.execute("SELECT pg_advisory_unlock(%s)", [tables.LOCK_KEY])


def _wait_for_rest(since: dt.datetime, tell: Callable[[str], Any], until: float) -> None:
    is_told = False
    at_rest = Q(is_idle=True, begun=0, seen_at__gt=since)
    while working := list(live().exclude(at_rest)):
        names = ", ".join(sorted(map(name_of, working)))
        if time.monotonic() > until:
            raise StillAtWork(
                _("The console still works: %(names)s. Nothing was changed. Stop it, then try again.")
                % {"names": names}
            )
        if not is_told:
            tell(
                _("The tables are changed as soon as nobody works any more. Waiting for %(names)s.") % {"names": names}
            )
            is_told = True
        time.sleep(_PAUSE_SECONDS)


def _forget_old() -> None:
    # A number of a process is used again: what the last one of this number said is not ours.
    ConsoleProcess.objects.filter(seen_at__lt=Now() - _FORGOTTEN).delete()
    ConsoleProcess.objects.filter(host=socket.gethostname()[:255], pid=os.getpid()).delete()


def _try(act: Any) -> bool:
    """Without the database nobody reads it either; False then."""
    try:
        act()
        return True
    except (Error, OSError) as error:
        # A command says by itself, in one sentence, what is the matter with the database.
        level = logging.DEBUG if fitness.kind() == fitness.COMMAND else logging.WARNING
        logger.log(level, "this process could not tell how it is: %s", error)
        return False
    finally:
        with contextlib.suppress(Error):
            connection.close()
