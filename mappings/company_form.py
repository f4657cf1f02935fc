"""The form of what holds for every client: currency, attributes, and what is asked about before it is billed."""

from __future__ import annotations

from decimal import Decimal

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from billing_console.form_fields import StrictDecimalField
from mappings.models import Company


class CompanyForm(forms.ModelForm):
    """What holds for every client."""

    max_item_hours = StrictDecimalField(
        label=_("Hours on one item before asking"),
        max_digits=6,
        decimal_places=2,
        min_value=0,
        help_text=_("More than this on one item is held until somebody confirms it."),
    )

    brake_month_factor = StrictDecimalField(
        label=_("Times the client's usual month"),
        max_digits=6,
        decimal_places=2,
        min_value=1,
        required=False,
        help_text=Company._meta.get_field("brake_month_factor").help_text,
    )
    brake_uplift_hours = StrictDecimalField(
        label=_("Uplift, hours"),
        max_digits=6,
        decimal_places=2,
        min_value=0,
        help_text=Company._meta.get_field("brake_uplift_hours").help_text,
    )
    week_hours = StrictDecimalField(
        label=_("Plausible hours a week"),
        max_digits=6,
        decimal_places=2,
        min_value=1,
        max_value=Decimal(168),
        help_text=Company._meta.get_field("week_hours").help_text,
    )

    class Meta:
        model = Company
        fields = (
            "name",
            "currency",
            "max_item_hours",
            "needs_four_eyes",
            "invoice_date",
            "week_hours",
            "brake_rate_percent",
            "brake_month_factor",
            "brake_uplift_percent",
            "brake_uplift_hours",
            "brake_late_days",
            "brake_client",
            "attribute_billable",
            "attribute_hours",
            "attribute_rate",
            "attribute_client",
            "attribute_status",
            "attribute_estimate",
        )

    def clean_currency(self) -> str:
        """A code of three letters."""
        currency = self.cleaned_data["currency"].strip().upper()
        if len(currency) != 3 or not (currency.isascii() and currency.isalpha()):
            raise ValidationError(gettext("Write the three letters of the currency, for example EUR."))
        return currency
