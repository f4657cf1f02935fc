"""What stands on the page of one entry: why it costs this, the six steps, the three sides, its trail. Reading only.

Hours are hours, amounts in the entry's currency before tax. The steps are those of the guide's Option C, in its order.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q
from django.urls import reverse
from django.utils.translation import gettext as _

from billing_console import formats
from billing_console.badges import WORDS
from billing_console.states import DifferenceState, EntryState, ItemState, RecordState
from sync import explain, hooks, links, three_sides, weeks
from sync.models import Difference, RecordKind, RemoteRecord, TimeEntry, Transition, UpstreamCall, WebhookDelivery

DONE, RUNNING, STUCK, OPEN = "done", "in_flight", "attention", "pending"
SHOWN = 20


@dataclass(frozen=True)
class Step:
    """One of the six steps: its state (a badge), its sentence, when, and where to look."""

    name: str
    state: str
    sentence: str
    at: datetime | None = None
    url: str = ""


@dataclass(frozen=True)
class Move:
    """One arrow of the trail in words; states keep their value beside it, for the badge."""

    at: datetime
    what: str
    from_word: str
    to_state: str
    who: str
    why: str


def context_of(entry: TimeEntry) -> dict[str, Any]:
    """Everything the page shows; a constant number of queries."""
    item = entry.item
    deliveries = list(
        WebhookDelivery.objects.filter(item_kind=item.kind, item_taiga_id=item.taiga_id)
        .defer("raw_body", "headers")
        .order_by("-id")[:SHOWN]
    )
    status = RemoteRecord.objects.filter(item=item, kind=RecordKind.STATUS).first()
    billed = hooks.billed_of(entry)
    trail = Q(model="sync.timeentry", row_id=entry.pk) | Q(model="sync.workitem", row_id=item.pk)
    remotes = {row.pk: str(row.get_kind_display()) for row in (entry.remote_task, status) if row}
    trail |= Q(model="sync.remoterecord", row_id__in=list(remotes))
    return {
        "entry": entry,
        "why": explain.explain(entry),
        "difference": Difference.objects.filter(item=item, state=DifferenceState.OPEN).first(),
        "long_week": weeks.week_of(entry),
        "steps": steps_of(entry, deliveries, status),
        "sides": three_sides.rows_of(entry, billed, status),
        "billed": billed,
        "printed": _written_over(entry),
        "moves": [_move(row, remotes) for row in Transition.objects.filter(trail).select_related("user")[:100]],
        "deliveries": deliveries,
        "calls": UpstreamCall.objects.filter(item=item).order_by("-id")[:SHOWN],
        "taiga_url": links.taiga_item(item),
        "ninja_url": links.ninja_task(entry.remote_task.remote_id if entry.remote_task else None),
        "source": explain.source(entry.facts),
        "losers": explain.losers(entry.facts),
    }


def _written_over(entry: TimeEntry) -> hooks.Printed | None:
    """What the entry's line prints where that is not what the entry was priced at."""
    line = hooks.printed([entry.pk]).get(entry.pk)
    if line is None or not (line.is_living or line.is_said):
        return None
    is_same = (line.hours, line.rate, line.amount) == (entry.billed_hours, entry.rate, entry.amount)
    return None if is_same else line


def _move(row: Transition, remotes: dict[int, str]) -> Move:
    names = {"sync.timeentry": _("entry"), "sync.workitem": _("item in Taiga")}
    return Move(
        at=row.at,
        what=names.get(row.model) or remotes[row.row_id],
        from_word=str(WORDS[row.from_state]) if row.from_state else formats.NOTHING,
        to_state=row.to_state,
        who=str(row.user) if row.user else _("console"),
        why=row.why,
    )


def steps_of(entry: TimeEntry, deliveries: list[WebhookDelivery], status: RemoteRecord | None) -> list[Step]:
    """The guide's six steps of Option C, each with how far it is."""
    return [
        _completed(entry),
        _fired(entry, deliveries),
        _validated(entry),
        _extracted(entry),
        _remote(_("Create time entry in Invoice Ninja"), entry.remote_task),
        _remote(_("Update task status in Taiga"), status),
    ]


def _completed(entry: TimeEntry) -> Step:
    item, name = entry.item, _("Task completed in Taiga")
    if item.state == ItemState.CLOSED:
        return Step(name, DONE, _("Status “%(status)s”.") % {"status": item.status_name}, entry.first_closed_at)
    if item.state == ItemState.GONE:
        return Step(name, STUCK, _("Deleted in Taiga, or moved where the console cannot see it."))
    return Step(name, OPEN, _("Open again: “%(status)s”.") % {"status": item.status_name})


def _fired(entry: TimeEntry, deliveries: list[WebhookDelivery]) -> Step:
    name = _("Webhook fires to the console")
    if not deliveries:
        return Step(name, DONE, _("No delivery came for it; the sweep of the timeline found it."), entry.item.read_at)
    latest = deliveries[0]
    url = reverse("admin:sync_webhookdelivery_change", args=[latest.pk])
    words = _("%(count)d deliveries, the latest is linked.") % {"count": len(deliveries)}
    if len(deliveries) == 1:
        words = _("One delivery.")
    return Step(name, DONE, words, latest.received_at, url)


def _validated(entry: TimeEntry) -> Step:
    name = _("Billable status checked")
    if entry.state == EntryState.VOID:
        return Step(name, DONE, _("Not billable."), entry.evaluated_at)
    if entry.reason == "unreadable_billable":
        return Step(name, STUCK, entry.reason_sentence, entry.evaluated_at)
    return Step(name, DONE, _("Billable."), entry.evaluated_at)


def _extracted(entry: TimeEntry) -> Step:
    name = _("Time data read from the attributes")
    if entry.state == EntryState.HELD:
        return Step(name, STUCK, entry.reason_sentence, entry.evaluated_at)
    if entry.state == EntryState.VOID or entry.billed_hours is None:
        return Step(name, DONE, _("Nothing to bill."), entry.evaluated_at)
    words = {
        "raw": formats.hours(entry.raw_hours),
        "billed": formats.hours(entry.billed_hours),
        "amount": formats.money(entry.amount, entry.currency),
    }
    return Step(name, DONE, _("%(raw)s → %(billed)s, %(amount)s.") % words, entry.evaluated_at)


def _remote(name: str, record: RemoteRecord | None) -> Step:
    if record is None:
        return Step(name, OPEN, _("Nothing to write yet."))
    url = reverse("admin:sync_remoterecord_change", args=[record.pk])
    if record.state == RecordState.SYNCED:
        return Step(name, DONE, _("Written and read back."), record.seen_at, url)
    state = RUNNING if record.state in (RecordState.PENDING, RecordState.IN_FLIGHT) else record.state
    sentence = record.sentence or _("Waits for its turn.")
    return Step(name, state, sentence, record.state_since, url)
