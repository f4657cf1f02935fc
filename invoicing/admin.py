"""Lists and forms of runs, invoices and sendings: to look at. Acts are on the pages below them."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import Count, Prefetch, Q, QuerySet, Sum
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from billing_console import clock, formats
from billing_console.admin_base import (
    ChoicesCheckboxFilter,
    RangeDateFilter,
    ReadOnlyModelAdmin,
    RelatedDropdownFilter,
    badge,
    display,
)
from billing_console.errors import ConsoleError
from billing_console.indexed_search import IndexedSearchAdmin
from billing_console.states import InvoiceState
from billing_console.values import number_of
from invoicing import (
    approve_views,
    chosen_views,
    closing_views,  # noqa: F401 - puts its pages on the site
    correction_confirm_views,  # noqa: F401 - puts its pages on the site
    credit_admin,  # noqa: F401 - puts its list on the site
    credit_views,
    deviation_views,
    doctor_page,  # noqa: F401 - puts its page on the site
    draft_acts,
    draft_views,
    ending_views,
    invoice_page,
    lacking_views,
    marking_views,
    pausing_views,  # noqa: F401 - puts its pages on the site
    payment_admin,  # noqa: F401 - puts its list on the site
    pdf_views,
    receiver_views,
    reconcile_views,  # noqa: F401 - puts its page on the site
    reminding_views,  # noqa: F401 - puts its pages on the site
    report_views,  # noqa: F401 - puts its pages on the site
    run_views,
    search,
    sending_views,
    supplement_views,
    twin_views,  # noqa: F401 - puts its pages on the site
    writing_off_views,
)
from invoicing.models import DoubleBilling, Invoice, InvoiceRun, RunClient, Sending
from invoicing.owed import OwedFilter
from invoicing.payments import OWED
from invoicing.run import DEAD, UNAPPROVED


@admin.register(InvoiceRun)
class InvoiceRunAdmin(ReadOnlyModelAdmin):
    """Which runs there were, and what each came to; a row opens the run's own page."""

    list_display = ("period_cell", "frequency", "drafts", "net_cell", "state_cell", "requested_at")
    list_display_links = None
    list_filter = (("state", ChoicesCheckboxFilter), "frequency", ("period_start", RangeDateFilter))
    secondary_columns = ("frequency", "requested_at")
    pages = (*run_views.PAGES, *approve_views.RUN_PAGES, *supplement_views.PAGES)
    list_before_template = "invoicing/_run_list_head.html"
    list_per_page = 30

    def get_queryset(self, request: HttpRequest) -> QuerySet[InvoiceRun]:
        invoices = Invoice.objects.exclude(state__in=DEAD).only("run", "currency", "net", "state")
        clients = RunClient.objects.only("run", "state")
        return (
            super()
            .get_queryset(request)
            .prefetch_related(Prefetch("invoices", invoices, to_attr="live"), Prefetch("clients", clients))
        )

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        """The run's own page is the page of a run."""
        if number_of(object_id) is None or not self.has_view_permission(request):
            return super().change_view(request, object_id, *args, **kwargs)
        return HttpResponseRedirect(reverse("admin:invoicing_invoicerun_review", args=[object_id]))

    @display(description=_("Period"), ordering="period_start")
    def period_cell(self, run: InvoiceRun) -> SafeString:
        return format_html(
            '<a class="bc-row-link" href="{}">{}</a><span class="bc-sub">{}{}</span>',
            reverse("admin:invoicing_invoicerun_review", args=[run.pk]),
            formats.period(run.period_start, run.period_end),
            run.timezone,
            f" · {gettext('supplement')} {run.sequence}" if run.sequence > 1 else "",
        )

    @display(description=_("Drafts"))
    def drafts(self, run: InvoiceRun) -> SafeString:
        failed = sum(row.state == "failed" for row in run.clients.all())
        words = f"{failed} {gettext('failed')}" if failed else ""
        return format_html('<span class="bc-num">{}<span class="bc-sub">{}</span></span>', len(run.live), words)

    @display(description=_("Before tax"))
    def net_cell(self, run: InvoiceRun) -> SafeString:
        return format_html('<span class="bc-num">{}</span>', run_views.money_words(run.live) or "–")

    @display(description=_("State"), ordering="state")
    def state_cell(self, run: InvoiceRun) -> SafeString:
        return badge(run.state, run.get_state_display())


