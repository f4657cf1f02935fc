"""Which client pays for which Taiga project."""

from __future__ import annotations

from itertools import chain
from typing import Any

from django.contrib import admin, messages
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _t
from django.utils.translation import gettext_lazy as _

from billing_console.admin_base import (
    AutocompleteSelectFilter,
    HistoryModelAdmin,
    ReadOnlyModelAdmin,
    day,
    display,
    pill,
)
from billing_console.fields import UnreadableSecret
from mappings.admin.listed import RefreshesLists
from mappings.admin.people import rates_link
from mappings.admin.telling import TellsChanges
from mappings.lookups import rule_set_for, zone_of
from mappings.models import Company, ProjectMapping, TaigaProject
from mappings.project_form import ProjectMappingForm


@admin.register(ProjectMapping)
class ProjectMappingAdmin(RefreshesLists, TellsChanges, HistoryModelAdmin):
    """Taiga project → client and project of Invoice Ninja."""

    form = ProjectMappingForm
    list_display = ("taiga_project_name", "client", "ninja_project", "activity", "webhook", "rates")
    list_select_related = ("client", "ninja_project")
    list_filter = ("is_active", ("client", AutocompleteSelectFilter))
    secondary_columns = ("webhook", "ninja_project")
    search_fields = ("taiga_project_name", "taiga_slug", "taiga_project_id", "client__name", "client__ninja_id")
    autocomplete_fields = ("client", "ninja_project")
    ordering = ("taiga_project_name",)  # said here too: a counted list would forget the model's
    readonly_fields = (
        "taiga_project_name",
        "in_taiga",
        "rules",
        "rules_as_they_are",
        "billed_in",
        "webhook",
        "webhook_path",
    )
    fieldsets = (
        (_("In Taiga"), {"fields": ("taiga_project_name", "in_taiga")}),
        (_("In Invoice Ninja"), {"fields": ("client", "ninja_project", "rules", "billed_in")}),
        (
            _("Billed"),
            {
                "fields": ("is_active", "active_from", "active_to"),
                "description": _(
                    "Without “active from”, the first look at the project reads everything that was ever closed in "
                    "it. Work of days outside is held."
                ),
            },
        ),
        (
            _("Webhook"),
            {
                "fields": ("webhook_path", "webhook", "new_webhook_key"),
                "description": _("A webhook without a key of its own is signed with WEBHOOK_SECRET."),
            },
        ),
    )
    add_fieldsets = (
        (_("In Taiga"), {"fields": ("taiga_project",)}),
        (_("In Invoice Ninja"), {"fields": ("client", "ninja_project")}),
        *fieldsets[2:3],
        (_("Webhook"), {**fieldsets[3][1], "fields": ("new_webhook_key",)}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[ProjectMapping]:
        """With the number of rates; the keys stay in the database."""
        counted = super().get_queryset(request).annotate(rate_count=Count("rate"))
        return counted

    def get_fieldsets(self, request: HttpRequest, obj: ProjectMapping | None = None) -> Any:
        """Who may only look sees no field to type a key into, and no way to rules that only others may add."""
        fieldsets = super().get_fieldsets(request, obj) if obj else self.add_fieldsets
        may_type = self.has_change_permission(request, obj) if obj else self.has_add_permission(request)
        if may_type:
            return fieldsets
        instead = {"new_webhook_key": (), "rules": ("rules_as_they_are",)}
        return [
            (title, {**options, "fields": tuple(chain(*(instead.get(name, (name,)) for name in options["fields"])))})
            for title, options in fieldsets
        ]

    def save_model(self, request: HttpRequest, obj: Any, form: ProjectMappingForm, change: bool) -> None:
        """Store it; whoever maps a project without a first day hears what that means."""
        super().save_model(request, obj, form, change)
        if not change and form.reads_everything:
            sentence = _t(
                "The first look at %(project)s reads everything that was ever closed in it. Set “active from” now if "
                "older work was billed elsewhere."
            )
            messages.warning(request, sentence % {"project": obj})

    @display(description=_("in Taiga"))
    def in_taiga(self, mapping: ProjectMapping) -> str:
        """Its id and slug, and whether our user still sees it."""
        known = TaigaProject.objects.filter(taiga_id=mapping.taiga_project_id).first()
        words = (
            f"{mapping.taiga_project_id} · {mapping.taiga_slug}"
            if mapping.taiga_slug
            else f"{mapping.taiga_project_id}"
        )
        if known is not None and not known.is_known:
            return _t("%(project)s. The console's user is no member of it any more: nothing of it can be read.") % {
                "project": words
            }
        return words

    @display(description=_("rules"))
    def rules(self, mapping: ProjectMapping) -> SafeString | str:
        """The client's own rules, else the company's with the way to give the client its own."""
        found = self.rules_as_they_are(mapping)
        if rule_set_for(mapping.client).client_id is not None:
            return found
        return format_html(
            '{} · <a href="{}?client={}">{}</a>',
            found,
            reverse("admin:mappings_ruleset_add"),
            mapping.client_id,
            _t("Give %(client)s rules of its own") % {"client": mapping.client},
        )

    @display(description=_("rules"))
    def rules_as_they_are(self, mapping: ProjectMapping) -> SafeString:
        """The client's own rules, else the company's."""
        rules = rule_set_for(mapping.client)
        own = rules.client_id is not None
        words = str(rules) if own else _t("the company's, %(rules)s") % {"rules": rules}
        return format_html('<a href="{}">{}</a>', reverse("admin:mappings_ruleset_change", args=[rules.pk]), words)

    @display(description=_("billed in"))
    def billed_in(self, mapping: ProjectMapping) -> str:
        """Currency and time zone."""
        currency = mapping.client.currency or Company.current().currency
        return f"{currency} · {zone_of(rule_set_for(mapping.client))}"

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
        if isinstance(project.webhook_key, UnreadableSecret):
            return _t("cannot be read: FIELD_KEY is another one than it was stored with; type it anew")
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


@admin.register(TaigaProject)
class TaigaProjectAdmin(RefreshesLists, ReadOnlyModelAdmin):
    """The projects of Taiga, as last read; those that are mapped to nobody can be mapped from here."""

    list_display = ("name_or_id", "taiga_id", "presence", "mapped_to", "refreshed_at")
    list_filter = ("is_known", "is_admin", "is_archived")
    secondary_columns = ("taiga_id", "refreshed_at")
    search_fields = ("name", "slug", "taiga_id")
    fields = ("name", "slug", "taiga_id", "presence", "mapped_to", "refreshed_at")
    readonly_fields = ("presence", "mapped_to")

    def get_queryset(self, request: HttpRequest) -> QuerySet[TaigaProject]:
        """With the mapping, where there is one."""
        mapping = ProjectMapping.objects.filter(taiga_project_id=OuterRef("taiga_id"))
        names = {"mapping_id": Subquery(mapping.values("pk")), "payer": Subquery(mapping.values("client__name"))}
        return super().get_queryset(request).annotate(**names)

    @display(description=_("project"), ordering="name")
    def name_or_id(self, project: TaigaProject) -> str:
        """The name people know, else Taiga's id."""
        return str(project)

    @display(description=_("our user"))
    def presence(self, project: TaigaProject) -> SafeString:
        """What our user is in it."""
        if not project.is_known:
            return pill("warning", "triangle", _("no member"))
        if project.is_archived:
            return pill("warning", "pause", _("archived"))
        return pill("success", "check", _("administrator") if project.is_admin else _("member"))

    @display(description=_("who pays"))
    def mapped_to(self, project: Any) -> SafeString | str:
        """The client, linked to the mapping, or the way to map it."""
        if project.mapping_id:
            address = reverse("admin:mappings_projectmapping_change", args=[project.mapping_id])
            return format_html('<a href="{}">{}</a>', address, project.payer or _t("mapped"))
        if not project.is_known:
            return _t("nobody")
        address = reverse("admin:mappings_projectmapping_add")
        return format_html('<a href="{}?taiga_project={}">{}</a>', address, project.taiga_id, _t("Map…"))
