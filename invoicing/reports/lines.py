"""What is on which invoice, and the annex that shows one invoice task by task. Same numbers as the invoice."""

from __future__ import annotations

from typing import Any

from django.db.models import Case, Count, F, Q, QuerySet, Sum, When
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from billing_console import formats
from billing_console.states import InvoiceState
from invoicing.models import InvoiceLine
from invoicing.reports.base import Report, sums_in_words
from invoicing.reports.cells import INVOICE_STATE, invoice_words
from invoicing.reports.columns import CURRENCY, Column, Kind, Row
from invoicing.reports.filters import Wanted

DEAD = (InvoiceState.REJECTED, InvoiceState.CANCELLED, InvoiceState.REVERSED)
# A line that was added by hand counts in no sum of hours; its quantity and price stand below its text.
WORKED = Case(When(entry__isnull=False, then=F("billed_hours")))
VALUES = {
    "number": F("invoice__number"),
    "invoice_state": F("invoice__state"),
    "paid_to_date": F("invoice__paid_to_date"),
    "credited": F("invoice__credited"),
    "written_off": F("invoice__written_off"),
    "cancelled_rest": F("invoice__cancelled_rest"),
    "client": F("invoice__client__name"),
    "currency": F("invoice__currency"),
    "worked": WORKED,
}
SHOWN = (
    *("pk", "invoice_id", "project_name", "person_name", "ref", "notes", "work_date"),
    *("raw_hours", "billed_hours", "rate", "amount", "entry_id"),
)


def _by_hand(row: Row) -> str:
    """ "3.00 × 19.99" of a line that was added by hand, "" for work."""
    if row["entry_id"] is not None:
        return ""
    return f"{formats.number(row['billed_hours'], 2)} × {formats.rate(row['rate'], '')}"


class OnInvoice(Report):
    """Every line of every living invoice and draft."""

    name = "on-invoice"
    title = _("What is on which invoice")
    question = _("Which task is on which invoice, with which hours, rate and amount?")
    basis = _("By work date; amounts before tax, as on the invoice. Drafts are among them, dead invoices are not.")
    uses = frozenset({"period", "client", "project", "person", "invoice"})

    columns = (
        Column(
            "number",
            _("Invoice"),
            value=invoice_words,
            url=lambda row: reverse("admin:invoicing_invoice_change", args=[row["invoice_id"]]),
        ),
        INVOICE_STATE,
        Column("client", _("Client")),
        Column("notes", _("Line"), sub=lambda row: row["project_name"] or _by_hand(row)),
        Column("project_name", _("Project"), in_files_only=True),
        Column("person_name", _("Person")),
        Column("work_date", _("Work date"), Kind.DAY),
        Column("raw_hours", _("Hours typed"), Kind.HOURS, in_files_only=True),
        Column("worked", _("Hours billed"), Kind.HOURS),
        CURRENCY,
        Column("rate", _("Rate"), Kind.RATE, in_files_only=True),
        Column("amount", _("Amount"), Kind.MONEY),
    )

    def rows(self, wanted: Wanted) -> QuerySet[InvoiceLine, Row]:
        return self._lines(wanted).order_by("-invoice_id", "position", "pk").annotate(**VALUES).values(*SHOWN, *VALUES)

    def totals(self, wanted: Wanted) -> list[tuple[str, str]]:
        sums = self._lines(wanted).order_by().values(currency=F("invoice__currency"))
        figures = sums.annotate(
            count_sum=Count("pk"),
            hours_sum=Sum("billed_hours", filter=Q(entry__isnull=False)),
            amount_sum=Sum("amount"),
        ).order_by("currency")
        words = {"count": gettext("Lines"), "hours": gettext("Hours billed"), "amount": gettext("Before tax")}
        return sums_in_words(list(figures), **words)

    def _lines(self, wanted: Wanted) -> QuerySet[InvoiceLine]:
        condition = wanted.within("work_date") & wanted.of(
            client="invoice__client", project="entry__project", person="entry__person", invoice="invoice"
        )
        return InvoiceLine.objects.filter(condition, is_voided=False).exclude(invoice__state__in=DEAD)


class Annex(Report):
    """One invoice, task by task, to be handed to the client: what was done, by whom, when, at which rate."""

    name = "annex"
    title = _("Annex to an invoice")
    question = _("What exactly is a client paying for?")
    basis = _("The lines as they are on the invoice; print it or send the file along.")
    uses = frozenset({"invoice"})
    needs = "invoice"
    needs_sentence = _("Type the number of an invoice, or come from its page.")

    columns = (
        Column("work_date", _("Date"), Kind.DAY),
        Column("project_name", _("Project")),
        Column("notes", _("Task"), sub=_by_hand),
        Column("person_name", _("Person")),
        Column("worked", _("Hours"), Kind.HOURS),
        CURRENCY,
        Column("rate", _("Rate"), Kind.RATE),
        Column("amount", _("Amount before tax"), Kind.MONEY),
    )

    def rows(self, wanted: Wanted) -> QuerySet[InvoiceLine, Row]:
        condition = Q(invoice=wanted.invoice, is_voided=False)
        rows: QuerySet[Any, Row] = (
            InvoiceLine.objects.filter(condition)
            .order_by("position", "pk")
            .annotate(currency=F("invoice__currency"), worked=WORKED)
            .values(*SHOWN, "currency", "worked")
        )
        return rows

    def totals(self, wanted: Wanted) -> list[tuple[str, str]]:
        """The invoice's own sealed figures, not sums made anew."""
        invoice = wanted.invoice
        if invoice is None:
            return []
        tax = f"{invoice.tax_name} {formats.percent(invoice.tax_rate)}" if invoice.tax_name else gettext("Tax")
        return [
            (gettext("Hours"), formats.hours(invoice.billed_hours)),
            (gettext("Before tax"), formats.money(invoice.net, invoice.currency)),
            (tax, formats.money(invoice.tax, invoice.currency)),
            (gettext("With tax"), formats.money(invoice.gross, invoice.currency)),
        ]

    def heading(self, wanted: Wanted) -> str:
        if wanted.invoice is None:
            return str(self.title)
        number = wanted.invoice.number or gettext("draft")
        return gettext("Annex to invoice %(number)s, %(client)s") % {"number": number, "client": wanted.invoice.client}

    def file_name(self, wanted: Wanted) -> str:
        number = wanted.invoice.number if wanted.invoice else ""
        return "-".join(part for part in (self.name, "".join(c for c in number if c.isalnum() or c in "-_")) if part)
