"""The question before a Difference is settled, one for each way: its money, what it does, and the reason it needs."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing_console import formats
from billing_console.admin_base import Confirmation, ConfirmView, site_page
from billing_console.errors import NotAllowed
from invoicing import crediting, supplementing
from invoicing.correction_views import (
    APPROVE,
    AT_ONCE,
    CREDIT,
    CREDIT_AND_USE,
    IGNORE,
    NEXT_RUN,
    WRITE_OFF,
    DifferencePage,
)
from invoicing.credit_offer import Offer
from sync import decisions, supplements


@site_page("sync/difference/<int:pk>/decide/<slug:verdict>/", "sync_difference_confirm")
class ConfirmDecision(DifferencePage, ConfirmView):
    """The question before a Difference is settled, with its money; needs a reason."""

    act_permission = APPROVE
    title = gettext_lazy("Settle a difference")

    def get_confirmation(self) -> Confirmation:
        row = self.difference
        supplements.check_open(row)
        question, consequence, label, extra = self._words()
        return Confirmation(
            question=question,
            consequence=consequence,
            submit_label=label,
            cancel_label=_("Back, decide nothing"),
            cancel_url=self.get_failure_url(),
            facts=[
                (_("Item"), str(row.item)),
                (_("What changed"), row.sentence),
                (_("Client"), str(row.entry.client)),
                *extra,
            ],
            columns=[_("Line"), _("Hours"), _("Rate"), _("Before tax")] if self._credit_rows() else [],
            rows=self._credit_rows(),
            numeric_columns=frozenset({1, 2, 3}),
            marks={"mark": row.mark, **self._marks()},
            is_destructive=self.verdict == WRITE_OFF,
            needs_reason=True,
        )

    @property
    def verdict(self) -> str:
        """What the address asks. Raises NotAllowed for something else."""
        found: str = self.kwargs["verdict"]
        if found not in (NEXT_RUN, AT_ONCE, CREDIT, CREDIT_AND_USE, WRITE_OFF, IGNORE):
            raise NotAllowed(_("Choose one of the ways on this page."))
        return found

    def _words(self) -> tuple[str, str, str, list[tuple[str, str]]]:
        """Question, consequence, label of the button, and further facts."""
        row = self.difference
        words = {"ref": row.item.ref, "project": row.item.place, "amount": self.money(row.amount, is_signed=True)}
        if self.verdict == IGNORE:
            return (
                _("Ignore %(amount)s of #%(ref)s, %(project)s?") % words,
                _("What was billed stays. Another change in Taiga asks again."),
                _("Ignore %(amount)s") % words,
                [],
            )
        if self.verdict in (CREDIT, CREDIT_AND_USE):
            return self._credit_words(words)
        entry, why_not = self.next_cycle
        if entry is None:
            raise NotAllowed(why_not)
        amount, hours = self.money(entry.amount), formats.hours(entry.billed_hours)
        words |= {"amount": amount, "hours": hours}
        facts = [(_("More hours"), hours), (_("Before tax"), amount)]
        if self.verdict == WRITE_OFF:
            return (
                _("Write off %(amount)s of #%(ref)s, %(project)s?") % words,
                _("The hours are never billed. They stay in the books as written off."),
                _("Write off %(amount)s") % words,
                facts,
            )
        if self.verdict == AT_ONCE:
            return (
                _("Bill %(amount)s of #%(ref)s, %(project)s, at once?") % words,
                _(
                    "A supplement is started for the period of the invoice. Its draft takes along whatever else of "
                    "this client is ready; nothing leaves before you approve and send it."
                ),
                _("Bill %(amount)s at once") % words,
                facts,
            )
        return (
            _("Bill %(amount)s of #%(ref)s, %(project)s, with the next run?") % words,
            _("The item gets its next cycle; the invoice that was billed stays as it is."),
            _("Bill %(amount)s") % words,
            facts,
        )

    def _credit_words(self, words: dict[str, Any]) -> tuple[str, str, str, list[tuple[str, str]]]:
        found = self._offer()
        words |= {"net": self.money(found.net), "gross": self.money(found.gross), "number": found.invoice.number}
        is_used = self.verdict == CREDIT_AND_USE
        consequence = (
            _("The credit is made in Invoice Ninja and taken off what is owed on %(number)s. Nobody is mailed by this.")
            if is_used
            else _("The credit is made in Invoice Ninja as a draft. Nobody is mailed by this.")
        )
        return (
            _("Credit %(gross)s with tax for #%(ref)s, %(project)s?") % words,
            f"{consequence % words} {self.anew_words}".strip(),
            _("Credit %(gross)s and set it against %(number)s") % words if is_used else _("Credit %(gross)s") % words,
            [
                (_("Invoice"), found.invoice.number),
                (_("Before tax"), words["net"]),
                (found.invoice.tax_name or _("Tax"), self.money(found.tax)),
                (_("With tax"), words["gross"]),
                *([(_("Set against the invoice"), self.money(found.usable))] if is_used else []),
            ],
        )

    def _offer(self) -> Offer:
        found, why_not = self.offered
        if found is None:
            raise NotAllowed(why_not)
        return found

    def _credit_rows(self) -> list[list[str]]:
        if self.verdict not in (CREDIT, CREDIT_AND_USE):
            return []
        return [
            [
                line.notes,
                formats.hours(line.hours),
                formats.rate(line.rate, self.difference.currency),
                self.money(line.amount),
            ]
            for line in self._offer().lines
        ]

    def _marks(self) -> dict[str, str]:
        if self.verdict not in (CREDIT, CREDIT_AND_USE):
            return {}
        entry = self.billed_anew
        return {"gross": str(self._offer().gross), "billed": str(entry.amount) if entry is not None else ""}

    def act(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        what: dict[str, Any] = {
            "mark": self.mark("mark"),
            "user": request.user,
            "note": request.POST.get("reason", ""),
        }
        messages.success(request, self._do(what))
        return HttpResponseRedirect(self.get_failure_url())

    def _do(self, what: dict[str, Any]) -> str:
        row = self.difference
        if self.verdict == IGNORE:
            decisions.ignore_difference(row, **what)
            return _("Ignored, with your reason.")
        if self.verdict == WRITE_OFF:
            entry = supplements.write_off(row, **what)
            return _("%(amount)s written off.") % {"amount": self.money(entry.amount)}
        if self.verdict in (CREDIT, CREDIT_AND_USE):
            what |= {name: self.mark(name) for name in ("gross", "billed")}
            credit = crediting.request_credit(row, is_to_use=self.verdict == CREDIT_AND_USE, **what)
            return _("%(amount)s is being credited in Invoice Ninja.") % {"amount": self.money(credit.gross)}
        if self.verdict == AT_ONCE:
            entry = supplementing.bill_at_once(row, **what)
            return _("%(amount)s is billed by a supplement, which is being built.") % {
                "amount": self.money(entry.amount)
            }
        entry = supplements.supplement(row, **what)
        words = {"amount": self.money(entry.amount), "cycle": entry.cycle}
        return _("%(amount)s is billed by the next run, as cycle %(cycle)d.") % words

    def get_failure_url(self) -> str:
        return reverse("admin:sync_difference_decide", args=[self.kwargs["pk"]])
