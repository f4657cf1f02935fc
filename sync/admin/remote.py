"""What is ours on the two servers, what differs since, and which servers they are."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import Q, QuerySet, Sum
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _t
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from billing_console import formats
from billing_console.admin_base import (
    ChoicesCheckboxFilter,
    DialogForm,
    RadioFilter,
    ReadOnlyModelAdmin,
    ReasonForm,
    RelatedDropdownFilter,
    badge,
    dialog_action,
    display,
)
from billing_console.indexed_search import IndexedSearchAdmin
from billing_console.states import DifferenceState
from billing_console.values import number_of
from sync import as_shown, attention, decisions, upstreams
from sync.admin.common import ADMINISTER, WORK, moment
from sync.models import (
    Difference,
    RemoteRecord,
    UpstreamPin,
)

OPEN, SETTLED, ALL = DifferenceState.OPEN.value, "settled", "all"


@admin.register(RemoteRecord)
class RemoteRecordAdmin(IndexedSearchAdmin):
    """What is ours in Invoice Ninja and in Taiga: what we want there, what is proven to be there."""

    list_display = ("our_key", "kind", "remote_id", "state_cell", "attempts", "next_try", "item_cell")
    list_filter = (("state", ChoicesCheckboxFilter), "kind", "server")
    search_fields = ("^our_key", "=remote_id")
    search_help_text = _("Beginning of our key, or id there")
    list_select_related = ("item__project",)
    fields = (
        ("server", "kind", "our_key", "remote_id"),
        ("state", "reason", "sentence"),
        ("attempts", "not_before", "state_since"),
        ("revision", "synced_revision", "seen_at"),
        "desired",
        "seen",
        "item",
    )
    actions = ("try_again",)
    acts_at_once = True
    actions_detail = ("try_record_again", "adopt")

    def shown_of(self, row: RemoteRecord) -> as_shown.Words:
        return as_shown.record(row)

    def locked(self, pk: Any) -> RemoteRecord | None:
        return decisions.lock(pk)

    @display(description=_("State"), ordering="state")
    def state_cell(self, row: RemoteRecord) -> SafeString:
        return format_html('{}<span class="bc-sub">{}</span>', badge(row.state, row.get_state_display()), row.sentence)

    @display(description=_("Item"), ordering="item")
    def item_cell(self, row: RemoteRecord) -> SafeString | str:
        if row.item is None:
            return formats.NOTHING
        return format_html('{}<span class="bc-sub">{}</span>', row.item, row.item.place)

    @display(description=_("Next try"), ordering="not_before")
    def next_try(self, row: RemoteRecord) -> str:
        return moment(row.not_before)

    def has_work_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(WORK)

    @admin.action(description=_("Try again"), permissions=["work"])
    def try_again(self, request: HttpRequest, queryset: QuerySet[RemoteRecord]) -> None:
        """Try the selected writes again; what is in doubt is only looked up, so there is nothing to confirm."""
        tried = self.act_on_selected(request, queryset, attention.try_again)
        words = ngettext("%(count)d write is tried again.", "%(count)d writes are tried again.", tried)
        messages.success(request, words % {"count": tried})

    @dialog_action(title=_("Try again…"), permission=WORK, submit_text=_("Try again"), form_class=DialogForm)
    def try_record_again(self, request: HttpRequest, form: DialogForm, row: RemoteRecord) -> str:
        attention.try_again(row, user=request.user)
        return _t("It is tried again.")

    @dialog_action(
        title=_("It is right as it is there…"),
        description=_("Takes over what the server holds now as proven. Nothing is written there."),
        permission=WORK,
        submit_text=_("Take over"),
        form_class=ReasonForm,
        offered_when=decisions.can_adopt,
    )
    def adopt(self, request: HttpRequest, form: DialogForm, row: RemoteRecord) -> str:
        decisions.adopt_record(row, user=request.user, note=form.cleaned_data["reason"])
        return _t("Taken over.")


class ShownFilter(RadioFilter):
    """The open ones, unless others are asked for: what is settled is history."""

    title = _("state")
    parameter_name = "show"
    all_option = None

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        settled = [(str(state.value), state.label) for state in DifferenceState if state != DifferenceState.OPEN]
        return [(OPEN, _("Open")), (SETTLED, _("Settled")), (ALL, _("All")), *settled]

    def value(self) -> str:
        return super().value() or OPEN

    def queryset(self, request: HttpRequest, queryset: QuerySet[Difference]) -> QuerySet[Difference]:
        shown = self.value()
        if shown == SETTLED:
            return queryset.exclude(state=DifferenceState.OPEN)
        return queryset.filter(state=shown) if shown in DifferenceState else queryset


@admin.register(Difference)
class DifferenceAdmin(IndexedSearchAdmin):
    """What changed in Taiga after it was claimed for an invoice; a row opens the page that settles it.

    The sums are of the open ones alone, whatever else is listed.
    """

    list_display = ("what", "noticed", "hours_change", "amount_change", "state_cell")
    list_display_links = None
    list_filter = (
        ShownFilter,
        ("entry__client", RelatedDropdownFilter),
        ("item__project", RelatedDropdownFilter),
    )
    list_before_template = "sync/_difference_head.html"
    reference_field = "=item__ref"
    search_fields = ("item__subject", "=item__ref")
    search_help_text = _("Subject or reference")
    list_select_related = ("item__project", "entry__client")
    secondary_columns = ("noticed",)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """With the way from the open ones to those that are settled, and back."""
        shown = request.GET.get("show") or OPEN
        ways = [(OPEN, _t("Open")), (SETTLED, _t("Settled")), (ALL, _t("All"))]
        about = {"shown": shown, "ways": ways}
        return super().changelist_view(request, {**(extra_context or {}), **about})

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """The kit's template of an empty list gets nothing but the list itself: what it says then is put there."""
        shown, found = request.GET.get("show") or OPEN, super().get_changelist_instance(request)
        found.empty_heading = {OPEN: _t("No open differences"), SETTLED: _t("No settled differences")}.get(shown, "")
        found.empty_sentence = _t(
            "What somebody changes in Taiga after it was billed appears here, with the money and what can be done."
        )
        found.is_whole_list = set(request.GET) <= {"show"} and shown in (OPEN, SETTLED, ALL)
        return found

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        """The page that settles it is the page of a difference; nothing is posted here."""
        if request.method != "GET" or number_of(object_id) is None or not self.has_view_permission(request):
            return super().change_view(request, object_id, *args, **kwargs)
        return HttpResponseRedirect(reverse("admin:sync_difference_decide", args=[object_id]))

    def get_list_totals(self, request: HttpRequest, rows: QuerySet[Difference]) -> list[tuple[str, str]]:
        sums = (
            rows.filter(state=DifferenceState.OPEN)
            .values("currency")
            .annotate(more=Sum("amount", filter=Q(amount__gt=0)), less=Sum("amount", filter=Q(amount__lt=0)))
        )
        lines = []
        for row in sums.order_by("currency"):
            for words, amount in (
                (_t("Open, to bill, before tax"), row["more"]),
                (_t("Open, to give back"), row["less"]),
            ):
                if amount:
                    lines.append((words, formats.money(amount, row["currency"], is_signed=True)))
        return lines

    @display(description=_("Item"), ordering="item__ref")
    def what(self, row: Difference) -> SafeString:
        return format_html(
            '<a class="bc-row-link" href="{}">{}</a><span class="bc-sub">{} · {} · {}</span>',
            reverse("admin:sync_difference_decide", args=[row.pk]),
            row.item,
            row.item.place,
            row.entry.client,
            row.sentence,
        )

    @display(description=_("Noticed"), ordering="noticed_at")
    def noticed(self, row: Difference) -> str:
        return moment(row.noticed_at)

    @display(description=_("Hours"))
    def hours_change(self, row: Difference) -> SafeString:
        return formats.cell(formats.hours(row.hours_now - row.billed_hours, is_signed=True))

    @display(description=_("Before tax"), ordering="amount")
    def amount_change(self, row: Difference) -> SafeString:
        return formats.cell(formats.money(row.amount, row.currency, is_signed=True))

    @display(description=_("State"), ordering="state")
    def state_cell(self, row: Difference) -> SafeString:
        return badge(row.state, row.get_state_display())


@admin.register(UpstreamPin)
class UpstreamPinAdmin(ReadOnlyModelAdmin):
    """Which servers the console's ids belong to; nothing is written while a new one is not confirmed."""

    list_display = ("server", "base_url", "identity", "is_paused", "pause_reason", "checked_at")
    actions_detail = ("confirm_server",)

    def shown_of(self, row: UpstreamPin) -> as_shown.Words:
        return as_shown.pin(row)

    @dialog_action(
        title=_("Confirm the new server…"),
        description=_(
            "Only do this when it is the same data under a new address. Its ids mean other things elsewhere."
        ),
        permission=ADMINISTER,
        submit_text=_("Confirm and write again"),
    )
    def confirm_server(self, request: HttpRequest, form: DialogForm, row: UpstreamPin) -> str:
        upstreams.confirm_pin(row, user=request.user, note=form.cleaned_data["reason"])
        return _t("Confirmed; writing goes on.")
