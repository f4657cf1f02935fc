"""The question whether invoices that are sent on a later day get that day's date; GET asks, POST seals anew."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from billing_console import formats
from billing_console.admin_base import Confirmation, ConfirmView
from billing_console.errors import NotAllowed
from invoicing import redating, selections, sending
from invoicing.models import Invoice
from invoicing.selections import Chosen

SEND, APPROVE = "invoicing.send_invoice", "invoicing.approve_invoice"


class ConfirmRedate(ConfirmView):
    """Give the invoices of a selection that are sent on a later day that day's date? Each is sealed anew."""

    permission = (SEND, APPROVE)
    act_permission = (SEND, APPROVE)
    title = gettext_lazy("Date invoices anew")
    is_by_row = True

    def get_confirmation(self) -> Confirmation:
        older = self._older()
        if not older:
            raise NotAllowed(_("All of these have today's date, or cannot be changed any more."))
        question = ngettext("Date %(count)d invoice anew?", "Date %(count)d invoices anew?", len(older))
        label = ngettext("Date %(count)d invoice anew", "Date %(count)d invoices anew", len(older))
        words = {"count": len(older)}
        return Confirmation(
            question=question % words,
            consequence=_(
                "They are sealed anew with today's date and changed in Invoice Ninja. Nothing is sent by this; "
                "they can be sent as soon as the change is read back there."
            ),
            submit_label=label % words,
            cancel_label=_("Back, keep the dates"),
            cancel_url=reverse("admin:invoicing_invoice_send", args=[self.kwargs["selection"]]),
            facts=[(_("To pay"), selections.total(older, "gross"))],
            columns=[_("Client"), _("Invoice"), _("Invoice date"), _("New date"), _("New due date"), _("To pay")],
            rows=[_redated_row(chosen.invoice) for chosen in older],
            numeric_columns=frozenset({5}),
            by_row=selections.offer(older),
        )

    def act(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        done = 0
        going, other = selections.offered(self._older(), self.seen)
        for chosen, sentence in other:
            messages.warning(request, f"{chosen.invoice}: {sentence}")
        for chosen in going:
            try:
                redating.redate(chosen.invoice, seal=chosen.mark, user=request.user)  # type: ignore[arg-type]
                done += 1
            except NotAllowed as reason:
                messages.warning(request, reason.sentence)
        if done:
            text = ngettext(
                "%(count)d invoice has today's date now. Send it as soon as Invoice Ninja holds the change.",
                "%(count)d invoices have today's date now. Send them as soon as Invoice Ninja holds the change.",
                done,
            )
            messages.success(request, text % {"count": done})
        else:
            messages.info(request, _("No date was changed: all of these have today's date already."))
        return HttpResponseRedirect(reverse("admin:invoicing_invoice_changelist"))

    def get_failure_url(self) -> str:
        return reverse("admin:invoicing_invoice_changelist")

    def _older(self) -> list[Chosen]:
        selection = selections.find(self.kwargs["selection"], verb=selections.SEND, user=self.request.user)
        rows = [chosen for chosen in selections.chosen(selection) if redating.new_date(chosen.invoice)]
        return [chosen for chosen in rows if chosen.invoice.seal == chosen.mark and sending.is_written(chosen.invoice)]


def _redated_row(invoice: Invoice) -> Sequence[str]:
    day = redating.new_date(invoice) or invoice.invoice_date
    due = invoice.payment_terms.due_date(day) if day else None
    return [
        str(invoice.client),
        invoice.number,
        *(formats.day(date) if date else "" for date in (invoice.invoice_date, day, due)),
        formats.money(invoice.gross, invoice.currency),
    ]


PAGES = (("send/<uuid:selection>/redate/", "redate", ConfirmRedate),)
