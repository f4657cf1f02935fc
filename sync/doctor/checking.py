"""The doctor at work: which checks are due, one worker for each, and what was found kept as rows.

A check is claimed, its facts are read with nothing locked, and its findings replace the earlier ones in one transaction
if the claim still holds. It only reads at the servers, so a claim that was lost costs nothing. All times are real time.
"""

from __future__ import annotations

import datetime as dt
import logging
import uuid
from typing import Final

from django.conf import settings
from django.core.checks import ERROR, run_checks
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from billing_console.checks import REDIS_CHECK, TAG
from billing_console.errors import ConsoleError, Forbidden, NotAllowed, NotFound
from billing_console.fields import fingerprint
from mappings.models import Company, ProjectMapping
from sync import doorbell, gate, heartbeats, leases, upstreams
from sync.attribute_names import configured_names
from sync.doctor import client_rules, ninja_rules, overtaken, places, project_rules, reading, server_rules
from sync.doctor.findings import CONSOLE, Finding, Place, error, ok, warning
from sync.doctor.overtaken import CLIENTS
from sync.models import DoctorCheck, DoctorFinding, Server
from sync.models.doctor import Severity

logger = logging.getLogger(__name__)

MACHINE = "machine"
PROJECT_PREFIX: Final = "project-"
HEARTBEAT: Final = "doctor"
_CONNECT: Final = Place(CONSOLE, "admin:sync_provision")
# Servers come first: what hangs on one that does not answer is not asked for.
ORDER: Final = (MACHINE, Server.TAIGA.value, Server.NINJA.value, CLIENTS)


def key_of(mapping: ProjectMapping) -> str:
    """The key of the check of one project."""
    return f"{PROJECT_PREFIX}{mapping.pk}"


def ensure_checks() -> bool:
    """Make the rows of checks that are missing, and forget those of projects that are not billed any more.

    Returns whether it had to.
    """
    active = {key_of(mapping): mapping for mapping in ProjectMapping.objects.filter(is_active=True)}
    forgotten, _rows = DoctorCheck.objects.filter(project__isnull=False).exclude(key__in=active).delete()
    known = set(DoctorCheck.objects.values_list("key", flat=True))
    missing = [DoctorCheck(key=key) for key in ORDER if key not in known]
    missing += [DoctorCheck(key=key, project=mapping) for key, mapping in active.items() if key not in known]
    DoctorCheck.objects.bulk_create(missing, ignore_conflicts=True)
    return bool(forgotten or missing)


def ask() -> int:
    """Somebody wants everything to be checked again; returns how many checks wait now. Calls nobody.

    Raises NotAllowed while an earlier wish is still being worked on.
    """
    ensure_checks()
    if DoctorCheck.objects.filter(wanted_at__isnull=False).exists():
        raise NotAllowed(_("It is being checked already; the page shows the result by itself."))
    asked = DoctorCheck.objects.filter(wanted_at__isnull=True).update(wanted_at=timezone.now())
    if not asked:  # somebody else asked in this moment
        raise NotAllowed(_("It is being checked already; the page shows the result by itself."))
    doorbell.ring("doctor")
    return asked


def check_due() -> int:
    """Do every check that somebody waits for or that is older than DOCTOR_SECONDS; returns how many were done.

    One worker is enough: while another one is at it, the rest is left to that one and to the next ring.
    """
    if ensure_checks():
        overtaken.by_projects()
    if DoctorCheck.objects.filter(leases.runs()).exists():
        return 0
    before = timezone.now() - dt.timedelta(seconds=settings.DOCTOR_SECONDS)
    due = Q(wanted_at__isnull=False) | Q(tried_at__isnull=True) | Q(tried_at__lt=before)
    done = sum(check_one(check) for check in in_order(DoctorCheck.objects.filter(due)))
    if done:
        heartbeats.note(HEARTBEAT)
    return done


def check_now(mapping: ProjectMapping | None = None) -> None:
    """Do every check now, in this process, or with `mapping` those of that project and of its server.

    A check that a worker is at is done once more: the last result counts.
    """
    ensure_checks()
    checks = DoctorCheck.objects.all()
    if mapping is not None:
        checks = checks.filter(key__in=[Server.TAIGA.value, key_of(mapping)])
    for check in in_order(checks):
        check_one(check, takes_over=True)


def in_order(checks: QuerySet[DoctorCheck]) -> list[DoctorCheck]:
    """The machine, the servers, the projects, the clients: what hangs on a server comes after it."""
    ranks = {key: number for number, key in enumerate(ORDER[:3])} | {CLIENTS: len(ORDER) + 1}
    return sorted(checks.select_related("project"), key=lambda row: (ranks.get(row.key, len(ORDER)), row.pk))


def check_one(check: DoctorCheck, *, takes_over: bool = False) -> bool:
    """Do one check and keep what it found; False when another worker is at it or took it over."""
    claim = uuid.uuid4()
    free = Q() if takes_over else leases.is_free()
    lease = leases.end_of(max(leases.length(), dt.timedelta(seconds=settings.CALL_DEADLINE_SECONDS * 2)))
    if not DoctorCheck.objects.filter(free, pk=check.pk).update(claim_id=claim, lease_until=lease):
        return False
    wanted_at = DoctorCheck.objects.values_list("wanted_at", flat=True).get(pk=check.pk)
    skipped = _why_not(check)
    found = [] if skipped else _look(check)
    return _keep(check, claim, wanted_at, found, skipped)


