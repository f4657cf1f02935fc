"""People, their roles in Taiga's projects, and the roles that have a rate."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from billing_console.admin_base import ModelAdmin, ReadOnlyModelAdmin, ReadOnlyTabularInline, display, pill
from mappings.admin.telling import TellsChanges
from mappings.forms import RoleForm
from mappings.models import Membership, Person, Role


def rates_link(count: int, key: str, pk: int) -> SafeString:
    """The number of rates, linked to exactly those rows of the list of rates."""
    words = ngettext("%(count)d rate", "%(count)d rates", count) % {"count": count}
    address = f"{reverse('admin:mappings_rate_changelist')}?{key}__id__exact={pk}"
    return format_html('<a href="{}">{}</a>', address, words)


class MembershipInline(ReadOnlyTabularInline):
    """The person's roles, as last read from Taiga."""

    model = Membership
    fields = ("taiga_project_id", "role_name", "refreshed_at")


@admin.register(Person)
class PersonAdmin(TellsChanges, ModelAdmin):
    """Users of Taiga; they appear by themselves when their work is read."""

    list_display = ("full_name_or_username", "username", "taiga_user_id", "roles", "rates")
    secondary_columns = ("taiga_user_id",)
    search_fields = ("full_name", "username", "taiga_user_id")
    ordering = ("full_name", "username")  # said here too: a counted list would forget the model's
    inlines = (MembershipInline,)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Person]:
        """With roles and the number of rates."""
        return super().get_queryset(request).prefetch_related("memberships").annotate(rate_count=Count("rate"))

    @display(description=_("person"), ordering="full_name")
    def full_name_or_username(self, person: Person) -> str:
        """The name people know."""
        return str(person)

    @display(description=_("roles in Taiga"))
    def roles(self, person: Person) -> str:
        """Every role once, whatever the project."""
        return ", ".join(sorted({membership.role_name for membership in person.memberships.all()}))

    @display(description=_("rates"), ordering="rate_count")
    def rates(self, person: Any) -> SafeString:
        """Linked to exactly those."""
        return rates_link(person.rate_count, "person", person.pk)

    def get_readonly_fields(self, request: HttpRequest, obj: Person | None = None) -> tuple[str, ...]:
        """Taiga's id is what a person is known by; it is typed once."""
        return ("taiga_user_id",) if obj else ()


@admin.register(Membership)
class MembershipAdmin(ReadOnlyModelAdmin):
    """Who has which role in which Taiga project, as last read."""

    list_display = ("person", "taiga_project_id", "role_name", "role_key", "refreshed_at")
    list_select_related = ("person",)
    search_fields = ("person__full_name", "person__username", "role_name", "taiga_project_id")


@admin.register(Role)
class RoleAdmin(TellsChanges, ModelAdmin):
    """Roles with a rate; a role's key is its name in Taiga, folded."""

    form = RoleForm
    list_display = ("key", "name", "people", "rates")
    search_fields = ("key", "name")
    ordering = ("key",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Role]:
        """With the number of people in the role, and of rates."""
        holders = (
            Membership.objects.filter(role_key=OuterRef("key"))
            .order_by()
            .values("role_key")
            .annotate(people=Count("person", distinct=True))
            .values("people")
        )
        counted = super().get_queryset(request).annotate(rate_count=Count("rate"))
        return counted.annotate(people_count=Coalesce(Subquery(holders), 0))

    @display(description=_("people"), ordering="people_count")
    def people(self, role: Any) -> SafeString | int:
        """How many have it in any project; nobody is worth a look."""
        return role.people_count or pill("neutral", "ring", _("nobody has it yet"))

    @display(description=_("rates"), ordering="rate_count")
    def rates(self, role: Any) -> SafeString:
        """Linked to exactly those."""
        return rates_link(role.rate_count, "role", role.pk)
