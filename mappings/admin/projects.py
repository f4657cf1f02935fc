"""Which client pays for which Taiga project."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _t
from django.utils.translation import gettext_lazy as _

from billing_console.admin_base import AutocompleteSelectFilter, HistoryModelAdmin, day, display, pill
from mappings.admin.people import rates_link
from mappings.admin.telling import TellsChanges
from mappings.forms import ProjectMappingForm
from mappings.models import ProjectMapping


@admin.register(ProjectMapping)
class ProjectMappingAdmin(TellsChanges, HistoryModelAdmin):
    """Taiga project → client and project of Invoice Ninja."""

    form = ProjectMappingForm
    list_display = ("taiga_project_name", "client", "ninja_project", "activity", "webhook", "rates")
    list_select_related = ("client", "ninja_project")
    list_filter = ("is_active", ("client", AutocompleteSelectFilter))
    secondary_columns = ("webhook", "ninja_project")
    search_fields = ("taiga_project_name", "taiga_slug", "taiga_project_id", "client__name", "client__ninja_id")
    autocomplete_fields = ("client", "ninja_project")
    readonly_fields = ("webhook", "webhook_path")
    fieldsets = (
        (_("In Taiga"), {"fields": ("taiga_project_id", "taiga_project_name", "taiga_slug")}),
        (_("In Invoice Ninja"), {"fields": ("client", "ninja_project")}),
        (_("Billed"), {"fields": ("is_active", "active_from", "active_to")}),
        (
            _("Webhook"),
            {
                "fields": ("webhook_path", "webhook", "new_webhook_key"),
                "description": _("A webhook without a key of its own is signed with WEBHOOK_SECRET."),
            },
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[ProjectMapping]:
        """With the number of rates; the keys stay in the database."""
        counted = super().get_queryset(request).annotate(rate_count=Count("rate"))
        return counted

    def get_readonly_fields(self, request: HttpRequest, obj: ProjectMapping | None = None) -> tuple[str, ...]:
        """Taiga's id is what a project is known by; it is typed once."""
        fixed = super().get_readonly_fields(request, obj)
        return (*fixed, "taiga_project_id") if obj else tuple(fixed)

    def get_fieldsets(self, request: HttpRequest, obj: ProjectMapping | None = None) -> Any:
        """Who may only look sees no field to type a key into."""
        fieldsets = super().get_fieldsets(request, obj)
        may_type = self.has_change_permission(request, obj) if obj else self.has_add_permission(request)
        if may_type:
            return fieldsets
        return [
            (title, {**options, "fields": tuple(name for name in options["fields"] if name != "new_webhook_key")})
            for title, options in fieldsets
        ]

    @display(description=_("active"), ordering="is_active")
    def activity(self, project: ProjectMapping) -> SafeString:
        """Whether its work is billed, with its days where it has them."""
        if not project.is_active:
            return pill("warning", "pause", _("inactive"))
        if project.active_from or project.active_to:
            days = f"{day(project.active_from)} → {day(project.active_to)}"
            return pill("info", "dot", days)
        return pill("success", "check", _("active"))

    @display(description=_("webhook key"))
    def webhook(self, project: ProjectMapping) -> str:
        """Whether a key of its own is stored, never which."""
        if not project.webhook_key:
            return _t("WEBHOOK_SECRET")
        return _t("own, and the one before") if project.previous_webhook_key else _t("own")

    @display(description=_("webhook address"))
    def webhook_path(self, project: ProjectMapping) -> str:
        """Where Taiga sends when the project has a key of its own."""
        return f"/webhooks/taiga/{project.uuid}" if project.pk else "–"

    @display(description=_("rates"), ordering="rate_count")
    def rates(self, project: Any) -> SafeString:
        """Linked to exactly those."""
        return rates_link(project.rate_count, "project", project.pk)
