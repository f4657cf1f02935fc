"""The pages of a run: what it would bill, which drafts it made, which of them look odd (ui: Run review)."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from billing_console import clock, formats, shown
from billing_console.admin_base import PageView
from billing_console.errors import NotAllowed
from billing_console.money import ZERO, total
from billing_console.states import InvoiceState
from billing_console.values import month_of
from invoicing import as_shown, comparison, four_eyes, oddities, review_queue
from invoicing.comparison import Comparison
from invoicing.drafts import left_out
from invoicing.models import Invoice, InvoiceRun, RunClient, RunClientState, RunTrigger
from invoicing.oddities import Oddities
from invoicing.preview import PreviewRow, preview
from invoicing.run import DEAD, build_again, find_run, refresh_run, start_run
from invoicing.schedule import plan_month
from mappings.models import Frequency
from mappings.rules import ONE_DAY, Period, month, previous_month

MOST_CLIENTS_IN_ADDRESS = 200
VIEW, START, APPROVE = "invoicing.view_invoicerun", "invoicing.start_invoicerun", "invoicing.approve_invoice"


@dataclass(frozen=True)
class ShownDraft:
    """One row of the run's table: a draft, or a client without one."""

    client: RunClient | None
    invoice: Invoice | None
    compared: Comparison | None
    odd: Oddities

    @property
    def uplift(self) -> Decimal:
        """Hours on top of the raw ones."""
        return self.invoice.billed_hours - self.invoice.raw_hours if self.invoice else ZERO


class RunReview(PageView):
    """Which drafts this run made, odd ones first. Refreshes itself while a client still waits."""

    template_name = "invoicing/run_review.html"
    permission = VIEW

    @cached_property
    def run(self) -> InvoiceRun:
        return get_object_or_404(InvoiceRun.objects.select_related("started_by"), pk=self.kwargs["pk"])

    def get_original(self) -> InvoiceRun:
        return self.run

    def get_title(self) -> str:
        return str(self.run)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        run, user = self.run, self.request.user
        clients = list(run.clients.select_related("client", "rule_set", "run").order_by("client__name", "pk"))
        invoices = list(run.invoices.exclude(state__in=DEAD).select_related("client", "run").order_by("client__name"))
        odd = oddities.count_oddities(invoice.pk for invoice in invoices)
        refused = four_eyes.why_not_many(invoices, user)
        clean = [
            invoice
            for invoice in invoices
            if invoice.pk not in refused and oddities.is_clean(invoice, odd.get(invoice.pk))
        ]
        compared = comparison.compare(invoices)
        states = Counter(row.state for row in clients)
        is_running = states[RunClientState.WAITING] > 0
        return super().get_context_data(
            run=run,
            rows=_rows(clients, invoices, compared, odd),
            empty=[row for row in clients if row.state == RunClientState.EMPTY],
            rule_sets=_rule_set_words(clients),
            totals=_totals(invoices),
            one_currency=_one_currency(invoices),
            change_percent=_change_percent(invoices, compared),
            is_running=is_running,
            poll_url=self.request.get_full_path(),
            sentence=_sentence(states, len(clients)) if is_running or states[RunClientState.FAILED] else "",
            clean_count=len(clean),
            clean_words=money_words(clean),
            next_id=review_queue.first_draft_id(run.pk),
            drafts_left=sum(invoice.state == InvoiceState.DRAFT for invoice in invoices),
            left_out=left_out(run),
            left_out_url=_left_out_url(clients, run.period_end - ONE_DAY),
            shown_field=shown.field(f"run:{run.pk}", as_shown.run(run)) if user.has_perm(START) else "",
            may_start=user.has_perm(START),
            may_approve=user.has_perm(APPROVE),
            **kwargs,
        )


