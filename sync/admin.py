"""Lists and forms of what lies between Taiga and Invoice Ninja. Nothing is typed here: acts go through services."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.db.models import Count, Model, QuerySet, Sum
from django.http import HttpRequest, HttpResponse
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
    JournalModelAdmin,
    RangeDateFilter,
    RangeDateTimeFilter,
    ReadOnlyModelAdmin,
    ReasonForm,
    RelatedDropdownFilter,
    badge,
    dialog_action,
    display,
)
from billing_console.errors import ConsoleError
from billing_console.states import EntryState
from sync import attention, decisions, entries, entry_page, upstreams
from sync.admin_views import AttentionPage  # noqa: F401 -- puts the page on the site
from sync.models import (
    Difference,
    RejectedDelivery,
    RemoteRecord,
    TimeEntry,
    UpstreamCall,
    UpstreamPin,
    WebhookDelivery,
)

WORK = "sync.work_timeentry"
ADMINISTER = "sync.change_upstreampin"


def _is_held(entry: TimeEntry) -> bool:
    return entry.state == EntryState.HELD


def _is_waiting(entry: TimeEntry) -> bool:
    return entry.state in entries.WAITING


def _is_holdable(entry: TimeEntry) -> bool:
    return _is_waiting(entry) and not entry.held_by_person


def _is_confirmable(entry: TimeEntry) -> bool:
    return _is_held(entry) and entry.reason in attention.CONFIRMABLE


def _is_final(entry: TimeEntry) -> bool:
    return entry.state in entries.FINAL


@admin.register(TimeEntry)
class TimeEntryAdmin(ReadOnlyModelAdmin):
    """What was worked, where is it, why this amount?"""

    list_display = ("task", "person", "day", "raw_to_billed", "rate_cell", "amount_cell", "state_cell")
    list_display_links = ("task",)
    list_filter = (
        ("state", ChoicesCheckboxFilter),
        "reason",
        ("client", RelatedDropdownFilter),
        ("project", RelatedDropdownFilter),
        ("person", RelatedDropdownFilter),
        ("work_date", RangeDateFilter),
        "item__closing_found_by",
    )
    secondary_columns = ("person", "rate_cell")
    search_fields = ("item__subject", "item__ref", "remote_task__our_key")
    search_help_text = _("Task, its reference, or its number in Invoice Ninja")
    list_select_related = ("item", "client", "project", "person", "rule_set")
    actions = ("try_again",)
    actions_detail = ("hold", "release", "confirm", "exclude_for_good", "include", "write_off", "try_entry_again")
    fields = ()
    change_form_before_template = "sync/entry.html"

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        entry = self._entry(object_id)
        page = entry_page.context_of(entry) if entry else {}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **page})

    def get_list_totals(self, request: HttpRequest, rows: QuerySet[TimeEntry]) -> list[tuple[str, str]]:
        sums = rows.values("currency").annotate(count=Count("pk"), hours=Sum("billed_hours"), amount=Sum("amount"))
        totals = list(sums.order_by("currency"))
        lines = [(_t("Entries"), str(sum(row["count"] for row in totals)))]
        hours = sum((row["hours"] for row in totals if row["hours"]), start=0)
        lines.append((_t("Billed hours"), formats.hours(hours or None)))
        lines += [(_t("Before tax"), formats.money(row["amount"], row["currency"])) for row in totals if row["amount"]]
        return lines

    @staticmethod
    def _entry(object_id: str) -> TimeEntry | None:
        rows = TimeEntry.objects.select_related(
            "item__project", "client", "project", "person", "rule_set", "remote_task"
        )
        return rows.filter(pk=object_id).first() if str(object_id).isdecimal() else None

    @display(description=_("Task"), ordering="item__ref")
    def task(self, entry: TimeEntry) -> SafeString:
        place = " · ".join(str(part) for part in (entry.project, entry.client) if part)
        return format_html('#{} {}<span class="bc-sub">{}</span>', entry.item.ref, entry.item.subject, place)

    @display(description=_("Worked"), ordering="work_date")
    def day(self, entry: TimeEntry) -> str:
        return formats.day(entry.work_date)

    @display(description=_("Raw → billed"), ordering="billed_hours")
    def raw_to_billed(self, entry: TimeEntry) -> SafeString:
        return formats.raw_to_billed(entry.raw_hours, entry.billed_hours)

    @display(description=_("Rate"), ordering="rate")
    def rate_cell(self, entry: TimeEntry) -> SafeString:
        return formats.cell(formats.rate(entry.rate, entry.currency))

    @display(description=_("Before tax"), ordering="amount")
    def amount_cell(self, entry: TimeEntry) -> SafeString:
        return formats.cell(formats.money(entry.amount, entry.currency))

    @display(description=_("State"), ordering="state")
    def state_cell(self, entry: TimeEntry) -> SafeString:
        why = entry.reason_sentence if entry.state == "held" else ""
        return format_html('{}<span class="bc-sub">{}</span>', badge(entry.state, entry.get_state_display()), why)

    @admin.action(description=_("Try again"), permissions=["work"])
    def try_again(self, request: HttpRequest, queryset: QuerySet[TimeEntry]) -> None:
        """Read the selected entries' items again; nothing else changes, so there is nothing to confirm."""
        tried = 0
        for entry in queryset.select_related("item"):
            try:
                attention.try_again(entry, user=request.user)
                tried += 1
            except ConsoleError as error:
                messages.warning(request, f"{entry}: {error.sentence}")
        messages.success(
            request,
            ngettext("%(count)d entry is read again.", "%(count)d entries are read again.", tried) % {"count": tried},
        )

    def has_work_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(WORK)

    @dialog_action(title=_("Hold…"), offered_when=_is_holdable, permission=WORK, submit_text=_("Hold"))
    def hold(self, request: HttpRequest, form: DialogForm, object_id: str) -> str:
        attention.hold_entry(self._found(object_id), user=request.user, note=form.cleaned_data["reason"])
        return _t("Held until you release it.")

    @dialog_action(title=_("Release…"), offered_when=_is_held, permission=WORK, submit_text=_("Release"))
    def release(self, request: HttpRequest, form: DialogForm, object_id: str) -> str:
        attention.release_entry(self._found(object_id), user=request.user, note=form.cleaned_data["reason"])
        return _t("Released.")

    @dialog_action(title=_("Confirm value…"), offered_when=_is_confirmable, permission=WORK, submit_text=_("Confirm"))
    def confirm(self, request: HttpRequest, form: DialogForm, object_id: str) -> str:
        attention.confirm_entry(self._found(object_id), user=request.user, note=form.cleaned_data["reason"])
        return _t("Confirmed.")

    @dialog_action(title=_("Exclude…"), offered_when=_is_waiting, permission=WORK, submit_text=_("Exclude for good"))
    def exclude_for_good(self, request: HttpRequest, form: DialogForm, object_id: str) -> str:
        attention.exclude_entry(self._found(object_id), user=request.user, note=form.cleaned_data["reason"])
        return _t("Excluded; it is never billed by the console.")

    @dialog_action(title=_("Take back…"), offered_when=_is_final, permission=WORK, submit_text=_("Bill it after all"))
    def include(self, request: HttpRequest, form: DialogForm, object_id: str) -> str:
        attention.include_entry(self._found(object_id), user=request.user, note=form.cleaned_data["reason"])
        return _t("Evaluated again.")

    @dialog_action(title=_("Write off…"), offered_when=_is_waiting, permission=WORK, submit_text=_("Write off"))
    def write_off(self, request: HttpRequest, form: DialogForm, object_id: str) -> str:
        attention.write_off_entry(self._found(object_id), user=request.user, note=form.cleaned_data["reason"])
        return _t("Written off.")

    @dialog_action(
        title=_("Read again…"),
        offered_when=_is_held,
        permission=WORK,
        submit_text=_("Read again"),
        form_class=DialogForm,
    )
    def try_entry_again(self, request: HttpRequest, form: DialogForm, object_id: str) -> str:
        attention.try_again(self._found(object_id), user=request.user)
        return _t("It is read again from Taiga.")

    def _found(self, object_id: str) -> TimeEntry:
        entry = self._entry(object_id)
        if entry is None:
            raise ConsoleError(_t("This entry is gone."))
        return entry


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(JournalModelAdmin):
    """What came in, and what became of it."""

    list_display = ("what", "by_username", "received", "verdict", "state_cell", "duplicates")
    list_display_links = ("what",)
    list_filter = (
        ("state", ChoicesCheckboxFilter),
        ("verdict", ChoicesCheckboxFilter),
        ("received_at", RangeDateTimeFilter),
    )
    search_fields = ("=item_ref", "=fingerprint")
    search_help_text = _("Reference of the task, or fingerprint")
    fields = (
        ("event_type", "action", "verdict"),
        ("item_kind", "item_ref", "item_subject", "item_taiga_id"),
        ("taiga_project_id", "project_mapping", "by_username"),
        ("received_at", "event_at", "processed_at", "remote_address"),
        ("state", "attempts", "not_before", "duplicates"),
        "error",
        "fingerprint",
        "pretty_headers",
        "pretty_body",
    )
    readonly_fields = ("pretty_headers", "pretty_body")
    actions_detail = ("process_again",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[WebhookDelivery]:
        rows = super().get_queryset(request)
        return rows if request.resolver_match and request.resolver_match.kwargs else rows.defer("raw_body", "headers")

    @display(description=_("Delivery"))
    def what(self, row: WebhookDelivery) -> SafeString:
        about = f"#{row.item_ref} {row.item_subject}" if row.item_ref else ""
        return format_html('{} {}<span class="bc-sub">{}</span>', row.event_type, row.action, about)

    @display(description=_("Received"), ordering="id")
    def received(self, row: WebhookDelivery) -> str:
        return _moment(row.received_at)

    @display(description=_("State"), ordering="state")
    def state_cell(self, row: WebhookDelivery) -> SafeString:
        return format_html('{}<span class="bc-sub">{}</span>', badge(row.state, row.get_state_display()), row.error)

    @display(description=_("Headers"))
    def pretty_headers(self, row: WebhookDelivery) -> SafeString:
        return format_html(
            "<pre>{}</pre>", "\n".join(f"{name}: {value}" for name, value in sorted(row.headers.items()))
        )

    @display(description=_("Body"))
    def pretty_body(self, row: WebhookDelivery) -> SafeString:
        return format_html("<pre>{}</pre>", bytes(row.raw_body).decode("utf-8", "replace"))

    @dialog_action(title=_("Process again…"), permission=WORK, submit_text=_("Process again"), form_class=DialogForm)
    def process_again(self, request: HttpRequest, form: DialogForm, object_id: str) -> str:
        attention.process_again(_row(WebhookDelivery, object_id), user=request.user)
        return _t("It is processed again.")


@admin.register(RejectedDelivery)
class RejectedDeliveryAdmin(JournalModelAdmin):
    """Attempts that were refused, per address and minute."""

    list_display = ("remote_address", "minute", "reason", "count")


@admin.register(UpstreamCall)
class UpstreamCallAdmin(JournalModelAdmin):
    """What we asked, and what was answered; no body, no secret."""

    list_display = ("call", "outcome", "duration", "when", "item_link")
    list_display_links = ("call",)
    list_filter = ("upstream", "method", ("at", RangeDateTimeFilter))
    search_fields = ("=correlation_id", "path")
    list_select_related = ("item",)

    @display(description=_("Call"))
    def call(self, row: UpstreamCall) -> SafeString:
        return format_html('{} {}<span class="bc-sub">{}</span>', row.method, row.path, row.upstream)

    @display(description=_("Outcome"), ordering="status")
    def outcome(self, row: UpstreamCall) -> SafeString:
        return badge("error" if row.error else "ok", f"{row.status or ''} {row.error}".strip())

    @display(description=_("Duration"), ordering="duration_ms")
    def duration(self, row: UpstreamCall) -> str:
        return f"{row.duration_ms} ms"

    @display(description=_("When"), ordering="id")
    def when(self, row: UpstreamCall) -> str:
        return _moment(row.at)

    @display(description=_("Task"))
    def item_link(self, row: UpstreamCall) -> SafeString | str:
        if row.item is None:
            return formats.NOTHING
        url = reverse("admin:sync_timeentry_changelist")
        return format_html('<a href="{}?q={}">#{}</a>', url, row.item.ref, row.item.ref)


@admin.register(RemoteRecord)
class RemoteRecordAdmin(ReadOnlyModelAdmin):
    """What is ours in Invoice Ninja and in Taiga: what we want there, what is proven to be there."""

    list_display = ("our_key", "kind", "remote_id", "state_cell", "attempts", "next_try", "item")
    list_filter = (("state", ChoicesCheckboxFilter), "kind", "server")
    search_fields = ("our_key", "=remote_id")
    list_select_related = ("item",)
    fields = (
        ("server", "kind", "our_key", "remote_id"),
        ("state", "reason", "sentence"),
        ("attempts", "not_before", "state_since"),
        ("revision", "synced_revision", "seen_at"),
        "desired",
        "seen",
        "item",
    )
    actions_detail = ("try_record_again", "adopt")

    @display(description=_("State"), ordering="state")
    def state_cell(self, row: RemoteRecord) -> SafeString:
        return format_html('{}<span class="bc-sub">{}</span>', badge(row.state, row.get_state_display()), row.sentence)

    @display(description=_("Next try"), ordering="not_before")
    def next_try(self, row: RemoteRecord) -> str:
        return _moment(row.not_before)

    @dialog_action(title=_("Try again…"), permission=WORK, submit_text=_("Try again"), form_class=DialogForm)
    def try_record_again(self, request: HttpRequest, form: DialogForm, object_id: str) -> str:
        attention.try_again(_row(RemoteRecord, object_id), user=request.user)
        return _t("It is tried again.")

    @dialog_action(
        title=_("It is right as it is there…"),
        description=_("Takes over what the server holds now as proven. Nothing is written there."),
        permission=WORK,
        submit_text=_("Take over"),
        form_class=ReasonForm,
    )
    def adopt(self, request: HttpRequest, form: DialogForm, object_id: str) -> str:
        decisions.adopt_record(_row(RemoteRecord, object_id), user=request.user, note=form.cleaned_data["reason"])
        return _t("Taken over.")


@admin.register(Difference)
class DifferenceAdmin(ReadOnlyModelAdmin):
    """What changed in Taiga after it was claimed for an invoice."""

    list_display = ("what", "noticed", "hours_change", "amount_change", "state_cell")
    list_display_links = ("what",)
    list_filter = (("state", ChoicesCheckboxFilter),)
    list_select_related = ("item", "entry")
    actions_detail = ("ignore",)

    @display(description=_("Task"))
    def what(self, row: Difference) -> SafeString:
        return format_html('{}<span class="bc-sub">{}</span>', row.item, row.sentence)

    @display(description=_("Noticed"), ordering="noticed_at")
    def noticed(self, row: Difference) -> str:
        return _moment(row.noticed_at)

    @display(description=_("Hours"))
    def hours_change(self, row: Difference) -> SafeString:
        return formats.cell(formats.hours(row.hours_now - row.billed_hours, is_signed=True))

    @display(description=_("Before tax"), ordering="amount")
    def amount_change(self, row: Difference) -> SafeString:
        return formats.cell(formats.money(row.amount, row.currency, is_signed=True))

    @display(description=_("State"), ordering="state")
    def state_cell(self, row: Difference) -> SafeString:
        return badge(row.state, row.get_state_display())

    @dialog_action(title=_("Ignore…"), permission="invoicing.approve_invoice", submit_text=_("Ignore"))
    def ignore(self, request: HttpRequest, form: DialogForm, object_id: str) -> str:
        decisions.ignore_difference(_row(Difference, object_id), user=request.user, note=form.cleaned_data["reason"])
        return _t("Ignored, with your reason.")


@admin.register(UpstreamPin)
class UpstreamPinAdmin(ReadOnlyModelAdmin):
    """Which servers the console's ids belong to; nothing is written while a new one is not confirmed."""

    list_display = ("server", "base_url", "identity", "is_paused", "pause_reason", "checked_at")
    actions_detail = ("confirm_server",)

    @dialog_action(
        title=_("Confirm the new server…"),
        description=_(
            "Only do this when it is the same data under a new address. Its ids mean other things elsewhere."
        ),
        permission=ADMINISTER,
        submit_text=_("Confirm and write again"),
    )
    def confirm_server(self, request: HttpRequest, form: DialogForm, object_id: str) -> str:
        upstreams.confirm_pin(_row(UpstreamPin, object_id), user=request.user, note=form.cleaned_data["reason"])
        return _t("Confirmed; writing goes on.")


def _row(model: type[Model], object_id: str) -> Any:
    row = model._default_manager.filter(pk=object_id).first() if str(object_id).isdecimal() else None  # type: ignore[misc]
    if row is None:
        raise ConsoleError(_t("This row is gone. Reload the list."))
    return row


def _moment(instant: Any) -> str:
    return formats.moment(instant, settings.BILLING_TIMEZONE)
