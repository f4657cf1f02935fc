"""The page that starts a supplement: one more invoice for a period that was billed, with its reason."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing_console import shown
from billing_console.admin_base import PageView
from billing_console.errors import NotAllowed
from billing_console.values import numbers_of
from invoicing import as_shown
from invoicing.models import Invoice, InvoiceRun, RunTrigger
from invoicing.preview import preview
from invoicing.run import UNAPPROVED, clients_of, is_over, key_of, next_sequence, start_run
from invoicing.run_views import START, VIEW, preview_words
from mappings.rules import Period


class Supplement(PageView):
    """What came after the run of a period was billed, by client; the chosen ones get an invoice of their own.

    A client with a draft of this period is not chosen from the start: there a refresh lets the same entries join.
    """

    template_name = "invoicing/run_supplement.html"
    permission = VIEW
    act_permission = START
    title = gettext_lazy("Supplement")

    @cached_property
    def run(self) -> InvoiceRun:
        return get_object_or_404(InvoiceRun, pk=self.kwargs["pk"])

    @cached_property
    def period(self) -> Period:
        return Period(self.run.period_start, self.run.period_end)

    def get_original(self) -> InvoiceRun:
        return self.run

    def get_shown(self) -> Mapping[str, Any]:
        chosen = clients_of(self.run.frequency, self.period, self.run.timezone)
        return {**as_shown.previewed(preview(self.period, chosen)), "_sequence": next_sequence(key_of(self.run))}

    def look_again(self) -> Mapping[str, Any]:
        """As everywhere; a supplement that was started meanwhile is named by the service."""
        before = shown.read(self.get_subject(), self.request.POST.get(shown.FIELD))
        if before.get("_sequence") == str(next_sequence(key_of(self.run))):
            shown.require_same(before, self.get_shown())
        return before

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        chosen = clients_of(self.run.frequency, self.period, self.run.timezone)
        rows = [row for row in preview(self.period, chosen) if row.net]
        drafted = set(
            Invoice.objects.filter(
                state__in=UNAPPROVED, period_start=self.period.start, period_end=self.period.end
            ).values_list("client", flat=True)
        )
        return super().get_context_data(
            run=self.run,
            rows=[(row, row.client.pk in drafted) for row in rows],
            sequence=next_sequence(key_of(self.run)),
            net=preview_words(rows),
            may_start=self.request.user.has_perm(START),
            **kwargs,
        )

    def act(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        ids = numbers_of(request.POST.getlist("client"))
        allowed = clients_of(self.run.frequency, self.period, self.run.timezone)
        clients = [client for client in allowed if client.pk in ids]
        if not clients:
            raise NotAllowed(_("Tick at least one client."))
        started = start_run(
            self.run.frequency,
            self.period,
            timezone=self.run.timezone,
            trigger=RunTrigger.PERSON,
            user=request.user,  # type: ignore[arg-type]
            reason=request.POST.get("reason", "").strip()[:1000],
            is_early=not is_over(self.run),
            clients=clients,
            is_supplement=True,
            expected_sequence=int(self.seen["_sequence"]),
        )
        return HttpResponseRedirect(reverse("admin:invoicing_invoicerun_review", args=[started.pk]))


PAGES = (("<int:pk>/supplement/", "supplement", Supplement),)
