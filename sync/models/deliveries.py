"""What Taiga sent, byte for byte, before anything can fail."""

from __future__ import annotations

import uuid
from uuid import UUID

from django.db import models
from django.utils.translation import gettext_lazy as _

from billing_console.states import DeliveryState, ItemKind


class Verdict(models.TextChoices):
    """What a delivery means for us; only `work_item` leads to a call."""

    WORK_ITEM = "work_item", _("billable item changed")
    ECHO = "echo", _("our own write-back")
    TEST = "test", _("test of the webhook")
    IRRELEVANT = "irrelevant", _("nothing billable")
    PROJECT_EVENT = "project_event", _("project changed or deleted")
    PROJECT_MISMATCH = "project_mismatch", _("signed with another project's key")


class WebhookDelivery(models.Model):
    """One signed delivery. The fingerprint is the sha256 of its canonical JSON: resends are recognised by it."""

    HEAVY = ("raw_body", "headers")

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    fingerprint = models.CharField(_("fingerprint"), max_length=64)
    raw_body = models.BinaryField(_("raw body"))
    headers = models.JSONField(_("headers"), default=dict)
    is_emptied = models.BooleanField(_("body thrown away"), default=False, db_default=False)
    received_at = models.DateTimeField(_("received"), db_index=True)
    remote_address = models.GenericIPAddressField(_("from"), null=True, blank=True)
    project_mapping = models.ForeignKey(
        "mappings.ProjectMapping", models.SET_NULL, null=True, blank=True, verbose_name=_("hook of project")
    )
    verdict = models.CharField(_("verdict"), max_length=20, choices=Verdict.choices)
    event_type = models.CharField(_("type"), max_length=40, blank=True)
    action = models.CharField(_("action"), max_length=20, blank=True)
    event_at = models.DateTimeField(_("time of the event"), null=True, blank=True)
    by_taiga_user_id = models.BigIntegerField(_("by Taiga user"), null=True, blank=True)
    by_username = models.CharField(_("by"), max_length=255, blank=True)
    taiga_project_id = models.BigIntegerField(_("Taiga project id"), null=True, blank=True, db_index=True)
    item_kind = models.CharField(_("kind"), max_length=1, choices=ItemKind.choices, blank=True)
    item_taiga_id = models.BigIntegerField(_("Taiga id"), null=True, blank=True)
    item_ref = models.BigIntegerField(_("ref"), null=True, blank=True)
    item_subject = models.CharField(_("subject"), max_length=500, blank=True)
    duplicates = models.PositiveIntegerField(_("received again"), default=0)
    state = models.CharField(_("state"), max_length=12, choices=DeliveryState.choices, default=DeliveryState.RECEIVED)
    attempts = models.PositiveIntegerField(_("attempts"), default=0)
    not_before = models.DateTimeField(_("not before"), null=True, blank=True)
    error = models.TextField(_("error"), blank=True)
    claim_id = models.UUIDField(null=True, blank=True, editable=False)
    lease_until = models.DateTimeField(null=True, blank=True, editable=False)
    processed_at = models.DateTimeField(_("processed"), null=True, blank=True)

    class Meta:
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["fingerprint"], name="delivery_fingerprint_unique")]
        indexes = [
            # In the order in which they are taken. By an index of waits the database would look for the first of them
            # among all that were ever finished.
            models.Index(
                fields=["id"],
                condition=models.Q(state__in=["received", "processing"]),
                name="delivery_waiting",
            ),
            models.Index(fields=["state", "-id"], name="delivery_state"),
            models.Index(fields=["item_kind", "item_taiga_id"], name="delivery_item"),
            models.Index(fields=["item_ref"], name="delivery_ref"),
            models.Index(fields=["received_at"], condition=models.Q(is_emptied=False), name="delivery_with_body"),
        ]

    def __str__(self) -> str:
        return f"{self.event_type} {self.action} #{self.item_ref or '–'}"

    @property
    def correlation_id(self) -> UUID:
        """Runs from this delivery to the entry, the call and the log line."""
        return self.uuid


class RejectedDelivery(models.Model):
    """Attempts that were refused, counted per address and minute: a flood costs one row a minute, not one each."""

    remote_address = models.GenericIPAddressField(_("from"))
    minute = models.DateTimeField(_("minute"))
    reason = models.CharField(_("reason"), max_length=40)
    count = models.PositiveIntegerField(_("attempts"), default=1)

    class Meta:
        verbose_name = _("rejected delivery")
        verbose_name_plural = _("rejected deliveries")
        ordering = ["-minute"]
        constraints = [
            models.UniqueConstraint(fields=["remote_address", "minute", "reason"], name="rejected_per_address_minute")
        ]

    def __str__(self) -> str:
        return f"{self.remote_address} {self.minute:%Y-%m-%d %H:%M} {self.reason}"
