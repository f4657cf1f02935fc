"""The questions before a rest is written off: by a credit of ours, or because it was cancelled in Invoice Ninja."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing_console import formats, money
from billing_console.admin_base import Confirmation
from billing_console.errors import NotAllowed
from billing_console.pages import Entry
from invoicing import writing_off
from invoicing.ending_views import InvoiceQuestion
from invoicing.models import Invoice, WriteOffCause


def _causes() -> dict[str, Any]:
    """The causes to choose from, for a Confirmation."""
    options = [(cause.value, str(cause.label)) for cause in WriteOffCause]
    return {"option_name": "cause", "option_label": _("What it is"), "options": options}


class ConfirmWriteOffRest(InvoiceQuestion):
    """Write off what is still open on a sent invoice, or a part of it?"""

    title = gettext_lazy("Write off the rest")

    def get_confirmation(self) -> Confirmation:
        invoice = self.invoice
        if why := writing_off.why_not(invoice):
            raise NotAllowed(why)
        rest = formats.money(invoice.balance, invoice.currency)
        words = {**self.words, "rest": rest}
        return Confirmation(
            question=_("Write off %(rest)s of %(number)s, %(client)s?") % words,
            consequence=_(
                "A credit over it, without tax, is made in Invoice Ninja and set against the invoice: the client owes "
                "it no more, and no money is booked. Nobody is mailed by this."
            ),
            submit_label=_("Write it off"),
            cancel_label=_("Back, write off nothing"),
            cancel_url=self.get_failure_url(),
            facts=[
                (_("With tax"), self.words["gross"]),
                (_("Paid"), formats.money(invoice.paid_by_money, invoice.currency)),
                (_("Open"), rest),
                (_("Due"), formats.day(invoice.due_date)),
            ],
            inputs=[Entry("amount", _("Amount, %(currency)s") % {"currency": invoice.currency}, _plain(invoice))],
            **_causes(),
            marks={"balance": str(invoice.balance)},
            is_destructive=True,
            needs_reason=True,
        )

    def do(self, reason: str) -> str:
        posted = self.request.POST
        credit = writing_off.request_write_off(
            self.invoice,
            amount=posted.get("amount", ""),
            cause=posted.get("cause", ""),
            balance=self.mark("balance"),
            user=self.request.user,  # type: ignore[arg-type]
            note=reason,
        )
        words = {**self.words, "amount": formats.money(credit.gross, credit.currency)}
        return _("%(amount)s of %(number)s is being written off in Invoice Ninja.") % words


class ConfirmCancelledRest(InvoiceQuestion):
    """Is what was cancelled in Invoice Ninja after money came in written off?"""

    title = gettext_lazy("A rest that was cancelled")

    def get_confirmation(self) -> Confirmation:
        invoice = self.invoice
        if why := writing_off.why_not_accepted(invoice):
            raise NotAllowed(why)
        rest = formats.money(invoice.cancelled_rest, invoice.currency)
        words = {**self.words, "rest": rest}
        return Confirmation(
            question=_("Write off %(rest)s of %(number)s, %(client)s, which was cancelled in Invoice Ninja?") % words,
            consequence=_(
                "Nobody owes it there any more, and what was paid stays. Nothing is written to Invoice Ninja; here the "
                "rest stands as written off."
            ),
            submit_label=_("Write off %(rest)s") % words,
            cancel_label=_("Back, decide nothing"),
            cancel_url=self.get_failure_url(),
            facts=[
                (_("With tax"), self.words["gross"]),
                (_("Paid"), formats.money(invoice.paid_by_money, invoice.currency)),
                (_("Cancelled"), rest),
            ],
            **_causes(),
            marks={"rest": str(invoice.cancelled_rest)},
            is_destructive=True,
            needs_reason=True,
        )

    def do(self, reason: str) -> str:
        posted = self.request.POST
        writing_off.accept_cancelled(
            self.invoice,
            cause=posted.get("cause", ""),
            rest=self.mark("rest"),
            user=self.request.user,  # type: ignore[arg-type]
            note=reason,
        )
        return _("The rest of %(number)s stands as written off.") % self.words


def _plain(invoice: Invoice) -> str:
    """The open amount as it is typed: digits, a point, no separators."""
    return f"{money.quantize(invoice.balance or money.ZERO, invoice.currency):f}"


PAGES = (
    ("<int:pk>/write-off-rest/", "write_off_rest", ConfirmWriteOffRest),
    ("<int:pk>/cancelled-rest/", "cancelled_rest", ConfirmCancelledRest),
)