@admin.register(Invoice)
class InvoiceAdmin(IndexedSearchAdmin):
    """State, amounts and payments of every invoice; drafts open their review page."""

    list_display = (
        "client_cell",
        "period_cell",
        "number_cell",
        "net_cell",
        "gross_cell",
        "balance_cell",
        "due_cell",
        "state_cell",
    )
    list_display_links = None
    list_filter = (
        ("state", ChoicesCheckboxFilter),
        OwedFilter,
        ("client", RelatedDropdownFilter),
        "currency",
        ("period_start", RangeDateFilter),
        ("due_date", RangeDateFilter),
    )
    search_fields = ("client__name", "number", "lines__notes")
    search_help_text = _("Client, invoice number, PO number, an amount, or the text of a line")
    secondary_columns = ("period_cell", "net_cell", "due_cell")
    list_select_related = ("client", "run")
    actions = ("approve_selected", "send_selected", "mark_selected")
    pages = (
        *draft_views.PAGES,
        *draft_acts.PAGES,
        *chosen_views.PAGES,
        *lacking_views.PAGES,
        *approve_views.INVOICE_PAGES,
        *sending_views.INVOICE_PAGES,
        *marking_views.PAGES,
        *deviation_views.PAGES,
        *pdf_views.PAGES,
        *receiver_views.PAGES,
        *writing_off_views.PAGES,
        *credit_views.PAGES,
        *ending_views.PAGES,
    )
    change_form_before_template = "invoicing/invoice.html"

    def find_otherwise(self, text: str) -> Q:
        return search.by_amount_or_po(text)

    def get_fieldsets(self, request: HttpRequest, obj: Invoice | None = None) -> list[Any]:
        """None: our own part above says it all."""
        return []

    def get_list_totals(self, request: HttpRequest, rows: QuerySet[Invoice]) -> list[tuple[str, str]]:
        sums = rows.values("currency").annotate(
            count=Count("pk", distinct=True), sum_net=Sum("net"), sum_gross=Sum("gross"), sum_balance=Sum("balance")
        )
        totals = list(sums.order_by("currency"))
        lines = [(gettext("Invoices"), str(sum(row["count"] for row in totals)))]
        for row in totals:
            lines.append((gettext("Before tax"), formats.money(row["sum_net"], row["currency"])))
            lines.append((gettext("With tax"), formats.money(row["sum_gross"], row["currency"])))
            if row["sum_balance"]:
                lines.append((gettext("Open, with tax"), formats.money(row["sum_balance"], row["currency"])))
        return lines

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        page = invoice_context(object_id) if self.has_view_permission(request) else {}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **page})

    def has_approve_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        return request.user.has_perm("invoicing.approve_invoice")

    def has_send_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        return request.user.has_perm("invoicing.send_invoice")

    @admin.action(description=_("Approve…"), permissions=["approve"])
    def approve_selected(self, request: HttpRequest, queryset: QuerySet[Invoice]) -> HttpResponse | None:
        """Goes on to the question; changes nothing."""
        return self._ask(request, approve_views.start, queryset)

    @admin.action(description=_("Send…"), permissions=["send"])
    def send_selected(self, request: HttpRequest, queryset: QuerySet[Invoice]) -> HttpResponse | None:
        """Goes on to the question; changes nothing."""
        return self._ask(request, sending_views.start, queryset)

    @admin.action(description=_("Mark as sent without a mail…"), permissions=["send"])
    def mark_selected(self, request: HttpRequest, queryset: QuerySet[Invoice]) -> HttpResponse | None:
        """Goes on to the question; changes nothing."""
        return self._ask(request, marking_views.start, queryset)

    def _ask(self, request: HttpRequest, start: Any, queryset: QuerySet[Invoice]) -> HttpResponse | None:
        try:
            return start(request, queryset)
        except ConsoleError as error:
            messages.error(request, error.sentence)
            return None

    @display(description=_("Client"), ordering="client__name")
    def client_cell(self, invoice: Invoice) -> SafeString:
        name = "review" if invoice.state in UNAPPROVED else "change"
        return format_html(
            '<a class="bc-row-link" href="{}">{}</a>',
            reverse(f"admin:invoicing_invoice_{name}", args=[invoice.pk]),
            invoice.client,
        )

    @display(description=_("Period"), ordering="period_start")
    def period_cell(self, invoice: Invoice) -> str:
        return formats.period(invoice.period_start, invoice.period_end)

    @display(description=_("Number"), ordering="number")
    def number_cell(self, invoice: Invoice) -> str:
        return invoice.number or "–"

    @display(description=_("Before tax"), ordering="net")
    def net_cell(self, invoice: Invoice) -> SafeString:
        return format_html('<span class="bc-num">{}</span>', formats.money(invoice.net, invoice.currency))

    @display(description=_("With tax"), ordering="gross")
    def gross_cell(self, invoice: Invoice) -> SafeString:
        return format_html('<span class="bc-num">{}</span>', formats.money(invoice.gross, invoice.currency))

    @display(description=_("Open, with tax"), ordering="balance")
    def balance_cell(self, invoice: Invoice) -> SafeString:
        owed = invoice.balance if invoice.state in (*OWED, InvoiceState.PAID) else None
        paid = formats.money(invoice.paid_by_money, invoice.currency) if invoice.paid_by_money else ""
        credited = formats.money(invoice.settled, invoice.currency) if invoice.settled else ""
        written_off = formats.money(invoice.lost, invoice.currency) if invoice.lost else ""
        parts = [
            gettext("paid %(paid)s") % {"paid": paid} if paid else "",
            gettext("settled by credits %(credited)s") % {"credited": credited} if credited else "",
            gettext("written off %(written_off)s") % {"written_off": written_off} if written_off else "",
        ]
        return format_html(
            '<span class="bc-num">{}<span class="bc-sub">{}</span></span>',
            formats.money(owed, invoice.currency),
            ", ".join(part for part in parts if part),
        )

    @display(description=_("Due"), ordering="due_date")
    def due_cell(self, invoice: Invoice) -> str:
        return formats.day(invoice.due_date)

    @display(description=_("State"), ordering="state")
    def state_cell(self, invoice: Invoice) -> SafeString:
        shown = badge(invoice.state, invoice.get_state_display())
        today = clock.today(invoice.timezone)
        if invoice.state in OWED and invoice.balance and invoice.due_date and invoice.due_date < today:
            words = gettext("Overdue, %(age)s") % {"age": formats.age(invoice.due_date, invoice.timezone)}
            return format_html("{} {}", shown, badge("overdue", words))
        if invoice.is_stale and invoice.state in UNAPPROVED:
            return format_html("{} {}", shown, badge("warning", gettext("Taiga changed since")))
        return shown


