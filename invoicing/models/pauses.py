"""Reminders that are paused until a day, with a reason: of one invoice, or of all invoices of a client."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class ReminderPause(models.Model):
    """In force until the end of its last day, in the company's zone, unless somebody lifted it before."""

    client = models.ForeignKey(
        "mappings.Client", models.PROTECT, related_name="reminder_pauses", verbose_name=_("client")
    )
    invoice = models.ForeignKey(
        "invoicing.Invoice",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="reminder_pauses",
        verbose_name=_("invoice"),
        help_text=_("Empty: every invoice of the client."),
    )
    until = models.DateField(_("last day"), help_text=_("This day is paused too."))
    reason = models.TextField(_("reason"))
    by = models.ForeignKey("accounts.User", models.PROTECT, related_name="+", verbose_name=_("by"))
    at = models.DateTimeField(_("paused at"), auto_now_add=True)
    lifted_by = models.ForeignKey(
        "accounts.User", models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("lifted by")
    )
    lifted_at = models.DateTimeField(_("lifted at"), null=True, blank=True)
    lifted_reason = models.TextField(_("lifted because"), blank=True)

    class Meta:
        verbose_name = _("pause of reminders")
        verbose_name_plural = _("pauses of reminders")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["invoice"],
                condition=Q(lifted_at__isnull=True, invoice__isnull=False),
                name="pause_one_per_invoice",
            ),
            models.UniqueConstraint(
                fields=["client"],
                condition=Q(lifted_at__isnull=True, invoice__isnull=True),
                name="pause_one_per_client",
            ),
        ]

    def __str__(self) -> str:
        return str(self.invoice or self.client)
