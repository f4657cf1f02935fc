"""The review page of one draft: who, how much, unusual?, the lines with their why, then act (ui: Draft review)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.core.paginator import Paginator
from django.db.models import Count, F, Q, QuerySet, Sum
from django.shortcuts import get_object_or_404
from django.urls import NoReverseMatch, reverse
from django.utils.functional import cached_property

from billing_console import clock
from billing_console import shown as versions
from billing_console.admin_base import PageView
from billing_console.states import InvoiceState
from billing_console.values import numbers_of
from invoicing import (
    as_shown,
    chosen,
    comparison,
    credit_reserving,
    four_eyes,
    invoice_dates,
    lacking,
    lacking_views,
    oddities,
    refusals,
    review_queue,
)
from invoicing.calculator import plain
from invoicing.chosen import OLD_TEXT, Act
from invoicing.draft_acts import APPROVE, PREPARE, VIEW
from invoicing.models import Invoice, InvoiceLine, Meaning
from invoicing.review import obstacles_on_row
from invoicing.run import UNAPPROVED
from invoicing.typed import written
from mappings.models import TaxDecision
from sync import links
from sync.explain import SOURCES
from sync.models import Transition
from sync.weeks import LongWeek

LINES_PER_PAGE = 100
WARNINGS_SHOWN = 12
_ANY = "987654321"
# Long JSON that the page does not show; the line's facts hold what those of the entry do.
_UNSHOWN = (
    "entry__facts",
    *(f"entry__item__{name}" for name in ("values", "attributes", "status_before_ours")),
    *(f"entry__remote_task__{name}" for name in ("desired", "seen")),
)


@dataclass(frozen=True)
class ShownLine:
    """A line as the page shows it."""

    row: InvoiceLine
    why: str
    source: str
    oddities: list[tuple[str, str]]
    is_on_draft: bool
    act_url: str
    entry_url: str
    taiga_url: str
    ninja_url: str
    fill: str


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
        # Of each line there are several: asking for every one by its name takes longer than the rest of the line.
        addresses = (
            reverse("admin:invoicing_invoice_add_line", args=[invoice.pk]).removesuffix("add/"),
            reverse("admin:sync_timeentry_change", args=[_ANY]),
        )
        compared = comparison.compare([invoice])[invoice.pk]
        is_draft = invoice.state in UNAPPROVED
        dates = invoice_dates.bounds(invoice) if is_draft else None
        long_weeks = oddities.long_weeks([invoice.pk])
        is_looking = "look" in self.request.GET  # at the lines of the yellow box alone
        asked = self.request.GET
        search = asked.get("q", "").strip()[:100]
        lines = self._lines(oddities.odd_lines(invoice, long_weeks) if is_looking else None)
        lines = chosen.found(lines, search)
        page = Paginator(lines, LINES_PER_PAGE).get_page(self.request.GET.get("page"))
        odd = oddities.look_at(invoice, long_weeks, WARNINGS_SHOWN)
        obstacles = obstacles_on_row(invoice) if is_draft else []
        printed = Q(is_voided=False)
        counts = invoice.lines.aggregate(
            printed=Count("pk", filter=printed),
            adjusted=Sum(F("amount") - F("original_amount"), filter=printed & Q(original_amount__isnull=False)),
            by_hand=Sum("amount", filter=printed & Q(entry__isnull=True)),
        )
        why_not = four_eyes.why_not(invoice, user) if is_draft and user.has_perm(APPROVE) else ""  # type: ignore[arg-type]
        return super().get_context_data(
            invoice=invoice,
            place=review_queue.place_of(invoice),
            lines=[shown(row, invoice, addresses, long_weeks) for row in page],
            page_of_lines=page,
            counts=counts,
            uplift=invoice.billed_hours - invoice.raw_hours,
            compared=compared,
            plot=comparison.plot(invoice, compared),
            past=[(comparison.label(one.start, invoice.run.frequency), one.net) for one in compared.past],
            odd=odd,
            odd_named=[
                (row, -(-row.position // LINES_PER_PAGE), oddities.words_of(row, invoice.currency, long_weeks))
                for row in odd.first
            ],
            is_looking=is_looking,
            page_after_act="look" if is_looking else page.number,
            acts_on_chosen=Act.choices if is_draft and user.has_perm(PREPARE) else (),
            chosen_act=asked.get("act", Act.RATE),
            chosen_lines=set(numbers_of(asked.getlist("chosen"))),
            chosen_value=asked.get("value", ""),
            dates=dates,
            due_today=invoice.payment_terms.due_date(dates.proposed if dates else clock.today(invoice.timezone)),
            more_pages=urlencode([(name, asked[name]) for name in ("look", "q") if asked.get(name)]),
            old_text=OLD_TEXT,
            refused=self._refused() if is_draft else None,
            search=search,
            emails=invoice.client.emails(),
            tax_percent=plain(invoice.tax_rate),
            is_draft=is_draft,
            is_undecided=invoice.tax_decision == TaxDecision.UNDECIDED,
            obstacles=obstacles,
            lacking=lacking.of(invoice) if is_draft else None,
            lacking_url=lacking_views.list_url(invoice),
            open_credits=credit_reserving.offered(invoice),
            planned_credits=credit_reserving.planned(invoice),
            may_prepare=is_draft and user.has_perm(PREPARE),
            shown_field=versions.field(f"draft:{invoice.pk}", as_shown.draft(invoice)),
            adding_field=versions.field(f"draft:{invoice.pk}:add", as_shown.adding(invoice)),
            meanings_of_hours=Meaning.choices,
            may_approve=is_draft and user.has_perm(APPROVE),
            may_approve_now=invoice.state == InvoiceState.DRAFT and not obstacles and not why_not,
            four_eyes_sentence=why_not,
            may_withdraw=invoice.state == InvoiceState.APPROVED and user.has_perm(APPROVE),
            rule_set_url=_rule_set_url(invoice),
            ninja_url=links.ninja_invoice(invoice.remote.remote_id if invoice.remote else None),
            transitions=Transition.objects.filter(model="invoicing.invoice", row_id=invoice.pk)
            .select_related("user")
            .order_by("-id")[:50],
            **kwargs,
        )

    def _refused(self) -> dict[str, Any] | None:
        """What was typed into a dialog that was refused a moment ago, with what the line says now; shown once."""
        kept = self.request.session.pop(refusals.KEY, None)
        if kept is None or kept["invoice"] != self.invoice.pk:
            return None
        line = self.invoice.lines.filter(pk=kept["line"], is_voided=False).first() if kept["line"] else None
        return refusals.shown(kept, line, self.invoice)

    def _lines(self, odd: QuerySet[InvoiceLine] | None) -> QuerySet[InvoiceLine]:
        """Printed lines first, then what a person excluded; not what only waits for a refresh. Or the `odd` ones."""
        rows = (
            (self.invoice.lines.all() if odd is None else odd)
            .select_related("entry__item__project", "entry__remote_task", "voided_by", "edited_by", "adjusted_by")
            .defer(*_UNSHOWN)
        )
        if odd is not None:
            return rows
        if self.invoice.state in UNAPPROVED:
            rows = rows.exclude(is_voided=True, voided_by__isnull=True)
        return rows.order_by("is_voided", "position", "pk")


def shown(row: InvoiceLine, invoice: Invoice, addresses: tuple[str, str], long_weeks: list[LongWeek]) -> ShownLine:
    """A line with its why, the source of its rate in words, its oddities, and what its dialogs begin with."""
    entry = row.entry
    rate = row.facts.get("rate") or {}
    is_on_draft = invoice.state in UNAPPROVED and not row.is_voided
    task = entry.remote_task if entry else None
    fill = {"what": row.notes, "text": row.notes, "hours": written(row.billed_hours), "rate": written(row.rate)}
    if is_on_draft:
        fill[versions.FIELD] = versions.seal(f"line:{row.pk}", as_shown.line(row))
    return ShownLine(
        row=row,
        why=row.why,
        source=str(SOURCES.get(rate.get("source", ""), "")),
        oddities=[] if row.is_voided else oddities.words_of(row, invoice.currency, long_weeks),
        is_on_draft=is_on_draft,
        act_url=f"{addresses[0]}{row.pk}",
        entry_url=addresses[1].replace(_ANY, str(row.entry_id)) if entry else "",
        taiga_url=links.taiga_item(entry.item) if entry else "",
        ninja_url=links.ninja_task(task.remote_id if task else None),
        fill=json.dumps(fill) if is_on_draft else "",
    )


def _rule_set_url(invoice: Invoice) -> str:
    """The rules of this client, or the list of rule sets; "" where the admin has neither."""
    try:
        return reverse("admin:mappings_ruleset_change", args=[invoice.rule_set_id])
    except NoReverseMatch:
        return ""


PAGES = (("<int:pk>/review/", "review", DraftReview),)
