"""The review page of one draft: who, how much, unusual?, the lines with their why, then act (ui: Draft review)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.core.paginator import Paginator
from django.db.models import Count, Q, QuerySet
from django.shortcuts import get_object_or_404
from django.urls import NoReverseMatch, reverse
from django.utils.functional import cached_property
from django.utils.translation import gettext as _

from billing_console import clock
from billing_console.admin_base import PageView
from billing_console.states import InvoiceState
from invoicing import comparison, oddities, review_queue
from invoicing.calculator import plain
from invoicing.draft_acts import APPROVE, PREPARE, VIEW
from invoicing.models import Invoice, InvoiceLine
from invoicing.review import obstacles_on_row
from invoicing.run import UNAPPROVED
from mappings import rules
from mappings.models import TaxDecision
from sync import links
from sync.explain import SOURCES
from sync.models import Transition

LINES_PER_PAGE = 100
WARNINGS_SHOWN = 40


@dataclass(frozen=True)
class ShownLine:
    """A line as the page shows it."""

    row: InvoiceLine
    why: str
    source: str
    oddities: list[tuple[str, str]]
    is_on_draft: bool


class DraftReview(PageView):
    """GET only; what the buttons do is in `draft_acts`. The queries do not grow with the lines."""

    template_name = "invoicing/draft_review.html"
    permission = VIEW

    @cached_property
    def invoice(self) -> Invoice:
        rows = Invoice.objects.select_related("client", "run", "rule_set", "approved_by", "remote")
        return get_object_or_404(rows, pk=self.kwargs["pk"])

    def get_original(self) -> Invoice:
        return self.invoice

    def get_title(self) -> str:
        return str(self.invoice)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        invoice, user = self.invoice, self.request.user
        page = Paginator(self._lines(), LINES_PER_PAGE).get_page(self.request.GET.get("page"))
        compared = comparison.compare([invoice])[invoice.pk]
        is_draft = invoice.state in UNAPPROVED
        obstacles = obstacles_on_row(invoice) if is_draft else []
        counts = invoice.lines.aggregate(
            printed=Count("pk", filter=Q(is_voided=False)), voided=Count("pk", filter=Q(is_voided=True))
        )
        return super().get_context_data(
            invoice=invoice,
            place=review_queue.place_of(invoice),
            lines=[shown(row, is_draft) for row in page],
            page_of_lines=page,
            counts=counts,
            uplift=invoice.billed_hours - invoice.raw_hours,
            compared=compared,
            plot=comparison.plot(invoice, compared),
            past=[(comparison.label(one.start, invoice.run.frequency), one.net) for one in compared.past],
            odd=[
                (row, -(-row.position // LINES_PER_PAGE), oddities.words_of(row))
                for row in oddities.odd_lines(invoice)[:WARNINGS_SHOWN]
            ],
            due_today=rules.due_date(clock.today(invoice.timezone), invoice.payment_days),
            emails=invoice.client.emails(),
            tax_percent=plain(invoice.tax_rate),
            is_draft=is_draft,
            is_undecided=invoice.tax_decision == TaxDecision.UNDECIDED,
            obstacles=obstacles,
            may_prepare=is_draft and user.has_perm(PREPARE),
            may_approve=is_draft and user.has_perm(APPROVE),
            may_approve_now=invoice.state == InvoiceState.DRAFT and not obstacles,
            may_withdraw=invoice.state == InvoiceState.APPROVED and user.has_perm(APPROVE),
            rule_set_url=_rule_set_url(invoice),
            ninja_url=links.ninja_invoice(invoice.remote.remote_id if invoice.remote else None),
            transitions=Transition.objects.filter(model="invoicing.invoice", row_id=invoice.pk)
            .select_related("user")
            .order_by("-id")[:50],
            **kwargs,
        )

    def _lines(self) -> QuerySet[InvoiceLine]:
        """Printed lines first, then what a person excluded; not what only waits for a refresh of the draft."""
        rows = self.invoice.lines.select_related("entry__item", "entry__rule_set", "voided_by", "edited_by")
        if self.invoice.state in UNAPPROVED:
            rows = rows.exclude(is_voided=True, voided_by__isnull=True)
        return rows.order_by("is_voided", "position", "pk")


def shown(row: InvoiceLine, is_draft: bool) -> ShownLine:
    """A line with its paragraph of why, the source of its rate in words, and its oddities."""
    rate = row.facts.get("rate") or {}
    return ShownLine(
        row=row,
        why=row.why if row.entry_id else _("Added by hand."),
        source=str(SOURCES.get(rate.get("source", ""), "")),
        oddities=[] if row.is_voided else oddities.words_of(row),
        is_on_draft=is_draft and not row.is_voided,
    )


def _rule_set_url(invoice: Invoice) -> str:
    """The rules of this client, or the list of rule sets; "" where the admin has neither."""
    try:
        return reverse("admin:mappings_ruleset_change", args=[invoice.rule_set_id])
    except NoReverseMatch:
        return ""


PAGES = (("<int:pk>/review/", "review", DraftReview),)
