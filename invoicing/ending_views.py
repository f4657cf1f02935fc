"""Questions about an invoice that must not exist: cancel it, keep it after all, set its hours free, use its credit.

GET asks with the money, POST acts; each needs a reason, but the use of a credit that was decided already.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from billing_console import formats, money
from billing_console.admin_base import Confirmation, ConfirmView
from billing_console.errors import NotAllowed
from billing_console.states import InvoiceState
from invoicing import credit_use, crediting, ending, releasing, repricing
from invoicing.models import Credit, Invoice, InvoiceLine
from invoicing.releasing import Again

APPROVE = "invoicing.approve_invoice"


class InvoiceQuestion(ConfirmView):
    """Base: the invoice of the address; afterwards its page."""

    permission = APPROVE
    act_permission = APPROVE

    @cached_property
    def invoice(self) -> Invoice:
        row = Invoice.objects.select_related("client", "remote").filter(pk=self.kwargs["pk"]).first()
        if row is None:
            raise Http404
        return row

    @property
    def words(self) -> dict[str, Any]:
        """The invoice in words: number, client, amounts."""
        invoice = self.invoice
        return {
            "number": invoice.number,
            "client": invoice.client,
            "gross": formats.money(invoice.gross, invoice.currency),
            "net": formats.money(invoice.net, invoice.currency),
        }

    def act(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        messages.success(request, self.do(request.POST.get("reason", "")))
        return HttpResponseRedirect(self.get_failure_url())

    def do(self, reason: str) -> str:
        """Call the service; returns the sentence to show."""
        raise NotImplementedError

    def get_failure_url(self) -> str:
        return reverse("admin:invoicing_invoice_change", args=[self.kwargs["pk"]])


class _LinesQuestion(InvoiceQuestion):
    """Base: what becomes of the lines; shows each as it is and as it would be priced now."""

    def again_facts(self, lines: list[InvoiceLine]) -> dict[str, Any]:
        """The choice, with the money of each answer, and the lines before and after, for a Confirmation."""
        currency = self.invoice.currency
        now = repricing.amounts_now(lines)
        before = money.total(line.amount for line in lines)
        after = money.total(row.amount for row in now.values())
        words = {"before": formats.money(before, currency), "after": formats.money(after, currency)}
        options: list[tuple[str, str]] = [
            (Again.COPY, _("Bill it again as it was: a draft of %(before)s, line by line the same.") % words),
            (Again.ANEW, _("Price it anew as Taiga and the rules say now: %(before)s → %(after)s.") % words),
            (Again.WRITE_OFF, _("Write it off: %(before)s is never billed and stays in the books so.") % words),
        ]
        return {
            "option_name": "again",
            "option_label": _("And then"),
            "options": options,
            "columns": [_("Line"), _("Person"), _("Hours"), _("Before tax"), _("Priced anew")],
            "rows": [
                [
                    line.notes,
                    line.person_name,
                    formats.hours(line.billed_hours) if line.entry_id else _("by hand"),
                    formats.money(line.amount, currency),
                    now[line.pk].words(currency),
                ]
                for line in lines
            ],
            "numeric_columns": frozenset({2, 3, 4}),
        }

    @property
    def again(self) -> str:
        """What the person chose. Raises NotAllowed for nothing."""
        chosen = self.request.POST.get("again", "")
        if chosen not in Again.values:
            raise NotAllowed(_("Choose what becomes of the hours: billed as they were, priced anew, or written off."))
        return chosen


class ConfirmEnd(_LinesQuestion):
    """Cancel a created or sent invoice in Invoice Ninja, and bill its lines again?"""

    title = gettext_lazy("Cancel an invoice")

    def get_confirmation(self) -> Confirmation:
        if why := ending.why_not(self.invoice):
            raise NotAllowed(why)
        is_draft = self.invoice.state == InvoiceState.CREATED
        lines = list(self.invoice.lines.filter(is_voided=False).order_by("position", "pk"))
        return Confirmation(
            question=_("Cancel %(number)s of %(client)s, %(gross)s with tax?") % self.words,
            consequence=_("Nobody has it yet: it is deleted in Invoice Ninja.")
            if is_draft
            else _(
                "The client has it: it is cancelled in Invoice Ninja, and you tell the client. What is billed again "
                "is on an invoice with another number."
            ),
            submit_label=_("Cancel %(number)s, %(gross)s") % self.words,
            cancel_label=_("Back, cancel nothing"),
            cancel_url=self.get_failure_url(),
            facts=[
                (_("Before tax"), self.words["net"]),
                (_("With tax"), self.words["gross"]),
                (_("State"), self.invoice.get_state_display()),
            ],
            **self.again_facts(lines),
            marks={"seal": self.invoice.seal},
            is_destructive=True,
            needs_reason=True,
        )

    def do(self, reason: str) -> str:
        what: dict[str, Any] = {"seal": self.mark("seal"), "user": self.request.user, "note": reason}
        ending.request_end(self.invoice, again=self.again, **what)
        return (
            _(
                "%(number)s is being cancelled in Invoice Ninja. When that is read back, its hours are free, or its "
                "copy is among the drafts."
            )
            % self.words
        )


class ConfirmKeep(InvoiceQuestion):
    """Keep an invoice whose end waits for a person?"""

    title = gettext_lazy("Keep an invoice")

    def get_confirmation(self) -> Confirmation:
        if not ending.is_stuck(self.invoice):
            raise NotAllowed(_("This invoice does not wait for this decision any more."))
        remote = self.invoice.remote
        return Confirmation(
            question=_("Keep %(number)s of %(client)s, %(gross)s with tax?") % self.words,
            consequence=_("It is not cancelled by the console any more, and read again in Invoice Ninja."),
            submit_label=_("Keep %(number)s, %(gross)s") % self.words,
            cancel_label=_("Back, decide nothing"),
            cancel_url=self.get_failure_url(),
            facts=[(_("What happened"), remote.sentence if remote else "")],
            needs_reason=True,
        )

    def do(self, reason: str) -> str:
        ending.keep(self.invoice, user=self.request.user, note=reason)  # type: ignore[arg-type]
        return _("%(number)s is kept.") % self.words


class ConfirmRelease(_LinesQuestion):
    """The invoice ended in Invoice Ninja: what becomes of its lines?"""

    title = gettext_lazy("Hours of an ended invoice")

    def get_confirmation(self) -> Confirmation:
        if why := releasing.why_not(self.invoice):
            raise NotAllowed(why)
        lines = list(releasing.living_lines(self.invoice).order_by("position", "pk"))
        amount = money.total(line.amount for line in lines)
        words = {**self.words, "amount": formats.money(amount, self.invoice.currency)}
        return Confirmation(
            question=_("What becomes of %(amount)s of %(number)s, %(client)s?") % words,
            consequence=_("It ended in Invoice Ninja. Its tasks are taken off it there, whatever you choose."),
            submit_label=_("Settle %(amount)s") % words,
            cancel_label=_("Back, decide nothing"),
            cancel_url=self.get_failure_url(),
            facts=[(_("Before tax"), words["amount"]), (_("State"), self.invoice.get_state_display())],
            **self.again_facts(lines),
            needs_reason=True,
        )

    def do(self, reason: str) -> str:
        user: Any = self.request.user
        count = releasing.release(self.invoice, user=user, note=reason, again=self.again)
        words = {
            Again.COPY: ngettext("%(count)d line is on a draft again.", "%(count)d lines are on a draft again.", count),
            Again.ANEW: ngettext("%(count)d line is free.", "%(count)d lines are free.", count),
            Again.WRITE_OFF: ngettext("%(count)d line is written off.", "%(count)d lines are written off.", count),
        }[Again(self.again)]
        return words % {"count": count}


class _CreditQuestion(InvoiceQuestion):
    """Base: a credit of the invoice."""

    @cached_property
    def credit(self) -> Credit:
        rows = Credit.objects.select_related("invoice", "remote", "difference")
        row = rows.filter(pk=self.kwargs["credit"], invoice=self.kwargs["pk"]).first()
        if row is None:
            raise Http404
        return row


class ConfirmUse(_CreditQuestion):
    """Set a credit against its invoice?"""

    title = gettext_lazy("Use a credit")

    def get_confirmation(self) -> Confirmation:
        if why := credit_use.why_not(self.credit):
            raise NotAllowed(why)
        invoice = self.credit.invoice
        amount = min(self.credit.rest, invoice.balance or self.credit.rest)
        words = {"number": invoice.number, "amount": formats.money(amount, invoice.currency)}
        return Confirmation(
            question=_("Set %(amount)s against %(number)s?") % words,
            consequence=_("It is taken off what the client owes on it in Invoice Ninja. Nobody is mailed by this."),
            submit_label=_("Set %(amount)s against it") % words,
            cancel_label=_("Back, leave the credit open"),
            cancel_url=self.get_failure_url(),
            facts=[
                (_("Credit"), formats.money(self.credit.gross, invoice.currency)),
                (_("Open, with tax"), formats.money(invoice.balance, invoice.currency)),
            ],
        )

    def do(self, reason: str) -> str:
        credit_use.request_use(self.credit, user=self.request.user)  # type: ignore[arg-type]
        return _("The credit is being set against the invoice in Invoice Ninja.")


class ConfirmGiveUp(_CreditQuestion):
    """Give up a credit that Invoice Ninja did not take?"""

    title = gettext_lazy("Give up a credit")

    def get_confirmation(self) -> Confirmation:
        credit = self.credit
        if not crediting.can_give_up(credit, credit.remote):
            raise NotAllowed(
                _("This credit does not wait for a decision, or is in Invoice Ninja: it is not taken back.")
            )
        words = {"amount": formats.money(credit.gross, credit.currency)}
        return Confirmation(
            question=_("Give up the credit of %(amount)s?") % words,
            consequence=_("Its difference is open again, and you decide anew.")
            if credit.difference_id
            else _("The rest is owed as before, and you decide anew."),
            submit_label=_("Give up %(amount)s") % words,
            cancel_label=_("Back, decide nothing"),
            cancel_url=self.get_failure_url(),
            facts=[(_("What happened"), credit.remote.sentence)],
            needs_reason=True,
        )

    def do(self, reason: str) -> str:
        crediting.give_up(self.credit, user=self.request.user, note=reason)  # type: ignore[arg-type]
        if self.credit.difference_id is None:
            return _("The credit is given up; the rest is owed as before.")
        return _("The credit is given up; its difference is open again.")


PAGES = (
    ("<int:pk>/cancel/", "cancel", ConfirmEnd),
    ("<int:pk>/keep/", "keep", ConfirmKeep),
    ("<int:pk>/set-free/", "set_free", ConfirmRelease),
    ("<int:pk>/credits/<int:credit>/use/", "use_credit", ConfirmUse),
    ("<int:pk>/credits/<int:credit>/give-up/", "give_up_credit", ConfirmGiveUp),
)
