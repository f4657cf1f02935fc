"""Dated hourly rates at the levels of billing-rules: Rate. No two of a level overlap: the database refuses."""

from __future__ import annotations

import re
from collections.abc import Collection
from decimal import Decimal
from functools import reduce
from operator import or_
from typing import Final

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import RangeOperators
from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import F, Func, Q, Value
from django.utils.translation import gettext_lazy as _
from simple_history.models import HistoricalRecords

from billing_console.money import exponent
from mappings.rates import has_currency_decimals, plain_amount


class RateLevel(models.TextChoices):
    USER_IN_PROJECT = "user_in_project", _("Person in this project")
    USER = "user", _("Person")
    ROLE = "role", _("Role")
    PROJECT = "project", _("Project default")
    CLIENT = "client", _("Client default")


LEVEL_KEYS = {
    RateLevel.USER_IN_PROJECT: ("person", "project"),
    RateLevel.USER: ("person",),
    RateLevel.ROLE: ("role",),
    RateLevel.PROJECT: ("project",),
    RateLevel.CLIENT: ("client",),
}


NOT_POSITIVE: Final = _("A rate is more than 0. Free work is typed as 0 on the item itself.")
OVERLAP: Final = _("Another rate of this kind is valid on some of these days. End that one first.")


def _key_range(field: str) -> Func:
    # A range of one number: ranges have a GiST operator class of their own, so no extension is needed.
    return Func(F(field), F(field), Value("[]"), function="int8range")


def _no_overlap(level: RateLevel) -> ExclusionConstraint:
    days = Func(F("valid_from"), F("valid_to"), Value("[)"), function="daterange")
    keys = [(_key_range(key), RangeOperators.OVERLAPS) for key in LEVEL_KEYS[level]]
    return ExclusionConstraint(
        name=f"rate_no_overlap_{level.value}",
        expressions=[*keys, (days, RangeOperators.OVERLAPS)],
        condition=Q(level=level.value),
        violation_error_message=OVERLAP,
    )


def _keys_fit_level() -> Q:
    fitting = [
        Q(level=level.value, **{f"{key}__isnull": key not in keys for key in ("person", "role", "project", "client")})
        for level, keys in LEVEL_KEYS.items()
    ]
    return reduce(or_, fitting)


class Rate(models.Model):
    """An amount per hour in `currency`, valid on work dates from `valid_from` until the day before `valid_to`."""

    level = models.CharField(_("level"), max_length=20, choices=RateLevel.choices)
    person = models.ForeignKey("mappings.Person", models.PROTECT, null=True, blank=True, verbose_name=_("person"))
    role = models.ForeignKey("mappings.Role", models.PROTECT, null=True, blank=True, verbose_name=_("role"))
    project = models.ForeignKey(
        "mappings.ProjectMapping", models.PROTECT, null=True, blank=True, verbose_name=_("project")
    )
    client = models.ForeignKey("mappings.Client", models.PROTECT, null=True, blank=True, verbose_name=_("client"))
    amount = models.DecimalField(
        _("amount per hour"), max_digits=12, decimal_places=3, validators=[MinValueValidator(0)]
    )
    currency = models.CharField(_("currency"), max_length=3)
    valid_from = models.DateField(_("valid from"), null=True, blank=True, help_text=_("First day; empty means always."))
    valid_to = models.DateField(
        _("valid until"),
        null=True,
        blank=True,
        help_text=_("First day on which it is no longer valid; empty means open."),
    )
    source = models.CharField(_("source"), max_length=100, blank=True, help_text=_("The file it was imported from."))
    history = HistoricalRecords()

    class Meta:
        verbose_name = _("rate")
        verbose_name_plural = _("rates")
        ordering = ["level", "person", "role", "project", "client", "valid_from"]
        constraints = [
            *(_no_overlap(level) for level in RateLevel),
            models.CheckConstraint(
                condition=_keys_fit_level(),
                name="rate_keys_fit_level",
                violation_error_message=_(
                    "Choose exactly what the level names: person and project, person, role, project, or client."
                ),
            ),
            models.CheckConstraint(
                condition=Q(amount__gt=0),
                name="rate_amount_positive",
                violation_error_message=NOT_POSITIVE,
            ),
            models.CheckConstraint(
                condition=Q(valid_from__isnull=True) | Q(valid_to__isnull=True) | Q(valid_from__lt=F("valid_to")),
                name="rate_ends_after_it_begins",
                violation_error_message=_("“Valid until” must be later than “valid from”."),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.target}: {plain_amount(Decimal(self.amount), self.currency)} {self.currency}"

    @property
    def target(self) -> str:
        """Whose rate it is, in words: the person, the role, the project or the client."""
        return " / ".join(str(getattr(self, key)) for key in LEVEL_KEYS[RateLevel(self.level)])

    def clean(self) -> None:
        """Refuse an unknown currency code and an amount finer than its currency."""
        if not re.fullmatch(r"[A-Z]{3}", self.currency or ""):
            raise ValidationError({"currency": _("Write the three letters of the currency, for example EUR.")})
        if self.amount is not None and not has_currency_decimals(self.amount, self.currency):
            facts = {"currency": self.currency, "decimals": exponent(self.currency)}
            raise ValidationError({"amount": _("A rate in %(currency)s has at most %(decimals)s decimals.") % facts})

    def validate_constraints(self, exclude: Collection[str] | None = None) -> None:
        """The database's rules; none can be checked while the level itself is wrong, and that is said already."""
        if "level" not in (exclude or ()):
            super().validate_constraints(exclude)
