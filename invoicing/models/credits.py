"""Money given back: a credit in Invoice Ninja for what a Difference takes off an invoice, and its use there."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from billing_console.states import RecordState
from sync.exact_json import ExactDecoder, ExactEncoder


class WriteOffCause(models.TextChoices):
    """Why a rest of an invoice will not be paid."""

    BANK_COSTS = "bank_costs", _("bank costs")
    GOODWILL = "goodwill", _("goodwill")
    BAD_DEBT = "bad_debt", _("bad debt")


class Credit(models.Model):
    """One decided Difference as a credit, or a rest that is written off (`cause`).

    Amounts are positive, in `currency`, net before tax, taxed as the invoice; a rest that is written off has no tax.
    Where it is, says its record: wanted, there, or given up (dropped). `use` is the payment without money that sets
    it against the invoice.
    """

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    invoice = models.ForeignKey("invoicing.Invoice", models.PROTECT, related_name="credits", verbose_name=_("invoice"))
    difference = models.ForeignKey(
        "sync.Difference",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="credits",
        verbose_name=_("difference"),
        help_text=_("None of a rest that is written off."),
    )
    cause = models.CharField(_("why written off"), max_length=20, choices=WriteOffCause.choices, blank=True)
    lines = models.JSONField(
        _("lines"),
        default=list,
        encoder=ExactEncoder,
        decoder=ExactDecoder,
        help_text=_("Text, hours, rate and amount of each, as text."),
    )
    currency = models.CharField(_("currency"), max_length=3)
    net = models.DecimalField(_("total before tax"), max_digits=14, decimal_places=3)
    tax_name = models.CharField(_("tax name"), max_length=50, blank=True)
    tax_rate = models.DecimalField(_("tax rate, %"), max_digits=6, decimal_places=3, default=0)
    tax = models.DecimalField(_("tax amount"), max_digits=14, decimal_places=3, default=0)
    gross = models.DecimalField(_("total with tax"), max_digits=14, decimal_places=3)
    credit_date = models.DateField(_("credit date"))
    reason = models.TextField(_("reason"))
    made_by = models.ForeignKey("accounts.User", models.PROTECT, related_name="+", verbose_name=_("decided by"))
    made_at = models.DateTimeField(_("decided"), auto_now_add=True)
    remote = models.OneToOneField(
        "sync.RemoteRecord", models.PROTECT, related_name="credit", verbose_name=_("in Invoice Ninja")
    )
    number = models.CharField(_("number"), max_length=191, blank=True, help_text=_("Given by Invoice Ninja."))
    is_to_use = models.BooleanField(_("to be set against the invoice"), default=False)
    use = models.OneToOneField(
        "sync.RemoteRecord",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="credit_used",
        verbose_name=_("its use in Invoice Ninja"),
    )
    used = models.DecimalField(_("set against the invoice"), max_digits=14, decimal_places=3, default=0)
    is_given_up = models.BooleanField(_("given up"), default=False)

    class Meta:
        verbose_name = _("credit")
        verbose_name_plural = _("credits")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["difference"], condition=Q(is_given_up=False), name="credit_one_per_difference"
            ),
            models.CheckConstraint(
                condition=Q(difference__isnull=False, cause="") | (Q(difference__isnull=True) & ~Q(cause="")),
                name="credit_of_a_difference_or_a_rest",
            ),
            models.CheckConstraint(condition=Q(gross__gt=0, net__gt=0), name="credit_gives_something"),
        ]

    def __str__(self) -> str:
        return f"{self.number or _('credit')}, {self.invoice}"

    @property
    def key(self) -> str:
        """Our key in Invoice Ninja's private notes; ends with a delimiter, so no key is a prefix of another."""
        return f"bc-{self.uuid};"

    @property
    def is_there(self) -> bool:
        """Whether Invoice Ninja is proven to hold it."""
        return self.remote.state == RecordState.SYNCED and not self.is_given_up
