"""The projects of Taiga, cached and refreshed, and which client and project of Invoice Ninja each belongs to."""

from __future__ import annotations

import uuid

from django.db import models
from django.utils.translation import gettext_lazy as _
from simple_history.models import HistoricalRecords

from billing_console.fields import EncryptedTextField, UnreadableSecret


class TaigaProject(models.Model):
    """A project of Taiga that our user is a member of, as last read from it."""

    taiga_id = models.PositiveBigIntegerField(_("Taiga id"), unique=True)
    name = models.CharField(_("name"), max_length=255, blank=True)
    slug = models.CharField(_("slug"), max_length=255, blank=True)
    is_known = models.BooleanField(_("our user is a member"), default=False)
    is_admin = models.BooleanField(_("our user administers it"), default=False)
    is_archived = models.BooleanField(_("archived or blocked"), default=False)
    refreshed_at = models.DateTimeField(_("last read"), null=True, blank=True)

    class Meta:
        verbose_name = _("Taiga project")
        verbose_name_plural = _("Taiga projects")
        ordering = ["name", "taiga_id"]

    def __str__(self) -> str:
        return self.name or str(self.taiga_id)


class ProjectMapping(models.Model):
    """One Taiga project, its client, and the key that its webhook is signed with."""

    uuid = models.UUIDField(_("uuid"), default=uuid.uuid4, unique=True, editable=False)
    taiga_project_id = models.PositiveBigIntegerField(_("Taiga project id"), unique=True)
    taiga_project_name = models.CharField(_("Taiga project"), max_length=255)
    taiga_slug = models.CharField(
        _("slug in Taiga"), max_length=255, blank=True, help_text=_("Part of links into Taiga.")
    )
    client = models.ForeignKey("mappings.Client", models.PROTECT, related_name="projects", verbose_name=_("client"))
    ninja_project = models.ForeignKey(
        "mappings.NinjaProject",
        models.PROTECT,
        related_name="mappings",
        null=True,
        blank=True,
        verbose_name=_("Invoice Ninja project"),
    )
    is_active = models.BooleanField(
        _("active"), default=True, help_text=_("Work closed in an inactive project is held.")
    )
    active_from = models.DateField(
        _("active from"), null=True, blank=True, help_text=_("First work date that is billed.")
    )
    active_to = models.DateField(_("active to"), null=True, blank=True, help_text=_("Last work date that is billed."))
    webhook_key = EncryptedTextField(_("webhook key"), blank=True, default="")
    previous_webhook_key = EncryptedTextField(_("previous webhook key"), blank=True, default="")
    history = HistoricalRecords(excluded_fields=["webhook_key", "previous_webhook_key"])

    class Meta:
        verbose_name = _("project")
        verbose_name_plural = _("projects")
        ordering = ["taiga_project_name"]

    def __str__(self) -> str:
        return self.taiga_project_name

    def move_key_to(self, key: str) -> None:
        """Take `key` for the webhook; the one before stays valid beside it, if it can be read. Saves nothing."""
        before = self.webhook_key
        self.previous_webhook_key = "" if isinstance(before, UnreadableSecret) else before
        self.webhook_key = key
