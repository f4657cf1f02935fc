"""The company: one row with what holds for every client unless a rule set says otherwise."""

from __future__ import annotations

from decimal import Decimal

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _


class InvoiceDate(models.TextChoices):
    """Which date is proposed for an invoice; it never lies before the last invoice's, or in a closed month."""

    APPROVAL = "approval", _("the day of the approval")
    RUN = "run", _("the day on which the run was asked for")
    PERIOD_END = "period_end", _("the last day of the period")


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
    attribute_estimate = models.CharField(
        _("estimate attribute"),
        max_length=64,
        default="Estimate (Hours)",
        help_text=_("Hours somebody expected; only reported, never billed."),
    )
    max_item_hours = models.DecimalField(
        _("hours on one item before asking"),
        max_digits=6,
        decimal_places=2,
        default=Decimal(24),
        help_text=_("More than this on one item is held until somebody confirms it."),
    )
    needs_four_eyes = models.BooleanField(
        _("four eyes"),
        default=False,
        help_text=_("Who changed a draft cannot approve it; another approver must."),
    )
    invoice_date = models.CharField(
        _("invoice date"),
        max_length=12,
        choices=InvoiceDate.choices,
        default=InvoiceDate.APPROVAL.value,
        help_text=_(
            "What is proposed when a draft is approved. It never lies before the last invoice date of the company, "
            "and never in a closed month."
        ),
    )
    brake_rate_percent = models.PositiveIntegerField(
        _("change of a rate, %"),
        null=True,
        blank=True,
        default=50,
        help_text=_(
            "A rate that differs by more from the same person's previous entry in the same project is held. "
            "Empty: never."
        ),
    )
    brake_month_factor = models.DecimalField(
        _("times the client's usual month"),
        max_digits=6,
        decimal_places=2,
        null=True,
        blank=True,
        default=Decimal(3),
        validators=[MinValueValidator(1)],
        help_text=_(
            "What makes a client's month cost more than so many times the median of its earlier months is held; "
            "it needs three months with work. Empty: never."
        ),
    )
    brake_uplift_percent = models.PositiveIntegerField(
        _("uplift, %"),
        null=True,
        blank=True,
        default=50,
        help_text=_(
            "What rounding and minimum raise by more than this, and by more than the hours below, is held. "
            "Empty: never."
        ),
    )
    brake_uplift_hours = models.DecimalField(
        _("uplift, hours"),
        max_digits=6,
        decimal_places=2,
        default=Decimal(1),
        validators=[MinValueValidator(0)],
        help_text=_("An uplift up to this is never held, however large in per cent."),
    )
    brake_late_days = models.PositiveIntegerField(
        _("days after closing"),
        null=True,
        blank=True,
        default=45,
        help_text=_("Hours that are typed later than this after the item was closed are held. Empty: never."),
    )
    brake_client = models.BooleanField(
        _("another client's item"),
        default=True,
        help_text=_("An item whose client is not the one of its project is held until somebody confirms it."),
    )
    week_hours = models.DecimalField(
        _("plausible hours a week"),
        max_digits=6,
        decimal_places=2,
        default=Decimal(80),
        validators=[MinValueValidator(1), MaxValueValidator(168)],
        help_text=_("A person's week with more hours is shown as a warning. A week has 168."),
    )

    class Meta:
        verbose_name = _("company")
        verbose_name_plural = _("company")
        constraints = [models.CheckConstraint(condition=models.Q(pk=1), name="company_is_one_row")]

    def __str__(self) -> str:
        return self.name or "Company"

    def clean(self) -> None:
        """Six attributes are six different names."""
        names = [self.attribute_billable, self.attribute_hours, self.attribute_rate]
        names += [self.attribute_client, self.attribute_status, self.attribute_estimate]
        if len({" ".join(name.split()).casefold() for name in names}) < len(names):
            raise ValidationError(_("Two attributes have the same name. Each needs one of its own."))

    @classmethod
    def current(cls) -> Company:
        """The one row; made with its defaults when it is not there yet."""
        return cls.objects.get_or_create(pk=1)[0]
