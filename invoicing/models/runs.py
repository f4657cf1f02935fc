"""One run: a schedule, a period, a sequence. One row per client says how far it came."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from billing_console.formats import period
from billing_console.states import RunState
from mappings.models import Frequency


class RunTrigger(models.TextChoices):
    SCHEDULE = "schedule", _("schedule")
    COMMAND = "command", _("command")
    PERSON = "person", _("person")


class InvoiceRun(models.Model):
    """Bills every unclaimed ready entry with a work date before `period_end`; state follows from its invoices."""

    frequency = models.CharField(_("frequency"), max_length=10, choices=Frequency.choices)
    period_start = models.DateField(_("first day"))
    period_end = models.DateField(_("day after the last"), help_text=_("Exclusive: 1 Jan for a run of December."))
    timezone = models.CharField(_("time zone"), max_length=64)
    sequence = models.PositiveIntegerField(_("sequence"), default=1, help_text=_("2 and more are supplements."))
    reason = models.TextField(_("reason"), blank=True)
    state = models.CharField(_("state"), max_length=12, choices=RunState.choices, default=RunState.BUILDING)
    trigger = models.CharField(_("started by"), max_length=10, choices=RunTrigger.choices)
    started_by = models.ForeignKey("accounts.User", models.PROTECT, null=True, blank=True, verbose_name=_("person"))
    requested_at = models.DateTimeField(
        _("asked for"),
        help_text=_("Business time; a client's draft is built after a sweep that began later."),
    )
    is_early = models.BooleanField(_("before the period's end"), default=False)
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)

    class Meta:
        verbose_name = _("run")
        verbose_name_plural = _("runs")
        ordering = ["-period_start", "-id"]
        permissions = [("start_invoicerun", _("Can start and refresh a run"))]
        constraints = [
            models.UniqueConstraint(
                fields=["frequency", "period_start", "period_end", "timezone", "sequence"],
                name="run_key_unique",
            ),
            models.CheckConstraint(
                condition=models.Q(period_start__lt=models.F("period_end")), name="run_period_not_empty"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_frequency_display()} {period(self.period_start, self.period_end)}"


class RunClientState(models.TextChoices):
    WAITING = "waiting", _("Waiting for the sweep")
    BUILT = "built", _("Built")
    EMPTY = "empty", _("Nothing to bill")
    FAILED = "failed", _("Failed")


class RunClient(models.Model):
    """How one client's part of a run went. A failure here never stops the others."""

    run = models.ForeignKey(InvoiceRun, models.CASCADE, related_name="clients", verbose_name=_("run"))
    client = models.ForeignKey("mappings.Client", models.PROTECT, related_name="+", verbose_name=_("client"))
    rule_set = models.ForeignKey("mappings.RuleSet", models.PROTECT, related_name="+", verbose_name=_("rule set"))
    state = models.CharField(_("state"), max_length=10, choices=RunClientState.choices, default=RunClientState.WAITING)
    sentence = models.TextField(_("what happened"), blank=True)
    asked_at = models.DateTimeField(
        _("asked for"), null=True, blank=True, help_text=_("Real time; how long the sweep and the pushes may take.")
    )
    built_at = models.DateTimeField(_("built"), null=True, blank=True)

    class Meta:
        verbose_name = _("client of a run")
        verbose_name_plural = _("clients of a run")
        ordering = ["client__name"]
        constraints = [models.UniqueConstraint(fields=["run", "client"], name="run_client_once")]

    def __str__(self) -> str:
        return f"{self.client}: {self.get_state_display()}"


class ClientSchedule(models.Model):
    """How far the schedule of one client has been dealt with: run days up to `last_run_on` need no more looking at."""

    client = models.OneToOneField("mappings.Client", models.CASCADE, related_name="schedule", verbose_name=_("client"))
    last_run_on = models.DateField(_("last run day"))

    class Meta:
        verbose_name = _("schedule of a client")
        verbose_name_plural = _("schedules of clients")

    def __str__(self) -> str:
        return f"{self.client}: {self.last_run_on:%Y-%m-%d}"
