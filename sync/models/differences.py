"""What changed in Taiga after it was claimed for an invoice."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from billing_console.states import DifferenceState


class Difference(models.Model):
    """Billed then against worth now, of one item; at most one open per item."""

    item = models.ForeignKey("sync.WorkItem", models.PROTECT, related_name="differences", verbose_name=_("item"))
    entry = models.ForeignKey(
        "sync.TimeEntry", models.PROTECT, related_name="differences", verbose_name=_("billed entry")
    )
    state = models.CharField(_("state"), max_length=15, choices=DifferenceState.choices, default=DifferenceState.OPEN)
    billed_hours = models.DecimalField(_("billed hours"), max_digits=10, decimal_places=2)
    hours_now = models.DecimalField(_("hours now"), max_digits=10, decimal_places=2)
    rate_now = models.DecimalField(
        _("rate now"), max_digits=12, decimal_places=3, null=True, blank=True, help_text=_("Empty: as it was billed.")
    )
    amount = models.DecimalField(_("amount, ±"), max_digits=14, decimal_places=3)
    currency = models.CharField(_("currency"), max_length=3)
    payer_now = models.ForeignKey(
        "mappings.Client",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("client now"),
        help_text=_("The client whom somebody in Taiga named since it was billed. Empty: the same as then."),
    )
    taken_hours = models.DecimalField(
        _("hours that a credit took off the billed entry"),
        max_digits=10,
        decimal_places=2,
        null=True,
        blank=True,
        help_text=_("Set where a person credited a line because its hours were wrong. Empty: Taiga said other hours."),
    )
    taken_by = models.CharField(_("who said so"), max_length=255, blank=True)
    credited_at = models.DateTimeField(_("credited"), null=True, blank=True)
    sentence = models.TextField(_("what changed"))
    noticed_at = models.DateTimeField(_("noticed"))
    reason = models.TextField(_("decision"), blank=True)

    class Meta:
        verbose_name = _("difference")
        verbose_name_plural = _("differences")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["item"], condition=Q(state="open"), name="difference_one_open_per_item")
        ]

    def __str__(self) -> str:
        return self.sentence

    @property
    def mark(self) -> str:
        """What it says, for a form: another mark is another question."""
        return f"{self.entry_id}|{self.hours_now}|{self.rate_now or ''}|{self.amount}|{self.payer_now_id or ''}"
