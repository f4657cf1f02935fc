"""How the machine is: sweeps, heartbeats and which servers we believe to talk to."""

from __future__ import annotations

import secrets

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
    succeeded_at = models.DateTimeField(_("last complete sweep"), null=True, blank=True, help_text=_("Real time."))
    heard_at = models.DateTimeField(
        _("last delivery"), null=True, blank=True, help_text=_("Real time; of the first sweep, where none came yet.")
    )
    counted_at = models.DateTimeField(
        _("last census"),
        null=True,
        blank=True,
        help_text=_("Business time at which the last comparison of the whole project began."),
    )
    census_wanted = models.BooleanField(_("census wanted"), default=False)
    census_at = models.DateTimeField(_("census done"), null=True, blank=True, help_text=_("Real time."))
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


class ConsoleProcess(models.Model):
    """One process of the console, as it last told of itself. All times are PostgreSQL's.

    `ahead` is its own clock minus PostgreSQL's; `begun` counts what it is doing; `is_idle` says that it begins nothing
    more. `trouble` holds one sentence a line. `prints` holds a keyed hash of each setting that it was started with.
    """

    kind = models.CharField(_("what"), max_length=20)
    host = models.CharField(_("machine"), max_length=255)
    pid = models.PositiveIntegerField(_("process"))
    started_at = models.DateTimeField(_("started"))
    seen_at = models.DateTimeField(_("last seen"))
    ahead = models.DurationField(_("ahead of PostgreSQL"))
    begun = models.PositiveIntegerField(_("steps begun"), default=0)
    is_idle = models.BooleanField(_("does nothing"), default=False)
    trouble = models.TextField(_("trouble"), blank=True)
    prints = models.JSONField(_("settings"), default=dict, editable=False)

    class Meta:
        verbose_name = _("process")
        verbose_name_plural = _("processes")
        constraints = [models.UniqueConstraint(fields=["host", "pid"], name="process_once_per_machine")]

    def __str__(self) -> str:
        return f"{self.kind} {self.host}:{self.pid}"


def new_mark() -> str:
    """A mark that no other console has."""
    return f"console-{secrets.token_hex(6)}"


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
    checked_with = models.CharField(
        max_length=32,
        blank=True,
        editable=False,
        help_text=_("A keyed hash of the address and the login that were checked."),
    )
    mark = models.CharField(
        _("our mark"),
        max_length=30,
        default=new_mark,
        editable=False,
        help_text=_("What every task of ours carries there, so that another console's is never changed."),
    )

    class Meta:
        verbose_name = _("server")
        verbose_name_plural = _("servers")

    def __str__(self) -> str:
        return f"{self.server} {self.base_url}"


class UpstreamGate(models.Model):
    """Whether a server is called at all: a person's pause stops writing, the breaker stops every call.

    `failures` counts calls in a row that the server did not answer sensibly; `open_since` is set when they were too
    many, and only a probe that is answered sets it back. `rests` counts the pauses that the server asked for in a row,
    since `resting_since`; one answer ends them. Before `resume_at` no call is made (what the server asked
    for, or the time of the next probe). All times are real time.
    """

    server = models.CharField(_("server"), max_length=15, unique=True)
    is_paused = models.BooleanField(_("writing paused"), default=False)
    pause_reason = models.TextField(_("why paused"), blank=True)
    until_reconciled = models.BooleanField(_("until reconcile passes"), default=False)
    paused_at = models.DateTimeField(_("paused"), null=True, blank=True)
    paused_by = models.ForeignKey(
        "accounts.User", models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("paused by")
    )
    failures = models.PositiveIntegerField(_("failures in a row"), default=0)
    open_since = models.DateTimeField(_("not called since"), null=True, blank=True)
    resume_at = models.DateTimeField(_("not called before"), null=True, blank=True)
    rests = models.PositiveIntegerField(_("pauses asked for in a row"), default=0)
    resting_since = models.DateTimeField(_("asks for pauses since"), null=True, blank=True)
    sentence = models.TextField(_("what happened"), blank=True)

    class Meta:
        verbose_name = _("pause and breaker")
        verbose_name_plural = _("pauses and breakers")

    def __str__(self) -> str:
        return self.server


class Alarm(models.Model):
    """Something that a person should hear of even without looking: one open row per `key`, mailed once, and its end.

    Real time. `mailed_at` and `end_mailed_at` say when ALERT_EMAILS were written to, `mail_error` why not yet.
    """

    key = models.CharField(_("what"), max_length=100)
    sentence = models.TextField(_("what happened"))
    url_name = models.CharField(max_length=100, blank=True, editable=False)
    raised_at = models.DateTimeField(_("since"))
    cleared_at = models.DateTimeField(_("over"), null=True, blank=True)
    mailed_at = models.DateTimeField(_("mailed"), null=True, blank=True)
    end_mailed_at = models.DateTimeField(_("end mailed"), null=True, blank=True)
    mail_error = models.TextField(_("why it was not mailed"), blank=True)

    class Meta:
        verbose_name = _("alarm")
        verbose_name_plural = _("alarms")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["key"], condition=models.Q(cleared_at__isnull=True), name="alarm_one_open_per_key"
            )
        ]
        indexes = [
            models.Index(
                fields=["id"],
                condition=models.Q(mailed_at__isnull=True)
                | models.Q(cleared_at__isnull=False, end_mailed_at__isnull=True),
                name="alarm_to_mail",
            )
        ]

    def __str__(self) -> str:
        return self.sentence
