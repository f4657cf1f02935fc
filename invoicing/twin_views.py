"""The list of what Invoice Ninja holds twice under one key of ours, and the question that ends the second one."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from django.contrib import admin, messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from billing_console import formats
from billing_console.admin_base import Confirmation, ConfirmView, ReadOnlyModelAdmin, badge, display
from billing_console.errors import NotAllowed
from invoicing import twins
from invoicing.models import Invoice, Twin
from sync.models import RecordKind

APPROVE = "invoicing.approve_invoice"


class ConfirmEnd(ConfirmView):
    """End the second invoice or credit in Invoice Ninja?"""

    title = _("End what was made twice")
    permission = APPROVE
    act_permission = APPROVE

    @cached_property
    def twin(self) -> Twin:
        row = Twin.objects.select_related("record").filter(pk=self.kwargs["pk"]).first()
        if row is None:
            raise Http404
        return row

    @cached_property
    def invoice(self) -> Invoice:
        return twins.invoice_of(self.twin)

    def get_confirmation(self) -> Confirmation:
        twin = self.twin
        if why := twins.why_not(twin, twin.record):
            raise NotAllowed(why)
        words = {
            "kept": twin.kept_number or twin.kept_id,
            "other": twin.other_number or twin.other_id,
            "client": self.invoice.client,
        }
        is_credit = twin.record.kind == RecordKind.CREDIT
        return Confirmation(
            question=gettext("End %(other)s of %(client)s in Invoice Ninja, and keep %(kept)s?") % words,
            consequence=gettext("%(other)s is deleted there. Nothing of it may have been used.") % words
            if is_credit
            else gettext(
                "%(other)s is deleted there, or cancelled where the client has it; with money on it, it is left alone "
                "and you are asked. Its tasks are given back to %(kept)s."
            )
            % words,
            submit_label=gettext("End %(other)s") % words,
            cancel_label=gettext("Back, end nothing"),
            cancel_url=self.get_failure_url(),
            facts=[
                (gettext("Kept"), str(words["kept"])),
                (gettext("Ended"), str(words["other"])),
                (gettext("What was found"), twin.sentence),
                (gettext("With tax"), formats.money(twins.gross_of(twin), self.invoice.currency)),
            ],
            is_destructive=True,
        )

    def act(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        user: Any = request.user
        twins.request_end(self.twin, user=user)
        number = {"number": self.twin.other_number or self.twin.other_id}
        messages.success(request, gettext("%(number)s is being ended in Invoice Ninja.") % number)
        return HttpResponseRedirect(self.get_failure_url())

    def get_failure_url(self) -> str:
        return reverse("admin:invoicing_twin_changelist")


@admin.register(Twin)
class TwinAdmin(ReadOnlyModelAdmin):
    """Invoices and credits that Invoice Ninja holds a second time under a key of ours."""

    pages = (("<int:pk>/end/", "end", ConfirmEnd),)
    list_display = ("what", "state_cell", "found_at", "act_cell")
    list_display_links = None
    list_select_related = ("record",)
    secondary_columns = ("found_at",)
    search_fields = ("kept_number", "other_number", "sentence")

    def get_list_display(self, request: HttpRequest) -> list[str]:
        """Without the question for who may not answer it."""
        shown = list(super().get_list_display(request))
        return shown if request.user.has_perm(APPROVE) else [name for name in shown if name != "act_cell"]

    @display(description=_("What was found"))
    def what(self, twin: Twin) -> str:
        return twin.sentence

    @display(description=_("State"), ordering="ended_at")
    def state_cell(self, twin: Twin) -> SafeString:
        if twin.ended_at:
            return badge("closed", gettext("Over"))
        if twin.asked_at:
            why = twin.record.sentence
            return format_html('{}<span class="bc-sub">{}</span>', badge("warning", gettext("Being ended")), why)
        return badge("error", gettext("Open"))

    @display(description="")
    def act_cell(self, twin: Twin) -> SafeString:
        if not twins.may_be_asked(twin):
            return SafeString("")
        words = gettext("End %(number)s…") % {"number": twin.other_number or twin.other_id}
        url = reverse("admin:invoicing_twin_end", args=[twin.pk])
        return format_html('<a class="bc-row-link" href="{}">{}</a>', url, words)
