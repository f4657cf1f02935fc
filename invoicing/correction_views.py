"""A Difference on one page: what was billed, what Taiga says now, what it comes to, and every way to settle it.

GET only shows; each way leads to a question with its money, which acts on POST (ui: Differences).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.db.models import Q
from django.http import Http404
from django.utils.translation import gettext as _

from billing_console import formats
from billing_console.admin_base import PageView, site_page
from billing_console.states import DifferenceState, EntryState
from invoicing import credit_offer
from invoicing.credit_offer import Offer
from invoicing.models import Credit, InvoiceLine
from sync import links, settled, standing, supplements
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


class DifferencePage(PageView):
    """Base: the Difference of the address; 404 for none."""

    permission = VIEW

    @cached_property
    def difference(self) -> Difference:
        rows = Difference.objects.select_related("item__project", "entry__client", "entry__project", "payer_now")
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
    def billed_anew(self) -> TimeEntry | None:
        """What the client whom Taiga names now is billed, when all is given back to the other one."""
        return supplements.preview_after_credit(self.difference)

    @property
    def anew_words(self) -> str:
        """ "8.00 h, 896.00 EUR are billed to Hotel NV with the next run." or "" where nobody else pays now."""
        row, entry = self.difference, self.billed_anew
        if row.payer_now is None:
            return ""
        if entry is None:
            return _("%(client)s is billed once the item is closed again.") % {"client": row.payer_now}
        words = {
            "client": row.payer_now,
            "hours": formats.hours(entry.billed_hours),
            "amount": formats.money(entry.amount, entry.currency),
        }
        return _("%(hours)s, %(amount)s before tax, are billed to %(client)s with the next run.") % words

    @cached_property
    def line(self) -> InvoiceLine | None:
        rows = InvoiceLine.objects.filter(entry=self.difference.entry_id, is_voided=False)
        return rows.select_related("invoice__client", "invoice__run").first()

    def money(self, amount: Any, *, is_signed: bool = False) -> str:
        return formats.money(amount, self.difference.currency, is_signed=is_signed)


@site_page("sync/difference/<int:pk>/decide/", "sync_difference_decide")
class DecidePage(DifferencePage):
    """Then, now, delta, and the ways to settle it with their money."""

    template_name = "invoicing/decide.html"

    def get_title(self) -> str:
        item = self.difference.item
        return _("Difference of #%(ref)s, %(project)s") % {"ref": item.ref, "project": item.place}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        difference = self.difference
        is_open = difference.state == DifferenceState.OPEN
        trail = Transition.objects.filter(model="sync.difference", row_id=difference.pk)
        return super().get_context_data(
            difference=difference,
            line=self.line,
            sides=self._sides(),
            now_words=_("Now, for %(client)s") % {"client": difference.entry.client}
            if difference.payer_now
            else _("Taiga says now"),
            ways=self._ways() if is_open else [],
            credits=Credit.objects.filter(Q(difference=difference) | Q(parts__difference=difference))
            .select_related("remote", "invoice")
            .distinct(),
            taiga_url=links.taiga_item(difference.item),
            transitions=trail.select_related("user").order_by("-id")[:50],
            may_act=self.request.user.has_perm(APPROVE),
            **kwargs,
        )

    def _sides(self) -> list[Side]:
        row = self.difference
        then = standing.measured(row)
        waived = settled.settled_hours(then) - settled.hours_of(then)
        words = {"hours": formats.hours(row.billed_hours), "waived": formats.hours(waived, is_signed=True)}
        amount = sum((piece.amount for piece in then), start=row.amount * 0)
        rates = sorted({piece.rate for piece in then if not piece.is_given})
        now = [row.rate_now] if row.rate_now is not None else rates
        return [
            Side(
                _("Hours"),
                _("%(hours)s (%(waived)s on purpose)") % words if waived else words["hours"],
                formats.hours(row.hours_now),
                formats.hours(settled.moved_hours(then, row.hours_now), is_signed=True),
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
                self._with_anew(
                    _("A credit of %(gross)s with tax in Invoice Ninja, open for the client's next invoice.") % words
                ),
            )
        ]
        if found.usable > 0:
            ways.insert(
                0,
                Way(
                    CREDIT_AND_USE,
                    _("Credit %(net)s and set it against %(number)s…") % words,
                    self._with_anew(
                        _("A credit of %(gross)s with tax; %(usable)s of it is taken off what the client owes.") % words
                    ),
                ),
            )
        return ways

    def _with_anew(self, sentence: str) -> str:
        return f"{sentence} {self.anew_words}".strip()

    def _ignore(self) -> Way:
        words = {"amount": self.money(self.difference.amount, is_signed=True)}
        return Way(IGNORE, _("Ignore %(amount)s…") % words, _("What was billed stays as it is, with your reason."))
