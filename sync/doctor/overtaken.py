"""What the doctor found and what has happened since: a check that may say something else by now is done again.

Nobody is called here; the next tick of the doctor looks. All times are real time.
"""

from __future__ import annotations

from typing import Final

from django.db.models import Model, Q
from django.utils import timezone

from mappings.models import Company, ProjectMapping
from sync.doctor.findings import OK
from sync.models import DoctorCheck, Verdict, WebhookDelivery

CLIENTS: Final = "clients"
# What a delivery that arrives contradicts: there is a webhook, its key is right, and it reaches us.
_NOT_ARRIVING: Final = (
    "hook",
    "hook_certificate",
    "hook_elsewhere",
    "hook_fault",
    "hook_key",
    "hook_private",
    "hook_redirect",
    "hook_refused",
    "hook_silent",
    "hook_unknown_host",
    "hook_unreachable",
    "hook_untested",
)


def by_delivery(delivery: WebhookDelivery) -> int:
    """A believed delivery came: look again at a project of which the doctor said that none arrives; returns how many.

    A test of the common webhook names no project, so it concerns each of them.
    """
    of_project = Q(project__taiga_project_id=delivery.taiga_project_id)
    if delivery.verdict == Verdict.TEST:
        of_project = Q(project=delivery.project_mapping_id) if delivery.project_mapping_id else Q(project__isnull=False)
    said = Q(findings__code__in=_NOT_ARRIVING) & ~Q(findings__severity=OK)
    return _want(of_project & said & Q(checked_at__lt=delivery.received_at))


def by_change(row: Model) -> None:
    """A mapping, rate, rule or the company changed: look again at what the doctor says by it."""
    if isinstance(row, Company):
        _want(Q(project__isnull=False) | Q(key=CLIENTS))
    else:
        _want(Q(key=CLIENTS) | (Q(project=row.pk) if isinstance(row, ProjectMapping) else Q(pk__in=[])))


def by_projects() -> None:
    """A project began or ceased to be billed."""
    _want(Q(key=CLIENTS))


def _want(which: Q) -> int:
    # A check that was never done is due by itself.
    rows = DoctorCheck.objects.filter(which, wanted_at__isnull=True, checked_at__isnull=False)
    return DoctorCheck.objects.filter(pk__in=rows.values("pk")).update(wanted_at=timezone.now())
