"""What the doctor looked at, when, and what it found. Written by the worker; a page only reads."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from sync.doctor import findings


class Severity(models.TextChoices):
    ERROR = findings.ERROR, _("Error")
    WARNING = findings.WARNING, _("Warning")
    OK = findings.OK, _("OK")


class DoctorCheck(models.Model):
    """One thing that is looked at as a whole: the machine, a server, the clients, or one project.

    `wanted_at` is set while somebody waits for it; `skipped` says why it was not looked at the last time, when its
    findings are older. One worker at a time (lease). All times are real time.
    """

    key = models.CharField(_("what"), max_length=60, unique=True)
    project = models.ForeignKey(
        "mappings.ProjectMapping", models.CASCADE, null=True, blank=True, related_name="+", verbose_name=_("project")
    )
    wanted_at = models.DateTimeField(_("asked for"), null=True, blank=True)
    checked_at = models.DateTimeField(_("checked"), null=True, blank=True)
    tried_at = models.DateTimeField(_("last attempt"), null=True, blank=True)
    skipped = models.TextField(_("why not checked"), blank=True)
    claim_id = models.UUIDField(null=True, blank=True, editable=False)
    lease_until = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        verbose_name = _("check")
        verbose_name_plural = _("checks")
        ordering = ["key"]

    def __str__(self) -> str:
        return self.key


class DoctorFinding(models.Model):
    """One line of the doctor: a sentence and where it is put right. `since`: found first then (real)."""

    doctor_check = models.ForeignKey(DoctorCheck, models.CASCADE, related_name="findings", verbose_name=_("check"))
    code = models.CharField(_("code"), max_length=60)
    subject = models.CharField(_("subject"), max_length=100, blank=True)
    severity = models.CharField(_("severity"), max_length=10, choices=Severity.choices)
    sentence = models.TextField(_("what was found"))
    url = models.CharField(_("where it is put right"), max_length=500, blank=True)
    verb = models.CharField(max_length=60, blank=True)
    details = models.JSONField(_("quoted"), default=list, blank=True)
    since = models.DateTimeField(_("since"))

    class Meta:
        verbose_name = _("finding")
        verbose_name_plural = _("findings")
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["doctor_check", "code", "subject"], name="doctor_finding_once_per_check")
        ]

    def __str__(self) -> str:
        return self.sentence