def _rows(
    clients: list[RunClient], invoices: list[Invoice], compared: dict[int, Comparison], odd: dict[int, Oddities]
) -> list[ShownDraft]:
    """Failed and waiting clients first, then drafts with something to look at, then by amount."""
    by_client = {row.client_id: row for row in clients}

    def rank(invoice: Invoice) -> tuple[bool, Decimal, int]:
        return (invoice.pk not in odd and not invoice.is_stale, -invoice.net, invoice.pk)

    rows = [
        ShownDraft(by_client.get(invoice.client_id), invoice, compared[invoice.pk], odd.get(invoice.pk, Oddities()))
        for invoice in sorted(invoices, key=rank)
    ]
    drawn = {invoice.client_id for invoice in invoices}
    unbuilt = (RunClientState.FAILED, RunClientState.WAITING)
    first = [row for row in clients if row.state in unbuilt and row.client_id not in drawn]
    return [ShownDraft(row, None, None, Oddities()) for row in sorted(first, key=lambda row: row.state)] + rows


def _totals(invoices: list[Invoice]) -> dict[str, Any]:
    billed = total(invoice.billed_hours for invoice in invoices)
    return {
        "count": len(invoices),
        "hours": billed,
        "uplift": billed - total(invoice.raw_hours for invoice in invoices),
        "net": money_words(invoices),
    }


def _one_currency(invoices: list[Invoice]) -> str:
    currencies = {invoice.currency for invoice in invoices}
    return currencies.pop() if len(currencies) == 1 else ""


def _change_percent(invoices: list[Invoice], compared: dict[int, Comparison]) -> Decimal | None:
    """The drafts that have earlier periods against the sum of their averages; None without, or in two currencies."""
    pairs = [(invoice.net, average) for invoice in invoices if (average := compared[invoice.pk].average) is not None]
    before = total(average for _net, average in pairs)
    if not before or not _one_currency(invoices):
        return None
    return (total(net for net, _average in pairs) - before) / before * 100


def money_words(invoices: list[Invoice]) -> str:
    sums: dict[str, Decimal] = {}
    for invoice in invoices:
        sums[invoice.currency] = sums.get(invoice.currency, ZERO) + invoice.net
    return " + ".join(formats.money(amount, currency) for currency, amount in sorted(sums.items()))


def _rule_set_words(clients: list[RunClient]) -> str:
    counts = Counter(str(row.rule_set) for row in clients)
    return ", ".join(f"{name} ({count})" for name, count in counts.most_common())


def _sentence(states: Counter[str], count: int) -> str:
    failed = states[RunClientState.FAILED]
    done = count - states[RunClientState.WAITING] - failed
    sentence = ngettext("%(done)d of %(all)d client built", "%(done)d of %(all)d clients built", count)
    words = sentence % {"done": done, "all": count}
    return words + (_(", %(count)d failed.") % {"count": failed} if failed else ".")


def _left_out_url(clients: list[RunClient], last_day: dt.date) -> str:
    """The list of time entries of these clients up to that day; the state is still to be put behind it."""
    query = {"work_date_to": last_day.isoformat()}
    if len(clients) <= MOST_CLIENTS_IN_ADDRESS:
        query["client__in"] = ",".join(str(row.client_id) for row in clients)
    return f"{reverse('admin:sync_timeentry_changelist')}?{urlencode(query)}&state__exact="


