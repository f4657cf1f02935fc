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
from mappings.models import Company, ProjectMapping, Rate, RateLevel, Role
from mappings.models.rates import LEVEL_KEYS, NOT_POSITIVE, OVERLAP
from mappings.rate_changes import overlapping, predecessor_of, refusal_of_change
from mappings.rates import fold


class ProjectMappingForm(forms.ModelForm):
    """Which client pays for a Taiga project. The webhook's key is written here and never shown."""

    new_webhook_key = forms.CharField(
        label=_("New webhook key"),
        required=False,
        max_length=255,
        strip=True,
        widget=UnfoldAdminTextInputWidget(attrs={"type": "password", "autocomplete": "new-password"}),
        help_text=_(
            "Only for a webhook with a key of its own. It is stored encrypted and never shown again; empty keeps the "
            "present one. The key before it stays valid until the next change."
        ),
    )

    class Meta:
        model = ProjectMapping
        fields = (
            "taiga_project_id",
            "taiga_project_name",
            "taiga_slug",
            "client",
            "ninja_project",
            "is_active",
            "active_from",
            "active_to",
        )

    def clean(self) -> dict[str, Any]:
        """The project belongs to the client, the days are in order."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        client, project = cleaned.get("client"), cleaned.get("ninja_project")
        if client and project and project.client_id != client.pk:
            facts = {"project": project, "owner": project.client, "client": client}
            sentence = gettext("“%(project)s” belongs to %(owner)s in Invoice Ninja, not to %(client)s.")
            self.add_error("ninja_project", sentence % facts)
        begins, ends = cleaned.get("active_from"), cleaned.get("active_to")
        if begins and ends and ends < begins:
            self.add_error("active_to", gettext("The last day cannot be before the first."))
        return cleaned

    def save(self, commit: bool = True) -> Any:
        """Store the mapping; a new key moves the present one to the place of the previous one."""
        if key := self.cleaned_data.get("new_webhook_key"):
            self.instance.previous_webhook_key = self.instance.webhook_key
            self.instance.webhook_key = key
        return super().save(commit)


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


class CompanyForm(forms.ModelForm):
    """What holds for every client."""

    max_item_hours = StrictDecimalField(
        label=_("Hours on one item before asking"),
        max_digits=6,
        decimal_places=2,
        min_value=0,
        help_text=_("More than this on one item is held until somebody confirms it."),
    )

    class Meta:
        model = Company
        fields = (
            "name",
            "currency",
            "max_item_hours",
            "attribute_billable",
            "attribute_hours",
            "attribute_rate",
            "attribute_client",
            "attribute_status",
        )

    def clean_currency(self) -> str:
        """A code of three letters."""
        currency = self.cleaned_data["currency"].strip().upper()
        if len(currency) != 3 or not (currency.isascii() and currency.isalpha()):
            raise ValidationError(gettext("Write the three letters of the currency, for example EUR."))
        return currency

    def clean(self) -> dict[str, Any]:
        """Five attributes are five different names."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        names = [str(cleaned.get(key, "")).strip().casefold() for key in cleaned if key.startswith("attribute_")]
        if len(set(names)) < len(names):
            raise ValidationError(gettext("Two attributes have the same name. Each needs one of its own."))
        return cleaned
