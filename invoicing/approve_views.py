"""Approving many drafts in one act: a stored selection, a confirm page with the money, then each by itself."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from billing_console import formats
from billing_console.admin_base import Confirmation, ConfirmView, PageView
from billing_console.errors import ConsoleError, NotAllowed
from billing_console.pages import Entry
from billing_console.states import InvoiceState
from invoicing import four_eyes, invoice_dates, oddities, review, selections
from invoicing.draft_acts import APPROVE, VIEW
from invoicing.invoice_dates import Bounds
from invoicing.models import Invoice, InvoiceRun, Selection
from invoicing.selections import Chosen

VERB = "approve"


class SelectClean(PageView):
    """POST only: store the drafts of a run that have no warning, and go on to the question."""

    permission = "invoicing.view_invoicerun"
    act_permission = APPROVE
    http_method_names = ["post"]
    needs_no_version = "Only goes on to the question."

    def act(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        run = get_object_or_404(InvoiceRun, pk=self.kwargs["pk"])
        drafts = list(run.invoices.filter(state=InvoiceState.DRAFT).select_related("client"))
        odd = oddities.count_oddities(draft.pk for draft in drafts)
        refused = four_eyes.why_not_many(drafts, request.user)
        clean = [draft for draft in drafts if draft.pk not in refused and oddities.is_clean(draft, odd.get(draft.pk))]
        return start(request, clean)

    def get_failure_url(self) -> str:
        return reverse("admin:invoicing_invoicerun_review", args=[self.kwargs["pk"]])


def start(request: HttpRequest, invoices: Any) -> HttpResponse:
    """Store these drafts with their revisions and redirect to the question; for buttons and list actions."""
    selection = selections.select(invoices, verb=VERB, user=request.user, mark="revision")  # type: ignore[arg-type]
    return HttpResponseRedirect(reverse("admin:invoicing_invoice_approve_many", args=[selection.uuid]))


class ConfirmApprove(ConfirmView):
    """What exactly is approved? Amounts before tax, as they are judged, with tax and gross beside them."""

    permission = VIEW
    act_permission = APPROVE
    title = gettext_lazy("Approve drafts")
    is_by_row = True

    @cached_property
    def selection(self) -> Selection:
        return selections.find(self.kwargs["selection"], verb=VERB, user=self.request.user)

    def get_confirmation(self) -> Confirmation:
        going, staying = self._split()
        if not going:
            raise NotAllowed(_("None of these drafts can be approved any more."))
        count, net = len(going), per_currency(going, "net")
        words = {"count": count, "net": net}
        question = ngettext("Approve %(count)d draft, %(net)s?", "Approve %(count)d drafts, %(net)s?", count)
        label = ngettext("Approve %(count)d draft, %(net)s", "Approve %(count)d drafts, %(net)s", count)
        dates = invoice_dates.bounds_of([chosen.invoice for chosen in going])
        days = sorted({found.proposed for found in dates.values()})
        return Confirmation(
            question=question % words,
            consequence=_("They are created in Invoice Ninja right away. Nothing is mailed to a client yet."),
            submit_label=label % words,
            cancel_label=_("Back, approve nothing"),
            cancel_url=self._run_url(going[0].invoice),
            facts=[
                (_("Before tax"), net),
                (_("Tax"), per_currency(going, "tax")),
                (_("With tax"), per_currency(going, "gross")),
                *([(_("Invoice date"), ", ".join(map(formats.day, days)))] if len(days) > 1 else []),
            ],
            skipped=staying,
            columns=[_("Client"), _("Period"), _("Due"), _("Hours"), _("Before tax"), _("With tax")],
            rows=[
                [
                    str(chosen.invoice.client),
                    formats.period(chosen.invoice.period_start, chosen.invoice.period_end),
                    formats.day(chosen.invoice.payment_terms.due_date(dates[chosen.invoice.pk].proposed)),
                    formats.hours(chosen.invoice.billed_hours),
                    formats.money(chosen.invoice.net, chosen.invoice.currency),
                    formats.money(chosen.invoice.gross, chosen.invoice.currency),
                ]
                for chosen in going
            ],
            numeric_columns=frozenset({3, 4, 5}),
            by_row=selections.offer(going),
            inputs=_date_input(list(dates.values())) if len(days) == 1 else (),
        )

    def act(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        chosen = selections.chosen(self.selection)
        back = HttpResponseRedirect(self._run_url(chosen[0].invoice) if chosen else self.get_failure_url())
        going, other = selections.offered(chosen, self.seen)
        day = invoice_dates.read(request.POST.get("day", ""))
        if (going or not other) and not selections.use(self.selection):
            messages.info(request, _("This was confirmed already; here is how it went."))
            return back
        for one, sentence in other:
            messages.warning(request, f"{one.invoice.client}: {_moved(one) or sentence}")
        approved = 0
        for one in going:
            try:
                review.approve(one.invoice, revision=int(one.mark), user=request.user, day=day)  # type: ignore[arg-type]
                approved += 1
            except ConsoleError as reason:
                messages.warning(request, f"{one.invoice.client}: {reason.sentence}")
        if approved:
            sentence = ngettext("%(count)d draft approved.", "%(count)d drafts approved.", approved)
            messages.success(request, sentence % {"count": approved})
        return back

    def get_failure_url(self) -> str:
        return reverse("admin:invoicing_invoicerun_changelist")

    def _split(self) -> tuple[list[Chosen], list[tuple[str, str, str]]]:
        going, staying = [], []
        rows = selections.chosen(self.selection)
        refused = four_eyes.why_not_many((chosen.invoice for chosen in rows), self.request.user)
        for chosen in rows:
            if sentence := _why_not(chosen) or refused.get(chosen.invoice.pk, ""):
                url = reverse("admin:invoicing_invoice_review", args=[chosen.invoice.pk])
                staying.append((str(chosen.invoice.client), sentence, url))
            else:
                going.append(chosen)
        return going, staying

    @staticmethod
    def _run_url(invoice: Invoice) -> str:
        return reverse("admin:invoicing_invoicerun_review", args=[invoice.run_id])


def _date_input(dates: list[Bounds]) -> list[Entry]:
    """One date for all, that each of them may bear; drafts with several proposals keep each its own."""
    first, last = max(found.first for found in dates), min(found.last for found in dates)
    proposed = dates[0].proposed.isoformat()
    return [Entry("day", _("Invoice date"), proposed, (first.isoformat(), last.isoformat()))]


def _moved(chosen: Chosen) -> str:
    """That it is no draft any more, "" where it is one."""
    if chosen.invoice.state == InvoiceState.DRAFT:
        return ""
    return _("it is “%(state)s” by now") % {"state": chosen.invoice.get_state_display()}


def _why_not(chosen: Chosen) -> str:
    invoice = chosen.invoice
    if moved := _moved(chosen):
        return moved
    if str(invoice.revision) != chosen.mark:
        return _("it was changed since you selected it")
    return next(iter(review.obstacles_on_row(invoice)), "")


def per_currency(chosen: list[Chosen], column: str) -> str:
    """The sum of a column, one amount per currency."""
    totals: dict[str, Decimal] = {}
    for one in chosen:
        currency = one.invoice.currency
        totals[currency] = totals.get(currency, Decimal(0)) + getattr(one.invoice, column)
    return " + ".join(formats.money(amount, currency) for currency, amount in sorted(totals.items()))


RUN_PAGES = (("<int:pk>/approve/", "approve", SelectClean),)
INVOICE_PAGES = (("approve/<uuid:selection>/", "approve_many", ConfirmApprove),)
