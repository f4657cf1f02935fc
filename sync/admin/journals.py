"""What came in and what we asked: deliveries, refused ones, calls. Newest first, never counted."""

from __future__ import annotations

from django.contrib import admin, messages
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest
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
    RangeDateFilter,
    RangeDateTimeFilter,
    badge,
    dialog_action,
    display,
)
from billing_console.journal_admin import JournalModelAdmin
from mappings.models import ProjectMapping
from sync import as_shown, attention
from sync.admin.common import WORK, moment
from sync.models import (
    CallSummary,
    RejectedDelivery,
    UpstreamCall,
    WebhookDelivery,
)
from sync.models.items import place_of


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(JournalModelAdmin):
    """What came in, and what became of it."""

    list_display = ("what", "by_username", "received", "verdict", "state_cell", "again")
    list_display_links = ("what",)
    list_filter = (
        ("state", ChoicesCheckboxFilter),
        ("verdict", ChoicesCheckboxFilter),
        ("received_at", RangeDateTimeFilter),
    )
    reference_field = "=item_ref"
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
    actions = ("process_selected_again",)
    acts_at_once = True
    actions_detail = ("process_again",)

    def shown_of(self, row: WebhookDelivery) -> as_shown.Words:
        return as_shown.delivery(row)

    def get_queryset(self, request: HttpRequest) -> QuerySet[WebhookDelivery]:
        named = ProjectMapping.objects.filter(taiga_project_id=OuterRef("taiga_project_id"))
        rows = super().get_queryset(request).annotate(of_project=Subquery(named.values("taiga_project_name")[:1]))
        return rows if request.resolver_match and request.resolver_match.kwargs else rows.defer("raw_body", "headers")

    @display(description=_("Delivery"))
    def what(self, row: WebhookDelivery) -> SafeString:
        about = f"#{row.item_ref} {row.item_subject}" if row.item_ref else ""
        place = place_of(row.of_project, row.taiga_project_id)  # type: ignore[attr-defined]
        words = " · ".join(part for part in (about, place) if part)
        return format_html('{} {}<span class="bc-sub">{}</span>', row.event_type, row.action, words)

    @display(description=_("Received"), ordering="id")
    def received(self, row: WebhookDelivery) -> str:
        return moment(row.received_at)

    @display(description=_("State"), ordering="state")
    def state_cell(self, row: WebhookDelivery) -> SafeString:
        return format_html('{}<span class="bc-sub">{}</span>', badge(row.state, row.get_state_display()), row.error)

    @display(description=_("Received again"), ordering="duplicates")
    def again(self, row: WebhookDelivery) -> str:
        return str(row.duplicates) if row.duplicates else formats.NOTHING

    @display(description=_("Headers"))
    def pretty_headers(self, row: WebhookDelivery) -> SafeString:
        return format_html(
            "<pre>{}</pre>", "\n".join(f"{name}: {value}" for name, value in sorted(row.headers.items()))
        )

    @display(description=_("Body"))
    def pretty_body(self, row: WebhookDelivery) -> SafeString:
        return format_html("<pre>{}</pre>", bytes(row.raw_body).decode("utf-8", "replace"))

    def has_work_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(WORK)

    @admin.action(description=_("Process again"), permissions=["work"])
    def process_selected_again(self, request: HttpRequest, queryset: QuerySet[WebhookDelivery]) -> None:
        """Process the selected deliveries again: each only has its item read, so there is nothing to confirm."""
        again = self.act_on_selected(request, queryset.defer("raw_body", "headers"), attention.process_again)
        words = ngettext("%(count)d delivery is processed again.", "%(count)d deliveries are processed again.", again)
        messages.success(request, words % {"count": again})

    @dialog_action(title=_("Process again…"), permission=WORK, submit_text=_("Process again"), form_class=DialogForm)
    def process_again(self, request: HttpRequest, form: DialogForm, row: WebhookDelivery) -> str:
        attention.process_again(row, user=request.user)
        return _t("It is processed again.")


@admin.register(CallSummary)
class CallSummaryAdmin(JournalModelAdmin):
    """What is left of calls that were thrown away: how many a day, by server, method and status."""

    list_display = ("day", "upstream", "method", "status", "calls", "mean")
    list_filter = ("upstream", "method", ("day", RangeDateFilter))

    @display(description=_("Mean duration"))
    def mean(self, row: CallSummary) -> str:
        return f"{row.total_ms // max(row.calls, 1)} ms"


@admin.register(RejectedDelivery)
class RejectedDeliveryAdmin(JournalModelAdmin):
    """Attempts that were refused, per address and minute."""

    list_display = ("remote_address", "minute", "reason", "count")


@admin.register(UpstreamCall)
class UpstreamCallAdmin(JournalModelAdmin):
    """What we asked, and what was answered; no body, no secret."""

    list_display = ("call", "outcome", "duration", "attempt", "when", "item_link")
    list_display_links = ("call",)
    list_filter = ("upstream", "method", ("at", RangeDateTimeFilter))
    search_fields = ("=correlation_id", "^path")
    search_help_text = _("Beginning of a path, or correlation id")
    list_select_related = ("item__project",)

    @display(description=_("Call"))
    def call(self, row: UpstreamCall) -> SafeString:
        return format_html('{} {}<span class="bc-sub">{}</span>', row.method, row.path, row.get_upstream_display())

    @display(description=_("Outcome"), ordering="status")
    def outcome(self, row: UpstreamCall) -> SafeString:
        return badge("error" if row.error else "ok", f"{row.status or ''} {row.error}".strip())

    @display(description=_("Duration"), ordering="duration_ms")
    def duration(self, row: UpstreamCall) -> str:
        return f"{row.duration_ms} ms"

    @display(description=_("When"), ordering="id")
    def when(self, row: UpstreamCall) -> str:
        return moment(row.at)

    @display(description=_("Item"))
    def item_link(self, row: UpstreamCall) -> SafeString | str:
        if row.item is None:
            return formats.NOTHING
        url = reverse("admin:sync_timeentry_changelist")
        link = format_html('<a href="{}?q={}">#{}</a>', url, row.item.ref, row.item.ref)
        return format_html('{}<span class="bc-sub">{}</span>', link, row.item.place)
