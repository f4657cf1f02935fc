"""Whether the machine is well: one line for each part, worst first, in plain sentences."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from billing_console.errors import UPSTREAM_NAMES
from billing_console.formats import time_of_day
from invoicing.navigation import link
from invoicing.work_numbers import Machine

_WORST_FIRST = {"error": 0, "warning": 1, "ok": 2}


@dataclass(frozen=True)
class Check:
    """`state` is error, warning or ok; `url` leads to the place where it is mended."""

    state: str
    sentence: str
    url: str = ""
    verb: str = ""


def machine_checks(
    machine: Machine, last_delivery: dt.datetime | None, failed_deliveries: int, zone: str
) -> list[Check]:
    """One line for each thing that is not well, then one for all that are. Reads nothing itself."""
    checks = [
        Check("error", reason or _("Nothing is written to %(server)s.") % {"server": name_of(server)}, *_servers())
        for server, reason in sorted(machine.paused.items())
    ]
    checks += [
        Check("error", sentence, link((name,)) if name else "", _("Look at it")) for sentence, name in machine.alarms
    ]
    if failed_deliveries:
        checks.append(
            Check(
                "error",
                ngettext(
                    "%(count)d delivery from Taiga could not be processed.",
                    "%(count)d deliveries from Taiga could not be processed.",
                    failed_deliveries,
                )
                % {"count": failed_deliveries},
                link(("admin:sync_webhookdelivery_changelist",), query=(("state__exact", "failed"),)),
                _("Open the deliveries"),
            )
        )
    if last_delivery is None:
        checks.append(
            Check(
                "warning",
                _("Taiga has sent no delivery yet. Test the webhook in the settings of a Taiga project."),
                link(("admin:mappings_projectmapping_changelist",)),
                _("Open the projects"),
            )
        )
    well = []
    is_worker_well = True
    for name, words, allowed in _parts():
        if not is_worker_well:
            break  # the rest is done by the worker and says nothing of its own
        seen = machine.seen.get(name)
        is_well = seen is not None and timezone.now() - seen <= dt.timedelta(seconds=allowed)
        is_worker_well = is_well or name != "worker"
        if seen is None:
            checks.append(Check("warning", _("%(part)s: has not reported yet.") % {"part": words}))
        elif not is_well:
            checks.append(
                Check(
                    "error",
                    _("%(part)s: silent since %(time)s. Look whether the console's processes run.")
                    % {"part": words, "time": time_of_day(seen, zone)},
                )
            )
        else:
            well.append(_("%(part)s %(time)s") % {"part": words, "time": time_of_day(seen, zone)})
    checks.sort(key=lambda check: _WORST_FIRST[check.state])
    if well:
        checks.append(Check("ok", "; ".join(well) + "."))
    return checks


def name_of(server: str) -> str:
    """Taiga or Invoice Ninja, as a person writes it."""
    return UPSTREAM_NAMES.get(server, server)


def _parts() -> tuple[tuple[str, str, float], ...]:
    """Each part's heartbeat, its name for a person, and after how many seconds (real time) silence is bad news."""
    tick = max(settings.TICK_SECONDS * 5, 120.0)
    sweep = max(settings.SWEEP_SECONDS * 4, 120.0)
    poll = max(settings.POLL_SECONDS * 4, 120.0)
    return (
        ("worker", _("Worker and schedule"), tick),
        ("sweep", _("Sweep of Taiga"), sweep),
        ("taiga", _("Taiga answered"), sweep),
        ("invoice_ninja", _("Invoice Ninja answered"), poll),
    )


def _servers() -> tuple[str, str]:
    return link(("admin:sync_upstreampin_changelist",)), _("Look at the server")
