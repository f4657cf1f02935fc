"""Pages of sending: select → confirm → what left, with proof per contact; and the decision where nobody knows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from billing_console import clock, formats
from billing_console.admin_base import Confirmation, ConfirmView, PageView
from billing_console.errors import NotAllowed
from billing_console.states import InvoiceState
from billing_console.values import numbers_of
from invoicing import late_proof, receivers, redating, selections, sending
from invoicing.models import Invoice, Sending
from invoicing.redating_views import PAGES as REDATING_PAGES
from invoicing.selections import Chosen
from invoicing.sending_checks import not_these, other_currency

SEND, APPROVE = "invoicing.send_invoice", "invoicing.approve_invoice"
COLUMNS = (
    gettext_lazy("Client"),
    gettext_lazy("Invoice"),
    gettext_lazy("To"),
    gettext_lazy("Period"),
    gettext_lazy("Hours"),
    gettext_lazy("Before tax"),
    gettext_lazy("To pay"),
)
SHOWN = 200


class SelectToSend(PageView):
    """POST only: store the chosen invoices and go on to the question. Changes nothing else."""

    permission = SEND
    act_permission = SEND
    http_method_names = ["post"]
    needs_no_version = "Only goes on to the question."

    def act(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        ids = numbers_of(request.POST.getlist("invoice"))
        return self.go_on(request, Invoice.objects.filter(pk__in=ids))

    def go_on(self, request: HttpRequest, invoices: Any) -> HttpResponse:
        """Store the selection and redirect to its question."""
        return start(request, invoices)

    def get_failure_url(self) -> str:
        return reverse("admin:invoicing_invoice_changelist")


def start(request: HttpRequest, invoices: Any) -> HttpResponse:
    """Store the selection and redirect to its confirm page; for a list action and for buttons."""
    selection = selections.select(invoices, verb=selections.SEND, user=request.user, mark="seal")  # type: ignore[arg-type]
    return HttpResponseRedirect(reverse("admin:invoicing_invoice_send", args=[selection.uuid]))


class ConfirmSend(ConfirmView):
    """What exactly leaves, to whom? The amounts are gross where they are owed, net beside them."""

    template_name = "invoicing/confirm_send.html"
    permission = SEND
    act_permission = SEND
    title = gettext_lazy("Send invoices")
    is_by_row = True

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        going, _staying = split(selections.chosen(self._selection()))
        older = [chosen for chosen in going if redating.new_date(chosen.invoice)]
        url = reverse("admin:invoicing_invoice_redate", args=[self.kwargs["selection"]]) if older else ""
        may_redate = self.request.user.has_perm(APPROVE)
        return super().get_context_data(
            older=older, redate_url=url if may_redate else "", per_client=per_client(going), **kwargs
        )

    def get_confirmation(self) -> Confirmation:
        going, staying = split(selections.chosen(self._selection()))
        if not going:
            raise NotAllowed(
                _("None of the selected invoices can be sent: %(why)s.")
                % {"why": staying[0][1] if staying else _("none was selected")}
            )
        count = len(going)
        gross = selections.total(going, "gross")
        question = ngettext("Send %(count)d invoice, %(gross)s?", "Send %(count)d invoices, %(gross)s?", count)
        label = ngettext("Send %(count)d invoice, %(gross)s", "Send %(count)d invoices, %(gross)s", count)
        words = {"count": count, "gross": gross}
        return Confirmation(
            question=question % words,
            consequence=_("Invoice Ninja mails them to the contacts below. A mail that left cannot be called back."),
            submit_label=label % words,
            cancel_label=_("Back, send nothing"),
            cancel_url=reverse("admin:invoicing_invoice_changelist"),
            facts=facts_of(going),
            skipped=staying,
            columns=COLUMNS,
            rows=[row_of(chosen.invoice) for chosen in going],
            numeric_columns=frozenset({4, 5, 6}),
            by_row=selections.offer(going, to_whom),
        )

    def act(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        selection = self._selection()
        progress = reverse("admin:invoicing_sending_progress", args=[selection.uuid])
        asked = 0
        with transaction.atomic():
            going, other = selections.offered(selections.chosen(selection), self.seen, to_whom)
            if (going or not other) and not selections.use(selection):
                messages.info(request, _("This was confirmed already; here is how it went."))
                return HttpResponseRedirect(progress)
            words = _("%(invoice)s is not sent: %(why)s")
            skipped = [
                words % {"invoice": chosen.invoice, "why": against_mailing(chosen) or why} for chosen, why in other
            ]
            for chosen in going:
                if why := against_mailing(chosen):
                    skipped.append(words % {"invoice": chosen.invoice, "why": why})
                    continue
                try:
                    sending.request_sending(
                        chosen.invoice,
                        seal=chosen.mark,
                        user=request.user,  # type: ignore[arg-type]
                        selection=selection,
                        shown_to=receivers.known(chosen.invoice).emails,
                    )
                    asked += 1
                except NotAllowed as reason:
                    skipped.append(reason.sentence)
        if asked:
            messages.success(
                request,
                ngettext("%(count)d invoice is being sent.", "%(count)d invoices are being sent.", asked)
                % {"count": asked},
            )
        for sentence in skipped:
            messages.warning(request, sentence)
        return HttpResponseRedirect(progress if going else self.get_failure_url())

    def get_failure_url(self) -> str:
        return reverse("admin:invoicing_invoice_changelist")

    def _selection(self) -> Any:
        return selections.find(self.kwargs["selection"], verb=selections.SEND, user=self.request.user)


def why_not(chosen: Chosen, *, needs_address: bool = True) -> str:
    """Why this one stays behind, as far as our own rows tell; Invoice Ninja is asked again right before the mail."""
    invoice = chosen.invoice
    if invoice.state != InvoiceState.CREATED:
        return _("it is “%(state)s”, not ready to be sent") % {"state": invoice.get_state_display()}
    if invoice.seal != chosen.mark:
        return _("it was changed since you selected it")
    if not sending.is_written(invoice):
        return _("it is just being changed in Invoice Ninja; select it again in a moment")
    if chosen.differs:
        return _("it was changed in Invoice Ninja; open it and say whose words count")
    return against_mailing(chosen) if needs_address else other_currency(invoice, invoice.client.currency)


def against_mailing(chosen: Chosen) -> str:
    """Why it must not be mailed, as far as our own rows tell: changed there, another currency, other people."""
    invoice = chosen.invoice
    if chosen.differs:
        return _("it was changed in Invoice Ninja; open it and say whose words count")
    return other_currency(invoice, invoice.client.currency) or not_these(receivers.known(invoice), ())


def to_whom(chosen: Chosen) -> str:
    """The addresses that are on screen beside it."""
    return ", ".join(sorted(receivers.known(chosen.invoice).emails))


def split(rows: Iterable[Chosen], *, needs_address: bool = True) -> tuple[list[Chosen], list[tuple[str, str, str]]]:
    """Which of these go, and which stay behind as (what, why, address)."""
    going, staying = [], []
    for chosen in rows:
        why = why_not(chosen, needs_address=needs_address)
        if not why:
            going.append(chosen)
            continue
        page = "differences" if chosen.differs else "change"
        staying.append((str(chosen.invoice), why, reverse(f"admin:invoicing_invoice_{page}", args=[chosen.invoice.pk])))
    return going, staying


def facts_of(going: Sequence[Chosen]) -> list[tuple[str, str]]:
    """Money per currency, dates, and which Invoice Ninja it is; for a question about sending."""
    return [
        (_("Before tax"), selections.total(going, "net")),
        (_("Tax"), selections.total(going, "tax")),
        (_("To pay"), selections.total(going, "gross")),
        (_("Invoice date"), days_of(chosen.invoice.invoice_date for chosen in going)),
        (_("Due"), days_of(chosen.invoice.due_date for chosen in going)),
        (_("Invoice Ninja"), urlsplit(settings.INVOICE_NINJA_API).hostname or "–"),
    ]


def per_client(going: Sequence[Chosen]) -> list[tuple[str, int, str, str]]:
    """(client, invoices, before tax, to pay) where a client has several; nothing where the rows say it already."""
    by_client: dict[str, list[Chosen]] = {}
    for chosen in going:
        by_client.setdefault(str(chosen.invoice.client), []).append(chosen)
    if len(by_client) == len(going):
        return []
    return [
        (name, len(rows), selections.total(rows, "net"), selections.total(rows, "gross"))
        for name, rows in sorted(by_client.items())
    ]


def row_of(invoice: Invoice) -> Sequence[str]:
    """One invoice as cells of `COLUMNS`."""
    return [
        str(invoice.client),
        invoice.number,
        ", ".join(receivers.known(invoice).emails),
        formats.period(invoice.period_start, invoice.period_end),
        formats.hours(invoice.billed_hours),
        formats.money(invoice.net, invoice.currency),
        formats.money(invoice.gross, invoice.currency),
    ]


def days_of(days: Any) -> str:
    distinct = sorted({day for day in days if day})
    if len(distinct) <= 2:
        return ", ".join(formats.day(day) for day in distinct)
    return f"{formats.day(distinct[0])} – {formats.day(distinct[-1])}"


class SendingProgress(PageView):
    """What has left, with proof per contact. Refreshes itself while something is on its way."""

    template_name = "invoicing/sending_progress.html"
    permission = "invoicing.view_sending"
    title = gettext_lazy("Sending")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        rows = list(
            Sending.objects.filter(selection__uuid=self.kwargs["selection"])
            .select_related("invoice__client", "by")
            .prefetch_related("mails")
            .order_by("invoice__client__name", "pk")
        )
        on_the_way = [row for row in rows if row.finished_at is None]
        proven = [row for row in rows if row.proven_at]
        asking = [row for row in rows if row.invoice.state == InvoiceState.ATTENTION]
        return super().get_context_data(
            rows=rows if len(rows) <= SHOWN else sorted(rows, key=_most_urgent)[:SHOWN],
            hidden=max(len(rows) - SHOWN, 0),
            is_running=bool(on_the_way),
            poll_url=self.request.get_full_path(),
            sentence=_("%(proven)d of %(all)d sent with proof, %(asking)d need a decision.")
            % {"proven": len(proven), "all": len(rows), "asking": len(asking)},
            today=clock.now(),
            may_decide=self.request.user.has_perm(SEND),
            **kwargs,
        )


def _most_urgent(row: Sending) -> tuple[bool, bool]:
    """What needs a person first, then what is on its way; of a thousand only these matter."""
    return row.invoice.state != InvoiceState.ATTENTION, row.finished_at is not None


class DecideSending(ConfirmView):
    """An unknown outcome: a person says whether the mail arrived, with a reason."""

    permission = SEND
    act_permission = SEND
    title = gettext_lazy("Decide")

    def get_confirmation(self) -> Confirmation:
        invoice = self._invoice()
        words = {"invoice": invoice, "number": invoice.number}
        arrived, refused = self._arrived(), late_proof.was_refused(invoice)
        nothing_left = _("No mail left. It can be sent after this; everything is checked again right before the mail.")
        read_first = _(
            "Invoice Ninja is read once more first: if the proof of the first mail is there, the invoice counts as "
            "sent. If that mail arrived without a proof, the client gets the invoice twice."
        )
        return Confirmation(
            question=_("Did %(number)s of %(invoice)s arrive?") % words
            if arrived
            else _("Allow %(number)s of %(invoice)s to be sent again?") % words,
            consequence=_("It counts as sent from now on, and is never mailed by the console again.")
            if arrived
            else nothing_left
            if refused
            else read_first,
            submit_label=_("It arrived") if arrived else _("Allow sending again"),
            cancel_label=_("Back, decide nothing"),
            cancel_url=reverse("admin:invoicing_invoice_change", args=[invoice.pk]),
            facts=[
                (_("What happened"), invoice.attention_sentence),
                (_("To pay"), formats.money(invoice.gross, invoice.currency)),
                (_("To"), ", ".join(receivers.known(invoice).emails)),
            ],
            is_destructive=not arrived and not refused,
            needs_reason=True,
        )

    def act(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        note = request.POST.get("reason", "").strip()
        if not note:
            raise NotAllowed(_("Say how you know, in a few words."))
        invoice = self._invoice()
        was_sent = self._arrived()
        is_done = sending.decide(invoice, was_sent=was_sent, user=request.user, note=note)  # type: ignore[arg-type]
        read_first = _(
            "Noted: %(invoice)s. Invoice Ninja is read once more first; if the mail left, it counts as sent."
        )
        messages.success(request, (_("Noted: %(invoice)s.") if is_done else read_first) % {"invoice": invoice})
        return HttpResponseRedirect(reverse("admin:invoicing_invoice_change", args=[invoice.pk]))

    def _arrived(self) -> bool:
        """Which of the two answers the address gives. Raises NotAllowed for a third."""
        if self.kwargs["answer"] not in ("arrived", "again"):
            raise NotAllowed(_("Say either that it arrived, or that it may be sent again."))
        return bool(self.kwargs["answer"] == "arrived")

    def _invoice(self) -> Invoice:
        invoice = Invoice.objects.select_related("client").filter(pk=self.kwargs["pk"]).first()
        if invoice is None:
            raise NotAllowed(_("This invoice is not there. Open it from the list of invoices."))
        if invoice.state != InvoiceState.ATTENTION:
            words = {"invoice": invoice, "state": invoice.get_state_display()}
            raise NotAllowed(_("%(invoice)s does not wait for a decision any more: it is “%(state)s” by now.") % words)
        return invoice

    def get_failure_url(self) -> str:
        return reverse("admin:invoicing_invoice_change", args=[self.kwargs["pk"]])


INVOICE_PAGES = (
    *REDATING_PAGES,
    ("send/select/", "send_select", SelectToSend),
    ("send/<uuid:selection>/", "send", ConfirmSend),
    ("<int:pk>/decide/<slug:answer>/", "decide", DecideSending),
)
SENDING_PAGES = (("<uuid:selection>/progress/", "progress", SendingProgress),)
