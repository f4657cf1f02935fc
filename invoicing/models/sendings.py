"""Mailing an invoice once, with proof per contact."""

from __future__ import annotations

import uuid

from django.db import models
from django.utils.translation import gettext_lazy as _


class Selection(models.Model):
    """What a person had on screen when asked to confirm: ids with their revisions or seals.

    A thousand ids fit no URL and no form, so the confirm form posts only this row's id."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    verb = models.CharField(_("verb"), max_length=20)
    rows = models.JSONField(_("rows"), default=list, help_text=_("Pairs of invoice id and revision or seal."))
    made_by = models.ForeignKey("accounts.User", models.CASCADE, verbose_name=_("made by"))
    made_at = models.DateTimeField(_("made"), auto_now_add=True)
    used_at = models.DateTimeField(_("used"), null=True, blank=True)

    class Meta:
        verbose_name = _("selection")
        verbose_name_plural = _("selections")

    def __str__(self) -> str:
        return f"{self.verb} {len(self.rows)}"


class Sending(models.Model):
    """One mailing of one invoice. Claimed before the call; never repeated by itself."""

    invoice = models.ForeignKey("invoicing.Invoice", models.PROTECT, related_name="sendings", verbose_name=_("invoice"))
    by = models.ForeignKey("accounts.User", models.PROTECT, null=True, blank=True, verbose_name=_("by"))
    selection = models.ForeignKey(Selection, models.SET_NULL, null=True, blank=True, related_name="sendings")
    seal = models.CharField(_("seal"), max_length=64, help_text=_("Of the content the person confirmed."))
    shown_to = models.JSONField(
        _("addresses on screen"), default=list, blank=True, help_text=_("Empty where nobody looked.")
    )
    is_called = models.BooleanField(_("mail asked for"), default=False)
    asked_at = models.DateTimeField(_("asked"), auto_now_add=True)
    called_at = models.DateTimeField(_("called"), null=True, blank=True)
    last_activity = models.BigIntegerField(
        _("last activity"), default=0, help_text=_("Number of Invoice Ninja's newest activity of it before the call.")
    )
    proven_at = models.DateTimeField(_("proven"), null=True, blank=True)
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)
    not_before = models.DateTimeField(_("not before"), null=True, blank=True)
    attempts = models.PositiveIntegerField(_("attempts before the call"), default=0)
    claim_id = models.UUIDField(null=True, blank=True, editable=False)
    lease_until = models.DateTimeField(null=True, blank=True, editable=False)
    sentence = models.TextField(_("what happened"), blank=True)
    allowed_by = models.ForeignKey(
        "accounts.User", models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("allowed again by")
    )
    allowed_note = models.TextField(
        _("allowed again because"), blank=True, help_text=_("Takes effect when Invoice Ninja was read once more.")
    )

    class Meta:
        verbose_name = _("sending")
        verbose_name_plural = _("sendings")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["invoice"], condition=models.Q(finished_at__isnull=True), name="sending_one_at_a_time"
            )
        ]
        indexes = [
            models.Index(fields=["id"], condition=models.Q(finished_at__isnull=True), name="sending_unfinished"),
            models.Index(
                fields=["id"],
                condition=models.Q(is_called=True, proven_at__isnull=True, finished_at__isnull=False),
                name="sending_unproven",
            ),
        ]

    def __str__(self) -> str:
        return str(self.invoice)


class ContactMail(models.Model):
    """One contact who gets the mail: the message id before and after is the proof."""

    sending = models.ForeignKey(Sending, models.CASCADE, related_name="mails", verbose_name=_("sending"))
    invitation_id = models.CharField(_("invitation"), max_length=64)
    name = models.CharField(_("name"), max_length=255, blank=True)
    email = models.CharField(_("address"), max_length=320)
    message_id_before = models.CharField(_("message id before"), max_length=255, blank=True)
    message_id_after = models.CharField(_("message id after"), max_length=255, blank=True)
    error = models.TextField(_("error"), blank=True)

    class Meta:
        verbose_name = _("mail to a contact")
        verbose_name_plural = _("mails to contacts")
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["sending", "invitation_id"], name="mail_once_per_contact")]

    def __str__(self) -> str:
        return self.email
