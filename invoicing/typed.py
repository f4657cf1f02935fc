"""What a person types on a draft: hours, rates and prices as strict decimals, never guessed."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from billing_console import formats
from billing_console.errors import NotAllowed
from billing_console.form_fields import StrictDecimalField

_TOO_MUCH = Decimal(10) ** 11


class FiguresForm(forms.Form):
    """Hours (of a line added by hand: its quantity) and rate (its price)."""

    hours = StrictDecimalField(label=_("Hours"), max_digits=10, decimal_places=2)
    rate = StrictDecimalField(label=_("Rate"), max_digits=12, decimal_places=3)


def read_figures(data: QueryDict) -> tuple[Decimal, Decimal]:
    """Hours and rate as typed. Raises NotAllowed with a sentence for each field that cannot be read."""
    form = FiguresForm(data)
    if not form.is_valid():
        sentences = [f"{form.fields[name].label}: {' '.join(map(str, errors))}" for name, errors in form.errors.items()]
        raise NotAllowed(" ".join(sentences))
    return form.cleaned_data["hours"], form.cleaned_data["rate"]


def number(text: str, decimals: int) -> Decimal:
    """A number as people type it, "500" or "12,50", with at most so many decimals. Raises NotAllowed."""
    try:
        found = Decimal(text.strip().replace(",", "."))
    except InvalidOperation:
        found = Decimal("NaN")
    step = Decimal(1).scaleb(-decimals)
    if not found.is_finite() or abs(found) >= _TOO_MUCH or found != found.quantize(step, rounding=ROUND_HALF_UP):
        words = {"typed": text, "count": decimals}
        raise NotAllowed(
            gettext("“%(typed)s” is no amount with at most %(count)d decimals. Write it without separators.") % words
        )
    return found.quantize(step, rounding=ROUND_HALF_UP)


def written(value: Decimal) -> Any:
    """A figure as text that reads back to itself in every language."""
    return StrictDecimalField().prepare_value(value)


def as_sent_back(text: str, currency: str) -> str:
    """An amount that a form sends back as it was shown, in words; what is no number stays as it is."""
    try:
        return formats.money(Decimal(text), currency)
    except InvalidOperation:
        return text or formats.NOTHING
