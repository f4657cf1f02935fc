"""Rates as a table in a file: CSV and XLSX, in and out, under the same rules as the form."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from io import BytesIO
from typing import Any, Final

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from import_export import fields, resources
from import_export.formats.base_formats import CSV, XLSX
from import_export.widgets import ForeignKeyWidget, Widget
from openpyxl import load_workbook
from tablib import Dataset

from billing_console.cells import as_written
from billing_console.form_fields import StrictDecimalField
from billing_console.values import day_of
from mappings import hooks
from mappings.models import Client, Person, ProjectMapping, Rate, Role
from mappings.models.rates import NOT_POSITIVE
from mappings.rate_changes import refusal_of_change


class AmountWidget(Widget):
    """An amount as text that reads back to itself; "1.234" is asked back here too."""

    def clean(self, value: Any, row: Any = None, **kwargs: Any) -> Decimal:
        """The amount. Raises ValueError with one sentence."""
        try:
            # A spreadsheet holds a typed 85.5 as a binary number whose shortest text is what was typed.
            field = StrictDecimalField(min_value=0, error_messages={"min_value": NOT_POSITIVE})
            amount = field.clean("" if value is None else str(value))
        except ValidationError as error:
            raise ValueError(" ".join(error.messages)) from error
        assert isinstance(amount, Decimal)
        return amount

    def render(self, value: Any, obj: Any = None, **kwargs: Any) -> str:
        """At least two decimals, a point in every language."""
        return str(StrictDecimalField().prepare_value(value))


class DayWidget(Widget):
    """A day as YYYY-MM-DD, or as the date cell that a spreadsheet makes of it."""

    def clean(self, value: Any, row: Any = None, **kwargs: Any) -> dt.date | None:
        """The day, or None for an empty cell. Raises ValueError with one sentence."""
        text = "" if value is None else str(value).strip()
        if not text:
            return None
        if (day := day_of(text.removesuffix(" 00:00:00"))) is None:
            raise ValueError(_("“%(typed)s” is no day. Write it like 2026-01-31.") % {"typed": text})
        return day

    def render(self, value: Any, obj: Any = None, **kwargs: Any) -> str:
        """ISO in every language."""
        return value.isoformat() if value else ""


class NamedRowWidget(ForeignKeyWidget):
    """A row by its name outside; says which name is not there."""

    def clean(self, value: Any, row: Any = None, **kwargs: Any) -> Any:
        """The row, or None for an empty cell. Raises ValueError with one sentence."""
        if value is None or not str(value).strip():
            return None
        found = list(self.get_queryset(value, row, **kwargs).filter(**{self.field: str(value).strip()})[:2])
        if len(found) != 1:
            facts = {"what": self.model._meta.verbose_name, "value": value}
            raise ValueError(_("There is not exactly one %(what)s “%(value)s”.") % facts)
        return found[0]


def _named(column: str, model: Any, field: str) -> fields.Field:
    return fields.Field(column_name=column, attribute=column, widget=NamedRowWidget(model, field))


class RateResource(resources.ModelResource):
    """One line per rate; a line with the same level, names and first day changes that rate."""

    person = _named("person", Person, "username")
    role = _named("role", Role, "key")
    project = _named("project", ProjectMapping, "taiga_project_id")
    client = _named("client", Client, "ninja_id")
    amount = fields.Field(column_name="amount", attribute="amount", widget=AmountWidget())
    valid_from = fields.Field(column_name="valid_from", attribute="valid_from", widget=DayWidget())
    valid_to = fields.Field(column_name="valid_to", attribute="valid_to", widget=DayWidget())

    class Meta:
        model = Rate
        fields = ("level", "person", "role", "project", "client", "amount", "currency", "valid_from", "valid_to")
        export_order = fields
        import_id_fields = ("level", "person", "role", "project", "client", "valid_from")
        clean_model_instances = True
        skip_unchanged = True
        use_transactions = True
        store_instance = True  # for the effect of the whole file

    def before_import_row(self, row: Any, **kwargs: Any) -> None:
        """A cell that was exported with an apostrophe before it is read as it is."""
        for name, cell in row.items():
            if isinstance(cell, str):
                row[name] = as_written(cell)

    def get_queryset(self) -> Any:
        """With the rows whose names are written, in one query."""
        return super().get_queryset().select_related("person", "role", "project", "client")

    def validate_instance(
        self, instance: Any, import_validation_errors: Any = None, validate_unique: bool = True
    ) -> None:
        """The model's rules, and that a used rate keeps its price."""
        super().validate_instance(instance, import_validation_errors, validate_unique)
        stored = Rate.objects.filter(pk=instance.pk).first() if instance.pk else None
        if stored is None:
            return
        wanted = {name: getattr(instance, name) for name in ("amount", "currency", "valid_from", "valid_to")}
        if refusal := refusal_of_change(stored, **wanted):
            raise ValidationError(refusal)

    def after_save_instance(self, instance: Any, row: Any, **kwargs: Any) -> None:
        """Whoever depends on the rate hears of it; nobody does in a trial run."""
        if not kwargs.get("dry_run"):
            hooks.changed(instance)


# --- files, bounded ---------------------------------------------------------------------------------------------------

MOST_ROWS: Final = 2000  # some ten seconds; longer lists go by "Import and export", where a worker reads them


class TooManyRows(Exception):
    """A file has more rows than a request may read; the text is one plain sentence."""


def refuse_too_many(count: int) -> None:
    """Raises TooManyRows where a request would take too long."""
    if count > MOST_ROWS:
        raise TooManyRows(
            _("More than %(most)s rows. Write them as YAML or JSON: “Import and export” reads those in the background.")
            % {"most": MOST_ROWS}
        )


class BoundedCsv(CSV):
    """Comma separated, at most MOST_ROWS rows; counted before anything is made of them."""

    def create_dataset(self, in_stream: Any, **kwargs: Any) -> Any:
        """The rows. Raises TooManyRows."""
        refuse_too_many(in_stream.count(b"\n" if isinstance(in_stream, bytes) else "\n") - 1)
        return super().create_dataset(in_stream, **kwargs)


class BoundedXlsx(XLSX):
    """A workbook, at most MOST_ROWS rows of its first sheet; read no further."""

    def create_dataset(self, in_stream: Any) -> Any:
        """The rows. Raises TooManyRows."""
        sheet = load_workbook(BytesIO(in_stream), read_only=True, data_only=True).active
        rows = sheet.iter_rows(values_only=True, max_col=len(RateResource.Meta.fields) + 20)
        dataset = Dataset(headers=[str(cell) for cell in next(rows, ()) if cell is not None])
        for count, row in enumerate(rows, 1):
            refuse_too_many(count)
            dataset.append(list(row[: dataset.width or len(dataset.headers)]))
        return dataset
