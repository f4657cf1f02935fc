"""The question before everything that one brake holds is billed as it stands: each entry, its value, the money."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from billing_console import formats
from billing_console.admin_base import Confirmation, ConfirmView, site_page
from billing_console.errors import ConsoleError, NotAllowed
from billing_console.states import EntryState
from sync import attention, reasons
from sync.models import TimeEntry

AT_ONCE = 200


@site_page("sync/attention/confirm/", "sync_confirm_brake")
class ConfirmBrake(ConfirmView):
    """GET asks with every value on the screen; POST confirms exactly those values, and names what moved on."""

    permission = "sync.work_timeentry"
    act_permission = "sync.work_timeentry"
    title = gettext_lazy("Confirm")

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
            fields={"asked": json.dumps({row.pk: row.facts.get("asked", "") for row in rows})},
            needs_reason=True,
        )

    def get_failure_url(self) -> str:
        return reverse("admin:sync_attention")

    def act(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        note = request.POST.get("reason", "").strip()
        if not note:
            raise NotAllowed(_("Say why, in a few words."))
        asked = _asked(request.POST.get("asked", ""))
        done = 0
        found = TimeEntry.objects.filter(pk__in=asked).select_related("item").order_by("first_closed_at", "pk")
        for row in found:
            try:
                attention.confirm_entry(row, user=request.user, note=note, asked=asked[row.pk])  # type: ignore[arg-type]
                done += 1
            except ConsoleError as error:
                messages.warning(request, f"{row}: {error.sentence}")
        words = ngettext("%(count)d entry confirmed.", "%(count)d entries confirmed.", done)
        messages.success(request, words % {"count": done})
        return HttpResponseRedirect(self.get_failure_url())


def _held_by(code: str) -> QuerySet[TimeEntry]:
    rows = TimeEntry.objects.filter(state=EntryState.HELD, reason=code, reason__in=attention.BRAKES)
    return rows.select_related("item").order_by("first_closed_at", "pk")


def _asked(text: str) -> dict[int, str]:
    """The values on the screen, by entry. Raises NotAllowed for what no page of ours sends."""
    try:
        return {int(pk): str(token) for pk, token in dict(json.loads(text)).items()}
    except (ValueError, TypeError):
        raise NotAllowed(_("The page was incomplete. Open it again.")) from None
