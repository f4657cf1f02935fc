"""The questions before an open credit of a client is set against an invoice, and before it is left open after all."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from django.http import Http404
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing_console import formats
from billing_console.admin_base import Confirmation
from billing_console.errors import NotAllowed
from invoicing import credit_reserving, credit_use
from invoicing.ending_views import InvoiceQuestion
from invoicing.models import CreditUse, Invoice
from invoicing.run import UNAPPROVED


def _page_of(invoice: Invoice) -> str:
    name = "review" if invoice.state in UNAPPROVED else "change"
    return reverse(f"admin:invoicing_invoice_{name}", args=[invoice.pk])


class ConfirmReserve(InvoiceQuestion):
    """Set an open credit of the client against this invoice?"""

    title = gettext_lazy("Use an open credit")

    def get_confirmation(self) -> Confirmation:
        invoice = self.invoice
        found = credit_reserving.find(invoice, self.kwargs["kind"], self.kwargs["credit"])
        is_sent = invoice.state in credit_use.OWED
        words = {
            "amount": formats.money(credit_reserving.most(found, invoice), invoice.currency),
            "client": invoice.client,
            "credit": found.name or formats.day(found.date),
        }
        return Confirmation(
            question=_("Set at most %(amount)s of credit %(credit)s against this invoice of %(client)s?") % words,
            consequence=_("It is taken off what the client owes on it in Invoice Ninja. Nobody is mailed by this.")
            if is_sent
            else _(
                "As soon as the invoice is sent, it is taken off what the client owes on it in Invoice Ninja; until "
                "then you can take it back. Nobody is mailed by this."
            ),
            submit_label=_("Set %(amount)s against it") % words,
            cancel_label=_("Back, leave the credit open"),
            cancel_url=self.get_failure_url(),
            facts=[
                (_("Credit"), f"{found.name or formats.NOTHING}, {formats.day(found.date)}: {found.about}"),
                (_("Left of it"), formats.money(found.left, invoice.currency)),
                (_("Invoice, with tax"), formats.money(invoice.gross, invoice.currency)),
                *([(_("Open"), formats.money(invoice.balance, invoice.currency))] if is_sent else []),
            ],
            marks={"left": str(found.left)},
        )

    def do(self, reason: str) -> str:
        user: Any = self.request.user
        use = credit_reserving.reserve(
            self.invoice,
            self.kwargs["kind"],
            self.kwargs["credit"],
            shown=self.mark("left"),
            user=user,
        )
        words = {"amount": formats.money(use.amount, self.invoice.currency)}
        if self.invoice.state in credit_use.OWED:
            return _("At most %(amount)s is being set against the invoice in Invoice Ninja.") % words
        return _("At most %(amount)s is set against the invoice when it is sent.") % words

    def get_failure_url(self) -> str:
        return _page_of(self.invoice)


class ConfirmFree(InvoiceQuestion):
    """Leave a credit open after all that was chosen for this invoice?"""

    title = gettext_lazy("Leave a credit open")

    @cached_property
    def use(self) -> CreditUse:
        rows = CreditUse.objects.select_related("credit")
        row = rows.filter(pk=self.kwargs["use"], invoice=self.kwargs["pk"]).first()
        if row is None:
            raise Http404
        return row

    def get_confirmation(self) -> Confirmation:
        use, invoice = self.use, self.invoice
        if use.is_dropped or use.remote_id is not None:
            raise NotAllowed(_("This is set against the invoice already, or was taken back."))
        words = {"amount": formats.money(use.amount, invoice.currency), "credit": use.number}
        return Confirmation(
            question=_("Leave %(amount)s of credit %(credit)s open after all?") % words,
            consequence=_("It is not set against this invoice; the credit stays open for the client's next one."),
            submit_label=_("Leave %(amount)s open") % words,
            cancel_label=_("Back, change nothing"),
            cancel_url=self.get_failure_url(),
            facts=[(_("Invoice, with tax"), formats.money(invoice.gross, invoice.currency))],
        )

    def do(self, reason: str) -> str:
        credit_reserving.free(self.use, user=self.request.user)  # type: ignore[arg-type]
        return _("The credit stays open.")

    def get_failure_url(self) -> str:
        return _page_of(self.invoice)


PAGES = (
    ("<int:pk>/open-credits/<slug:kind>/<int:credit>/", "reserve_credit", ConfirmReserve),
    ("<int:pk>/open-credits/uses/<int:use>/free/", "free_credit", ConfirmFree),
)
