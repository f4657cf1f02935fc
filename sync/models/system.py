"""How the machine is: sweeps, heartbeats and which servers we believe to talk to."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class ProjectSweep(models.Model):
    """How far the timeline of one project has been read."""

    project = models.OneToOneField(
        "mappings.ProjectMapping", models.CASCADE, related_name="sweep", verbose_name=_("project")
    )
    last_timeline_id = models.BigIntegerField(_("last seen entry"), default=0)
    recent_ids = models.JSONField(
        default=list,
        editable=False,
        help_text=_("The newest entries seen: one of a smaller number may appear later than one of a larger."),
    )
    started_at = models.DateTimeField(
        _("started"),
        null=True,
        blank=True,
        help_text=_("Business time at which the last complete sweep began."),
    )
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)
    error = models.TextField(_("error"), blank=True)
    claim_id = models.UUIDField(null=True, blank=True, editable=False)
    lease_until = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        verbose_name = _("sweep")
        verbose_name_plural = _("sweeps")

    def __str__(self) -> str:
        return str(self.project)


class Heartbeat(models.Model):
    """When a part of the machine last did its work: worker, beat, sweep, payments, invoice_ninja, taiga."""

    name = models.CharField(_("name"), max_length=40, unique=True)
    at = models.DateTimeField(_("at"))
    detail = models.TextField(_("detail"), blank=True)

    class Meta:
        verbose_name = _("heartbeat")
        verbose_name_plural = _("heartbeats")

    def __str__(self) -> str:
        return self.name


class UpstreamPin(models.Model):
    """The server that our ids belong to. Ids of Invoice Ninja are the same strings on every install:

    nothing is written when the identity changes until an administrator confirms the new one."""

    server = models.CharField(_("server"), max_length=15, unique=True)
    base_url = models.CharField(_("address"), max_length=500)
    identity = models.CharField(_("identity"), max_length=200, help_text=_("company_key, or the service user's id."))
    seen_base_url = models.CharField(_("address seen"), max_length=500, blank=True)
    seen_identity = models.CharField(_("identity seen"), max_length=200, blank=True)
    is_paused = models.BooleanField(_("writing paused"), default=False)
    pause_reason = models.TextField(_("why paused"), blank=True)
    checked_at = models.DateTimeField(_("checked"), null=True, blank=True)

    class Meta:
        verbose_name = _("server")
        verbose_name_plural = _("servers")

    def __str__(self) -> str:
        return f"{self.server} {self.base_url}"
