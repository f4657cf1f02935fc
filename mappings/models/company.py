"""The company: one row with what holds for every client unless a rule set says otherwise."""

from __future__ import annotations

from decimal import Decimal

from django.db import models
from django.utils.translation import gettext_lazy as _


class Company(models.Model):
    """One row, id 1 (`Company.current()` makes it)."""

    name = models.CharField(_("name"), max_length=200, blank=True, help_text=_("As Invoice Ninja calls it."))
    currency = models.CharField(
        _("currency"), max_length=3, default="EUR", help_text=_("ISO code; used where a rate names none.")
    )
    tax_name = models.CharField(
        _("tax in Invoice Ninja"),
        max_length=50,
        blank=True,
        editable=False,
        help_text=_("As last read there; a rule set takes it over only when somebody says so."),
    )
    tax_rate = models.DecimalField(
        _("tax rate in Invoice Ninja, %"), max_digits=6, decimal_places=3, null=True, blank=True, editable=False
    )
    attribute_billable = models.CharField(_("billable attribute"), max_length=64, default="Billable")
    attribute_hours = models.CharField(_("hours attribute"), max_length=64, default="Duration (Hours)")
    attribute_rate = models.CharField(_("rate attribute"), max_length=64, default="Hourly Rate")
    attribute_client = models.CharField(_("client attribute"), max_length=64, default="Client Invoice ID")
    attribute_status = models.CharField(_("invoice status attribute"), max_length=64, default="Invoice Status")
    max_item_hours = models.DecimalField(
        _("hours on one item before asking"),
        max_digits=6,
        decimal_places=2,
        default=Decimal(24),
        help_text=_("More than this on one item is held until somebody confirms it."),
    )

    class Meta:
        verbose_name = _("company")
        verbose_name_plural = _("company")
        constraints = [models.CheckConstraint(condition=models.Q(pk=1), name="company_is_one_row")]

    def __str__(self) -> str:
        return self.name or "Company"

    @classmethod
    def current(cls) -> Company:
        """The one row; made with its defaults when it is not there yet."""
        return cls.objects.get_or_create(pk=1)[0]
