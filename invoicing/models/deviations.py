"""Where an invoice in Invoice Ninja is not what was sealed here, and what a person did about it."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from sync.exact_json import ExactDecoder, ExactEncoder


class Decision(models.TextChoices):
    OPEN = "", _("Open")
    ADOPTED = "adopted", _("Taken over from Invoice Ninja")
    OVERWRITTEN = "overwritten", _("Written to Invoice Ninja again")
    GONE = "gone", _("Equal again, or found anew")


class Deviation(models.Model):
    """Both sides as they were read, in one form (`invoicing.snapshots`). Open until a person decided, or it is gone.

    `seal` is that of our content; `stolen` are the numbers of tasks of ours that are on another invoice there.
    """

    invoice = models.ForeignKey("invoicing.Invoice", models.CASCADE, related_name="deviations")
    found_at = models.DateTimeField(_("found"))
    seal = models.CharField(_("seal"), max_length=64)
    ours = models.JSONField(_("ours"), encoder=ExactEncoder, decoder=ExactDecoder)
    theirs = models.JSONField(_("theirs"), encoder=ExactEncoder, decoder=ExactDecoder)
    stolen = models.JSONField(_("tasks on another invoice"), default=list)
    decision = models.CharField(_("decision"), max_length=12, choices=Decision.choices, default="", blank=True)
    decided_at = models.DateTimeField(_("decided"), null=True, blank=True)
    decided_by = models.ForeignKey(
        "accounts.User", models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("decided by")
    )
    reason = models.TextField(_("reason"), blank=True)
    proposed_by = models.ForeignKey(
        "accounts.User",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("proposed by"),
        help_text=_("Who wants it taken over, where another approver must agree (four eyes)."),
    )
    proposed_at = models.DateTimeField(_("proposed"), null=True, blank=True)
    proposal = models.TextField(_("why it is to be taken over"), blank=True)

    class Meta:
        verbose_name = _("deviation")
        verbose_name_plural = _("deviations")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["invoice"], condition=Q(decision=""), name="deviation_one_open"),
        ]

    def __str__(self) -> str:
        return str(self.invoice)


class DoubleBilling(models.Model):
    """A task of ours that is on more than one living invoice in Invoice Ninja, from the look that found it on.

    `invoices` are [number, id there, whether it is one of ours] of each.
    """

    record = models.ForeignKey("sync.RemoteRecord", models.CASCADE, related_name="+", verbose_name=_("task"))
    invoices = models.JSONField(_("invoices"), default=list)
    sentence = models.TextField(_("what was found"))
    found_at = models.DateTimeField(_("found"))
    seen_at = models.DateTimeField(_("last seen"))
    ended_at = models.DateTimeField(_("over"), null=True, blank=True)

    class Meta:
        verbose_name = _("task on two invoices")
        verbose_name_plural = _("tasks on two invoices")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["record"], condition=Q(ended_at__isnull=True), name="double_billing_once"),
        ]

    def __str__(self) -> str:
        return self.record.our_key