class RunPreview(PageView):
    """What a run of a month would bill; the form only looks, the button starts it."""

    template_name = "invoicing/run_preview.html"
    permission = VIEW
    act_permission = START
    title = gettext_lazy("Preview of a run")

    def get_subject(self) -> str:
        return f"preview:{self._span.start:%Y-%m}"

    def get_shown(self) -> Mapping[str, Any]:
        rows = [
            row
            for (frequency, period, zone), chosen in plan_month(self._span).items()
            for row in preview(period, chosen, find_run(frequency, period, zone))
        ]
        return as_shown.previewed(rows)

    @property
    def _span(self) -> Period:
        asked = self.request.POST if self.request.method == "POST" else self.request.GET
        return self._month(asked.get("month", ""))

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        span = self._month(self.request.GET.get("month", ""))
        plan = plan_month(span)
        parts = []
        shown: list[PreviewRow] = []
        for (frequency, period, zone), chosen in plan.items():
            if rows := preview(period, chosen, find_run(frequency, period, zone)):
                parts.append({"frequency": Frequency(frequency).label, "period": period, "zone": zone, "rows": rows})
                shown += rows
        return super().get_context_data(
            month=span,
            month_value=f"{span.start:%Y-%m}",
            parts=parts,
            has_clients=bool(plan),
            drafts=sum(row.drafts for row in shown),
            net=preview_words(shown),
            is_over=all(_is_over(key[1], key[2]) for key in plan),
            may_start=self.request.user.has_perm(START),
            **kwargs,
        )

    def act(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        span = self._month(request.POST.get("month", ""))
        is_early = request.POST.get("is_early") == "yes"
        plan = plan_month(span)
        if not plan:
            raise NotAllowed(_("There is no client to bill yet. Map a Taiga project to a client first."))
        runs = [
            start_run(
                frequency,
                period,
                timezone=zone,
                trigger=RunTrigger.PERSON,
                user=request.user,  # type: ignore[arg-type]
                is_early=is_early and not _is_over(period, zone),
                clients=chosen,
            )
            for (frequency, period, zone), chosen in plan.items()
        ]
        if len(runs) == 1:
            return HttpResponseRedirect(reverse("admin:invoicing_invoicerun_review", args=[runs[0].pk]))
        messages.success(request, _("%(count)d runs started.") % {"count": len(runs)})
        return HttpResponseRedirect(reverse("admin:invoicing_invoicerun_changelist"))

    @staticmethod
    def _month(text: str) -> Period:
        found = month_of(text)
        return previous_month(clock.today(settings.BILLING_TIMEZONE)) if found is None else month(*found)


def _is_over(period: Period, zone: str) -> bool:
    return clock.today(zone) >= period.end


def preview_words(rows: list[PreviewRow]) -> str:
    """What these rows would bill, one amount per currency."""
    sums: dict[str, Decimal] = {}
    for row in rows:
        if row.net:
            sums[row.currency] = sums.get(row.currency, ZERO) + row.net
    return " + ".join(formats.money(amount, currency) for currency, amount in sorted(sums.items()))


class RefreshRun(PageView):
    """POST only: ask for all drafts of a run again."""

    permission = VIEW
    act_permission = START
    http_method_names = ["post"]

    @cached_property
    def run(self) -> InvoiceRun:
        return get_object_or_404(InvoiceRun, pk=self.kwargs["pk"])

    def get_subject(self) -> str:
        return f"run:{self.kwargs['pk']}"

    def get_shown(self) -> Mapping[str, Any]:
        return as_shown.run(self.run)

    def act(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        refresh_run(self.run, user=request.user)  # type: ignore[arg-type]
        messages.success(request, _("All drafts are being refreshed; approved invoices stay as they are."))
        return HttpResponseRedirect(self.get_failure_url())

    def get_failure_url(self) -> str:
        return reverse("admin:invoicing_invoicerun_review", args=[self.kwargs["pk"]])


class BuildAgain(RefreshRun):
    """POST only: ask for one client of a run again."""

    def act(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        row = get_object_or_404(
            RunClient.objects.select_related("client"), run=self.kwargs["pk"], pk=self.kwargs["row"]
        )
        build_again(row, user=request.user)  # type: ignore[arg-type]
        messages.success(request, _("%(client)s is being built again.") % {"client": row.client})
        return HttpResponseRedirect(self.get_failure_url())


PAGES = (
    ("preview/", "preview", RunPreview),
    ("<int:pk>/review/", "review", RunReview),
    ("<int:pk>/refresh/", "refresh", RefreshRun),
    ("<int:pk>/build/<int:row>/", "build_again", BuildAgain),
)
