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
    status = models.CharField(_("status there"), max_length=4, blank=True)
    paid_on = models.DateField(_("paid on"), null=True, blank=True)
    is_deleted = models.BooleanField(_("deleted"), default=False)
    seen_at = models.DateTimeField(_("read"), null=True, blank=True)

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


class PollCursor(models.Model):
    """How far the changes in Invoice Ninja have been read, in its own seconds."""

    name = models.CharField(_("list"), max_length=20, unique=True)
    seen_until = models.DateTimeField(_("read until"))

    class Meta:
        verbose_name = _("poll cursor")
        verbose_name_plural = _("poll cursors")

    def __str__(self) -> str:
        return self.name
