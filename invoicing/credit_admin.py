"""The list of credits: what was given back, for which invoice, and where it is. To look at."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet, Sum
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from billing_console import formats
from billing_console.admin_base import RangeDateFilter, ReadOnlyModelAdmin, RelatedDropdownFilter, badge, display
from invoicing.models import Credit


@admin.register(Credit)
class CreditAdmin(ReadOnlyModelAdmin):
    """Amounts are positive: what the client gets back."""

    list_display = ("invoice_cell", "number_cell", "net_cell", "gross_cell", "used_cell", "credit_date", "state_cell")
    list_display_links = None
    list_filter = (("credit_date", RangeDateFilter), ("invoice__client", RelatedDropdownFilter))
    search_fields = ("number", "invoice__number", "invoice__client__name")
    list_select_related = ("invoice__client", "remote", "difference__item__project")
    secondary_columns = ("net_cell", "credit_date")

    def get_list_totals(self, request: HttpRequest, rows: QuerySet[Credit]) -> list[tuple[str, str]]:
        sums = rows.filter(is_given_up=False).values("currency").annotate(sum_gross=Sum("gross")).order_by("currency")
        return [(gettext("Credited, with tax"), formats.money(row["sum_gross"], row["currency"])) for row in sums]

    @display(description=_("Invoice"))
    def invoice_cell(self, credit: Credit) -> SafeString:
        if credit.meaning:
            why = format_html("{}. {}", credit.get_meaning_display(), credit.reason)
        elif credit.difference is None:
            why = format_html("{}: {}, {}", gettext("Rest written off"), credit.get_cause_display(), credit.reason)
        else:
            why = format_html(
                '<a href="{}">{}</a> · {}',
                reverse("admin:sync_difference_decide", args=[credit.difference_id]),
                credit.difference.item,
                credit.difference.item.place,
            )
        return format_html(
            '<a class="bc-row-link" href="{}">{} {}</a><span class="bc-sub">{}</span>',
            reverse("admin:invoicing_invoice_change", args=[credit.invoice_id]),
            credit.invoice.client,
            credit.invoice.number,
            why,
        )

    @display(description=_("Number"), ordering="number")
    def number_cell(self, credit: Credit) -> str:
        return credit.number or formats.NOTHING

    @display(description=_("Before tax"), ordering="net")
    def net_cell(self, credit: Credit) -> SafeString:
        return formats.cell(formats.money(credit.net, credit.currency))

    @display(description=_("With tax"), ordering="gross")
    def gross_cell(self, credit: Credit) -> SafeString:
        return formats.cell(formats.money(credit.gross, credit.currency))

    @display(description=_("Set against invoices"), ordering="used")
    def used_cell(self, credit: Credit) -> SafeString:
        return formats.cell(formats.money(credit.used, credit.currency))

    @display(description=_("State"))
    def state_cell(self, credit: Credit) -> SafeString:
        if credit.is_given_up:
            return badge("cancelled", gettext("Given up"))
        if credit.is_there:
            return badge("credited", gettext("Credited"))
        waits = badge(credit.remote.state, credit.remote.get_state_display())
        return format_html('{}<span class="bc-sub">{}</span>', waits, credit.remote.sentence)
