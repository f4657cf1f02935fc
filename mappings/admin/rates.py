"""Rates: who costs how much from when."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _t
from django.utils.translation import gettext_lazy as _

from billing_console import clock
from billing_console.admin_base import (
    AutocompleteSelectFilter,
    ChoicesDropdownFilter,
    ImportExportHistoryModelAdmin,
    day,
    display,
    pill,
    rate,
)
from mappings import hooks
from mappings.admin.effects import ShowsEffect
from mappings.admin.rate_resource import RateResource
from mappings.admin.telling import TellsChanges
from mappings.effects import Change
from mappings.forms import RateForm
from mappings.models import Rate


class ValidityFilter(admin.SimpleListFilter):
    """Rates by whether they hold today (business time)."""

    title = _("valid")
    parameter_name = "valid"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Today, later, no longer."""
        return [("today", _("Today")), ("later", _("Later")), ("past", _("No longer"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Rate]) -> QuerySet[Rate]:
        """The rows of the choice."""
        today = clock.today(settings.BILLING_TIMEZONE)
        has_begun = Q(valid_from__isnull=True) | Q(valid_from__lte=today)
        is_open = Q(valid_to__isnull=True) | Q(valid_to__gt=today)
        match self.value():
            case "today":
                return queryset.filter(has_begun & is_open)
            case "later":
                return queryset.filter(valid_from__gt=today)
            case "past":
                return queryset.filter(valid_to__lte=today)
        return queryset


@admin.register(Rate)
class RateAdmin(ShowsEffect, TellsChanges, ImportExportHistoryModelAdmin):
    """Amounts per hour, with the days on which they hold; the order in which they win is the levels' order."""

    form = RateForm
    resource_classes = (RateResource,)
    list_display = ("whose", "level", "amount_per_hour", "first_day", "last_day", "validity", "source")
    list_select_related = ("person", "role", "project", "client")
    list_filter = (
        ("level", ChoicesDropdownFilter),
        ValidityFilter,
        ("person", AutocompleteSelectFilter),
        ("project", AutocompleteSelectFilter),
        ("client", AutocompleteSelectFilter),
        ("role", AutocompleteSelectFilter),
    )
    secondary_columns = ("source",)
    search_fields = (
        "person__full_name",
        "person__username",
        "role__key",
        "role__name",
        "project__taiga_project_name",
        "client__name",
    )
    autocomplete_fields = ("person", "role", "project", "client")
    add_fieldsets = (
        (
            None,
            {
                "fields": ("level", "person", "role", "project", "client"),
                "description": _(
                    "The first that exists wins: the item's own, person in project, person, role, project, client."
                ),
            },
        ),
        (
            _("Rate"),
            {
                "fields": ("amount", "currency", "valid_from", "valid_to"),
                "description": _("A rate that begins later ends the open one before it."),
            },
        ),
    )
    change_fieldsets = (
        (None, {"fields": ("level", "whose")}),
        (_("Rate"), {"fields": ("amount", "currency", "valid_from", "valid_to", "source")}),
    )
    conditional_fields = {
        "person": "level == 'user' || level == 'user_in_project'",
        "role": "level == 'role'",
        "project": "level == 'project' || level == 'user_in_project'",
        "client": "level == 'client'",
    }

    def get_fieldsets(self, request: HttpRequest, obj: Rate | None = None) -> Any:
        """Whose rate it is, is chosen once."""
        return self.change_fieldsets if obj else self.add_fieldsets

    def get_readonly_fields(self, request: HttpRequest, obj: Rate | None = None) -> tuple[str, ...]:
        """Whose rate it is, is chosen once."""
        return ("level", "whose", "source") if obj else ()

    def get_queryset(self, request: HttpRequest) -> QuerySet[Rate]:
        """With the rows it names."""
        return super().get_queryset(request).select_related("person", "role", "project", "client")

    def change_of(self, form: RateForm) -> Change:
        """The rate as typed, and the one before it that would end."""
        ended = form.ended_predecessor()
        return Change(rates=(form.instance, ended) if ended is not None else (form.instance,))

    def save_model(self, request: HttpRequest, obj: Any, form: RateForm, change: bool) -> None:
        """Store the rate; where it follows an open one, end that first."""
        ended = None if change else form.end_predecessor()
        super().save_model(request, obj, form, change)
        if ended is not None:
            hooks.changed(ended)
            facts = {"amount": rate(ended.amount, ended.currency), "day": day(ended.valid_to)}
            messages.info(request, _t("The rate before it, %(amount)s, ends where this one begins: %(day)s.") % facts)

    @display(description=_("whose"), ordering="person__full_name")
    def whose(self, row: Rate) -> str:
        """The person, the role, the project or the client."""
        return row.target

    @display(description=_("per hour"), ordering="amount")
    def amount_per_hour(self, row: Rate) -> SafeString:
        """With its currency."""
        return format_html('<span class="bc-num">{}</span>', rate(row.amount, row.currency))

    @display(description=_("from"), ordering="valid_from")
    def first_day(self, row: Rate) -> str:
        """The first day, or always."""
        return day(row.valid_from) if row.valid_from else _t("always")

    @display(description=_("until"), ordering="valid_to")
    def last_day(self, row: Rate) -> str:
        """The first day on which it no longer holds, or open."""
        return day(row.valid_to) if row.valid_to else _t("open")

    @display(description=_("today"))
    def validity(self, row: Rate) -> SafeString:
        """Whether it holds today (business time)."""
        today = clock.today(settings.BILLING_TIMEZONE)
        if row.valid_from and today < row.valid_from:
            return pill("info", "ring", _("later"))
        if row.valid_to and row.valid_to <= today:
            return pill("neutral", "cross", _("no longer"))
        return pill("success", "check", _("valid"))
