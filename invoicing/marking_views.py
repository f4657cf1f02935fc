"""Pages of "mark as sent without a mail": select → confirm with a reason → how far each is."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from billing_console.admin_base import Confirmation, ConfirmView, PageView
from billing_console.errors import NotAllowed
from billing_console.states import InvoiceState
from invoicing import marking, selections, sending
from invoicing.models import Selection
from invoicing.sending_views import COLUMNS, SEND, SHOWN, SelectToSend, facts_of, row_of, split
from sync.models import RecordKind, RemoteRecord


class SelectToMark(SelectToSend):
    """POST only: store the chosen invoices and go on to the question. Changes nothing else."""

    def go_on(self, request: HttpRequest, invoices: Any) -> HttpResponse:
        return start(request, invoices)


def start(request: HttpRequest, invoices: Any) -> HttpResponse:
    """Store the selection and redirect to its confirm page; for a list action and for buttons."""
    selection = selections.select(invoices, verb=selections.MARK, user=request.user, mark="seal")  # type: ignore[arg-type]
    return HttpResponseRedirect(reverse("admin:invoicing_invoice_mark_sent", args=[selection.uuid]))


class MarkPage(PageView):
    """What both pages have: the person's own selection."""

    def _selection(self) -> Selection:
        return selections.find(self.kwargs["selection"], verb=selections.MARK, user=self.request.user)


class ConfirmMark(MarkPage, ConfirmView):
    """Which invoices count as sent from now on, though no mail leaves?"""

    permission = SEND
    act_permission = SEND
    title = gettext_lazy("Mark as sent")
    is_by_row = True

    def get_confirmation(self) -> Confirmation:
        going, staying = split(selections.chosen(self._selection()), needs_address=False)
        if not going:
            raise NotAllowed(
                _("None of the selected invoices can be marked as sent: %(why)s.")
                % {"why": staying[0][1] if staying else _("none was selected")}
            )
        count = len(going)
        words = {"count": count, "gross": selections.total(going, "gross")}
        question = ngettext(
            "Mark %(count)d invoice as sent without a mail, %(gross)s?",
            "Mark %(count)d invoices as sent without a mail, %(gross)s?",
            count,
        )
        label = ngettext("Mark %(count)d as sent, %(gross)s", "Mark %(count)d as sent, %(gross)s", count)
        return Confirmation(
            question=question % words,
            consequence=_(
                "No mail leaves: see to it that the client gets them. They are owed from now on, and the console never "
                "mails them."
            ),
            submit_label=label % words,
            cancel_label=_("Back, mark nothing"),
            cancel_url=reverse("admin:invoicing_invoice_changelist"),
            facts=facts_of(going),
            skipped=staying,
            columns=COLUMNS,
            rows=[row_of(chosen.invoice) for chosen in going],
            numeric_columns=frozenset({4, 5, 6}),
            by_row=selections.offer(going),
            needs_reason=True,
        )

    def act(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        selection, reason = self._selection(), request.POST.get("reason", "")
        progress = reverse("admin:invoicing_invoice_mark_progress", args=[selection.uuid])
        if not reason.strip():
            messages.error(request, _("Say how it reaches the client, in a few words: it stays in the history."))
            return HttpResponseRedirect(request.get_full_path())
        asked = 0
        with transaction.atomic():
            going, other = selections.offered(selections.chosen(selection), self.seen)
            if (going or not other) and not selections.use(selection):
                messages.info(request, _("This was confirmed already; here is how it went."))
                return HttpResponseRedirect(progress)
            skipped = [f"{chosen.invoice}: {sentence}" for chosen, sentence in other]
            for chosen in going:
                try:
                    with transaction.atomic():
                        locked = sending.lock_sendable(chosen.invoice, chosen.mark)
                        marking.request_mark(locked, user=request.user, reason=reason)  # type: ignore[arg-type]
                    asked += 1
                except NotAllowed as refusal:
                    skipped.append(refusal.sentence)
        words = ngettext("%(count)d invoice is being marked.", "%(count)d invoices are being marked.", asked)
        messages.success(request, words % {"count": asked})
        for sentence in skipped:
            messages.warning(request, sentence)
        return HttpResponseRedirect(progress if going else self.get_failure_url())

    def get_failure_url(self) -> str:
        return reverse("admin:invoicing_invoice_changelist")


class MarkProgress(MarkPage):
    """How far each is. Refreshes itself while something is on its way."""

    template_name = "invoicing/mark_progress.html"
    permission = SEND
    title = gettext_lazy("Marking as sent")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        rows = [chosen.invoice for chosen in selections.chosen(self._selection())]
        records = RemoteRecord.objects.filter(kind=RecordKind.MARK_SENT, our_key__in=[row.key for row in rows])
        sentences = dict(records.values_list("our_key", "sentence"))
        running = [row for row in rows if row.state == InvoiceState.SENDING]
        asking = [row for row in rows if row.state == InvoiceState.ATTENTION]
        done = [row for row in rows if row not in running and row not in asking]
        return super().get_context_data(
            rows=[(row, sentences.get(row.key, "")) for row in [*asking, *running, *done][:SHOWN]],
            is_running=bool(running),
            poll_url=self.request.get_full_path(),
            sentence=_("%(done)d of %(all)d are marked, %(asking)d need a decision.")
            % {"done": len(done), "all": len(rows), "asking": len(asking)},
            **kwargs,
        )

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return super().get(request, *args, **kwargs)
        except NotAllowed as refusal:
            messages.error(request, refusal.sentence)
            return HttpResponseRedirect(reverse("admin:invoicing_invoice_changelist"))


PAGES = (
    ("mark-sent/select/", "mark_select", SelectToMark),
    ("mark-sent/<uuid:selection>/", "mark_sent", ConfirmMark),
    ("mark-sent/<uuid:selection>/progress/", "mark_progress", MarkProgress),
)
