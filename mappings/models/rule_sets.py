"""Versioned billing rules per client, with a company default. A version is never changed, only followed."""

from __future__ import annotations

from decimal import Decimal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from mappings import rules


class Frequency(models.TextChoices):
    WEEKLY = "weekly", _("weekly")
    BIWEEKLY = "biweekly", _("every two weeks")
    MONTHLY = "monthly", _("monthly")


class Rounding(models.TextChoices):
    NONE = "none", _("none")
    QUARTER_HOUR = "quarter_hour", _("quarter hour")
    HALF_HOUR = "half_hour", _("half hour")
    HOUR = "hour", _("hour")


class RoundingMode(models.TextChoices):
    UP = "up", _("up")
    NEAREST = "nearest", _("nearest")
    DOWN = "down", _("down")


class MinimumMode(models.TextChoices):
    RAISE = "raise", _("raise to the minimum")
    SKIP = "skip", _("do not bill")


class Prefer(models.TextChoices):
    USER = "user", _("the person's rate")
    PROJECT = "project", _("the project's rate")


class TaxDecision(models.TextChoices):
    UNDECIDED = "undecided", _("not decided")
    TAX = "tax", _("tax")
    NO_TAX = "no_tax", _("no tax")


class Grouping(models.TextChoices):
    CLIENT = "client", _("one invoice per client")
    PROJECT = "project", _("one invoice per project")


class InvoicedWhen(models.TextChoices):
    PUSHED = "pushed", _("when its task is in Invoice Ninja")
    APPROVED = "approved", _("when its invoice is approved")
    SENT = "sent", _("when its invoice is sent")


class RuleSet(models.Model):
    """The rules of one client (or, without a client, of the company) from one version on."""

    client = models.ForeignKey(
        "mappings.Client",
        models.PROTECT,
        related_name="rule_sets",
        null=True,
        blank=True,
        verbose_name=_("client"),
        help_text=_("Empty: the company's default, for every client without rules of its own."),
    )
    name = models.CharField(_("name"), max_length=100, default="Standard")
    version = models.PositiveIntegerField(_("version"), default=1, editable=False)
    is_current = models.BooleanField(_("current"), default=True, editable=False)
    created_at = models.DateTimeField(_("made at"), auto_now_add=True)
    created_by = models.ForeignKey(
        "accounts.User", models.SET_NULL, null=True, blank=True, editable=False, verbose_name=_("made by")
    )

    frequency = models.CharField(_("frequency"), max_length=10, choices=Frequency.choices, default=Frequency.MONTHLY)
    generation_day = models.PositiveSmallIntegerField(
        _("generation day"),
        default=1,
        validators=[MinValueValidator(1), MaxValueValidator(31)],
        help_text=_("Day of the month of a monthly run; in a shorter month its last day."),
    )
    generation_weekday = models.PositiveSmallIntegerField(
        _("generation weekday"),
        default=1,
        validators=[MinValueValidator(1), MaxValueValidator(7)],
        help_text=_("ISO weekday of a weekly run: 1 is Monday."),
    )
    anchor_date = models.DateField(
        _("anchor date"), null=True, blank=True, help_text=_("First day of one two-week period.")
    )
    min_billable_hours = models.DecimalField(
        _("minimum hours"),
        max_digits=6,
        decimal_places=2,
        default=Decimal("0.25"),
        validators=[MinValueValidator(0)],
    )
    min_mode = models.CharField(
        _("below the minimum"), max_length=10, choices=MinimumMode.choices, default=MinimumMode.RAISE
    )
    rounding = models.CharField(_("rounding"), max_length=20, choices=Rounding.choices, default=Rounding.QUARTER_HOUR)
    rounding_mode = models.CharField(
        _("rounding direction"), max_length=10, choices=RoundingMode.choices, default=RoundingMode.UP
    )
    prefer = models.CharField(_("which rate first"), max_length=10, choices=Prefer.choices, default=Prefer.USER)
    billing_timezone = models.CharField(
        _("time zone"),
        max_length=64,
        blank=True,
        help_text=_("IANA name; empty: the console's BILLING_TIMEZONE."),
    )
    grouping = models.CharField(_("invoices"), max_length=10, choices=Grouping.choices, default=Grouping.CLIENT)
    tax_decision = models.CharField(_("tax"), max_length=10, choices=TaxDecision.choices, default=TaxDecision.UNDECIDED)
    tax_name = models.CharField(_("tax name"), max_length=50, blank=True, help_text=_("As printed, e.g. VAT."))
    tax_rate = models.DecimalField(
        _("tax rate, %"),
        max_digits=6,
        decimal_places=3,
        default=Decimal(0),
        validators=[MinValueValidator(0)],
    )
    no_tax_text = models.CharField(
        _("why no tax"),
        max_length=255,
        blank=True,
        help_text=_("Printed on the invoice, e.g. VAT reverse charge."),
    )
    payment_terms = models.CharField(
        _("payment terms"),
        max_length=24,
        default="net30",
        help_text=_("net0 to net999, due_on_receipt, or with the end of the month: net 30 end of month."),
    )
    footer = models.TextField(_("footer"), blank=True)
    product_key = models.CharField(_("product"), max_length=100, default="Consulting")
    auto_send = models.BooleanField(
        _("send by itself"), default=False, help_text=_("Approves and sends drafts that have no warning.")
    )
    taiga_invoiced_when = models.CharField(
        _('"Invoiced" in Taiga'), max_length=10, choices=InvoicedWhen.choices, default=InvoicedWhen.PUSHED
    )

    class Meta:
        verbose_name = _("rule set")
        verbose_name_plural = _("rule sets")
        ordering = ["client", "-version"]
        constraints = [
            models.UniqueConstraint(fields=["client", "version"], name="rule_set_version_unique", nulls_distinct=False),
            models.UniqueConstraint(
                fields=["client"],
                condition=Q(is_current=True),
                name="rule_set_one_current",
                nulls_distinct=False,
            ),
            models.CheckConstraint(condition=Q(generation_day__range=(1, 31)), name="rule_set_day_of_month"),
            models.CheckConstraint(condition=Q(generation_weekday__range=(1, 7)), name="rule_set_weekday"),
            models.CheckConstraint(
                condition=~Q(frequency="biweekly") | Q(anchor_date__isnull=False), name="rule_set_biweekly_has_anchor"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} v{self.version}"

    def clean(self) -> None:
        """Refuse terms, time zones and tax decisions that could not be billed with."""
        errors: dict[str, object] = {}
        try:
            rules.read_terms(self.payment_terms)
        except ValueError as error:
            errors["payment_terms"] = str(error)
        if self.billing_timezone and not is_time_zone(self.billing_timezone):
            errors["billing_timezone"] = _("This is no time zone that we know. Write it like Europe/Brussels.")
        if self.tax_decision == TaxDecision.TAX and not self.tax_name.strip():
            errors["tax_name"] = _("Say how the tax is called on the invoice, for example VAT.")
        if self.tax_decision == TaxDecision.NO_TAX and not self.no_tax_text.strip():
            errors["no_tax_text"] = _("Say why no tax is charged; it is printed on the invoice.")
        if errors:
            raise ValidationError(errors)


def is_time_zone(name: str) -> bool:
    """Whether `name` is an IANA time zone on this machine."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True
