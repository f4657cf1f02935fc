"""The audit trail (append-only) and the journal of upstream calls."""

from __future__ import annotations

from typing import Final

from django.db import models
from django.utils.translation import gettext_lazy as _

from sync.models.records import Server

_METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")


class Transition(models.Model):
    """One arrow that one row took: who, when, why. Never changed, never deleted."""

    model = models.CharField(_("row"), max_length=40, help_text=_("Model label, e.g. sync.timeentry."))
    row_id = models.BigIntegerField(_("id"))
    from_state = models.CharField(_("from"), max_length=15, blank=True)
    to_state = models.CharField(_("to"), max_length=15)
    user = models.ForeignKey("accounts.User", models.PROTECT, null=True, blank=True, verbose_name=_("who"))
    why = models.TextField(_("why"), blank=True)
    claim_id = models.UUIDField(null=True, blank=True)
    correlation_id = models.UUIDField(null=True, blank=True, db_index=True)
    at = models.DateTimeField(_("at"), auto_now_add=True)

    class Meta:
        verbose_name = _("transition")
        verbose_name_plural = _("transitions")
        ordering = ["-id"]
        indexes = [models.Index(fields=["model", "row_id", "-id"], name="transition_row")]

    def __str__(self) -> str:
        return f"{self.model} {self.row_id}: {self.from_state} → {self.to_state}"


class UpstreamCall(models.Model):
    """One call to Taiga or Invoice Ninja; no body, no secret."""

    upstream = models.CharField(_("upstream"), max_length=15, choices=Server.choices)
    method = models.CharField(_("method"), max_length=7, choices=[(name, name) for name in _METHODS])
    path = models.CharField(_("path"), max_length=500)
    status = models.PositiveSmallIntegerField(_("status"), null=True, blank=True)
    duration_ms = models.PositiveIntegerField(_("milliseconds"))
    error = models.CharField(_("error"), max_length=100, blank=True)
    attempt = models.PositiveIntegerField(_("attempt"), default=1)
    item = models.ForeignKey(
        "sync.WorkItem", models.SET_NULL, null=True, blank=True, related_name="calls", verbose_name=_("item")
    )
    correlation_id = models.UUIDField(null=True, blank=True, db_index=True)
    at = models.DateTimeField(_("at"), db_index=True)

    class Meta:
        verbose_name = _("upstream call")
        verbose_name_plural = _("upstream calls")
        ordering = ["-id"]
        indexes = [models.Index(fields=["path"], opclasses=["varchar_pattern_ops"], name="call_path")]

    def __str__(self) -> str:
        return f"{self.method} {self.path} {self.status or self.error}"


class CallSummary(models.Model):
    """What is left of a day's calls once the journal is thrown away; `day` in UTC, `status` 0 where no answer came."""

    day = models.DateField(_("day"))
    upstream = models.CharField(_("server"), max_length=15)
    method = models.CharField(_("method"), max_length=10)
    status = models.IntegerField(_("status"))
    calls = models.PositiveBigIntegerField(_("calls"))
    total_ms = models.PositiveBigIntegerField(_("milliseconds in all"))

    class Meta:
        verbose_name = _("calls of a day")
        verbose_name_plural = _("calls by day")
        ordering = ["-day", "upstream", "method", "status"]
        constraints = [
            models.UniqueConstraint(fields=["day", "upstream", "method", "status"], name="call_summary_once")
        ]

    def __str__(self) -> str:
        return f"{self.day} {self.upstream} {self.method} {self.status}"
