"""Whether a server is called at all: a person's pause, the breaker, and what the server itself asked for.

A pause stops writing; reading goes on, so that what is in doubt is still looked up. The breaker opens after so many
calls in a row that were not answered sensibly, and stops every call but its own probe; an answered probe closes it, and
what waited goes on at once. No attempt of a record is used up meanwhile. All times are real time.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext as _

from billing_console.errors import ConfigError, NotAllowed, UpstreamError
from billing_console.states import RecordState
from sync import alarms, doorbell, heartbeats, rests
from sync.clients.http import Call
from sync.models import ProjectSweep, RemoteRecord, Server, UpstreamGate, WorkItem

if TYPE_CHECKING:
    from accounts.models import User

logger = logging.getLogger(__name__)

# What says that the server (or the way to it, or our login) is not well, not that one request of ours was wrong.
TROUBLE: Final = frozenset(
    {
        "DeadlineExceeded",
        "Maintenance",
        "NotJson",
        "OutcomeUnknown",
        "Redirected",
        "ServerFault",
        "Unauthorized",
        "Unreachable",
    }
)
_BELLS: Final = (
    "probe",
    "items",
    "push",
    "writeback",
    "sweep",
    "provision",
    "invoices",
    "sendings",
    "marks",
    "payments",
)


def on_migrate(**kwargs: object) -> None:
    """After the migrations: a row for each server, so that it can be paused before it was ever called."""
    for server in Server.values:
        UpstreamGate.objects.get_or_create(server=server)


def may_call(server: str) -> bool:
    """Whether `server` may be called now: its breaker is closed and no wait that it asked for is running."""
    return not UpstreamGate.objects.filter(_is_shut(), server=server).exists()


def may_write(server: str) -> bool:
    """Whether something may be written there now: it may be called, and nobody paused it."""
    return not UpstreamGate.objects.filter(Q(is_paused=True) | _is_shut(), server=server).exists()


def why_not_called(server: str) -> str:
    """Why `server` is not called now, in one sentence; "" where it may be called."""
    row = UpstreamGate.objects.filter(_is_shut(), server=server).first()
    if row is None:
        return ""
    words = {"server": Server(server).label, "why": row.sentence}
    return (_("%(server)s is not called for now. %(why)s") % words).strip()


def _is_shut() -> Q:
    return Q(open_since__isnull=False) | Q(resume_at__gt=timezone.now())


# --- a person's pause -------------------------------------------------------------------------------------------------


def pause(server: str, reason: str, *, user: User | None = None, until_reconciled: bool = False) -> None:
    """Write nothing to `server` until somebody resumes it, or with `until_reconciled` until `reconciled` is called.

    Again: the newer reason stands.
    """
    UpstreamGate.objects.update_or_create(
        server=server,
        defaults={
            "is_paused": True,
            "pause_reason": reason,
            "until_reconciled": until_reconciled,
            "paused_at": timezone.now(),
            "paused_by": user,
        },
    )
    logger.warning("writing to %s is paused: %s", server, reason)


def resume(server: str, *, user: User | None = None) -> None:
    """Write to `server` again; what waited goes on at once. Raises NotAllowed when nothing was paused."""
    rows = UpstreamGate.objects.filter(server=server, is_paused=True)
    if not rows.update(is_paused=False, pause_reason="", until_reconciled=False, paused_at=None, paused_by=None):
        raise NotAllowed(_("Writing to this server is not paused (any more)."))
    logger.warning("writing to %s goes on, by %s", server, user or "the console")
    _ring()


def reconciled() -> bool:
    """The books balance: end the pauses that waited for that; True when there were any."""
    waiting = list(UpstreamGate.objects.filter(is_paused=True, until_reconciled=True).values_list("server", flat=True))
    for server in waiting:
        resume(server)
    return bool(waiting)


# --- what a server asked for ------------------------------------------------------------------------------------------


def ask_now(server: str, *, user: User | None = None) -> None:
    """Call `server` again at once, and what waits for it. Raises NotAllowed when it is not left alone (any more)."""
    with transaction.atomic():
        shut = UpstreamGate.objects.filter(_is_shut(), server=server)
        if not shut.update(resume_at=timezone.now()):  # of an open breaker: its probe is due
            raise NotAllowed(_("This server is not left alone (any more)."))
        _make_due(server)
    logger.warning("%s is asked again before its pause is over, by %s", server, user or "the console")
    _ring()


# --- the breaker ------------------------------------------------------------------------------------------------------


def is_answered(call: Call) -> bool:
    """Whether the server answered sensibly, be it a no: a sign of life. What we did not wait for is none."""
    return call.status is not None and call.error not in TROUBLE and call.error != "Throttled"


def note_call(call: Call, *, failures: int) -> None:
    """Count what became of a call; opens the breaker after too many failures in a row. Never raises for the call's.

    `failures` is what the gate of its server counted before it, rests included.
    """
    if call.error == "Throttled":
        heartbeats.note_failure(call.upstream, rests.begin(call.upstream, call.wait_seconds))
    elif call.error in TROUBLE:
        _count_failure(call)
    elif failures and is_answered(call):
        UpstreamGate.objects.filter(server=call.upstream, failures__gt=0, open_since__isnull=True).update(failures=0)
        rests.end(call.upstream)
        heartbeats.note(call.upstream)


def _count_failure(call: Call) -> None:
    server = call.upstream
    gate, _is_new = UpstreamGate.objects.get_or_create(server=server)
    UpstreamGate.objects.filter(pk=gate.pk).update(failures=F("failures") + 1)
    words = {
        "count": gate.failures + 1,
        "error": call.error,
        "status": f" (HTTP {call.status})" if call.status else "",
    }
    sentence = _("%(count)d calls in a row failed, the last one with %(error)s%(status)s.") % words
    heartbeats.note_failure(server, _("The last call failed with %(error)s%(status)s.") % words)
    opened = UpstreamGate.objects.filter(
        pk=gate.pk, open_since__isnull=True, failures__gte=settings.BREAKER_FAILURES
    ).update(open_since=timezone.now(), resume_at=_next_probe(), sentence=sentence)
    if opened:
        logger.error("%s is not called any more: %s", server, sentence)
        alarms.raise_alarm(
            f"breaker-{server}",
            _("%(server)s does not answer as it should. %(what)s Nothing is lost: what waits goes on when it answers.")
            % {"server": Server(server).label, "what": sentence},
            url_name="admin:sync_upstreamgate_changelist",
        )


def probe_due() -> int:
    """Ask each server whose breaker is open and whose next probe is due; returns how many answered again."""
    closed = 0
    due = UpstreamGate.objects.filter(Q(resume_at__isnull=True) | Q(resume_at__lte=timezone.now()))
    for gate in due.filter(open_since__isnull=False):
        # Moving the time is the claim: two workers do not probe the same server at once.
        claimed = UpstreamGate.objects.filter(pk=gate.pk, resume_at=gate.resume_at, open_since__isnull=False)
        if claimed.update(resume_at=_next_probe()) and _answers(gate.server):
            closed += _close(gate)
    return closed


def _answers(server: str) -> bool:
    from sync import upstreams  # noqa: PLC0415 -- its clients report to this module

    try:
        if server == Server.TAIGA:
            upstreams.taiga_client().me()
        else:
            upstreams.ninja_client().ping()
    except (UpstreamError, ConfigError) as error:
        UpstreamGate.objects.filter(server=server).update(sentence=error.sentence)
        return False
    return True


def _close(gate: UpstreamGate) -> bool:
    """The server answers again: whatever waits for it is due now."""
    with transaction.atomic():
        rows = UpstreamGate.objects.filter(pk=gate.pk, open_since__isnull=False)
        if not rows.update(open_since=None, resume_at=None, failures=0, sentence=""):
            return False
        _make_due(gate.server)
        if gate.server == Server.TAIGA:
            ProjectSweep.objects.update(census_wanted=True)  # whatever was changed meanwhile is found at once
    alarms.clear(f"breaker-{gate.server}")
    logger.warning("%s answers again and is called again", gate.server)
    _ring()
    return True


def _make_due(server: str) -> None:
    now = timezone.now()
    RemoteRecord.objects.filter(server=server, state=RecordState.RETRY, not_before__gt=now).update(not_before=now)
    if server == Server.TAIGA:
        WorkItem.objects.filter(is_dirty=True, not_before__gt=now).update(not_before=None)


def _next_probe() -> object:
    return timezone.now() + timedelta(seconds=settings.BREAKER_PROBE_SECONDS)


def _ring() -> None:
    for bell in _BELLS:
        doorbell.ring(bell)