def _why_not(check: DoctorCheck) -> str:
    """Why a check is not done now: its server is not called, or did not let us in, or shows us only a part of it.

    "" where nothing is in the way.
    """
    if check.key == MACHINE:
        return ""
    server = Server.TAIGA if check.key == Server.TAIGA or check.project_id else Server.NINJA
    if why := gate.why_not_called(server):
        return why
    if check.key == server:
        return ""
    in_the_way = ("login", "admin") if server == Server.NINJA else ("login",)
    rows = DoctorFinding.objects.filter(doctor_check__key=server, code__in=in_the_way, severity=Severity.ERROR)
    return rows.values_list("sentence", flat=True).first() or ""


# --- looking ----------------------------------------------------------------------------------------------------------


def _look(check: DoctorCheck) -> list[Finding]:
    """Read and judge; what cannot be read is a finding too."""
    try:
        if check.project is not None:
            return _look_at_project(check.project)
        looks = {MACHINE: _machine, Server.TAIGA.value: _taiga, Server.NINJA.value: _ninja, CLIENTS: _clients}
        return looks[check.key]()
    except ConsoleError as failure:
        logger.warning("the doctor could not look at %s: %s", check.key, failure.sentence)
        if check.key in Server.values:
            return [error("login", failure.sentence)]
        words = {"what": check.project or _("The clients"), "why": failure.sentence}
        return [error("reading", _("%(what)s could not be looked at. %(why)s") % words)]


def _machine() -> list[Finding]:
    found: list[Finding] = []
    for message in run_checks(tags=[TAG], databases=["default"]):
        if message.id == REDIS_CHECK:  # a warning before the console runs; once it does, nothing happens in time
            found.append(error("redis", str(message.msg)))
            continue
        say = error if message.level >= ERROR else warning
        found.append(say("setting", f"{message.msg} {message.hint or ''}".strip(), subject=str(message.id)))
    if found:
        return found
    key = _("Every encrypted text can be read; FIELD_KEY has the fingerprint %(key)s.") % {"key": fingerprint()}
    return [ok("setting", _("The settings are complete and safe; PostgreSQL and Redis answer.")), ok("field_key", key)]


def _taiga() -> list[Finding]:
    taiga = upstreams.taiga_client()
    found = server_rules.judge_server(reading.taiga_server(taiga))
    if not any(finding.code == "login" and finding.severity == Severity.ERROR for finding in found):
        username, zone = settings.TAIGA_USERNAME, settings.BILLING_TIMEZONE
        found.append(server_rules.judge_token(settings.TAIGA_TOKEN, username, timezone.now(), zone))
    return found


def _ninja() -> list[Finding]:
    server, health, company = reading.ninja_server(upstreams.ninja_client())
    found = server_rules.judge_server(server)
    if health is not None:
        found += server_rules.judge_health(health, is_production=reading.is_production())
    return found + (ninja_rules.judge(company) if company is not None else [])


def _clients() -> list[Finding]:
    clients, company = reading.clients(upstreams.ninja_client())
    if not clients:
        sentence = _("No Taiga project is mapped to a client yet, so nothing is billed. Connect one.")
        return [warning("clients", sentence, _CONNECT)]
    return client_rules.judge(clients, company)


def _look_at_project(mapping: ProjectMapping) -> list[Finding]:
    try:
        facts = reading.project(mapping, upstreams.taiga_client())
    except (NotFound, Forbidden):
        return [project_rules.invisible(str(mapping), mapping.pk)]
    return project_rules.judge(facts, configured_names(Company.current()))


# --- keeping ----------------------------------------------------------------------------------------------------------


def _keep(
    check: DoctorCheck, claim: uuid.UUID, wanted_at: dt.datetime | None, found: list[Finding], skipped: str
) -> bool:
    """Replace the findings, unless another worker took the check over; what was found before keeps its since."""
    now = timezone.now()
    with transaction.atomic():
        done: dict[str, object] = {"claim_id": None, "lease_until": None, "tried_at": now, "skipped": skipped}
        if not skipped:
            done["checked_at"] = now
        if not DoctorCheck.objects.filter(pk=check.pk, claim_id=claim).update(**done):
            return False
        # A wish that came meanwhile stays.
        DoctorCheck.objects.filter(pk=check.pk, wanted_at=wanted_at).update(wanted_at=None)
        if skipped:
            return True
        old = DoctorFinding.objects.filter(doctor_check=check)
        since = {(row.code, row.subject, row.severity): row.since for row in old}
        old.delete()
        DoctorFinding.objects.bulk_create(_row(check, finding, since, now) for finding in found)
    return True


def _row(
    check: DoctorCheck, finding: Finding, since: dict[tuple[str, str, str], dt.datetime], now: dt.datetime
) -> DoctorFinding:
    url, verb = places.resolve(finding.place)
    return DoctorFinding(
        doctor_check=check,
        code=finding.code,
        subject=finding.subject[:100],
        severity=finding.severity,
        sentence=finding.sentence,
        url=url[:500],
        verb=verb,
        details=list(finding.details),
        since=since.get((finding.code, finding.subject[:100], finding.severity), now),
    )
