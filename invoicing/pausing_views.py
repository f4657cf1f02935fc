"""The questions of a pause: until when and of what, and whether it ends now. GET asks, POST acts."""

from __future__ import annotations

import datetime as dt
from functools import cached_property
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing_console import formats
from billing_console.admin_base import Confirmation, ConfirmView, PageView, site_page
from billing_console.errors import NotAllowed
from billing_console.values import day_of
from invoicing import pausing
from invoicing.models import Invoice, ReminderPause
from invoicing.payments import OWED

PREPARE = "invoicing.prepare_invoice"
USUAL = dt.timedelta(days=14)


@site_page("invoicing/reminders/invoice/<int:pk>/pause/", "invoicing_pause_reminders")
class PauseReminders(PageView):
    """Pause the reminders of this invoice, or of its client, until a day?"""

    template_name = "invoicing/pause_reminders.html"
    permission = PREPARE
    act_permission = PREPARE
    title = gettext_lazy("Pause reminders")

    @cached_property
    def invoice(self) -> Invoice:
        return get_object_or_404(Invoice.objects.select_related("client"), pk=self.kwargs["pk"])

    def get_original(self) -> Invoice:
        return self.invoice

    def get_shown(self) -> dict[str, Any]:
        now = pausing.of(self.invoice)
        return {
            _("Invoice"): str(self.invoice),
            _("Open"): formats.money(self.invoice.balance, self.invoice.currency),
            _("Pause"): pausing.sentence(now) if now else "",
            "_pause": now.pk if now else "",
        }

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        invoice, now = self.invoice, pausing.of(self.invoice)
        owed = Invoice.objects.filter(client=invoice.client_id, state__in=OWED, balance__gt=0)
        return super().get_context_data(
            invoice=invoice,
            pause=now,
            pause_sentence=pausing.sentence(now) if now else "",
            still_planned=pausing.still_planned(invoice),
            first_day=pausing.today().isoformat(),
            last_day=(pausing.today() + pausing.LONGEST).isoformat(),
            usual_day=(pausing.today() + USUAL).isoformat(),
            open_invoices=owed.count(),
            **kwargs,
        )

    def act(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        made = pausing.pause(
            self.invoice,
            until=_day(request.POST.get("until", "")),
            is_for_client=request.POST.get("of") == "client",
            reason=request.POST.get("reason", "").strip()[:1000],
            seen=str(self.seen["_pause"]),
            user=request.user,  # type: ignore[arg-type]
        )
        messages.success(request, pausing.sentence(made))
        if planned := pausing.still_planned(self.invoice):
            messages.warning(request, planned)
        return HttpResponseRedirect(reverse("admin:invoicing_invoice_change", args=[self.invoice.pk]))


def _day(text: str) -> dt.date:
    if (day := day_of(text)) is None:
        raise NotAllowed(_("Choose the last day of the pause."))
    return day


@site_page("invoicing/reminders/pauses/<int:pk>/lift/", "invoicing_lift_pause")
class LiftPause(ConfirmView):
    """End a pause before its day?"""

    permission = PREPARE
    act_permission = PREPARE
    title = gettext_lazy("Lift a pause")

    @cached_property
    def pause(self) -> ReminderPause:
        rows = ReminderPause.objects.select_related("client", "invoice__client", "by", "lifted_by")
        found = rows.filter(pk=self.kwargs["pk"]).first()
        if found is None:
            raise Http404
        return found

    def get_confirmation(self) -> Confirmation:
        pause = self.pause
        if why := pausing.over(pause):
            raise NotAllowed(why)
        return Confirmation(
            question=_("Lift the pause of %(what)s?") % {"what": pause},
            consequence=_("It may be reminded at once, by hand. Nobody is reminded by lifting it."),
            submit_label=_("Lift the pause"),
            cancel_label=_("Back, keep the pause"),
            cancel_url=self.get_failure_url(),
            facts=[
                (_("Paused"), pausing.sentence(pause)),
                (_("Since"), formats.moment(pause.at, pausing.settings.BILLING_TIMEZONE)),
            ],
            needs_reason=True,
        )

    def act(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        reason = request.POST.get("reason", "").strip()[:1000]
        pausing.lift(self.pause.pk, reason=reason, user=request.user)  # type: ignore[arg-type]
        messages.success(request, _("The pause of %(what)s is lifted.") % {"what": self.pause})
        return HttpResponseRedirect(self.get_failure_url())

    def get_failure_url(self) -> str:
        return f"{reverse('admin:invoicing_reminders')}?show=open"
