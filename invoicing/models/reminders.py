"""One reminder of one open invoice, asked for by a person. Invoice Ninja's own schedule sends the others."""

from __future__ import annotations

import uuid

from django.db import models
from django.utils.translation import gettext_lazy as _

from billing_console.states import ReminderState


class ReminderText(models.TextChoices):
    """Which of Invoice Ninja's texts is mailed; the words themselves are edited there."""

    FIRST = "reminder1", _("Reminder 1")
    SECOND = "reminder2", _("Reminder 2")
    THIRD = "reminder3", _("Reminder 3")
    FURTHER = "reminder_endless", _("Further reminder")


class Reminder(models.Model):
    """Claimed before the call, never repeated by itself; `balance` is what the person saw open, gross.

    `mails` holds for each contact who gets mail {invitation, name, email, before, after, error}: the message ids before
    and after the call are the proof. `reminded_at` is business time, everything with a lease real time.
    """

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    invoice = models.ForeignKey(
        "invoicing.Invoice", models.PROTECT, related_name="reminders", verbose_name=_("invoice")
    )
    text = models.CharField(_("text"), max_length=20, choices=ReminderText.choices)
    balance = models.DecimalField(_("open when asked"), max_digits=14, decimal_places=3)
    state = models.CharField(_("state"), max_length=10, choices=ReminderState.choices, default=ReminderState.PENDING)
    state_since = models.DateTimeField(_("in this state since"), null=True, blank=True)
    by = models.ForeignKey("accounts.User", models.PROTECT, null=True, blank=True, verbose_name=_("by"))
    asked_at = models.DateTimeField(_("asked"), auto_now_add=True)
    reminded_at = models.DateTimeField(_("mail asked for"), null=True, blank=True)
    called_at = models.DateTimeField(_("called"), null=True, blank=True)
    last_activity = models.BigIntegerField(
        _("last activity"), default=0, help_text=_("Number of Invoice Ninja's newest activity of it before the call.")
    )
    shown_to = models.JSONField(
        _("addresses on screen"), default=list, blank=True, help_text=_("Empty where nobody looked.")
    )
    mails = models.JSONField(_("mails"), default=list, blank=True)
    sentence = models.TextField(_("what happened"), blank=True)
    allowed_by = models.ForeignKey(
        "accounts.User", models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("allowed again by")
    )
    allowed_note = models.TextField(
        _("allowed again because"), blank=True, help_text=_("Takes effect when Invoice Ninja was read once more.")
    )
    attempts = models.PositiveIntegerField(_("attempts"), default=0)
    not_before = models.DateTimeField(_("not before"), null=True, blank=True)
    claim_id = models.UUIDField(null=True, blank=True, editable=False)
    lease_until = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        verbose_name = _("reminder")
        verbose_name_plural = _("reminders")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["invoice"],
                condition=models.Q(state__in=["pending", "sending", "attention"]),
                name="reminder_one_at_a_time",
            )
        ]
        indexes = [
            models.Index(
                fields=["id"],
                condition=models.Q(state__in=["pending", "sending", "attention"]),
                name="reminder_unfinished",
            )
        ]

    def __str__(self) -> str:
        return f"{self.get_text_display()}, {self.invoice}"

    @property
    def proven(self) -> list[str]:
        """The addresses for which Invoice Ninja has a new message id."""
        return [mail["email"] or mail["name"] for mail in self.mails if is_proven(mail)]

    @property
    def unproven(self) -> list[str]:
        """The addresses for which it has none yet."""
        return [mail["email"] or mail["name"] for mail in self.mails if not is_proven(mail)]


def is_proven(mail: dict[str, str]) -> bool:
    """Whether the message id of one contact's mail is another one than before the call."""
    return bool(mail["after"]) and mail["after"] != mail["before"]
