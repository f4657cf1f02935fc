"""The console's own parts: which of them is silent. Pure: heartbeats in, sentences out. All times are real time."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from django.utils.translation import gettext as _

from billing_console.errors import UPSTREAM_NAMES
from billing_console.formats import time_of_day
from sync.doctor.findings import Finding, error, ok, warning
from sync.heartbeats import AHEAD, CLOCK, FAILED

_TOLD_FOR: Final = dt.timedelta(days=1)
_REREADING: Final = "open_invoices"  # the heartbeat of `invoicing.rereading`
_REREAD_WITHIN: Final = dt.timedelta(days=2)


@dataclass(frozen=True)
class Pace:
    """Every how many seconds each part is to do its work."""

    tick: float
    sweep: float
    poll: float


def judge(
    seen: Mapping[str, dt.datetime], now: dt.datetime, pace: Pace, zone: str, failures: Mapping[str, str] | None = None
) -> list[Finding]:
    """One line for each part that is silent, one ok for each that is not; `seen` says when it last did its work.

    `failures` are sentences of parts that tried since and could not. A server is silent only when it was asked since
    its last answer: nothing is said of one that was never asked. The worker does what all the others do: while it is
    silent, nothing is said of them.
    """
    found = _judge_clock(seen, now, failures or {})
    for name, words, seconds in _parts(pace):
        at = seen.get(name)
        facts, span = {"part": words, "time": time_of_day(at, zone)}, dt.timedelta(seconds=seconds)
        if at is not None and at > now + AHEAD:
            sentence = _(
                "%(part)s: its last work is noted at %(time)s, which has not come yet. The clock of this machine went "
                "back. It is set right by itself within a minute; if not, look whether the console's processes run."
            )
            found.append(error("part", sentence % facts, subject=name))
        elif name in UPSTREAM_NAMES:
            failure = (failures or {}).get(name, "")
            found += _judge_server(name, facts, at, failure, is_long_ago=at is None or now - at > span)
        elif at is None:
            found.append(warning("part", _("%(part)s: has not reported yet.") % facts, subject=name))
        elif now - at <= span:
            found.append(ok("part", _("%(part)s %(time)s") % facts, subject=name))
            continue
        elif name == "worker" and _is_worker_heard(seen, now, seconds):
            sentence = _("The schedule (beat) has been silent since %(time)s, though a worker runs. Start beat.")
            found.append(error("part", sentence % facts, subject=name))
        else:
            why = (failures or {}).get(name) or _("Look whether the console's processes run.")
            sentence = _("%(part)s: silent since %(time)s. %(why)s")
            found.append(error("part", sentence % {**facts, "why": why}, subject=name))
        if name == "worker":
            break
    else:
        found += _judge_rereading(seen.get(_REREADING), now, zone, (failures or {}).get(_REREADING, ""))
    return found


def _judge_rereading(at: dt.datetime | None, now: dt.datetime, zone: str, why: str) -> list[Finding]:
    """What is done once a day, and first of all when the console starts: nothing is said before."""
    if at is None or now - at <= _REREAD_WITHIN:
        return []
    sentence = _("Open invoices were last read by their numbers there at %(time)s, which is done once a day. %(why)s")
    words = {"time": time_of_day(at, zone), "why": why or _("Look whether the console's processes run.")}
    return [error("part", sentence % words, subject=_REREADING)]


def _judge_clock(seen: Mapping[str, dt.datetime], now: dt.datetime, failures: Mapping[str, str]) -> list[Finding]:
    """Whether the clock of this machine went back within a day: what happened then is dated wrongly."""
    at, sentence = seen.get(f"{CLOCK}{FAILED}"), failures.get(CLOCK, "")
    if at is None or not sentence or now - at > _TOLD_FOR:
        return []
    return [warning("clock_back", sentence, subject=CLOCK)]


def _judge_server(
    name: str, facts: Mapping[str, str], at: dt.datetime | None, failure: str, *, is_long_ago: bool
) -> list[Finding]:
    """`at` is the server's last answer, `failure` why it gave none when it was asked since, "" where it was not."""
    words = {**facts, "server": UPSTREAM_NAMES[name], "why": failure}
    if failure and at is None:
        return [error("part", _("%(server)s has not answered yet. %(why)s") % words, subject=name)]
    if failure and is_long_ago:
        return [error("part", _("%(server)s has not answered since %(time)s. %(why)s") % words, subject=name)]
    return [ok("part", _("%(part)s %(time)s") % facts, subject=name)] if at is not None else []


def _is_worker_heard(seen: Mapping[str, dt.datetime], now: dt.datetime, seconds: float) -> bool:
    """Whether a worker did anything lately although nobody rang by the schedule: a bell of the web did."""
    # A server's answers prove nothing: a command may have asked it.
    ignored = {"worker", "ready", *UPSTREAM_NAMES, *(f"{name}{FAILED}" for name in (*UPSTREAM_NAMES, CLOCK))}
    newest = max((at for name, at in seen.items() if name not in ignored and at <= now + AHEAD), default=None)
    return newest is not None and now - newest <= dt.timedelta(seconds=seconds)


def _parts(pace: Pace) -> tuple[tuple[str, str, float], ...]:
    """Each part's heartbeat, its name for a person, and after how many seconds silence is bad news."""
    return (
        ("worker", _("Worker and schedule"), max(pace.tick * 5, 120.0)),
        ("sweep", _("Sweep of Taiga"), max(pace.sweep * 4, 120.0)),
        ("taiga", _("Taiga answered"), max(pace.sweep * 4, 120.0)),
        ("invoice_ninja", _("Invoice Ninja answered"), max(pace.poll * 4, 120.0)),
        ("payments", _("Payments read"), max(pace.poll * 4, 120.0)),
    )
