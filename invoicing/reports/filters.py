"""What a report is asked for: days, client, project, person, invoice; read from the address, kept in the address."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import Q
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from billing_console.admin_base import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget
from billing_console.values import check_day, number_of
from invoicing.models import Invoice
from mappings.models import Client, Person, ProjectMapping

PERIOD, AS_AT, CLIENT, PROJECT, PERSON, INVOICE = "period", "as_at", "client", "project", "person", "invoice"


@dataclass(frozen=True)
class Wanted:
    """The answer of the form; None is "all". `start` and `end` are local days, both included; `today` is business time.

    For reports that need one invoice, `invoice` is that row. `draw` is the currency whose plot is asked for. `as_at` is
    a day before today by whose end everything counts, from the books; None is now, from the rows themselves.
    """

    today: dt.date
    start: dt.date | None = None
    end: dt.date | None = None
    client: Client | None = None
    project: ProjectMapping | None = None
    person: Person | None = None
    invoice: Invoice | None = None
    as_at: dt.date | None = None
    draw: str = ""

    @property
    def day(self) -> dt.date:
        """The day as at which is looked."""
        return self.as_at or self.today

    def within(self, day: str) -> Q:
        """The condition that the date column `day` lies in the days asked for."""
        condition = Q()
        if self.start is not None:
            condition &= Q(**{f"{day}__gte": self.start})
        if self.end is not None:
            condition &= Q(**{f"{day}__lte": self.end})
        return condition

    def of(self, **columns: str) -> Q:
        """The condition for client, project and person, each named by its column: `of(client="client")`."""
        condition = Q()
        for name, column in columns.items():
            if (row := getattr(self, name)) is not None:
                condition &= Q(**{column: row})
        return condition


class FilterForm(forms.Form):
    """The fields of one report. A wrong value is one sentence beside its field, and then no row is shown."""

    start = forms.DateField(label=_("From"), required=False, validators=[check_day])
    end = forms.DateField(label=_("To, included"), required=False, validators=[check_day])
    as_at = forms.DateField(label=_("As at the end of"), required=False, validators=[check_day])
    invoice = forms.CharField(label=_("Invoice number"), required=False, max_length=191)
    client = forms.ModelChoiceField(Client.objects.order_by("name"), label=_("Client"), required=False)
    project = forms.ModelChoiceField(
        ProjectMapping.objects.order_by("taiga_project_name"), label=_("Project"), required=False
    )
    person = forms.ModelChoiceField(Person.objects.order_by("full_name", "username"), label=_("Person"), required=False)

    def __init__(self, data: Any, *, uses: frozenset[str], today: dt.date, months: int) -> None:
        super().__init__(data if any(name in data for name in self.base_fields) else None)
        self.today = today
        for name in set(self.fields) - uses - ({"start", "end"} if PERIOD in uses else set()):
            del self.fields[name]
        self.defaults: dict[str, Any] = {}
        if PERIOD in uses:
            self.defaults["start"] = first_day(today, months) if months else None
            self.defaults["end"] = None
        self.initial = self.defaults
        for field in self.fields.values():
            date = {"type": "date"} if isinstance(field, forms.DateField) else {}
            is_choice = isinstance(field, forms.ModelChoiceField)
            field.widget = UnfoldAdminSelectWidget() if is_choice else UnfoldAdminTextInputWidget(attrs=date)
            if isinstance(field, forms.ModelChoiceField):
                field.empty_label = gettext("All")
                field.widget.choices = field.choices
            field.widget.attrs["class"] = "bc-input"

    def clean_invoice(self) -> Invoice | None:
        """The invoice of that number, or of our own id as links of the console write it ("id:12")."""
        typed = self.cleaned_data["invoice"].strip()
        if not typed:
            return None
        rows = Invoice.objects.select_related("client")
        own = number_of(typed.removeprefix("id:")) if typed.startswith("id:") else None
        found = rows.filter(pk=own) if own is not None else rows.filter(number=typed)
        invoice = found.order_by("-pk").first()
        if invoice is None:
            raise ValidationError(
                _("There is no invoice “%(typed)s”. Copy the number from the list of invoices.") % {"typed": typed}
            )
        return invoice

    def clean_as_at(self) -> dt.date | None:
        """A day that is over; today is now."""
        day: dt.date | None = self.cleaned_data["as_at"]
        if day is not None and day > self.today:
            raise ValidationError(_("This day is not over yet. Take today or a day before it."))
        return None if day == self.today else day

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        start, end = cleaned.get("start"), cleaned.get("end")
        if start and end and end < start:
            self.add_error("end", _("The last day lies before the first. Change one of them."))
        return cleaned

    def wanted(self) -> Wanted | None:
        """What was asked for; the defaults where nothing was asked; None when something typed cannot be read."""
        if not self.is_bound:
            return Wanted(self.today, **self.defaults)
        return Wanted(self.today, **self.cleaned_data) if self.is_valid() else None


def first_day(today: dt.date, months: int) -> dt.date:
    """The first day of the month `months` − 1 before that of `today`: with 1 its own month."""
    index = today.year * 12 + today.month - months
    return dt.date(index // 12, index % 12 + 1, 1)
