"""The page "Doctor": is everything connected and set right? What the worker found, and what is known at this moment."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from billing_console.admin_base import PageView, site_page
from billing_console.formats import day, time_of_day
from invoicing import work_numbers
from invoicing.machine_health import RANK, Check, live_checks
from sync.doctor import checking
from sync.doctor.findings import OK
from sync.models import DoctorCheck, DoctorFinding, Server


@dataclass(frozen=True)
class Line:
    """One finding as it is shown: `what` it is about, when it was checked, since when it is so."""

    severity: str
    what: str
    sentence: str
    url: str = ""
    verb: str = ""
    details: tuple[str, ...] = ()
    checked: str = ""
    since: str = ""
    code: str = ""


@site_page("doctor/", "doctor")
class DoctorPage(PageView):
    """GET shows rows and calls nobody; POST asks the worker to look again. The page shows the result by itself."""

    template_name = "invoicing/doctor.html"
    permission = ("sync.view_doctorcheck", "sync.view_doctorfinding")
    act_permission = "sync.change_upstreampin"
    title = gettext_lazy("Doctor")
    needs_no_version = "Only has servers read again."

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        zone = settings.BILLING_TIMEZONE
        checks = list(DoctorCheck.objects.select_related("project"))
        lines = all_lines(checks, zone)
        wanted = [check for check in checks if check.wanted_at is not None]
        done = len(checks) - len(wanted)
        left_out = unchecked(checks, zone)
        oldest = min((check.checked_at for check in checks if check.checked_at), default=None)
        return super().get_context_data(
            lines=[line for line in lines if line.severity != OK],
            passed=[line for line in lines if line.severity == OK],
            unchecked=left_out,
            is_running=bool(wanted),
            sentence=_("%(done)d of %(all)d checks done") % {"done": done, "all": len(checks)} if wanted else "",
            poll_url=self.request.get_full_path(),
            oldest=time_of_day(oldest, zone) if oldest else "",
            summary=summary(lines, is_complete=oldest is not None and not left_out),
            zone=zone,
            may_act=self.request.user.has_perm("sync.change_upstreampin"),
            **kwargs,
        )

    def act(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        asked = checking.ask()
        words = ngettext("%(count)d thing is being checked.", "%(count)d things are being checked.", asked)
        messages.success(request, words % {"count": asked})
        return HttpResponseRedirect(request.path)


def all_lines(checks: list[DoctorCheck], zone: str) -> list[Line]:
    """Everything that is known, the worst first; what an alarm says already is said once. Three queries."""
    now = now_lines(zone)
    said = {line.sentence for line in now}
    found = [line for line in found_lines(checks, zone) if line.sentence not in said]
    return worst_first([*now, *found])


def worst_first(lines: list[Line]) -> list[Line]:
    """Errors, warnings, then what is right; within these by what they are about."""
    return sorted(lines, key=lambda line: (RANK[line.severity], line.what))


def now_lines(zone: str) -> list[Line]:
    """What our own rows say at this moment: pauses, alarms, deliveries, silent parts. Two queries."""
    last_delivery, failed = work_numbers.deliveries()
    checks: list[Check] = live_checks(work_numbers.machine(), last_delivery, failed, zone)
    what = _("The console")
    return [Line(check.state, what, check.sentence, check.url, check.verb, checked=_("now")) for check in checks]


def found_lines(checks: list[DoctorCheck], zone: str) -> list[Line]:
    """What the worker found, each with when that was; one query."""
    by_id = {check.pk: check for check in checks}
    lines = []
    for row in DoctorFinding.objects.filter(doctor_check__in=by_id).order_by("doctor_check", "id"):
        check = by_id[row.doctor_check_id]
        lines.append(
            Line(
                row.severity,
                name_of(check),
                row.sentence,
                row.url,
                row.verb,
                tuple(row.details),
                time_of_day(check.checked_at, zone),
                day(row.since.astimezone(ZoneInfo(zone)).date()) if row.severity != OK else "",
                row.code,
            )
        )
    return lines


def unchecked(checks: list[DoctorCheck], zone: str) -> list[tuple[str, str]]:
    """What could not be looked at the last time, as (names, why), those with one reason together."""
    names: dict[str, list[str]] = defaultdict(list)
    for check in checks:
        if check.skipped:
            words = {"what": name_of(check), "time": time_of_day(check.checked_at, zone)}
            sentence = _("%(what)s (last %(time)s)") if check.checked_at else _("%(what)s (never yet)")
            names[check.skipped].append(sentence % words)
    return [(", ".join(sorted(found)), why) for why, found in sorted(names.items())]


def summary(lines: list[Line], *, is_complete: bool) -> str:
    """How many errors and warnings there are, in words; `is_complete` says that everything was looked at."""
    errors = sum(line.severity == "error" for line in lines)
    warnings = sum(line.severity == "warning" for line in lines)
    if not errors and not warnings:
        return (
            _("Everything is connected and set right.")
            if is_complete
            else _("Nothing is wrong in what could be looked at.")
        )
    parts = []
    if errors:
        parts.append(ngettext("%(count)d error", "%(count)d errors", errors) % {"count": errors})
    if warnings:
        parts.append(ngettext("%(count)d warning", "%(count)d warnings", warnings) % {"count": warnings})
    return ", ".join(parts)


def name_of(check: DoctorCheck) -> str:
    """What a check is about, as a person says it."""
    if check.project is not None:
        return str(check.project)
    if check.key in Server.values:
        return str(Server(check.key).label)
    return _("The console") if check.key == checking.MACHINE else _("Clients")
