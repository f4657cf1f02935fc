"""Imports that take longer than a request may: their files, what they would do, and how far they are."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _


class ImportState(models.TextChoices):
    WAITING = "pending", _("Waiting")
    RUNNING = "processing", _("At work")
    PREVIEWED = "draft", _("Looked through")
    FAULTY = "failed", _("Mistakes")
    DONE = "done", _("Imported")


class ImportJob(models.Model):
    """Configuration files that a worker looks through, and imports once a person has seen what they change.

    `is_trial` while it only looks. `digest` is what the preview said, as a hash: what is imported is exactly that.
    `done` of `total` things are read; a worker that has not told for a while (`told_at`, real time) is dead.
    """

    HEAVY = ("files", "report")

    files = models.JSONField(_("files"), help_text=_("Names and texts."))
    is_trial = models.BooleanField(_("only looks"), default=True)
    state = models.CharField(_("state"), max_length=12, choices=ImportState.choices, default=ImportState.WAITING)
    sentence = models.TextField(_("what happened"), blank=True)
    digest = models.CharField(max_length=64, blank=True, editable=False)
    report = models.JSONField(_("report"), default=dict, blank=True)
    done = models.PositiveIntegerField(_("done"), default=0)
    total = models.PositiveIntegerField(_("of"), default=0)
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, verbose_name=_("asked by"))
    asked_at = models.DateTimeField(_("asked"), auto_now_add=True)
    told_at = models.DateTimeField(null=True, blank=True, editable=False)
    claim = models.UUIDField(null=True, blank=True, editable=False)

    class Meta:
        verbose_name = _("import")
        verbose_name_plural = _("imports")
        ordering = ["-id"]
        indexes = [models.Index(fields=["state", "id"], name="import_due")]

    def __str__(self) -> str:
        return f"{self._meta.verbose_name} {self.pk}"
