"""The question before everything that one brake holds is billed as it stands: each entry, its value, the money."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from billing_console import formats
from billing_console.admin_base import Confirmation, ConfirmView, act_on_shown, site_page
from billing_console.errors import NotAllowed
from billing_console.light import light
from billing_console.reason import reason_of
from billing_console.states import EntryState
from sync import as_shown, attention, reasons
from sync.models import TimeEntry

AT_ONCE = 200


@site_page("sync/attention/confirm/", "sync_confirm_brake")
class ConfirmBrake(ConfirmView):
    """GET asks with every value on the screen; POST confirms exactly those values, and names what moved on."""

    permission = "sync.work_timeentry"
    act_permission = "sync.work_timeentry"
    title = gettext_lazy("Confirm")
    is_by_row = True

    def get_confirmation(self) -> Confirmation:
        code = self.request.GET.get("brake", "")
        rows = list(_held_by(code)[:AT_ONCE])
        if not rows:
            raise NotAllowed(_("Nothing waits for this confirmation (any more)."))
        sums: dict[str, Any] = {}
        for row in rows:
            sums[row.currency] = sums.get(row.currency, 0) + (row.amount or 0)
        money = " + ".join(formats.money(amount, currency) for currency, amount in sorted(sums.items()))
        facts = {"count": len(rows), "what": reasons.label(code), "money": money}
        return Confirmation(
            question=ngettext(
                "“%(what)s”: bill %(count)d entry, %(money)s, as it stands?",
                "“%(what)s”: bill %(count)d entries, %(money)s, as they stand?",
                len(rows),
            )
            % facts,
            consequence=_("Each value passes from now on, until it is another one. Amounts are before tax."),
            submit_label=_("Confirm %(money)s") % facts,
            cancel_label=_("Back, confirm nothing"),
            cancel_url=self.get_failure_url(),
            columns=(_("Item"), _("Why it waits"), _("Before tax")),
            rows=[(str(row.item), row.reason_sentence, formats.money(row.amount, row.currency)) for row in rows],
            numeric_columns=frozenset({2}),
            by_row={str(row.pk): as_shown.entry(row) for row in rows},
            needs_reason=True,
        )

    def get_failure_url(self) -> str:
        return reverse("admin:sync_attention")

    def act(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        note = reason_of(request.POST.get("reason", ""))
        found = TimeEntry.objects.filter(pk__in=[int(pk) for pk in self.seen]).select_related("item")
        done = act_on_shown(
            request,
            found.order_by("first_closed_at", "pk"),
            partial(attention.confirm_entry, note=note),
            seen=self.seen,
            lock=attention.lock,
            words=as_shown.entry,
        )
        words = ngettext("%(count)d entry confirmed.", "%(count)d entries confirmed.", done)
        messages.success(request, words % {"count": done})
        return HttpResponseRedirect(self.get_failure_url())


def _held_by(code: str) -> QuerySet[TimeEntry]:
    rows = TimeEntry.objects.filter(state=EntryState.HELD, reason=code, reason__in=attention.BRAKES)
    return light(rows, "item").select_related("item", "client").order_by("first_closed_at", "pk")
