"""The sidebar: four groups, only pages that exist and that the person may open, with what waits as numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.db.models import Count, Value
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.functional import Promise
from django.utils.html import conditional_escape
from django.utils.translation import gettext_lazy as _

from billing_console.cached import remember
from billing_console.states import DifferenceState, InvoiceState, ReminderState
from invoicing import bouncing, releasing
from invoicing.models import Invoice, Reminder
from sync.attention import held, stuck_writes, unreadable_items
from sync.models import Difference


@dataclass(frozen=True)
class Item:
    """One line of the sidebar: the first of `names` (URL names) that exists, with `query` behind it.

    `count` is the key of `waiting_counts` whose number stands beside it, in the colour of `variant`.
    """

    title: str | Promise
    icon: str
    names: tuple[str, ...]
    permission: str
    query: tuple[tuple[str, str], ...] = ()
    count: str = ""
    variant: str = "primary"


_DRAFTS = (("state__exact", InvoiceState.DRAFT.value),)
GROUPS: tuple[tuple[str | Promise, tuple[Item, ...]], ...] = (
    (
        _("Today"),
        (
            Item(_("Work list"), "checklist", ("admin:index",), ""),
            Item(
                _("Needs attention"),
                "error",
                ("admin:sync_attention", "admin:sync_timeentry_attention"),
                "sync.view_timeentry",
                count="attention",
                variant="warning",
            ),
            Item(
                _("Drafts to review"),
                "rate_review",
                ("admin:invoicing_invoice_changelist",),
                "invoicing.view_invoice",
                _DRAFTS,
                count="drafts",
            ),
            Item(
                _("Differences"),
                "difference",
                ("admin:sync_difference_changelist",),
                "sync.view_difference",
                count="differences",
                variant="warning",
            ),
        ),
    ),
    (
        _("Bill"),
        (
            Item(_("Runs"), "event_repeat", ("admin:invoicing_invoicerun_changelist",), "invoicing.view_invoicerun"),
            Item(_("Invoices"), "receipt_long", ("admin:invoicing_invoice_changelist",), "invoicing.view_invoice"),
            Item(_("Payments"), "payments", ("admin:invoicing_payment_changelist",), "invoicing.view_payment"),
            Item(
                _("Reminders"),
                "notifications_active",
                ("admin:invoicing_reminders",),
                "invoicing.view_reminder",
                count="reminders",
                variant="warning",
            ),
            Item(_("Credits"), "undo", ("admin:invoicing_credit_changelist",), "invoicing.view_credit"),
        ),
    ),
    (
        _("Work"),
        (
            Item(_("Time entries"), "schedule", ("admin:sync_timeentry_changelist",), "sync.view_timeentry"),
            Item(_("Unmapped"), "help_center", ("admin:sync_unmapped",), "sync.view_workitem"),
            Item(_("Reports"), "monitoring", ("admin:invoicing_reports",), "invoicing.view_invoice"),
            Item(_("Reconciliation"), "balance", ("admin:invoicing_reconcile",), "invoicing.view_invoice"),
            Item(_("Closed months"), "event_available", ("admin:invoicing_closings",), "invoicing.view_closing"),
        ),
    ),
    (
        _("Set-up"),
        (
            Item(
                _("Projects"), "folder", ("admin:mappings_projectmapping_changelist",), "mappings.view_projectmapping"
            ),
            Item(_("Connect"), "cable", ("admin:sync_provision",), "sync.change_upstreampin"),
            Item(_("Clients"), "apartment", ("admin:mappings_client_changelist",), "mappings.view_client"),
            Item(_("People"), "group", ("admin:mappings_person_changelist",), "mappings.view_person"),
            Item(_("Rates"), "euro", ("admin:mappings_rate_changelist",), "mappings.view_rate"),
            Item(_("Rule sets"), "rule", ("admin:mappings_ruleset_changelist",), "mappings.view_ruleset"),
            Item(_("Company"), "business_center", ("admin:mappings_company_changelist",), "mappings.view_company"),
            Item(_("Import and export"), "import_export", ("admin:mappings_configuration",), "mappings.change_company"),
            Item(_("Doctor"), "stethoscope", ("admin:doctor",), "sync.view_doctorcheck"),
            Item(_("Coverage"), "radar", ("admin:sync_coverage",), "sync.view_workitem"),
            Item(
                _("Deliveries"),
                "inbox",
                ("admin:sync_webhookdelivery_changelist",),
                "sync.view_webhookdelivery",
            ),
            Item(_("Calls"), "swap_horiz", ("admin:sync_upstreamcall_changelist",), "sync.view_upstreamcall"),
            Item(_("Remote records"), "cloud_sync", ("admin:sync_remoterecord_changelist",), "sync.view_remoterecord"),
            Item(_("Pauses"), "pause_circle", ("admin:sync_upstreamgate_changelist",), "sync.view_upstreamgate"),
            Item(_("Alarms"), "notifications", ("admin:sync_alarm_changelist",), "sync.view_alarm"),
            Item(_("Servers"), "dns", ("admin:sync_upstreampin_changelist",), "sync.view_upstreampin"),
            Item(
                _("Schedules"),
                "event",
                ("admin:django_celery_beat_periodictask_changelist",),
                "django_celery_beat.view_periodictask",
            ),
            Item(_("Users"), "manage_accounts", ("admin:accounts_user_changelist",), "accounts.view_user"),
        ),
    ),
)


def sidebar(request: HttpRequest) -> list[dict[str, Any]]:
    """The navigation as the kit takes it. At most one query, and none while the numbers are new enough."""
    counts = waiting_counts() if request.user.has_perm("sync.view_timeentry") else {}
    groups: list[dict[str, Any]] = []
    for title, items in GROUPS:
        shown = [_entry(request, item, counts) for item in items if link(item.names)]
        if shown:
            groups.append({"title": title, "separator": bool(groups), "items": shown})
    return groups


def link(names: Sequence[str], *args: Any, query: Sequence[tuple[str, str]] = ()) -> str:
    """The address of the first of the URL names that exists, or "" when none does."""
    for name in names:
        try:
            address = reverse(name, args=args)
        except NoReverseMatch:
            continue
        return f"{address}?{urlencode(query)}" if query else address
    return ""


def waiting_counts() -> dict[str, int]:
    """How much of each kind waits for a person; at most WAITING_COUNT_SECONDS old."""
    return remember("console.waiting", settings.WAITING_COUNT_SECONDS, count_waiting)


def count_waiting() -> dict[str, int]:
    """The same, counted now, in one query. "attention" is whatever waits for a person on Needs attention."""
    ended = Invoice.objects.filter(pk__in=releasing.undecided().values("pk"))
    parts = [
        rows.order_by().values(what=Value(what)).annotate(count=Count("pk")).values_list("what", "count")
        for what, rows in (
            ("attention", held()),
            ("attention", stuck_writes()),
            ("attention", unreadable_items()),
            ("attention", releasing.blocked()),
            ("attention", ended),
            ("attention", bouncing.asking()),
            ("drafts", Invoice.objects.filter(state=InvoiceState.DRAFT)),
            ("differences", Difference.objects.filter(state=DifferenceState.OPEN)),
            ("reminders", Reminder.objects.filter(state=ReminderState.ATTENTION)),
        )
    ]
    counts: Counter[str] = Counter()
    for what, count in parts[0].union(*parts[1:], all=True):
        counts[what] += count
    return dict(counts)


def _entry(request: HttpRequest, item: Item, counts: dict[str, int]) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "title": conditional_escape(str(item.title)),  # the kit prints it with |safe
        "icon": item.icon,
        "link": link(item.names, query=item.query),
        "permission": _may(item.permission),
        "active": _is_active(request, item),
    }
    if number := counts.get(item.count):
        entry |= {"badge": number, "badge_variant": item.variant}
    return entry


def _may(permission: str) -> Callable[[HttpRequest], bool]:
    def is_allowed(request: HttpRequest) -> bool:
        return bool(not permission or request.user.has_perm(permission))

    return is_allowed


def _is_active(request: HttpRequest, item: Item) -> bool:
    address = link(item.names)
    if address == reverse("admin:index"):
        return request.path == address
    if item.query:
        return request.path == address and all(request.GET.getlist(key) == [value] for key, value in item.query)
    is_drafts = any(request.GET.getlist(key) == [value] for key, value in _DRAFTS)
    return request.path.startswith(address) and not (is_drafts and request.path.endswith("/invoice/"))
