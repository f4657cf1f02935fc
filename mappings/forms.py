"""The forms of set-up: what may be typed, and the sentence where it may not."""

from __future__ import annotations

from copy import copy
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from billing_console.admin_base import UnfoldAdminTextInputWidget
from billing_console.form_fields import StrictDecimalField
from billing_console.formats import day, rate
from mappings.models import Company, Rate, RateLevel, Role
from mappings.models.rates import LEVEL_KEYS, NOT_POSITIVE, OVERLAP
from mappings.rate_changes import overlapping, predecessor_of, refusal_of_change
from mappings.rates import fold


class RoleForm(forms.ModelForm):
    """A role; its key may be typed as Taiga names the role, it is folded."""

    key = forms.CharField(
        label=_("Key"),
        max_length=100,
        widget=UnfoldAdminTextInputWidget(),
        help_text=_("The role's name in Taiga. Case does not matter; spaces, - and _ are one."),
    )

    class Meta:
        model = Role
        fields = ("key", "name")

    def clean_key(self) -> str:
        """The folded key."""
        key = fold(self.cleaned_data["key"])
        if not key.strip("_"):
            raise ValidationError(gettext("Write the role's name in Taiga, for example senior_dev."))
        return key

    def _get_validation_exclusions(self) -> set[str]:
        # A folded key may hold letters of any language, which the model's slug would refuse.
        return super()._get_validation_exclusions() | {"key"}  # type: ignore[misc]

    def clean(self) -> dict[str, Any]:
        """Two roles of one key would be one rate with two amounts."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if Role.objects.filter(key=cleaned.get("key")).exclude(pk=self.instance.pk).exists():
            self.add_error("key", gettext("There is a role with this key already."))
        return cleaned


class RateForm(forms.ModelForm):
    """A dated rate. A new one that begins later ends the open one before it; a used one keeps its price."""

    amount = StrictDecimalField(
        label=_("Amount per hour"), max_digits=12, decimal_places=3, error_messages={"min_value": NOT_POSITIVE}
    )
    currency = forms.CharField(
        label=_("Currency"),
        max_length=3,
        required=False,
        widget=UnfoldAdminTextInputWidget(),
        help_text=_("Empty: the client's currency, else the company's."),
    )

    class Meta:
        model = Rate
        fields = ("level", "person", "role", "project", "client", "amount", "currency", "valid_from", "valid_to")

    predecessor: Rate | None = None
    # Set when the form refused to touch a used rate: the page then offers a new one that follows it.
    follows: Rate | None = None

    def clean_currency(self) -> str:
        """The typed code in capitals; left empty on an existing rate, its own."""
        typed = str(self.cleaned_data.get("currency") or "").strip().upper()
        return typed or (self.instance.currency if self.instance.pk else "")

    def clean(self) -> dict[str, Any]:
        """Only the fields of the level count; the price of used rates stays."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if self.instance.pk is None:
            self._keep_keys_of_level(cleaned)
            cleaned["currency"] = cleaned.get("currency") or self._usual_currency(cleaned)
        elif not self.errors:
            stored = Rate.objects.get(pk=self.instance.pk)
            wanted = {name: cleaned.get(name) for name in ("amount", "currency", "valid_from", "valid_to")}
            refusal = refusal_of_change(stored, **wanted)  # type: ignore[arg-type]
            if refusal:
                self.follows = stored
                raise ValidationError(refusal)
        return cleaned

    def _post_clean(self) -> None:
        # The database's rules are checked with the open predecessor thought to end where this one begins.
        if self.instance.pk is None and not self.errors:
            typed = {name: self.cleaned_data.get(name) for name in self.Meta.fields}
            self.predecessor = predecessor_of(Rate(**typed))
        if self.predecessor is None:
            super()._post_clean()  # type: ignore[misc]
            self._name_overlapping()
            return
        begins = self.cleaned_data["valid_from"]
        with transaction.atomic():
            Rate.objects.filter(pk=self.predecessor.pk).update(valid_to=begins)
            super()._post_clean()  # type: ignore[misc]
            self._name_overlapping()
            transaction.set_rollback(True)
        wanted = {name: getattr(self.predecessor, name) for name in ("amount", "currency", "valid_from")}
        if refusal := refusal_of_change(self.predecessor, valid_to=begins, **wanted):
            self.follows = self.predecessor
            self.add_error("valid_from", refusal)

    def _name_overlapping(self) -> None:
        """Beside the sentence that rates overlap, say which and when."""
        if str(OVERLAP) not in self.non_field_errors():
            return
        for other in overlapping(self.instance)[:3]:
            facts = {
                "amount": rate(other.amount, other.currency),
                "begins": day(other.valid_from) if other.valid_from else gettext("always"),
                "ends": day(other.valid_to) if other.valid_to else gettext("open"),
            }
            self.add_error(None, gettext("%(amount)s is valid: %(begins)s → %(ends)s.") % facts)

    def ended_predecessor(self) -> Rate | None:
        """The rate before this one as it would end where this one begins, not stored; None where there is none."""
        if self.predecessor is None:
            return None
        ended = copy(self.predecessor)
        ended.valid_to = self.instance.valid_from
        return ended

    def end_predecessor(self) -> Rate | None:
        """End the rate before this one on the day this one begins; returns it, or None where there was none."""
        ended = self.ended_predecessor()
        if ended is not None:
            ended.save(update_fields=["valid_to"])
        return ended

    def _keep_keys_of_level(self, cleaned: dict[str, Any]) -> None:
        level = cleaned.get("level")
        if not level:
            return
        wanted = LEVEL_KEYS[RateLevel(level)]
        for key in ("person", "role", "project", "client"):
            if key not in wanted:
                cleaned[key] = None
            elif cleaned.get(key) is None and key not in self.errors:
                self.add_error(key, gettext("This level needs it."))

    def _usual_currency(self, cleaned: dict[str, Any]) -> str:
        project = cleaned.get("project")
        client = cleaned.get("client") or (project.client if project else None)
        return (client.currency if client else "") or Company.current().currency
