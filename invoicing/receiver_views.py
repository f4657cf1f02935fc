"""Questions about whom Invoice Ninja mails an invoice: put them right, give that up, settle a bounce."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing_console import formats
from billing_console.admin_base import Confirmation, ConfirmView
from billing_console.errors import NotAllowed
from invoicing import bouncing, inviting, receivers
from invoicing.models import Invoice

SEND = "invoicing.send_invoice"


class ReceiversPage(ConfirmView):
    """What both questions have: one invoice, and the way back to its page."""

    permission = SEND
    act_permission = SEND

    @cached_property
    def invoice(self) -> Invoice:
        rows = Invoice.objects.select_related("client", "remote").filter(pk=self.kwargs["pk"])
        if (invoice := rows.first()) is None:
            raise NotAllowed(_("This invoice is not there. Open it from the list of invoices."))
        return invoice

    def get_failure_url(self) -> str:
        return reverse("admin:invoicing_invoice_change", args=[self.kwargs["pk"]])


class PutReceiversRight(ReceiversPage):
    """Mail this invoice to exactly the contacts who want mail? Nothing is mailed by it."""

    title = gettext_lazy("Put the receivers right")

    def get_confirmation(self) -> Confirmation:
        if why := inviting.why_not(self.invoice):
            raise NotAllowed(why)
        found = receivers.known(self.invoice)
        words = {
            "number": self.invoice.number,
            "who": ", ".join(person.email or person.name for person in found.wanted),
        }
        people = {person.id: person for person in (*found.invited, *found.wanted)}
        invited, wanted = receivers.ids_of(found.invited), receivers.ids_of(found.wanted)
        return Confirmation(
            question=_("Make %(who)s the receiver of %(number)s, and nobody else?") % words
            if len(wanted) == 1
            else _("Make %(who)s the receivers of %(number)s, and nobody else?") % words,
            consequence=_(
                "The invitations of the invoice are changed in Invoice Ninja and read back. Nothing is mailed by this. "
                "Whoever is taken off can no longer open the invoice by the link of an earlier mail."
            ),
            submit_label=_("Change the receivers, mail nothing"),
            cancel_label=_("Back, change nothing"),
            cancel_url=self.get_failure_url(),
            facts=[(_("Client"), str(self.invoice.client)), (_("Now"), found.difference())],
            columns=[_("Contact"), _("Address"), _("Receiver until now"), _("Wants invoices by mail")],
            rows=[
                [
                    person.name or _("a contact"),
                    person.email or "–",
                    _("yes") if person.id in invited else _("no"),
                    _("yes") if person.id in wanted else _("no"),
                ]
                for person in people.values()
            ],
            marks={"contacts": ",".join(wanted)},
        )

    def act(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        contacts = [contact for contact in self.mark("contacts").split(",") if contact]
        inviting.request_invitations(self.invoice, contacts=contacts, user=request.user)  # type: ignore[arg-type]
        messages.success(request, _("The receivers are being changed in Invoice Ninja; look again in a moment."))
        return HttpResponseRedirect(self.get_failure_url())


class LeaveReceivers(ReceiversPage):
    """Invoice Ninja did not take the change: leave the invitations as they are?"""

    title = gettext_lazy("Leave the receivers")

    def get_confirmation(self) -> Confirmation:
        if not inviting.is_stuck(self.invoice):
            raise NotAllowed(_("%(invoice)s does not wait for this decision any more.") % {"invoice": self.invoice})
        return Confirmation(
            question=_("Leave the receivers of %(number)s as they are?") % {"number": self.invoice.number},
            consequence=_("It is not mailed and not reminded of by the console as long as they are wrong."),
            submit_label=_("Leave them as they are"),
            cancel_label=_("Back, decide nothing"),
            cancel_url=self.get_failure_url(),
            facts=[(_("What happened"), self.invoice.remote.sentence if self.invoice.remote else "")],
        )

    def act(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        inviting.leave(self.invoice, user=request.user)  # type: ignore[arg-type]
        messages.success(request, _("The receivers of %(invoice)s are left as they are.") % {"invoice": self.invoice})
        return HttpResponseRedirect(self.get_failure_url())


class SettleBounce(ReceiversPage):
    """A mail came back: a person says what was done about it, with a reason."""

    title = gettext_lazy("A mail came back")

    def get_confirmation(self) -> Confirmation:
        invoice = self.invoice
        if not invoice.bounce_sentence:
            raise NotAllowed(_("No mail of %(invoice)s waits for this decision any more.") % {"invoice": invoice})
        return Confirmation(
            question=_("Does the client have %(number)s by now, or will somebody see to it?")
            % {"number": invoice.number},
            consequence=_("The question ends. Nothing is mailed; another mail that comes back is asked about anew."),
            submit_label=_("It is seen to"),
            cancel_label=_("Back, decide nothing"),
            cancel_url=self.get_failure_url(),
            facts=[
                (_("What happened"), invoice.bounce_sentence),
                (_("To pay"), formats.money(invoice.gross, invoice.currency)),
            ],
            needs_reason=True,
        )

    def act(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        bouncing.settle(self.invoice, user=request.user, note=request.POST.get("reason", ""))  # type: ignore[arg-type]
        messages.success(request, _("Noted: %(invoice)s.") % {"invoice": self.invoice})
        return HttpResponseRedirect(self.get_failure_url())


PAGES = (
    ("<int:pk>/receivers/", "receivers", PutReceiversRight),
    ("<int:pk>/receivers/leave/", "receivers_leave", LeaveReceivers),
    ("<int:pk>/bounced/", "bounced", SettleBounce),
)
