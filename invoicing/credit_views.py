"""The form for a credit on an invoice, and the question with each line, the tax and the total before anything happens.

GET shows the form; the form's POST answers with the question and changes nothing; only the question's POST acts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing_console import formats
from billing_console.admin_base import Confirmation, PageView, environment_label
from billing_console.errors import NotAllowed
from invoicing import credit_reserving_views, invoice_credit
from invoicing.credit_asked import Asked, Typed, Way, sums_of
from invoicing.credit_left import CreditLine, Left, LineLeft, Sums, left_of
from invoicing.ending_views import APPROVE
from invoicing.models import CreditMeaning, Invoice

CONFIRMED = "confirmed"


@dataclass(frozen=True)
class FormLine:
    """One line as the form shows it, with what was typed beside it."""

    left: LineLeft
    typed: Typed
    is_chosen: bool


class CreditInvoice(PageView):
    """Credit something of an invoice that is in Invoice Ninja."""

    template_name = "invoicing/credit_invoice.html"
    permission = APPROVE
    act_permission = APPROVE
    title = gettext_lazy("Credit an invoice")

    @cached_property
    def invoice(self) -> Invoice:
        row = Invoice.objects.select_related("client", "remote").filter(pk=self.kwargs["pk"]).first()
        if row is None:
            raise Http404
        return row

    @cached_property
    def left(self) -> Left:
        return left_of(self.invoice)

    def get_original(self) -> Invoice:
        return self.invoice

    def get_shown(self) -> Mapping[str, Any]:
        """What the question says of what was typed into the form."""
        if why := invoice_credit.why_not(self.invoice, self.left):
            raise NotAllowed(why)
        asked = Asked.read(self.request.POST.dict())
        return self._question(asked, sums_of(asked, self.left)).shown

    def look_again(self) -> Mapping[str, Any]:
        """As everywhere; the form itself only goes on to the question."""
        return super().look_again() if self.request.POST.get(CONFIRMED) else {}

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if why := invoice_credit.why_not(self.invoice, self.left):
            messages.error(request, why)
            return HttpResponseRedirect(self.get_failure_url())
        proposal = invoice_credit.proposal_of(self.invoice)
        return self._form(Asked.read(proposal.asked) if proposal else Asked())

    def act(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        asked = Asked.read(request.POST.dict())
        if request.POST.get(CONFIRMED):
            return self._do(asked)
        if why := invoice_credit.why_not(self.invoice, self.left):
            raise NotAllowed(why)
        try:
            sums = sums_of(asked, self.left)
            confirmation = self._question(asked, sums)
        except NotAllowed as refused:
            messages.error(request, refused.sentence)
            return self._form(asked)
        label, variant = environment_label(request)
        context = {"confirmation": confirmation, "environment_name": label, "environment_variant": variant}
        return self.response_class(
            request, ["console/confirm.html"], self.get_context_data(**context), using=self.template_engine
        )

    def _do(self, asked: Asked) -> HttpResponse:
        posted = self.request.POST
        credit = invoice_credit.request_credit(
            self.invoice,
            asked,
            mark=str(self.seen["_mark"]),
            user=self.request.user,  # type: ignore[arg-type]
            note=posted.get("reason", ""),
        )
        if credit is None:
            messages.success(self.request, _("The credit is proposed. Another approver confirms it on this page."))
            return HttpResponseRedirect(self.get_failure_url())
        words = {"amount": formats.money(credit.gross, credit.currency), "number": self.invoice.number}
        messages.success(self.request, _("%(amount)s of %(number)s is being credited in Invoice Ninja.") % words)
        return HttpResponseRedirect(self.get_failure_url())

    def _form(self, asked: Asked) -> HttpResponse:
        invoice = self.invoice
        return self.render_to_response(
            self.get_context_data(
                invoice=invoice,
                left=self.left,
                asked=asked,
                lines=[
                    FormLine(one, asked.lines.get(pk, Typed()), pk in asked.lines)
                    for pk, one in self.left.lines.items()
                ],
                ways=Way.choices,
                meanings=CreditMeaning.choices,
                targets=self._targets(),
                proposal=invoice_credit.proposal_of(invoice),
            )
        )

    def _target_words(self, target: Invoice) -> str:
        words = {
            "number": target.number,
            "day": formats.day(target.invoice_date),
            "open": formats.money(target.balance, target.currency),
        }
        if target.pk == self.invoice.pk:
            return _("This invoice, %(number)s: %(open)s open") % words
        return _("%(number)s of %(day)s: %(open)s open") % words

    def _question(self, asked: Asked, sums: Sums) -> Confirmation:
        invoice, currency = self.invoice, self.invoice.currency
        meaning = CreditMeaning(asked.meaning)
        words = {
            "gross": formats.money(sums.gross, currency),
            "number": invoice.number,
            "client": invoice.client,
        }
        target = dict(self._targets()).get(asked.against, "")
        if asked.against and not target:
            raise NotAllowed(_("Nothing is owed any more on the invoice that you chose. Choose another, or none."))
        mark = invoice_credit.mark_of(asked, self.left, sums)
        is_proposed = invoice_credit.needs_proposal(invoice, mark)
        alone = _("Another approver has to confirm the very same before it is made.") if is_proposed else ""
        return Confirmation(
            question=_("Credit %(gross)s with tax of %(number)s, %(client)s?") % words,
            consequence=f"{alone} {self._what_follows(meaning)} {self._where(target)}".strip(),
            submit_label=(_("Propose to credit %(gross)s") if is_proposed else _("Credit %(gross)s")) % words,
            cancel_label=_("Back, credit nothing"),
            cancel_url=self.get_failure_url(),
            facts=[
                (_("What it means for the work"), str(meaning.label)),
                (_("Set against"), target or _("no invoice: it stays open for the client's next one")),
                (_("Left to credit of it, with tax"), formats.money(self.left.gross, currency)),
                (_("Before tax"), formats.money(sums.net, currency)),
                (invoice.tax_name or _("Tax"), formats.money(sums.tax, currency)),
                (_("With tax"), str(words["gross"])),
            ],
            columns=[_("Line"), _("Hours"), _("Quantity × price"), _("Before tax")],
            rows=[self._row(line) for line in sums.lines],
            numeric_columns=frozenset({1, 2, 3}),
            fields={
                **asked.fields,
                CONFIRMED: "1",
            },
            marks={"mark": mark},
            is_destructive=True,
            needs_reason=True,
        )

    def _row(self, line: CreditLine) -> list[str]:
        currency = self.invoice.currency
        return [
            line.notes,
            formats.hours(line.taken) if line.taken else formats.NOTHING,
            f"{line.hours.normalize():f} × {formats.rate(line.rate, currency)}",
            formats.money(line.amount, currency),
        ]

    def _targets(self) -> list[tuple[str, str]]:
        others = invoice_credit.invoices_to_set_against(self.invoice)[: invoice_credit.MOST_OTHERS]
        return [(str(one.pk), self._target_words(one)) for one in others]

    def _what_follows(self, meaning: CreditMeaning) -> str:
        if meaning == CreditMeaning.HOURS:
            return _(
                "The hours count as not billed any more: where Taiga still says them, you are asked under Differences "
                "whether they are billed otherwise or given away; nothing bills them by itself."
            )
        if meaning == CreditMeaning.GOODWILL:
            return _("The hours stay billed; nothing of them is billed again. In the books it stands as goodwill.")
        return _("The hours stay billed; nothing of them is billed again.")

    def _where(self, target: str) -> str:
        made = _("The credit is made in Invoice Ninja, with the tax of the invoice. Nobody is mailed by this.")
        return made if not target else f"{made} {_('It is taken off what the client owes there.')}"

    def get_failure_url(self) -> str:
        return reverse("admin:invoicing_invoice_change", args=[self.kwargs["pk"]])


PAGES = (
    ("<int:pk>/credit/", "credit", CreditInvoice),
    *credit_reserving_views.PAGES,
)