def invoice_context(object_id: str) -> dict[str, Any]:
    """What the page of one invoice shows; a constant number of queries."""
    number = number_of(object_id)
    return invoice_page.context_of(number) if number is not None else {}


@admin.register(Sending)
class SendingAdmin(IndexedSearchAdmin):
    """What was mailed, when, and with which proof."""

    list_display = ("invoice_cell", "by", "asked_at", "called_at", "proven_at", "what_happened")
    list_display_links = None
    list_filter = (("invoice__client", RelatedDropdownFilter),)
    secondary_columns = ("by", "called_at")
    search_fields = ("invoice__number", "invoice__client__name")
    list_select_related = ("invoice__client", "by", "selection")
    pages = sending_views.SENDING_PAGES

    @display(description=_("Invoice"))
    def invoice_cell(self, sending: Sending) -> SafeString:
        invoice = sending.invoice
        return format_html(
            '<a class="bc-row-link" href="{}">{}</a><span class="bc-sub">{}</span>',
            reverse("admin:invoicing_invoice_change", args=[invoice.pk]),
            invoice.client,
            invoice.number,
        )

    @display(description=_("What happened"))
    def what_happened(self, sending: Sending) -> str:
        return sending.sentence or "–"


@admin.register(DoubleBilling)
class DoubleBillingAdmin(ReadOnlyModelAdmin):
    """Tasks of ours that the nightly look found on two living invoices in Invoice Ninja."""

    list_display = ("record", "what", "found_at", "seen_at", "state_cell")
    list_display_links = None
    list_select_related = ("record",)
    secondary_columns = ("found_at",)
    search_fields = ("record__our_key", "sentence")

    @display(description=_("What was found"))
    def what(self, row: DoubleBilling) -> str:
        return row.sentence

    @display(description=_("State"), ordering="ended_at")
    def state_cell(self, row: DoubleBilling) -> SafeString:
        return badge("closed", gettext("Over")) if row.ended_at else badge("error", gettext("Open"))
