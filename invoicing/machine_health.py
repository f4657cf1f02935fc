"""Whether the machine is well: one line for each part, worst first, in plain sentences."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from billing_console.errors import UPSTREAM_NAMES
from billing_console.formats import moment, time_of_day
from invoicing.navigation import link
from invoicing.work_numbers import Machine
from sync.doctor import machine_rules
from sync.doctor.findings import OK, SEVERITIES
from sync.doctor.machine_rules import Pace

RANK: Final = {severity: rank for rank, severity in enumerate(SEVERITIES)}
SHOWN_FINDINGS: Final = 5


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
    """One line for each thing that is not well, then one for all that are. Reads nothing itself.

    What the doctor found is cut to its worst lines, of these what is mended here first; its own page has them all.
    """
    checks = live_checks(machine, last_delivery, failed_deliveries, zone)
    said = {check.sentence for check in checks}
    found = [
        Check(severity, sentence, url, _("Look at it"))
        for severity, sentence, url in sorted(machine.findings, key=_worst_and_ours_first)
        if sentence not in said
    ]
    left = len(found) - SHOWN_FINDINGS
    checks += found[:SHOWN_FINDINGS]
    well = " ".join(check.sentence for check in checks if check.state == OK)
    checks = worst_first([check for check in checks if check.state != OK])
    if left > 0:
        words = ngettext("%(count)d further finding of the doctor.", "%(count)d further findings of the doctor.", left)
        checks.append(Check("warning", words % {"count": left}, link(("admin:doctor",)), _("Look at them")))
    if machine.passed:
        words = ngettext(
            "%(count)d other check passed at %(time)s.", "%(count)d other checks passed at %(time)s.", machine.passed
        )
        well = f"{well} {words % {'count': machine.passed, 'time': time_of_day(machine.passed_at, zone)}}".strip()
    return [*checks, Check(OK, well)] if well else checks


def live_checks(machine: Machine, last_delivery: dt.datetime | None, failed_deliveries: int, zone: str) -> list[Check]:
    """What is known at this moment without asking anybody: pauses, alarms, deliveries, silent parts; ok comes last."""
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
    # Once the doctor has looked at each project's webhook, it says better what is the matter.
    if last_delivery is None and not machine.passed and not machine.findings:
        checks.append(
            Check(
                "warning",
                _("Taiga has sent no delivery yet. Test the webhook in the settings of a Taiga project."),
                link(("admin:mappings_projectmapping_changelist",)),
                _("Open the projects"),
            )
        )
    if machine.ahead is not None:
        sentence = _(
            "Invoice Ninja says that something was changed at %(time)s, which has not come yet: its clock is or was "
            "ahead. Nothing is missed, it is read again and again until then. Let that machine take its time from the "
            "network."
        )
        checks.append(Check("warning", sentence % {"time": moment(machine.ahead, zone, has_zone=True)}))
    pace = Pace(settings.TICK_SECONDS, settings.SWEEP_SECONDS, settings.POLL_SECONDS)
    parts = machine_rules.judge(machine.seen, timezone.now(), pace, zone, machine.failures)
    checks += [Check(part.severity, part.sentence) for part in parts if part.severity != OK]
    well = [part.sentence for part in parts if part.severity == OK]
    return [*worst_first(checks), Check(OK, "; ".join(well) + ".")] if well else worst_first(checks)


def _worst_and_ours_first(finding: tuple[str, str, str]) -> tuple[int, bool]:
    severity, _sentence, url = finding
    return RANK[severity], not url.startswith("/")


def worst_first(checks: Sequence[Check]) -> list[Check]:
    """Errors before warnings; otherwise as they came."""
    return sorted(checks, key=lambda check: RANK[check.state])


def name_of(server: str) -> str:
    """Taiga or Invoice Ninja, as a person writes it."""
    return UPSTREAM_NAMES.get(server, server)


def _servers() -> tuple[str, str]:
    return link(("admin:sync_upstreampin_changelist",)), _("Look at the server")
