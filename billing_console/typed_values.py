"""What Django and the kit read by hand from an address or a form of the admin, read strictly before they do."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import ValidationError
from django.db.models import Field, Model
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from billing_console.cells import harmless_cell
from billing_console.light import light
from billing_console.values import check_day, number_of


def is_key(field: Field[Any, Any], typed: Any) -> bool:
    """Whether the column `field` can hold what was typed."""
    try:
        field.run_validators(field.to_python(typed))
    except (ValidationError, ValueError, TypeError, OverflowError):
        return False
    return True


def strict(field: Any) -> Any:
    """A form field whose days are such as somebody can mean, and whose choice, sent back, is shown only as a row's."""
    if isinstance(field, forms.DateField):
        field.validators = [*field.validators, check_day]
    if isinstance(field, forms.ModelChoiceField) and not isinstance(field, forms.ModelMultipleChoiceField):
        choice: Any = field
        model: type[Model] = choice.queryset.model
        key: Any = model._meta.get_field(choice.to_field_name) if choice.to_field_name else model._meta.pk
        # The widget looks the sent value up as it is; that it is no row is said by the field itself.
        choice.bound_data = lambda data, initial: data if data in ("", None) or is_key(key, data) else None
    return field


class StrictViewsMixin:
    """Before the admin's own views of a row, of its versions and of exports."""

    def get_queryset(self, request: HttpRequest) -> Any:
        """Of a list without the columns that it does not show."""
        rows = super().get_queryset(request)  # type: ignore[misc]
        name = getattr(getattr(request, "resolver_match", None), "url_name", None) or ""
        if not name.endswith("_changelist"):
            return rows
        paths = self.list_select_related  # type: ignore[attr-defined]
        return light(rows, *(paths if isinstance(paths, list | tuple) else ()))

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        return super().get_object(request, object_id, from_field or None)  # type: ignore[misc]


class StrictHistoryMixin:
    """A row with versions is named by a number, a version by two."""

    def history_view(self, request: HttpRequest, object_id: str, *args: Any, **kw: Any) -> Any:
        if number_of(object_id) is None:
            raise Http404
        return super().history_view(request, object_id, *args, **kw)  # type: ignore[misc]

    def history_form_view(self, request: HttpRequest, object_id: str, version_id: str, *args: Any, **kw: Any) -> Any:
        if number_of(object_id) is None or number_of(version_id) is None:
            raise Http404
        return super().history_form_view(request, object_id, version_id, *args, **kw)  # type: ignore[misc]


class StrictExportMixin:
    """A filter that cannot be read leads back to the list, as the list itself does it; no cell is a formula."""

    def get_data_for_export(self, request: HttpRequest, queryset: Any, **kwargs: Any) -> Any:
        found = super().get_data_for_export(request, queryset, **kwargs)  # type: ignore[misc]
        for number, row in enumerate(found):
            found[number] = [harmless_cell(cell) if isinstance(cell, str) else cell for cell in row]
        return found

    def export_action(self, request: HttpRequest) -> HttpResponse:
        try:
            return super().export_action(request)  # type: ignore[misc]
        except IncorrectLookupParameters:
            opts = self.model._meta  # type: ignore[attr-defined]
            return HttpResponseRedirect(reverse(f"admin:{opts.app_label}_{opts.model_name}_changelist") + "?e=1")
