"""What should alarm somebody who does not look: a project that fell silent, a token that is about to end.

Looked at by beat; each finding is an alarm with a key of its own, cleared by the next look that does not find it.
"""

from __future__ import annotations

import datetime as dt
from typing import Final

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _

from billing_console import formats
from mappings.models import ProjectMapping
from sync import alarms, presence, tokens
from sync.models import Alarm, FoundBy, ProjectSweep, Server, UpstreamGate, WorkItem

UNSWEPT: Final = dt.timedelta(hours=6)
_PROJECTS: Final = "admin:mappings_projectmapping_changelist"
_SERVERS: Final = "admin:sync_upstreamgate_changelist"
_KINDS: Final = ("silent-", "unswept-", "token-", "resting-", "process-")


def watch() -> list[str]:
    """Raise and clear what this module knows of; returns the keys that are open now."""
    found = {**_token(), **_projects(), **_resting(), **_processes()}
    for key, (sentence, url_name) in found.items():
        alarms.raise_alarm(key, sentence, url_name=url_name)
    for key in Alarm.objects.filter(cleared_at__isnull=True).values_list("key", flat=True):
        if key.startswith(_KINDS) and key not in found:
            alarms.clear(key)
    return sorted(found)


def _token() -> dict[str, tuple[str, str]]:
    sentence = tokens.warning_of(settings.TAIGA_TOKEN, timezone.now())
    return {"token-taiga": (sentence, _SERVERS)} if sentence else {}


def _processes() -> dict[str, tuple[str, str]]:
    """What processes say of themselves; one that does nothing cannot alarm anybody itself."""
    return {key: (sentence, "admin:doctor") for key, sentence in presence.troubles().items()}


def _resting() -> dict[str, tuple[str, str]]:
    """Servers that have asked for one pause after the other for ALARM_AFTER_SECONDS, without an answer in between."""
    long_ago = timezone.now() - dt.timedelta(seconds=settings.ALARM_AFTER_SECONDS)
    found: dict[str, tuple[str, str]] = {}
    for gate in UpstreamGate.objects.filter(resting_since__lt=long_ago, open_since__isnull=True):
        words = {
            "server": Server(gate.server).label,
            "time": formats.time_of_day(gate.resting_since, settings.BILLING_TIMEZONE),
            "what": gate.sentence,
        }
        sentence = _(
            "%(server)s has been left alone since %(time)s. %(what)s It is asked again every few minutes, and nothing "
            "is lost. Look why it limits us there, or ask it now."
        )
        found[f"resting-{gate.server}"] = (sentence % words, _SERVERS)
    return found


def _projects() -> dict[str, tuple[str, str]]:
    """Projects of which no delivery came for SILENT_PROJECT_DAYS, and those that cannot be swept; two queries."""
    now = timezone.now()
    found: dict[str, tuple[str, str]] = {}
    active = ProjectMapping.objects.filter(is_active=True)
    sweeps = {sweep.project_id: sweep for sweep in ProjectSweep.objects.filter(project__is_active=True)}
    silent = []
    for mapping in active.order_by("pk"):
        sweep = sweeps.get(mapping.pk)
        if sweep is None:
            continue  # its first sweep comes within minutes
        if settings.SILENT_PROJECT_DAYS and sweep.heard_at is not None:
            days = (now - sweep.heard_at).days
            if days >= settings.SILENT_PROJECT_DAYS:
                silent.append((mapping, days))
        if sweep.error and sweep.succeeded_at is not None and now - sweep.succeeded_at > UNSWEPT:
            words = {"project": mapping, "hours": int((now - sweep.succeeded_at).total_seconds() // 3600)}
            sentence = _("%(project)s could not be swept for %(hours)d hours.") % words
            found[f"unswept-{mapping.pk}"] = (f"{sentence} {sweep.error}", _PROJECTS)
    missed = _found_by_sweep_alone([mapping.pk for mapping, _days in silent], now)
    for mapping, days in silent:
        words = {"project": mapping, "days": days}
        if mapping.pk in missed:
            text = _(
                "Taiga has sent nothing about %(project)s for %(days)d days, though work was closed there. "
                "Look at its webhook in Taiga."
            )
        else:
            text = _(
                "Nothing was heard of %(project)s for %(days)d days. If nobody works there any more, set it inactive; "
                "else look at its webhook in Taiga."
            )
        found[f"silent-{mapping.pk}"] = (text % words, _PROJECTS)
    return found


def _found_by_sweep_alone(projects: list[int], now: dt.datetime) -> set[int]:
    """Which of these projects had a closing lately that only a sweep noticed."""
    since = now - dt.timedelta(days=settings.SILENT_PROJECT_DAYS)
    rows = WorkItem.objects.filter(project__in=projects, closing_found_by=FoundBy.SWEEP, read_at__gte=since)
    return set(rows.values_list("project", flat=True).distinct()) if projects else set()
