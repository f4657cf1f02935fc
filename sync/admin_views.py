"""The page "Needs attention": what is stuck, why, what do I click? Grouped by reason, most money first."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext, gettext_lazy, ngettext

from billing_console import clock, formats, shown
from billing_console.admin_base import PageView, act_on_shown, site_page
from billing_console.light import light
from billing_console.states import EntryState, Reason
from sync import as_shown, attention, decisions, hooks, links, reasons, weeks
from sync.models import RecordKind, RemoteRecord, TimeEntry, WorkItem

SHOWN_PER_GROUP = 200
WEEKS_SHOWN = 13


@dataclass
class Write:
    """One write that is stuck, and the place to mend it; "" where its own page is the place."""

    record: RemoteRecord
    mend_url: str = ""
    mend_words: str = ""


@dataclass
class Row:
    """One held entry: what it is, the raw value quoted, its age and its money, and the place to mend it."""

    entry: TimeEntry
    money: str
    age: str
    mend_url: str
    mend_words: str


@dataclass
class Group:
    """All entries held for one reason; one mended mapping may free them all."""

    reason: str
    name: str
    rows: list[Row] = field(default_factory=list)
    shown_field: SafeString = SafeString()
    amounts: dict[str, Decimal] = field(default_factory=dict)

    @property
    def confirm_url(self) -> str:
        """Where a brake is confirmed for all of them; "" for every other reason."""
        return f"{reverse('admin:sync_confirm_brake')}?brake={self.reason}" if self.reason in attention.BRAKES else ""

    @property
    def count(self) -> int:
        """How many entries wait."""
        return len(self.rows)

    @property
    def money(self) -> str:
        """What they would be worth as far as that is known, one figure a currency, before tax."""
        return " + ".join(formats.money(amount, currency) for currency, amount in sorted(self.amounts.items()))

    @property
    def weight(self) -> Decimal:
        """Most money first; several currencies simply add up, this only orders."""
        return sum(self.amounts.values(), Decimal(0))


@site_page("sync/attention/", "sync_attention")
class AttentionPage(PageView):
    """GET shows; POST reads the items of a group again, those that could not be read, or tries stuck writes again."""

    template_name = "sync/attention.html"
    permission = "sync.view_timeentry"
    act_permission = "sync.work_timeentry"
    title = gettext_lazy("Needs attention")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        about = ("item__project", "client", "project", "person")
        waiting = light(attention.waiting_by_themselves(), "item").select_related(*about)
        calm = group_by_reason(waiting.order_by("state_since")[:SHOWN_PER_GROUP])
        stuck = light(attention.stuck_writes(), "item").select_related("item__project")
        unreadable = light(attention.unreadable_items()).select_related("project").order_by("dirty_at")
        writes = list(stuck.order_by("state_since")[:SHOWN_PER_GROUP])
        pages = hooks.record_pages(writes)
        today = clock.today(settings.BILLING_TIMEZONE)
        items = list(unreadable[:SHOWN_PER_GROUP])
        groups = group_by_reason(light(attention.held(), "item").select_related(*about).order_by("state_since")[:1000])
        for group in groups:
            entries = [row.entry for row in group.rows[:SHOWN_PER_GROUP]]
            group.shown_field = _shown(group.reason, entries, as_shown.waiting)
        return super().get_context_data(
            groups=groups,
            writes_shown=_shown("writes", writes, as_shown.record),
            unreadable_shown=_shown("items", items, as_shown.item),
            calm=calm,
            calm_count=sum(group.count for group in calm),
            long_weeks=weeks.long_weeks(today - WEEKS_SHOWN * weeks.WEEK, today),
            questions=hooks.questions(),
            unreadable=[(item, links.taiga_item(item)) for item in items],
            writes=[_write(record, pages.get(record.pk, "")) for record in writes],
            may_act=self.request.user.has_perm("sync.work_timeentry"),
            **kwargs,
        )

    def get_subject(self) -> str:
        which = "writes" if "writes" in self.request.POST else "items" if "items" in self.request.POST else ""
        return f"attention:{which or self.request.POST.get('reason', '')}"

    def look_again(self) -> dict[str, Any]:
        """The rows that were on the screen; each is compared by itself."""
        return shown.read(self.get_subject(), self.request.POST.get(shown.FIELD))

    def act(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if "writes" in request.POST:
            stuck = attention.stuck_writes().select_related("item").order_by("state_since")
            tried = self._try_again(stuck, decisions.lock, as_shown.record)
            words = ngettext("%(count)d write is tried again.", "%(count)d writes are tried again.", tried)
            messages.success(request, words % {"count": tried})
            return HttpResponseRedirect(reverse("admin:sync_attention"))
        if "items" in request.POST:
            tried = self._try_again(attention.unreadable_items(), _lock_item, as_shown.item)
            words = ngettext("%(count)d item is read again.", "%(count)d items are read again.", tried)
            messages.success(request, words % {"count": tried})
            return HttpResponseRedirect(reverse("admin:sync_attention"))
        entries = TimeEntry.objects.filter(state=EntryState.HELD, reason=request.POST.get("reason", ""))
        tried = self._try_again(entries.select_related("item", "remote_task"), attention.lock, as_shown.waiting)
        words = ngettext(
            "%(count)d entry is read again; it leaves this page when it is mended.",
            "%(count)d entries are read again; they leave this page when they are mended.",
            tried,
        )
        messages.success(request, words % {"count": tried})
        return HttpResponseRedirect(reverse("admin:sync_attention"))

    def _try_again(self, rows: QuerySet[Any], lock: Callable[[Any], Any], words: Callable[[Any], Any]) -> int:
        on_screen = rows.filter(pk__in=[int(pk) for pk in self.seen])
        return act_on_shown(self.request, on_screen, attention.try_again, seen=self.seen, lock=lock, words=words)


def _shown(subject: str, rows: Iterable[Any], words: Callable[[Any], Any]) -> SafeString:
    """The field that says what the page shows of these rows."""
    return shown.field(f"attention:{subject}", {str(row.pk): words(row) for row in rows})


def _lock_item(pk: Any) -> WorkItem | None:
    return WorkItem.objects.select_for_update(no_key=True).filter(pk=pk).first()


def group_by_reason(entries: Iterable[TimeEntry]) -> list[Group]:
    """Held entries in groups, most money first, then most rows."""
    groups: dict[str, Group] = {}
    for entry in entries:
        group = groups.setdefault(entry.reason, Group(entry.reason, reasons.label(entry.reason)))
        group.rows.append(_row(entry))
        if entry.amount is not None and entry.currency:
            group.amounts[entry.currency] = group.amounts.get(entry.currency, Decimal(0)) + entry.amount
    return sorted(groups.values(), key=lambda group: (-group.weight, -group.count, group.name))


def _row(entry: TimeEntry) -> Row:
    url, words = _mend(entry)
    return Row(
        entry=entry,
        money=formats.money(entry.amount, entry.currency),
        age=formats.age(entry.state_since),
        mend_url=url,
        mend_words=words,
    )


def _write(record: RemoteRecord, page: str) -> Write:
    if page:
        return Write(record, page, gettext("Look at the invoice"))
    if record.reason == Reason.UNKNOWN_CLIENT:
        return Write(record, reverse(reasons.mend_url_name(record.reason)), reasons.mend_verb(record.reason))
    if record.kind == RecordKind.STATUS and record.item is not None:
        return Write(record, links.taiga_item(record.item), gettext("Look in Taiga"))
    if record.kind == RecordKind.PROVISION:
        number = record.our_key[1:].partition("/")[0]
        return Write(record, reverse("admin:sync_provision_progress", args=[number]), gettext("Look at the project"))
    if record.kind == RecordKind.TASK:
        return Write(record, links.ninja_task(record.remote_id), gettext("Look in Invoice Ninja"))
    return Write(record)


def _mend(entry: TimeEntry) -> tuple[str, str]:
    name, words = reasons.mend_url_name(entry.reason), reasons.mend_verb(entry.reason)
    if name == reasons.TAIGA:
        return links.taiga_item(entry.item), words
    return reverse(name, args=[entry.pk] if name == reasons.ENTRY else []), words
