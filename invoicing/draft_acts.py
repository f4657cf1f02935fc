"""What the buttons of a draft post to: one act each, with what was on screen, then back to a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.translation import gettext as _

from billing_console.admin_base import PageView
from billing_console.errors import ConsoleError
from billing_console.formats import money
from billing_console.money import total as money_total
from billing_console.values import number_of
from invoicing import adjusting, as_shown, carrying, invoice_dates, refusals, review, review_queue
from invoicing.models import Invoice, InvoiceLine
from invoicing.run import refresh_draft
from invoicing.typed import read_figures

PREFIX = "invoicing_invoice_"
VIEW, PREPARE, APPROVE = "invoicing.view_invoice", "invoicing.prepare_invoice", "invoicing.approve_invoice"


class DraftAct(PageView):
    """Base: POST only; afterwards, or after a refusal, the draft's review page is shown again."""

    permission = VIEW
    http_method_names = ["post"]

    def act(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        invoice = self.invoice
        sentence = self.do(invoice)
        if sentence:
            messages.success(request, sentence)
        return HttpResponseRedirect(self.get_next_url(invoice))

    def do(self, invoice: Invoice) -> str:
        """Call the service; returns the sentence to show. May raise a ConsoleError."""
        raise NotImplementedError

    def get_next_url(self, invoice: Invoice) -> str:
        """Where the person goes on: the same draft, unless an act knows better."""
        return self.get_failure_url()

    def get_failure_url(self) -> str:
        return reverse("admin:invoicing_invoice_review", args=[self.kwargs["pk"]])

    @cached_property
    def invoice(self) -> Invoice:
        return get_object_or_404(Invoice.objects.select_related("client", "run"), pk=self.kwargs["pk"])

    def get_subject(self) -> str:
        return f"draft:{self.kwargs['pk']}"

    def get_shown(self) -> Mapping[str, Any]:
        return as_shown.draft(self.invoice)

    @property
    def revision(self) -> int:
        """The revision that the person saw."""
        return int(self.seen["_revision"])

    def refused(self, error: ConsoleError) -> None:
        """What was typed into the dialog of a line stays with the person."""
        found = self.request.resolver_match
        act = ((found and found.url_name) or "").removeprefix(PREFIX)
        if act in refusals.DIALOGS:
            refusals.keep(self.request, act, self.kwargs["pk"], self.kwargs.get("line"))

    @property
    def reason(self) -> str:
        """What the person wrote."""
        return self.request.POST.get("reason", "").strip()[:1000]


class ApproveDraft(DraftAct):
    """Approve, and with `next` in the form go on to the next draft of the run."""

    act_permission = APPROVE

    def do(self, invoice: Invoice) -> str:
        self.following = review_queue.place_of(invoice).next_draft_id
        day = invoice_dates.read(self.request.POST.get("day", ""))
        approved = review.approve(invoice, revision=self.revision, user=self.request.user, day=day)  # type: ignore[arg-type]
        return _("%(client)s approved: %(net)s before tax. It is being created in Invoice Ninja.") % {
            "client": approved.client,
            "net": money(approved.net, approved.currency),
        }

    def get_next_url(self, invoice: Invoice) -> str:
        if "next" not in self.request.POST:
            return super().get_next_url(invoice)
        if self.following is None:
            return reverse("admin:invoicing_invoicerun_review", args=[invoice.run_id])
        return reverse("admin:invoicing_invoice_review", args=[self.following])


class HoldDraft(DraftAct):
    """Keep a draft from being approved, with a note."""

    act_permission = PREPARE

    def do(self, invoice: Invoice) -> str:
        review.hold_draft(invoice, revision=self.revision, user=self.request.user, note=self.reason)  # type: ignore[arg-type]
        return _("%(client)s is held.") % {"client": invoice.client}


class UnholdDraft(DraftAct):
    """Free a held draft for review."""

    act_permission = PREPARE

    def do(self, invoice: Invoice) -> str:
        review.unhold_draft(invoice, revision=self.revision, user=self.request.user)  # type: ignore[arg-type]
        return _("%(client)s can be approved again.") % {"client": invoice.client}


class RejectDraft(DraftAct):
    """Throw a draft away; its entries are ready again."""

    act_permission = APPROVE

    def do(self, invoice: Invoice) -> str:
        self.following = review_queue.place_of(invoice).next_draft_id
        review.reject_draft(invoice, revision=self.revision, user=self.request.user, reason=self.reason)  # type: ignore[arg-type]
        by_hand = money_total(carrying.waiting().filter(invoice=invoice).values_list("amount", flat=True))
        if by_hand:
            return _(
                "The draft of %(client)s is rejected; its entries are ready to be billed again, and %(by_hand)s that "
                "were added by hand wait for the next draft of this client."
            ) % {"client": invoice.client, "by_hand": money(by_hand, invoice.currency)}
        return _("The draft of %(client)s is rejected; its entries are ready to be billed again.") % {
            "client": invoice.client
        }

    def get_next_url(self, invoice: Invoice) -> str:
        if self.following is None:
            return reverse("admin:invoicing_invoicerun_review", args=[invoice.run_id])
        return reverse("admin:invoicing_invoice_review", args=[self.following])


class RefreshDraft(DraftAct):
    """Ask for a draft again, with what Taiga says now."""

    act_permission = PREPARE

    def do(self, invoice: Invoice) -> str:
        refresh_draft(invoice, user=self.request.user)  # type: ignore[arg-type]
        return _("%(client)s is being refreshed with what Taiga says now.") % {"client": invoice.client}

    def get_next_url(self, invoice: Invoice) -> str:
        return reverse("admin:invoicing_invoicerun_review", args=[invoice.run_id])


class WithdrawApproval(DraftAct):
    """Take an approval back while nothing can be in Invoice Ninja."""

    act_permission = APPROVE

    def do(self, invoice: Invoice) -> str:
        review.withdraw_approval(invoice, user=self.request.user, reason=self.reason)  # type: ignore[arg-type]
        return _("The approval of %(client)s is taken back; it is a draft again.") % {"client": invoice.client}


class LineAct(DraftAct):
    """Base of the acts on one line; goes back to that line."""

    act_permission = PREPARE

    def get_subject(self) -> str:
        return f"line:{self.kwargs['line']}"

    def get_shown(self) -> Mapping[str, Any]:
        return as_shown.line(self.line(self.invoice))

    def line(self, invoice: Invoice) -> InvoiceLine:
        """The line of the address, with its entry."""
        return get_object_or_404(invoice.lines.select_related("entry"), pk=self.kwargs["line"])

    def get_failure_url(self) -> str:
        page = self.request.POST.get("page", "")
        query = f"?page={page}" if number_of(page) is not None else "?look=1" if page == "look" else ""
        return f"{super().get_failure_url()}{query}#line-{self.kwargs['line']}"


class ExcludeLine(LineAct):
    """Put a line off to the next run; remove one that was added by hand."""

    def do(self, invoice: Invoice) -> str:
        line = self.line(invoice)
        after = review.exclude_line(line, seen=self.seen, user=self.request.user, reason=self.reason)  # type: ignore[arg-type]
        if line.is_manual:
            return _("“%(line)s” is removed. %(now)s") % {"line": line.notes, "now": now_words(after)}
        return _("“%(line)s” waits for the next run. %(now)s") % {"line": line.notes, "now": now_words(after)}


class HoldLine(LineAct):
    """Take a line off and hold its entry until somebody releases it."""

    def do(self, invoice: Invoice) -> str:
        line = self.line(invoice)
        after = review.hold_line(line, seen=self.seen, user=self.request.user, reason=self.reason)  # type: ignore[arg-type]
        return _("“%(line)s” is held until somebody releases its entry. %(now)s") % {
            "line": line.notes,
            "now": now_words(after),
        }


class AdjustLine(LineAct):
    """Write hours or rate of a line up or down."""

    def do(self, invoice: Invoice) -> str:
        line = self.line(invoice)
        hours, rate = read_figures(self.request.POST)
        after = adjusting.adjust_line(
            line,
            seen=self.seen,
            user=self.request.user,  # type: ignore[arg-type]
            hours=hours,
            rate=rate,
            reason=self.reason,
            meaning=self.request.POST.get("meaning", ""),
        )
        row = after.lines.get(pk=line.pk)
        return _("“%(line)s” is now %(figures)s. %(now)s") % {
            "line": row.notes,
            "figures": adjusting.figures(row.billed_hours, row.rate, row.amount, after.currency),
            "now": now_words(after),
        }


class AddLine(DraftAct):
    """Add a line of one's own; it clashes with nothing that others write on the same draft."""

    act_permission = PREPARE

    def get_subject(self) -> str:
        return f"draft:{self.kwargs['pk']}:add"

    def get_shown(self) -> Mapping[str, Any]:
        return as_shown.adding(self.invoice)

    def do(self, invoice: Invoice) -> str:
        quantity, price = read_figures(self.request.POST)
        after = adjusting.add_line(
            invoice,
            user=self.request.user,  # type: ignore[arg-type]
            text=self.request.POST.get("text", "")[:2000],
            quantity=quantity,
            price=price,
            reason=self.reason,
        )
        return _("The line is added. %(now)s") % {"now": now_words(after)}


class EditText(LineAct):
    """Change the printed text of a line."""

    def do(self, invoice: Invoice) -> str:
        review.edit_text(
            self.line(invoice),
            seen=self.seen,
            user=self.request.user,  # type: ignore[arg-type]
            text=self.request.POST.get("text", "")[:2000],
            reason=self.reason,
        )
        return _("The text is changed; hours and money are as they were.")


def now_words(invoice: Invoice) -> str:
    """What the draft comes to after an act."""
    return _("The draft is now %(net)s before tax.") % {"net": money(invoice.net, invoice.currency)}


PAGES = (
    ("<int:pk>/approve/", "approve", ApproveDraft),
    ("<int:pk>/hold/", "hold", HoldDraft),
    ("<int:pk>/free/", "free", UnholdDraft),
    ("<int:pk>/reject/", "reject", RejectDraft),
    ("<int:pk>/refresh/", "refresh", RefreshDraft),
    ("<int:pk>/withdraw/", "withdraw", WithdrawApproval),
    ("<int:pk>/lines/<int:line>/exclude/", "exclude_line", ExcludeLine),
    ("<int:pk>/lines/<int:line>/text/", "edit_line", EditText),
    ("<int:pk>/lines/<int:line>/hold/", "hold_line", HoldLine),
    ("<int:pk>/lines/<int:line>/figures/", "adjust_line", AdjustLine),
    ("<int:pk>/lines/add/", "add_line", AddLine),
)
