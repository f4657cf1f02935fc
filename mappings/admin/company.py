"""The company: one row, so its list is its form."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from billing_console.admin_base import ModelAdmin
from mappings.admin.telling import TellsChanges
from mappings.company_form import CompanyForm
from mappings.models import Company


@admin.register(Company)
class CompanyAdmin(TellsChanges, ModelAdmin):
    """What holds for every client unless a rule set says otherwise."""

    form = CompanyForm
    fieldsets = (
        (None, {"fields": ("name", "currency", "needs_four_eyes", "invoice_date")}),
        (
            _("Asked about before it is billed"),
            {
                "fields": (
                    "max_item_hours",
                    "brake_rate_percent",
                    "brake_month_factor",
                    "brake_uplift_percent",
                    "brake_uplift_hours",
                    "brake_late_days",
                    "brake_client",
                ),
                "description": _(
                    "What lies beyond is held under Needs attention until a person confirms it. A value that was "
                    "confirmed passes until it is another one."
                ),
            },
        ),
        (
            _("Shown as a warning"),
            {"fields": ("week_hours",), "description": _("A warning holds nothing.")},
        ),
        (
            _("Attributes in Taiga"),
            {
                "fields": (
                    "attribute_billable",
                    "attribute_hours",
                    "attribute_rate",
                    "attribute_client",
                    "attribute_status",
                    "attribute_estimate",
                ),
                "description": _("The names of the custom attributes, as they are called in your Taiga projects."),
            },
        ),
    )

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """There is one row: show its form, or the form to make it."""
        if self.has_view_or_change_permission(request):
            company = Company.objects.first()
            if company is not None:
                return HttpResponseRedirect(reverse("admin:mappings_company_change", args=[company.pk]))
            if self.has_add_permission(request):
                return HttpResponseRedirect(reverse("admin:mappings_company_add"))
        return super().changelist_view(request, extra_context)

    def save_model(self, request: HttpRequest, obj: Model, form: Any, change: bool) -> None:
        """The one row has the id 1."""
        obj.pk = 1
        super().save_model(request, obj, form, change)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Only while there is none."""
        return super().has_add_permission(request) and not Company.objects.exists()

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Never: everything needs it."""
        return False
