"""What bears a key of ours a second time in Invoice Ninja."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class Twin(models.Model):
    """A second living invoice or credit under one key of ours, from the look that found it on.

    `kept_id` is the one that our books name, or the older of both where they name none yet; `other_id` the one to end.
    """

    record = models.ForeignKey("sync.RemoteRecord", models.CASCADE, related_name="+", verbose_name=_("ours"))
    kept_id = models.CharField(max_length=64)
    kept_number = models.CharField(_("kept"), max_length=191, blank=True)
    other_id = models.CharField(max_length=64)
    other_number = models.CharField(_("to end"), max_length=191, blank=True)
    sentence = models.TextField(_("what was found"))
    found_at = models.DateTimeField(_("found"))
    asked_at = models.DateTimeField(_("to be ended since"), null=True, blank=True)
    ended_at = models.DateTimeField(_("over"), null=True, blank=True)

    class Meta:
        verbose_name = _("made twice")
        verbose_name_plural = _("made twice")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["record", "other_id"], condition=Q(ended_at__isnull=True), name="twin_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kept_number or self.kept_id} · {self.other_number or self.other_id}"
