"""Clients and projects of Invoice Ninja, as last read from it: looked at here, changed there."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Count, Prefetch, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _t
from django.utils.translation import gettext_lazy as _

from billing_console.admin_base import (
    ReadOnlyModelAdmin,
    ReadOnlyTabularInline,
    display,
    pill,
)
from mappings.admin.listed import RefreshesLists, is_choice_for, of_chosen_client
from mappings.admin.people import rates_link
from mappings.models import Client, NinjaProject, ProjectMapping, RuleSet


def presence(row: Any) -> SafeString:
    """Whether Invoice Ninja has it, as a pill: known, archived, deleted, or not seen yet."""
    if row.is_deleted:
        return pill("danger", "cross", _("deleted"))
    if row.is_archived:
        return pill("warning", "pause", _("archived"))
    if row.is_known:
        return pill("success", "check", _("known"))
    return pill("warning", "triangle", _("not seen yet"))


class ProjectInline(ReadOnlyTabularInline):
    """The client's Taiga projects."""

    model = ProjectMapping
    fields = ("taiga_project_name", "taiga_project_id", "ninja_project", "is_active")
    show_change_link = True


@admin.register(Client)
class ClientAdmin(RefreshesLists, ReadOnlyModelAdmin):
    """Who pays. Everything here is read from Invoice Ninja."""

    list_display = ("name_or_id", "currency", "mailed_to", "presence", "rates", "rules")
    list_filter = ("is_known", "is_archived", "is_deleted", "currency")
    secondary_columns = ("mailed_to",)
    search_fields = ("name", "ninja_id")
    ordering = ("name", "ninja_id")
    fields = ("name", "ninja_id", "currency", "mailed_to", "presence", "rules", "refreshed_at")
    readonly_fields = ("mailed_to", "presence", "rules")
    inlines = (ProjectInline,)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Client]:
        """With the number of rates and the current rules."""
        current = Prefetch("rule_sets", RuleSet.objects.filter(is_current=True), to_attr="current_rules")
        return super().get_queryset(request).annotate(rate_count=Count("rate")).prefetch_related(current)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Client], search_term: str
    ) -> tuple[QuerySet[Client], bool]:
        """A project is mapped to a client that lives."""
        if is_choice_for(request, "projectmapping"):
            queryset = queryset.filter(is_known=True, is_deleted=False)
        return super().get_search_results(request, queryset, search_term)

    @display(description=_("client"), ordering="name")
    def name_or_id(self, client: Client) -> str:
        """The name people know, else Invoice Ninja's id."""
        return str(client)

    @display(description=_("mail goes to"))
    def mailed_to(self, client: Client) -> SafeString | str:
        """Addresses of the contacts that get invoices."""
        return ", ".join(client.emails()) or pill("warning", "triangle", _("no address"))

    @display(description=_("in Invoice Ninja"))
    def presence(self, client: Client) -> SafeString:
        """Known, archived, deleted, or not seen yet."""
        return presence(client)

    @display(description=_("rates"), ordering="rate_count")
    def rates(self, client: Any) -> SafeString:
        """Linked to exactly those."""
        return rates_link(client.rate_count, "client", client.pk)

    @display(description=_("rules"))
    def rules(self, client: Any) -> SafeString | str:
        """The client's own current rules, else the company's."""
        if not client.current_rules:
            return _t("the company's")
        own = client.current_rules[0]
        return format_html('<a href="{}">{}</a>', reverse("admin:mappings_ruleset_change", args=[own.pk]), own)


@admin.register(NinjaProject)
class NinjaProjectAdmin(RefreshesLists, ReadOnlyModelAdmin):
    """Projects of Invoice Ninja."""

    list_display = ("name_or_id", "client", "presence", "refreshed_at")
    list_select_related = ("client",)
    list_filter = ("is_known", "is_archived", "is_deleted")
    search_fields = ("name", "ninja_id", "client__name")
    fields = ("name", "ninja_id", "client", "presence", "refreshed_at")
    readonly_fields = ("presence",)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[NinjaProject], search_term: str
    ) -> tuple[QuerySet[NinjaProject], bool]:
        """A Taiga project is mapped to a project that lives, of the client that stands on the form."""
        if is_choice_for(request, "projectmapping"):
            queryset = of_chosen_client(request, queryset.filter(is_known=True, is_deleted=False))
        return super().get_search_results(request, queryset, search_term)

    @display(description=_("project"), ordering="name")
    def name_or_id(self, project: NinjaProject) -> str:
        """The name people know, else Invoice Ninja's id."""
        return str(project)

    @display(description=_("in Invoice Ninja"))
    def presence(self, project: NinjaProject) -> SafeString:
        """Known, archived, deleted, or not seen yet."""
        return presence(project)
