"""A Difference on one page: what was billed, what Taiga says now, what it comes to, and every way to settle it.

GET only shows; each way leads to a question with its money, which acts on POST (ui: Differences).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing_console import formats
from billing_console.admin_base import Confirmation, ConfirmView, PageView, site_page
from billing_console.errors import NotAllowed
from billing_console.states import DifferenceState, EntryState
from invoicing import credit_offer, crediting, supplementing
from invoicing.credit_offer import Offer
from invoicing.models import Credit, InvoiceLine
from sync import claimed, decisions, links, settled, supplements
from sync.models import Difference, TimeEntry, Transition

VIEW, APPROVE = "sync.view_difference", "invoicing.approve_invoice"
NEXT_RUN, AT_ONCE, CREDIT, CREDIT_AND_USE = "supplement", "at-once", "credit", "credit-and-use"
WRITE_OFF, IGNORE = "write-off", "ignore"


@dataclass(frozen=True)
class Way:
    """One way to settle it: the button's words with its money, what it does, or why it cannot be done here."""

    verdict: str
    label: str
    sentence: str
    is_possible: bool = True


@dataclass(frozen=True)
class Side:
    """One figure then, now, and by how much it moved."""

    name: str
    then: str
    now: str
    change: str


class _DifferencePage(PageView):
    """Base: the Difference of the address; 404 for none."""

    permission = VIEW

    @cached_property
    def difference(self) -> Difference:
        rows = Difference.objects.select_related("item__project", "entry__client", "entry__project")
        row = rows.filter(pk=self.kwargs["pk"]).first()
        if row is None:
            raise Http404
        return row

    @cached_property
    def next_cycle(self) -> tuple[TimeEntry | None, str]:
        return supplements.preview(self.difference)

    @cached_property
    def offered(self) -> tuple[Offer | None, str]:
        return credit_offer.offer(self.difference)

    @cached_property
    def line(self) -> InvoiceLine | None:
        rows = InvoiceLine.objects.filter(entry=self.difference.entry_id, is_voided=False)
        return rows.select_related("invoice__client", "invoice__run").first()

    def money(self, amount: Any, *, is_signed: bool = False) -> str:
        return formats.money(amount, self.difference.currency, is_signed=is_signed)


