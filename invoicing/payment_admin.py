"""The list of payments, below what is owed: what money brought, and what credits settled. To look at."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import F, QuerySet, Sum
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from billing_console import formats
from billing_console.admin_base import RangeDateFilter, RelatedDropdownFilter, badge, display
from billing_console.indexed_search import IndexedSearchAdmin
from invoicing import unapplied
from invoicing.models import Payment
from invoicing.owed import buckets

UNAPPLIED_SHOWN = 50  # the largest; the report has them all


@admin.register(Payment)
class PaymentAdmin(IndexedSearchAdmin):
    """What was paid, as Invoice Ninja reports it; amounts with tax. What credits settled is told apart."""

    list_display = ("invoice_cell", "amount_cell", "refunded_cell", "paid_on", "state_cell")
    list_display_links = None
    list_filter = (("paid_on", RangeDateFilter), ("invoice__client", RelatedDropdownFilter))
    search_fields = ("invoice__number", "invoice__client__name")
    search_help_text = _("Client or invoice number")
    list_select_related = ("invoice__client",)
    list_before_template = "invoicing/_owed.html"

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """With what is owed, and what came in without an invoice, above what was paid."""
        found = unapplied.left().select_related("client").order_by("-amount", "pk")[:UNAPPLIED_SHOWN]
        return super().changelist_view(
            request, {**(extra_context or {}), "owed_buckets": buckets(), "unapplied": list(found)}
        )

    def get_list_totals(self, request: HttpRequest, rows: QuerySet[Payment]) -> list[tuple[str, str]]:
        sums = (
            rows.filter(is_deleted=False)
            .values("invoice__currency")
            .annotate(sum_paid=Sum(F("amount") - F("refunded") - F("by_credit")))
        )
        return [
            (gettext("Paid, with tax"), formats.money(row["sum_paid"], row["invoice__currency"]))
            for row in sums.order_by("invoice__currency")
        ]

    @display(description=_("Invoice"))
    def invoice_cell(self, payment: Payment) -> SafeString:
        invoice = payment.invoice
        return format_html(
            '<a class="bc-row-link" href="{}">{}</a><span class="bc-sub">{}</span>',
            reverse("admin:invoicing_invoice_change", args=[invoice.pk]),
            invoice.client,
            invoice.number,
        )

    @display(description=_("Paid, with tax"), ordering="amount")
    def amount_cell(self, payment: Payment) -> SafeString:
        currency = payment.invoice.currency
        settled, lost = payment.by_credit - payment.by_write_off, payment.by_write_off
        credit = formats.money(settled, currency) if settled else ""
        written_off = formats.money(lost, currency) if lost else ""
        words = [
            gettext("settled by credits %(credited)s") % {"credited": credit} if credit else "",
            gettext("written off %(written_off)s") % {"written_off": written_off} if written_off else "",
        ]
        return format_html(
            '<span class="bc-num">{}<span class="bc-sub">{}</span></span>',
            formats.money(payment.by_money, currency),
            ", ".join(word for word in words if word),
        )

    @display(description=_("Refunded"), ordering="refunded")
    def refunded_cell(self, payment: Payment) -> SafeString:
        text = formats.money(payment.refunded, payment.invoice.currency) if payment.refunded else "–"
        return format_html('<span class="bc-num">{}</span>', text)

    @display(description=_("State"))
    def state_cell(self, payment: Payment) -> SafeString:
        if payment.is_deleted:
            return badge("cancelled", gettext("Deleted"))
        if payment.by_credit and payment.by_credit == payment.amount - payment.refunded:
            is_lost = payment.by_write_off == payment.by_credit
            return badge("credited", gettext("Written off") if is_lost else gettext("Settled by credits"))
        return badge("reversed", gettext("Refunded")) if payment.refunded else badge("paid")
