"""The question whether a draft takes along what became ready since it was built; GET asks, POST refreshes it."""

from __future__ import annotations

from functools import cached_property
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing_console import formats
from billing_console.admin_base import Confirmation, ConfirmView
from billing_console.errors import NotAllowed
from invoicing import guards, lacking
from invoicing.draft_acts import PREPARE
from invoicing.models import Invoice
from invoicing.run import UNAPPROVED
from mappings.rules import ONE_DAY

MOST_ROWS = 200


class ConfirmTakeAlong(ConfirmView):
    """Let what is ready join this draft?"""

    permission = PREPARE
    act_permission = PREPARE
    title = gettext_lazy("Take along")

    @cached_property
    def invoice(self) -> Invoice:
        return get_object_or_404(Invoice.objects.select_related("client", "rule_set", "run"), pk=self.kwargs["pk"])

    def get_confirmation(self) -> Confirmation:
        invoice = self.invoice
        if invoice.state not in UNAPPROVED:
            raise NotAllowed(guards.moved_on(invoice))
        ready = lacking.of(invoice).ready
        if not ready.count:
            raise NotAllowed(_("Nothing is ready any more that this draft could take along."))
        words = {"client": invoice.client, "what": lacking.in_words(ready, invoice.currency)}
        rows = lacking.entries_of(invoice).filter(lacking.READY).select_related("item", "person")
        return Confirmation(
            question=_("Take along onto the draft of %(client)s: %(what)s?") % words,
            consequence=_(
                "The draft is refreshed with what Taiga says now: these join it, and what changed since is corrected. "
                "What people wrote on its lines stays. Nothing is approved by it."
            ),
            submit_label=_("Take along %(what)s") % words,
            cancel_label=_("Back, leave the draft as it is"),
            cancel_url=self.get_failure_url(),
            facts=[
                (_("On the draft now"), formats.money(invoice.net, invoice.currency)),
                (_("Ready"), formats.money(ready.amount, invoice.currency)),
                (_("Together, before tax"), formats.money(invoice.net + ready.amount, invoice.currency)),
            ],
            columns=[_("Entry"), _("Person"), _("Work date"), _("Hours"), _("Before tax")],
            rows=[
                [
                    str(entry),
                    str(entry.person or "–"),
                    formats.day(entry.work_date),
                    formats.hours(entry.billed_hours),
                    formats.money(entry.amount, invoice.currency),
                ]
                for entry in rows.order_by("work_date", "pk")[:MOST_ROWS]
            ],
            numeric_columns=frozenset({3, 4}),
            marks={"revision": str(invoice.revision), "ready": lacking.as_seen(ready)},
        )

    def act(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        ready = lacking.take_along(
            self.invoice,
            revision=int(self.mark("revision")),
            seen=self.mark("ready"),
            user=request.user,  # type: ignore[arg-type]
        )
        text = _("%(client)s is being refreshed: %(what)s joins the draft in a moment.")
        what = lacking.in_words(ready, self.invoice.currency)
        messages.success(request, text % {"client": self.invoice.client, "what": what})
        return HttpResponseRedirect(self.get_failure_url())

    def get_failure_url(self) -> str:
        return reverse("admin:invoicing_invoice_review", args=[self.kwargs["pk"]])


def list_url(invoice: Invoice) -> str:
    """The list of time entries that a draft lacks, up to its last day; the state is still to be put behind it."""
    query = {"work_date_to": (invoice.period_end - ONE_DAY).isoformat(), "client__id__exact": str(invoice.client_id)}
    if invoice.group_key:
        query["project__id__exact"] = invoice.group_key
    return f"{reverse('admin:sync_timeentry_changelist')}?{urlencode(query)}&state__exact="


PAGES = (("<int:pk>/take-along/", "take_along", ConfirmTakeAlong),)
