"""The form of a rule set: what may be typed, what is proposed from Invoice Ninja, and what is warned about."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from django import forms
from django.conf import settings
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from billing_console import clock
from billing_console.admin_base import UnfoldAdminTextInputWidget
from billing_console.form_fields import StrictDecimalField
from billing_console.formats import day, percent
from mappings import rules
from mappings.lookups import hour_rules
from mappings.models import Company, Frequency, Product, RuleSet, TaxDecision
from mappings.models.rule_sets import is_time_zone

_DAYS: Final = {
    "generation_day": _("Write a day of the month from 1 to 31; in a shorter month the run is on its last day."),
    "generation_weekday": _("Write a weekday from 1 (Monday) to 7 (Sunday)."),
}


class ProductKeyWidget(UnfoldAdminTextInputWidget):
    """A text that is chosen from Invoice Ninja's products, or typed where the list is not read yet."""

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        """The input with its list of choices."""
        choices = format_html_join("", '<option value="{}"></option>', ((key,) for key in known_product_keys()))
        box = super().render(name, value, {**(attrs or {}), "list": f"{name}-choices", "autocomplete": "off"}, renderer)
        return format_html('{}<datalist id="{}">{}</datalist>', box, f"{name}-choices", choices)


class RuleSetForm(forms.ModelForm):
    """Rules of the company or of a client; saving makes the next version."""

    min_billable_hours = StrictDecimalField(label=_("Minimum hours"), max_digits=6, decimal_places=2, min_value=0)
    tax_rate = StrictDecimalField(
        label=_("Tax rate, %"), max_digits=6, decimal_places=3, min_value=0, max_value=Decimal(100), required=False
    )

    product_key = forms.CharField(
        label=_("Product"),
        max_length=100,
        widget=ProductKeyWidget(),
        help_text=_("One of the products in Invoice Ninja; every line of an invoice carries it."),
    )

    class Meta:
        model = RuleSet
        exclude = ("is_current", "version", "created_by")  # noqa: DJ006  (every rule, also those of the future)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "billing_timezone" in self.fields:
            self.fields["billing_timezone"].help_text = gettext("IANA name; empty: %(zone)s.") % {
                "zone": settings.BILLING_TIMEZONE
            }
        for name, sentence in _DAYS.items():
            if name in self.fields:
                self.fields[name].error_messages.update(invalid=sentence, min_value=sentence, max_value=sentence)
                self.fields[name].validators = []  # the column's and the form's say it twice, and less plainly
        is_asked = {"tax_decision", "tax_name", "tax_rate"} <= self.fields.keys()  # not where nothing may be changed
        if is_asked and self.instance.tax_decision == TaxDecision.UNDECIDED and not self.is_bound:
            self._propose_tax(Company.current())

    def _propose_tax(self, company: Company) -> None:
        """Name and rate as Invoice Ninja's company has them; that they are charged is for a person to say."""
        if not company.tax_name or company.tax_rate is None or self.instance.tax_name:
            return
        self.initial.update(tax_name=company.tax_name, tax_rate=company.tax_rate)
        decimals = 0 if company.tax_rate == int(company.tax_rate) else 3
        facts = {"tax": company.tax_name, "rate": percent(company.tax_rate, decimals=decimals)}
        self.fields["tax_decision"].help_text = (
            gettext("Invoice Ninja's company has %(tax)s %(rate)s: choose “tax” to charge it.") % facts
        )

    def clean_tax_rate(self) -> Decimal:
        """Empty is 0."""
        return self.cleaned_data.get("tax_rate") or Decimal(0)

    def clean(self) -> dict[str, Any]:
        """One set of rules per client; a biweekly schedule finds its anchor by itself."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if self.instance.pk is None:
            client = cleaned.get("client")
            existing = RuleSet.objects.filter(client=client, is_current=True).first()
            if existing is not None:
                whose = client or gettext("the company")
                sentence = gettext("There are rules of %(whose)s already (%(rules)s): change those.")
                self.add_error("client", sentence % {"whose": whose, "rules": existing})
        if cleaned.get("frequency") == Frequency.BIWEEKLY and cleaned.get("anchor_date") is None:
            zone = cleaned.get("billing_timezone") or settings.BILLING_TIMEZONE
            if is_time_zone(zone):
                cleaned["anchor_date"] = rules.iso_week(clock.today(zone)).start
        if cleaned.get("tax_decision") == TaxDecision.UNDECIDED:
            # What was only proposed is not kept before somebody decided.
            cleaned |= {name: getattr(self.instance, name) for name in ("tax_name", "tax_rate") if name in cleaned}
        return cleaned

    def warnings(self) -> list[str]:
        """What is allowed, but usually a slip; after the form was checked."""
        return warnings_of(self.instance)


def warnings_of(rule_set: RuleSet) -> list[str]:
    """What the rules, stored or not, allow but is usually a slip; one query."""
    found = []
    hours = hour_rules(rule_set)
    if hours.has_uneven_minimum:
        facts: dict[str, Any] = {"minimum": f"{hours.minimum.normalize():f}", "step": f"{hours.increment:f}"}
        found.append(gettext("The minimum of %(minimum)s h is no multiple of the rounding of %(step)s h.") % facts)
    if rule_set.frequency != Frequency.BIWEEKLY and rule_set.anchor_date is not None:
        facts = {"day": day(rule_set.anchor_date)}
        found.append(gettext("The anchor date %(day)s counts only for runs every two weeks.") % facts)
    keys = known_product_keys()
    if keys and rule_set.product_key not in keys:
        facts = {"key": rule_set.product_key}
        found.append(
            gettext("Invoice Ninja has no product “%(key)s”. Choose one from the list, or make it there first.") % facts
        )
    return found


def known_product_keys() -> list[str]:
    """The keys of Invoice Ninja's living products, as last read; empty as long as nothing was read. One query."""
    living = Product.objects.filter(is_known=True, is_archived=False, is_deleted=False).exclude(product_key="")
    return sorted(set(living.values_list("product_key", flat=True)))
