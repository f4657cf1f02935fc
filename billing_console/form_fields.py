"""Form fields that all apps share."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from django import forms
from django.core.exceptions import ValidationError
from django.utils.formats import get_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing_console.admin_base import UnfoldAdminTextInputWidget
from billing_console.decimals import UnclearNumber, parse_decimal

_LIMITS: Final = {
    "min_value": gettext_lazy("Write a number of %(limit_value)s or more."),
    "max_value": gettext_lazy("Write a number of %(limit_value)s or less."),
}


class StrictDecimalField(forms.DecimalField):
    """Hours, rates and money: "4,5" and "4.5" are 4.5 in every language, "1.234" is asked back with both readings."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("widget", UnfoldAdminTextInputWidget(attrs={"inputmode": "decimal"}))
        kwargs["error_messages"] = _LIMITS | kwargs.get("error_messages", {})
        super().__init__(**kwargs)

    def widget_attrs(self, widget: forms.Widget) -> dict[str, Any]:
        """None of a number input's: min, max and step say nothing on a text input."""
        return {}

    def to_python(self, value: Any) -> Any:
        """The typed text as a Decimal; ValidationError with one sentence where it is none or could be two."""
        if value in self.empty_values:
            return None
        if isinstance(value, Decimal):
            return value
        group, point = get_format("THOUSAND_SEPARATOR"), get_format("DECIMAL_SEPARATOR")
        try:
            return parse_decimal(str(value), group=group, point=point)
        except UnclearNumber as error:
            if error.readings:
                facts = {"typed": value, "whole": error.readings[0], "decimal": error.readings[1]}
                sentence = _("“%(typed)s” can mean %(whole)s or %(decimal)s. Write %(whole)s, or use 1 or 2 decimals.")
            else:
                facts = {"typed": value}
                sentence = _("“%(typed)s” is no number that we can read. Write it like 1234.50.")
            raise ValidationError(sentence % facts, code="invalid") from error

    def prepare_value(self, value: Any) -> Any:
        """The stored number as text that reads back to itself in every language: at least two decimals."""
        if not isinstance(value, Decimal):
            return value
        whole, _point, decimals = f"{value:f}".partition(".")
        decimals = decimals.rstrip("0").ljust(2, "0")
        # Three decimals would read like a group of thousands; a fourth makes them clear.
        return f"{whole}.{decimals}0" if len(decimals) == 3 else f"{whole}.{decimals}"
