"""The question about chosen lines of a draft: what each of them becomes, then act on those that are still the same."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from billing_console import formats, money
from billing_console.admin_base import Confirmation, ConfirmView
from billing_console.errors import NotAllowed
from billing_console.form_fields import StrictDecimalField
from billing_console.values import numbers_of
from invoicing import as_shown, chosen, guards
from invoicing.chosen import Act, Planned
from invoicing.draft_acts import PREPARE
from invoicing.models import Invoice, InvoiceLine
from invoicing.run import UNAPPROVED

MOST_NAMED = 20


class RateForm(forms.Form):
    """Another rate."""

    value = StrictDecimalField(label=gettext_lazy("Rate"), max_digits=12, decimal_places=3, min_value=0)


class PercentForm(forms.Form):
    """Per cent on the rate; a minus takes off."""

    value = StrictDecimalField(
        label=gettext_lazy("Per cent"), max_digits=6, decimal_places=3, min_value=-100, max_value=1000
    )


class ConfirmChosen(ConfirmView):
    """Do this with the chosen lines? The act, its value and the lines are in the address; only POST acts."""

    permission = PREPARE
    act_permission = PREPARE
    title = gettext_lazy("Chosen lines")
    is_by_row = True

    @cached_property
    def invoice(self) -> Invoice:
        return get_object_or_404(Invoice.objects.select_related("client", "run"), pk=self.kwargs["pk"])

    @cached_property
    def act_name(self) -> str:
        """Which act. Raises NotAllowed for none."""
        asked = self.request.GET.get("act", "")
        if asked not in Act.values:
            raise NotAllowed(_("Choose what becomes of the lines."))
        return asked

    @cached_property
    def value(self) -> Any:
        """What was typed: a Decimal, a text, or None. Raises NotAllowed with a sentence where it cannot be read."""
        if self.act_name == Act.PUT_OFF:
            return None
        if self.act_name == Act.TEXT:
            return self.request.GET.get("value", "")[:2000]
        form = (RateForm if self.act_name == Act.RATE else PercentForm)(self.request.GET)
        if not form.is_valid():
            raise NotAllowed(" ".join(f"{form.fields['value'].label}: {words}" for words in form.errors["value"]))
        return form.cleaned_data["value"]

    @cached_property
    def lines(self) -> Sequence[InvoiceLine]:
        """The chosen printed lines, or all that the search finds. Raises NotAllowed for none."""
        rows = self.invoice.lines.filter(is_voided=False).select_related("entry")
        if self.request.GET.get("all") == "1":
            rows = chosen.found(rows, self.request.GET.get("q", ""))
        else:
            ids = numbers_of(self.request.GET.getlist("line"))
            rows = rows.filter(pk__in=ids[: chosen.MOST])
        found = list(rows.order_by("position", "pk")[: chosen.MOST])
        if not found:
            raise NotAllowed(_("Choose at least one line first."))
        return found

    def get_confirmation(self) -> Confirmation:
        invoice = self.invoice
        if invoice.state not in UNAPPROVED:
            raise NotAllowed(guards.moved_on(invoice))
        planned = chosen.plan(invoice, self.lines, self.act_name, self.value)
        going = [one for one in planned if not one.why_not]
        if not going:
            raise NotAllowed(planned[0].why_not)
        before = money.total(one.line.amount for one in going)
        after = money.total(one.amount for one in going)
        words: dict[str, Any] = {
            "count": len(going),
            "act": Act(self.act_name).label,
            "value": self._value_words(),
            "before": formats.money(before, invoice.currency),
            "after": formats.money(after, invoice.currency),
            "client": invoice.client,
        }
        return Confirmation(
            question=ngettext(
                "%(act)s%(value)s: %(count)d line of %(client)s, %(before)s → %(after)s?",
                "%(act)s%(value)s: %(count)d lines of %(client)s, %(before)s → %(after)s?",
                len(going),
            )
            % words,
            consequence=_("Their entries wait for the next run, with what was written over them.")
            if self.act_name == Act.PUT_OFF
            else _("The first figures and texts are kept beside yours. Lines that others changed meanwhile are left."),
            submit_label=self._label(len(going)) % words,
            cancel_label=_("Back, change nothing"),
            cancel_url=self.get_failure_url(),
            facts=[
                (_("These lines now"), words["before"]),
                (_("These lines then"), words["after"]),
                (_("The draft then, before tax"), formats.money(invoice.net - before + after, invoice.currency)),
            ],
            skipped=[(one.line.notes, one.why_not, "") for one in planned if one.why_not],
            columns=[_("Line"), _("Person"), _("Hours"), _("Rate"), _("Before tax"), _("Then")],
            rows=[self._row(one) for one in going],
            numeric_columns=frozenset({2, 3, 4, 5}),
            by_row={str(one.line.pk): as_shown.line(one.line) for one in going},
            needs_reason=True,
        )

    def _label(self, count: int) -> str:
        if self.act_name == Act.PUT_OFF:
            return ngettext("Put off %(count)d line, %(before)s", "Put off %(count)d lines, %(before)s", count)
        return ngettext("Write %(count)d line, %(after)s", "Write %(count)d lines, %(after)s", count)

    def _value_words(self) -> str:
        if self.act_name == Act.PUT_OFF:
            return ""
        if self.act_name == Act.RATE:
            return f", {formats.rate(self.value, self.invoice.currency)}"
        return f", {self.value:+f} %".replace("-", "−") if self.act_name == Act.PERCENT else f", “{self.value}”"

    def _row(self, one: Planned) -> list[str]:
        line, currency = one.line, self.invoice.currency
        rate = formats.rate(line.rate, "")
        return [
            line.notes if one.text == line.notes else f"{line.notes} → {one.text}",
            line.person_name or "–",
            formats.number(line.billed_hours, 2),
            rate if one.rate == line.rate else f"{rate} → {formats.rate(one.rate, '')}",
            formats.money(line.amount, currency),
            formats.money(one.amount, currency),
        ]

    def act(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        done = chosen.carry_out(
            self.invoice,
            self.act_name,
            self.value,
            seen=self.seen,
            user=request.user,  # type: ignore[arg-type]
            reason=request.POST.get("reason", "").strip()[:1000],
        )
        if done.saved:
            words = ngettext(
                "%(count)d line is written. The draft is now %(net)s before tax.",
                "%(count)d lines are written. The draft is now %(net)s before tax.",
                len(done.saved),
            )
            net = formats.money(done.invoice.net, done.invoice.currency)
            messages.success(request, words % {"count": len(done.saved), "net": net})
        for line, sentence in done.left[:MOST_NAMED]:
            messages.warning(request, f"“{line.notes}”: {sentence}")
        if len(done.left) > MOST_NAMED:
            more = ngettext("%(count)d more was left.", "%(count)d more were left.", len(done.left) - MOST_NAMED)
            messages.warning(request, more % {"count": len(done.left) - MOST_NAMED})
        still = [line.pk for line, _sentence in done.left if not line.is_voided]
        if still:
            return HttpResponseRedirect(self._again(still))
        page = reverse("admin:invoicing_invoice_review", args=[self.kwargs["pk"]])
        search = self.request.GET.get("q", "")
        return HttpResponseRedirect(f"{page}?{urlencode({'q': search})}#lines" if search else page)

    def _again(self, ids: list[int]) -> str:
        """The same question about the lines that were left, with what was typed."""
        query = [("act", self.act_name), ("value", self.request.GET.get("value", ""))]
        return f"{self.request.path}?{urlencode(query + [('line', str(pk)) for pk in ids])}"

    def get_failure_url(self) -> str:
        """The draft, with what was typed for the lines, unless the draft itself is refused."""
        asked = self.request.GET
        kept = [(name, asked.get(name, "")) for name in ("q", "act", "value") if asked.get(name)]
        kept += [("chosen", pk) for pk in asked.getlist("line")[: chosen.MOST]]
        page = reverse("admin:invoicing_invoice_review", args=[self.kwargs["pk"]])
        return f"{page}?{urlencode(kept)}#lines" if kept else page


PAGES = (("<int:pk>/lines/chosen/", "chosen_lines", ConfirmChosen),)
