"""The only module that knows the admin kit. What every admin and every page of the console is made of.

Lists and forms: `ModelAdmin`, `ReadOnlyModelAdmin`, inlines, filters, import, export and history bases.
Own pages: `PageView` (GET only renders, POST acts), `ConfirmView`; `site_page` puts one at an address of its own,
`ModelAdmin.pages` puts one under a model. One row, one act with a reason: `dialog_action` of `dialogs`, a part of this.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.contrib import messages
from django.contrib.admin import helpers
from django.contrib.admin.checks import ModelAdminChecks
from django.core.paginator import EmptyPage
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from import_export.admin import ExportActionModelAdmin as KitExport
from import_export.admin import ImportExportModelAdmin as KitImportExport
from simple_history.admin import SimpleHistoryAdmin
from unfold.admin import ModelAdmin as KitModelAdmin
from unfold.admin import StackedInline, TabularInline
from unfold.contrib.filters.admin import (
    AutocompleteSelectFilter,
    ChoicesCheckboxFilter,
    ChoicesDropdownFilter,
    RadioFilter,
    RangeDateFilter,
    RangeDateTimeFilter,
    RelatedDropdownFilter,
)
from unfold.contrib.import_export.forms import ImportForm, SelectableFieldsExportForm
from unfold.dataclasses import SearchResult
from unfold.decorators import display
from unfold.enums import ActionVariant
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.sites import UnfoldAdminSite
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminFileFieldWidget,
    UnfoldAdminSelect2Widget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanWidget,
)

from billing_console.badges import badge, pill
from billing_console.dialogs import (
    DialogForm,
    ReasonForm,
    act_on_shown,
    dialog_action,
    on_shown,
    redirect_after,
    row_field,
    rows_seen,
)
from billing_console.formats import age, amount, day, hours, moment, money, percent, period, rate, raw_to_billed
from billing_console.history import has_history
from billing_console.pages import (
    SITE_PAGES,
    Confirmation,
    ConfirmView,
    PageView,
    Text,
    environment_label,
    environment_title_prefix,
    site_page,
)
from billing_console.typed_values import StrictExportMixin, StrictHistoryMixin, StrictViewsMixin, is_key, strict
from billing_console.values import number_of

__all__ = [
    "ActionVariant",
    "AdminPasswordChangeForm",
    "AutocompleteSelectFilter",
    "ChoicesCheckboxFilter",
    "ChoicesDropdownFilter",
    "ConfirmView",
    "Confirmation",
    "ConsoleAdminSite",
    "DialogForm",
    "ExportModelAdmin",
    "HistoryModelAdmin",
    "ImportExportHistoryModelAdmin",
    "ModelAdmin",
    "PageView",
    "RadioFilter",
    "RangeDateFilter",
    "RangeDateTimeFilter",
    "ReadOnlyModelAdmin",
    "ReadOnlyTabularInline",
    "ReasonForm",
    "SearchResult",
    "RelatedDropdownFilter",
    "StackedInline",
    "TabularInline",
    "UnfoldAdminCheckboxSelectMultipleWidget",
    "UnfoldAdminFileFieldWidget",
    "UnfoldAdminSelect2Widget",
    "UnfoldAdminSelectWidget",
    "UnfoldAdminTextInputWidget",
    "UnfoldAdminTextareaWidget",
    "UserChangeForm",
    "UserCreationForm",
    "act_on_shown",
    "age",
    "amount",
    "badge",
    "day",
    "dialog_action",
    "display",
    "environment_label",
    "environment_title_prefix",
    "hours",
    "moment",
    "money",
    "on_shown",
    "percent",
    "period",
    "pill",
    "rate",
    "raw_to_billed",
    "redirect_after",
    "site_page",
]

MOST_PAGES = 1000  # of hits

# --- the site -----------------------------------------------------------------------------------------------------


class ConsoleAdminSite(UnfoldAdminSite):
    """The console's admin site; pages that belong to no model are put on it with `site_page`."""

    index_title = gettext_lazy("Work list")

    def search(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The kit's search; a page that there is not is the first one."""
        asked = request.GET.copy()
        if not 0 < (number_of(asked.get("page")) or 0) <= MOST_PAGES:
            asked.pop("page", None)
        request.GET = asked
        try:
            return super().search(request, extra_context)
        except EmptyPage:
            asked.pop("page", None)
            return super().search(request, extra_context)

    def extra_urls(self) -> list[URLPattern]:
        """Addresses of the pages of no model; they come before those of the models."""
        return [
            path(route, self.admin_view(view.as_view(admin_site=self)), name=name)
            for name, (route, view) in SITE_PAGES.items()
        ]


# --- lists and forms ----------------------------------------------------------------------------------------------


class ModelAdmin(StrictViewsMixin, KitModelAdmin):
    """Lists and forms as the whole console has them.

    `pages`: own pages under this model, as (route, name, PageView), e.g. ("<int:pk>/review/", "review", ReviewPage),
    reversed as `admin:<app>_<model>_<name>`. `secondary_columns` are left out of the cards of a narrow screen.
    `acts_at_once`: an action of the list acts without a question, so each row carries what is shown of it.
    """

    # The kit's own checks ask the database for permissions, which is empty when the first `migrate` is checked.
    checks_class = ModelAdminChecks

    pages: Sequence[tuple[str, str, type[PageView]]] = ()
    secondary_columns: Sequence[str] = ()
    acts_at_once = False
    list_filter_submit = True
    list_per_page = 50
    list_after_template = "console/list_totals.html"

    def get_urls(self) -> list[URLPattern]:
        prefix = f"{self.opts.app_label}_{self.opts.model_name}"
        own = [
            path(route, self.admin_site.admin_view(view.as_view(model_admin=self)), name=f"{prefix}_{name}")
            for route, name, view in self.pages
        ]
        return own + super().get_urls()

    def get_fieldsets(self, request: HttpRequest, obj: Model | None = None) -> Any:
        """`fields = ()` means none: the template says everything. (To Django it means all of them.)"""
        if self.fields == ():
            return ()
        return super().get_fieldsets(request, obj)

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """The buttons of a form that make sense in the row's present state; one query when some depend on it."""
        actions = super().get_actions_detail(request, object_id)
        if not any(getattr(action.method, "offered_when", None) for action in actions):
            return actions
        row = self.get_object(request, str(object_id))
        return [
            action
            for action in actions
            if row is None or not (is_offered := getattr(action.method, "offered_when", None)) or is_offered(row)
        ]

    def has_history(self, row: Model) -> bool:
        """Whether the page "History" of this row has anything to show."""
        return has_history(row)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, obj: Model | None = None, **kwargs: Any
    ) -> HttpResponse:
        """With a button "History" only where there is one."""
        context["show_history"] = obj is not None and self.has_history(obj)
        return super().render_change_form(request, context, *args, obj=obj, **kwargs)

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """As the kit has it, strict about days and choices."""
        return strict(super().formfield_for_dbfield(db_field, request, **kwargs))

    def response_action(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        """Act on the ticked rows; what is ticked and names no row that can be is said, and nothing is done."""
        ticked = request.POST.getlist(helpers.ACTION_CHECKBOX_NAME)
        if not all(is_key(self.opts.pk, key) for key in ticked):  # type: ignore[arg-type]
            messages.error(request, _("The list was sent in a form that we do not know. Reload it and tick again."))
            return None
        return super().response_action(request, queryset)

    def shown_of(self, row: Any) -> Mapping[str, Any]:
        """What is on the screen of a row that is acted on in a dialog or in the list, as label → words."""
        raise NotImplementedError

    def locked(self, pk: Any) -> Any:
        """The row as it is now, locked in the order of the house; None where it is gone."""
        return self.model._default_manager.select_for_update(of=("self",), no_key=True).filter(pk=pk).first()

    def act_on_selected(self, request: HttpRequest, rows: QuerySet[Any], act: Callable[..., Any]) -> int:
        """`act` with each of the selected rows that is still what the list showed; with how many it was done."""
        seen = rows_seen(request, self.model)
        return act_on_shown(request, rows, act, seen=seen, lock=self.locked, words=self.shown_of)

    def get_list_totals(self, request: HttpRequest, rows: QuerySet[Any]) -> Sequence[tuple[Text, Text]]:
        """Totals of the filtered set as (label, value), shown below the list; one query at most."""
        return ()

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        response = super().changelist_view(
            request, {"secondary_columns": self.secondary_columns, **(extra_context or {})}
        )
        context = getattr(response, "context_data", None)
        if context and "cl" in context:
            context["list_totals"] = self.get_list_totals(request, context["cl"].queryset.order_by())
        return response

    @display(description=KitModelAdmin.action_checkbox.short_description)
    def action_checkbox(self, obj: Model) -> SafeString:
        """The row's checkbox; named after its row, because screen readers read it out of the table."""
        widget = UnfoldBooleanWidget(
            {"class": "action-select", "aria-label": _("Select %(row)s") % {"row": obj}}, lambda value: False
        )
        box = widget.render(helpers.ACTION_CHECKBOX_NAME, str(obj.pk))
        return box + row_field(self, obj) if self.acts_at_once else box


class ReadOnlyModelAdmin(ModelAdmin):
    """A list and a form to look at: nothing is added, changed or deleted here; acts go through actions and pages."""

    def has_history(self, row: Model) -> bool:
        return False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class ReadOnlyTabularInline(TabularInline):
    """Rows of another model on a form, to look at."""

    extra = 0
    can_delete = False
    show_change_link = False

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class ExportModelAdmin(StrictExportMixin, KitExport, ModelAdmin):
    """Offers the filtered rows as CSV or XLSX to everyone who may see them."""

    export_form_class = SelectableFieldsExportForm

    def has_export_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)


class HistoryModelAdmin(StrictHistoryMixin, SimpleHistoryAdmin, ModelAdmin):
    """Keeps and shows every version of a row (who, when, what); versions are looked at, never put back."""


class ImportExportHistoryModelAdmin(
    StrictExportMixin, StrictHistoryMixin, KitImportExport, SimpleHistoryAdmin, ModelAdmin
):
    """History, export for who may see, import for who may both add and change."""

    import_form_class = ImportForm
    export_form_class = SelectableFieldsExportForm

    def has_export_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_import_permission(self, request: HttpRequest) -> bool:
        return self.has_add_permission(request) and self.has_change_permission(request)
