"""Payments as Invoice Ninja reports them."""

from __future__ import annotations

from decimal import Decimal

from django.db import models
from django.utils.translation import gettext_lazy as _


class Payment(models.Model):
    """One payment applied to one of our invoices; amounts in the invoice's currency, gross.

    `by_credit` is the part of `amount` without `refunded` that no money brought: credits that were set against it.
    """

    invoice = models.ForeignKey("invoicing.Invoice", models.PROTECT, related_name="payments", verbose_name=_("invoice"))
    ninja_id = models.CharField(_("Invoice Ninja id"), max_length=64)
    amount = models.DecimalField(_("amount"), max_digits=14, decimal_places=3)
    refunded = models.DecimalField(_("refunded"), max_digits=14, decimal_places=3, default=0)
    by_credit = models.DecimalField(_("by credits"), max_digits=14, decimal_places=3, default=0)
    by_write_off = models.DecimalField(
        _("written off"), max_digits=14, decimal_places=3, default=0, help_text=_("A part of what credits settled.")
    )
    status = models.CharField(_("status there"), max_length=4, blank=True)
    paid_on = models.DateField(_("paid on"), null=True, blank=True)
    is_deleted = models.BooleanField(_("deleted"), default=False)
    seen_at = models.DateTimeField(_("read"), null=True, blank=True)
    remote_updated_at = models.DateTimeField(_("changed there"), null=True, blank=True)
    # Real time: since when Invoice Ninja shows an older state than that, and nothing newer.
    older_seen_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        verbose_name = _("payment")
        verbose_name_plural = _("payments")
        ordering = ["-paid_on", "-id"]
        constraints = [models.UniqueConstraint(fields=["invoice", "ninja_id"], name="payment_once_per_invoice")]

    def __str__(self) -> str:
        return f"{self.amount} {self.invoice.currency}"

    @property
    def by_money(self) -> Decimal:
        """The part of `amount` that money brought."""
        return self.amount - self.by_credit


class UnappliedPayment(models.Model):
    """What came in of a client and is on no invoice: no invoice was named, or more came than was owed.

    `amount` is what is left of `received`, in the payment's `currency`: without what was applied or given back; 0 when
    it was applied, refunded or deleted since, below 0 for money that was given back by a payment of its own. The row is
    kept, so that an older reading cannot bring it back.
    """

    ninja_id = models.CharField(_("Invoice Ninja id"), max_length=64, unique=True)
    client_ninja_id = models.CharField(_("client there"), max_length=64, db_index=True)
    client = models.ForeignKey(
        "mappings.Client",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="unapplied_payments",
        verbose_name=_("client"),
        help_text=_("None until Invoice Ninja's list of clients has it."),
    )
    number = models.CharField(_("number"), max_length=191, blank=True)
    reference = models.CharField(_("reference"), max_length=255, blank=True)
    currency = models.CharField(_("currency"), max_length=3)
    received = models.DecimalField(_("received"), max_digits=14, decimal_places=3)
    amount = models.DecimalField(_("on no invoice"), max_digits=14, decimal_places=3)
    paid_on = models.DateField(_("paid on"), null=True, blank=True)
    noticed_at = models.DateTimeField(_("noticed"), auto_now_add=True)
    changed_at = models.DateTimeField(_("changed"), help_text=_("When the amount changed here last; real time."))
    remote_updated_at = models.DateTimeField(_("changed there"), null=True, blank=True)
    older_seen_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        verbose_name = _("unapplied payment")
        verbose_name_plural = _("unapplied payments")
        ordering = ["paid_on", "id"]
        indexes = [
            models.Index(fields=["client", "currency"], condition=~models.Q(amount=0), name="unapplied_of_a_client")
        ]

    def __str__(self) -> str:
        return f"{self.number or self.ninja_id}"


class PollCursor(models.Model):
    """How far the changes in Invoice Ninja have been read, in its own seconds, but never beyond our present."""

    name = models.CharField(_("list"), max_length=20, unique=True)
    seen_until = models.DateTimeField(_("read until"))
    ahead_until = models.DateTimeField(
        _("ahead until"), null=True, blank=True, help_text=_("The latest time that was read, if it has not come yet.")
    )

    class Meta:
        verbose_name = _("poll cursor")
        verbose_name_plural = _("poll cursors")

    def __str__(self) -> str:
        return self.name