@site_page("sync/difference/<int:pk>/decide/", "sync_difference_decide")
class DecidePage(_DifferencePage):
    """Then, now, delta, and the ways to settle it with their money."""

    template_name = "invoicing/decide.html"

    def get_title(self) -> str:
        return _("Difference of #%(ref)s") % {"ref": self.difference.item.ref}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        difference = self.difference
        is_open = difference.state == DifferenceState.OPEN
        trail = Transition.objects.filter(model="sync.difference", row_id=difference.pk)
        return super().get_context_data(
            difference=difference,
            line=self.line,
            sides=self._sides(),
            ways=self._ways() if is_open else [],
            credits=Credit.objects.filter(difference=difference).select_related("remote", "invoice"),
            taiga_url=links.taiga_item(difference.item),
            transitions=trail.select_related("user").order_by("-id")[:50],
            may_act=self.request.user.has_perm(APPROVE),
            **kwargs,
        )

    def _sides(self) -> list[Side]:
        row = self.difference
        entries = [
            e for e in TimeEntry.objects.filter(item=row.item_id).order_by("cycle") if e.cycle <= row.entry.cycle
        ]
        earlier = [credit for credit in claimed.credited_of(row.item_id) if credit.pk < row.pk]
        then = settled.stand(entries, earlier)
        amount = sum((piece.amount for piece in then), start=row.amount * 0)
        rates = sorted({piece.rate for piece in then if not piece.is_given})
        now = [row.rate_now] if row.rate_now is not None else rates
        return [
            Side(
                _("Hours"),
                formats.hours(row.billed_hours),
                formats.hours(row.hours_now),
                formats.hours(row.hours_now - row.billed_hours, is_signed=True),
            ),
            Side(
                _("Rate"),
                " / ".join(formats.rate(rate, row.currency) for rate in rates),
                " / ".join(formats.rate(rate, row.currency) for rate in now),
                self.money(now[0] - rates[0], is_signed=True) if len(now) == len(rates) == 1 else "–",
            ),
            Side(
                _("Before tax"),
                self.money(amount),
                self.money(amount + row.amount),
                self.money(row.amount, is_signed=True),
            ),
        ]

    def _ways(self) -> list[Way]:
        """What is possible first; the first of it is the primary button."""
        ways = [*self._more(), *self._less(), self._ignore()]
        return sorted(ways, key=lambda way: not way.is_possible)

    def _more(self) -> list[Way]:
        entry, why_not = self.next_cycle
        if entry is None:
            return [Way(NEXT_RUN, _("Bill as the next cycle"), why_not, is_possible=False)]
        words = {"amount": self.money(entry.amount), "hours": formats.hours(entry.billed_hours)}
        held = entry.state == EntryState.HELD
        ways = [
            Way(
                NEXT_RUN,
                _("Bill %(amount)s with the next run…") % words,
                _("The next cycle of the item holds %(hours)s and is held until its question is answered.") % words
                if held
                else _("The next cycle of the item bills %(hours)s; the next run takes it along, marked as late.")
                % words,
            )
        ]
        if not held and self.line is not None:
            ways.append(
                Way(
                    AT_ONCE,
                    _("Bill %(amount)s at once…") % words,
                    _("The same, and a supplement is started for the period of the invoice: an extra draft to review."),
                )
            )
        ways.append(
            Way(
                WRITE_OFF,
                _("Write off %(amount)s…") % words,
                _("The %(hours)s are given away: kept as a cycle of their own, never billed.") % words,
            )
        )
        return ways

    def _less(self) -> list[Way]:
        found, why_not = self.offered
        if found is None:
            return [Way(CREDIT, _("Credit"), why_not, is_possible=False)]
        words = {
            "net": self.money(found.net),
            "gross": self.money(found.gross),
            "number": found.invoice.number,
            "usable": self.money(found.usable),
        }
        ways = [
            Way(
                CREDIT,
                _("Credit %(net)s…") % words,
                _("A credit of %(gross)s with tax in Invoice Ninja, open for the client's next invoice.") % words,
            )
        ]
        if found.usable > 0:
            ways.insert(
                0,
                Way(
                    CREDIT_AND_USE,
                    _("Credit %(net)s and set it against %(number)s…") % words,
                    _("A credit of %(gross)s with tax; %(usable)s of it is taken off what the client owes.") % words,
                ),
            )
        return ways

    def _ignore(self) -> Way:
        words = {"amount": self.money(self.difference.amount, is_signed=True)}
        return Way(IGNORE, _("Ignore %(amount)s…") % words, _("What was billed stays as it is, with your reason."))


@site_page("sync/difference/<int:pk>/decide/<slug:verdict>/", "sync_difference_confirm")
class ConfirmDecision(_DifferencePage, ConfirmView):
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
            fields={"mark": row.mark, **self._fields()},
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
        words = {"ref": row.item.ref, "amount": self.money(row.amount, is_signed=True)}
        if self.verdict == IGNORE:
            return (
                _("Ignore %(amount)s of #%(ref)s?") % words,
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
                _("Write off %(amount)s of #%(ref)s?") % words,
                _("The hours are never billed. They stay in the books as written off."),
                _("Write off %(amount)s") % words,
                facts,
            )
        if self.verdict == AT_ONCE:
            return (
                _("Bill %(amount)s of #%(ref)s at once?") % words,
                _(
                    "A supplement is started for the period of the invoice. Its draft takes along whatever else of "
                    "this client is ready; nothing leaves before you approve and send it."
                ),
                _("Bill %(amount)s at once") % words,
                facts,
            )
        return (
            _("Bill %(amount)s of #%(ref)s with the next run?") % words,
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
            _("Credit %(gross)s with tax for #%(ref)s?") % words,
            consequence % words,
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

    def _fields(self) -> dict[str, str]:
        return {"gross": str(self._offer().gross)} if self.verdict in (CREDIT, CREDIT_AND_USE) else {}

    def act(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        what: dict[str, Any] = {
            "mark": request.POST.get("mark", ""),
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
            gross = self.request.POST.get("gross", "")
            credit = crediting.request_credit(row, gross=gross, is_to_use=self.verdict == CREDIT_AND_USE, **what)
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
