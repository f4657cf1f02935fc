"""Rates: who costs how much from when."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.db.models import Case, Count, F, OuterRef, Q, QuerySet, Subquery, Value, When
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _t
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

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
from billing_console.values import number_of
from mappings import hooks
from mappings.admin.effect_words import shown_all
from mappings.admin.effects import ShowsEffect
from mappings.admin.rate_resource import BoundedCsv, BoundedXlsx, RateResource, TooManyRows
from mappings.admin.telling import TellsChanges
from mappings.effects import Change
from mappings.forms import RateForm
from mappings.models import Rate, RateLevel
from mappings.rate_changes import next_rate_from
from mappings.rates import LEVELS_BY_PREFERENCE


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
    formats = (BoundedCsv, BoundedXlsx)
    change_form_before_template = "mappings/rate_form_head.html"
    list_before_template = "mappings/rate_scopes.html"
    import_template_name = "mappings/rate_import.html"
    list_display = ("whose", "amount_per_hour", "first_day", "last_day", "validity", "versions", "source", "follow")
    list_select_related = ("person", "role", "project", "client")
    list_filter = (
        ("level", ChoicesDropdownFilter),
        ValidityFilter,
        ("person", AutocompleteSelectFilter),
        ("project", AutocompleteSelectFilter),
        ("client", AutocompleteSelectFilter),
        ("role", AutocompleteSelectFilter),
    )
    secondary_columns = ("source", "versions")
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
        """With the rows it names, and the number of its versions."""
        versions = Rate.history.filter(id=OuterRef("pk")).order_by().values("id").annotate(count=Count("pk"))
        rows = super().get_queryset(request).select_related("person", "role", "project", "client")
        return rows.annotate(version_count=Subquery(versions.values("count")))

    def get_ordering(self, request: HttpRequest) -> list[Any]:
        """By scope in the order in which they win, then by whose it is, then by days."""
        ranks = [When(level=level, then=Value(rank)) for rank, level in enumerate(LEVELS_BY_PREFERENCE["user"])]
        names = ("person__full_name", "role__key", "project__taiga_project_name", "client__name")
        return [Case(*ranks).asc(), *names, F("valid_from").asc(nulls_first=True)]

    def get_list_display(self, request: HttpRequest) -> Any:
        """Who may not add a rate is not offered one."""
        shown = super().get_list_display(request)
        return shown if self.has_add_permission(request) else [name for name in shown if name != "follow"]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """With the scopes above the table, each with its number of rates."""
        counts = dict(Rate.objects.order_by().values_list("level").annotate(count=Count("pk")))
        chosen = request.GET.get("level__exact", "")
        scopes = [("", _t("All"), sum(counts.values()), not chosen)]
        for level in LEVELS_BY_PREFERENCE["user"]:
            scopes.append((level, RateLevel(level).label, counts.get(level, 0), chosen == level))
        return super().changelist_view(request, {"scopes": scopes, **(extra_context or {})})

    def import_action(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        """The question before an import also says what the file would move."""
        response = super().import_action(request, **kwargs)
        context = getattr(response, "context_data", None) or {}
        result = context.get("result")
        if result is not None and not (result.has_errors() or result.has_validation_errors()):
            moved = [row.instance for row in result.rows if row.import_type in ("new", "update")]
            context["effects"] = shown_all(hooks.effect_of(Change(rates=tuple(moved)))) if moved else []
        return response

    def add_data_read_fail_error_to_form(self, form: Any, error: Exception) -> None:
        """What is wrong with the file, in its own sentence where it has one."""
        if isinstance(error, TooManyRows):
            form.add_error("import_file", str(error))
        else:
            super().add_data_read_fail_error_to_form(form, error)

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """`?from=<id>`: the rate that follows that one, ready to be saved with another amount."""
        initial = super().get_changeform_initial_data(request)
        number = number_of(initial.pop("from", ""))
        before = Rate.objects.filter(pk=number).first() if number is not None else None
        if before is None:
            return initial
        following = next_rate_from(before, clock.today(settings.BILLING_TIMEZONE))
        names = ("level", "person_id", "role_id", "project_id", "client_id", "amount", "currency")
        values = {name.removesuffix("_id"): getattr(following, name) for name in (*names, "valid_from", "valid_to")}
        return {name: value for name, value in values.items() if value is not None} | initial

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        """With the offer of a new rate that follows this one, or the one that was refused."""
        refused = getattr(context["adminform"].form, "follows", None)
        before = refused or kwargs.get("obj")
        if before is not None and self.has_add_permission(request):
            following = next_rate_from(before, clock.today(settings.BILLING_TIMEZONE), is_soonest=refused is not None)
            address = f"{reverse('admin:mappings_rate_add')}?from={before.pk}&valid_from={following.valid_from}"
            context |= {"follow_url": address, "follow_day": day(following.valid_from), "was_refused": bool(refused)}
        return super().render_change_form(request, context, *args, **kwargs)

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
    def whose(self, row: Rate) -> SafeString:
        """The person, the role, the project or the client, and below it the scope."""
        return format_html('{}<span class="bc-sub">{}</span>', row.target, row.get_level_display())

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

    @display(description=_("history"))
    def versions(self, row: Any) -> SafeString:
        """How often it was stored, linked to who changed what and when."""
        words = ngettext("%(count)d version", "%(count)d versions", row.version_count or 0)
        address = reverse("admin:mappings_rate_history", args=[row.pk])
        return format_html('<a href="{}">{}</a>', address, words % {"count": row.version_count or 0})

    @display(description="")
    def follow(self, row: Rate) -> SafeString:
        """The form of a new rate that ends this one, filled in."""
        address = f"{reverse('admin:mappings_rate_add')}?from={row.pk}"
        label = _t("Add a new rate from… after %(rate)s") % {"rate": row}
        return format_html('<a href="{}" aria-label="{}">{}</a>', address, label, _t("Add a new rate from…"))

    @display(description=_("today"))
    def validity(self, row: Rate) -> SafeString:
        """Whether it holds today (business time)."""
        today = clock.today(settings.BILLING_TIMEZONE)
        if row.valid_from and today < row.valid_from:
            return pill("info", "ring", _("later"))
        if row.valid_to and row.valid_to <= today:
            return pill("neutral", "cross", _("no longer"))
        return pill("success", "check", _("valid"))
