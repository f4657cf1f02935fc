"""From a work item to its time entries: one per billing cycle, re-evaluated in place while unclaimed.

A cycle begins with a closing. Until an entry is claimed, whatever changes in Taiga or in the mappings is priced again
in the same row; afterwards it is a Difference, or, when the item was closed again with more hours, the next cycle
(billing-rules: More hours later, After the fact). Excluded and written-off entries are a person's final word.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from billing_console import clock, money
from billing_console.states import TAKEN, EntryState, ItemKind, ItemState, Reason, RecordState
from sync import claimed, pricing, push, reasons, settled, standing, stories, writeback
from sync.cycles import Cycle, Judgement
from sync.models import TimeEntry, WorkItem
from sync.transitions import advance, record
from sync.typists import Typist, find_typist
from sync.world import World

if TYPE_CHECKING:
    from accounts.models import User

CLAIMED = (EntryState.CLAIMED, EntryState.INVOICED)
FINAL = (EntryState.EXCLUDED, EntryState.WRITTEN_OFF)
WAITING = (EntryState.HELD, EntryState.READY)
GIVEN_AWAY = "given_away"  # the fact of a cycle that a person wrote off instead of letting it be billed
# Reasons that outlive a new evaluation, with their note, as long as nothing else stands in the way.
STICKY = (Reason.NEXT_RUN, *TAKEN)


def evaluate(item: WorkItem, *, user: User | None = None, is_known_there: bool = False) -> TimeEntry | None:
    """Bring the item's entries in line with what Taiga says now; returns the latest, None while it was never closed.

    `is_known_there`: Invoice Ninja was asked and holds a task of ours for it. Locks the item and its entries until
    the caller's transaction ends; calls no server.
    """
    known_there = [item.pk] if is_known_there else []
    return evaluate_many([item.pk], user=user, known_there=known_there).get(item.pk)


def evaluate_many(
    item_ids: Iterable[int], *, user: User | None = None, known_there: Collection[int] = ()
) -> dict[int, TimeEntry]:
    """`evaluate` for many items in one transaction: the reading costs the same number of queries for one or a hundred.

    The stories of tasks among them are evaluated too. `known_there`: of these items Invoice Ninja holds a task of
    ours. Returns the latest entry by item id.
    """
    with transaction.atomic():
        items, entries, world = lock_and_load(item_ids)
        latest = {}
        # Tasks first: whether a story is held depends on what its tasks came to.
        for pk, item in sorted(items.items(), key=lambda pair: (pair[1].kind == ItemKind.STORY, pair[0])):
            last = _evaluate_one(item, entries[pk], world, user, pk in known_there)
            if last is not None:
                latest[pk] = last
        return latest


def lock_and_load(item_ids: Iterable[int]) -> tuple[dict[int, WorkItem], dict[int, list[TimeEntry]], World]:
    """These items with their families and the entries of each in order, locked, and the world that prices them."""
    locked = WorkItem.objects.select_for_update(of=("self",), no_key=True).select_related("assignee", "project")
    items = {item.pk: item for item in locked.filter(pk__in=stories.with_family(item_ids)).order_by("pk")}
    entries: dict[int, list[TimeEntry]] = {pk: [] for pk in items}
    rows = TimeEntry.objects.select_for_update(no_key=True).filter(item_id__in=items)
    related = ("person", "rule_set", "client", "project", "remote_task")
    # Fetched after them, because most items have no entry yet: then these are not asked for.
    for entry in rows.prefetch_related(*related).order_by("item_id", "cycle"):
        entry.item = items[entry.item_id]
        entries[entry.item_id].append(entry)
    return items, entries, World.load(items.values(), [entry for some in entries.values() for entry in some])


def _evaluate_one(
    item: WorkItem, entries: list[TimeEntry], world: World, user: User | None, is_known_there: bool
) -> TimeEntry | None:
    last = entries[-1] if entries else None
    if last is None:
        return open_cycle(item, [], world, user, is_known_there) if item.state == ItemState.CLOSED else None
    if last.state in CLAIMED or is_given_away(last):
        if claimed.follow(item, entries, world, user):
            return open_cycle(item, entries, world, user, is_known_there)
        return last
    if last.state in FINAL:
        return last
    if item.state != ItemState.CLOSED:
        _wait_for_item(last, Reason.GONE if item.state == ItemState.GONE else Reason.REOPENED, user)
        return last
    _judge_again(item, entries, world, user, is_known_there)
    return last


def _cycle_of(
    entry: TimeEntry, earlier: list[TimeEntry], world: World, is_known_there: bool, typed_at: dt.datetime | None
) -> Cycle:
    if entry.first_closed_at is None:
        raise ValueError(f"entry {entry.pk} has no closing")
    credited = standing.credited_of(entry.item_id) if earlier else []
    pieces = settled.stand(earlier, credited, world.printed)
    return Cycle(
        first_closed_at=entry.first_closed_at,
        person=entry.person,
        confirmed=confirmed_tokens(entry),
        raw_before=money.total(other.raw_hours or money.ZERO for other in earlier),
        billed_before=settled.settled_hours(pieces),
        word=standing.word_of(earlier, world, credited),
        own_word=world.printed.get(entry.pk),
        billed_to=claimed.billed_to_another(entry.item, earlier, pieces, world),
        is_known_there=is_known_there or bool(entry.facts.get("is_known_there")),
        is_pushed=any(other.remote_task_id is not None for other in [*earlier, entry]),
        typed_at=typed_at,
    )


def confirmed_tokens(entry: TimeEntry) -> frozenset[str]:
    """What a person confirmed on this entry; see `pricing`."""
    return frozenset(entry.confirmed_value.split()) if entry.is_confirmed else frozenset()


def is_given_away(entry: TimeEntry) -> bool:
    """Whether a person wrote this cycle off as it was offered to be billed later: what comes after it still counts."""
    return entry.state == EntryState.WRITTEN_OFF and bool(entry.facts.get(GIVEN_AWAY))


def next_cycle(
    item: WorkItem,
    earlier: list[TimeEntry],
    world: World,
    *,
    is_known_there: bool = False,
    confirmed: str = "",
) -> tuple[TimeEntry, Judgement]:
    """The cycle after `earlier` as it would be priced now, with `confirmed` answered already; nothing is written."""
    entry = TimeEntry(
        item=item,
        cycle=len(earlier) + 1,
        closing=item.closings,
        person=item.assignee,
        first_closed_at=item.finished_at or item.closed_seen_at or timezone.now(),
        correlation_id=item.correlation_id,
        is_confirmed=bool(confirmed),
        confirmed_value=confirmed,
    )
    typist = _find_typist(entry, world)
    judgement = _judge(item, _cycle_of(entry, earlier, world, is_known_there, typist.at if typist else None), world)
    if typist:
        judgement.facts["typed_by"] = _name_of(typist)
    judgement.facts["values_version"] = item.values_version
    return entry, judgement


def open_cycle(
    item: WorkItem,
    earlier: list[TimeEntry],
    world: World,
    user: User | None,
    is_known_there: bool = False,
    *,
    why: str = "",
    is_given: bool = False,
    confirmed: str = "",
) -> TimeEntry:
    """Write the cycle after `earlier`, priced now; with `is_given` it is written off at once. Items are locked."""
    entry, judgement = next_cycle(item, earlier, world, is_known_there=is_known_there, confirmed=confirmed)
    if is_given:
        judgement.state, judgement.reason = EntryState.WRITTEN_OFF, ""
        judgement.facts[GIVEN_AWAY] = True
    for name, value in _columns(entry, judgement).items():
        setattr(entry, name, value)
    entry.state, entry.state_since = judgement.state, timezone.now()
    _tell_outward(entry)
    entry.save(force_insert=True)
    record(entry, "", entry.state, why=why or entry.reason_sentence or _("first seen closed in Taiga"), user=user)
    world.past.note(entry)
    return entry


def judge_again(
    item: WorkItem,
    entries: list[TimeEntry],
    world: World,
    typed_at: dt.datetime | None,
    *,
    is_known_there: bool = False,
) -> Judgement:
    """What pricing the last, unclaimed one of a closed item's entries again comes to; reads and writes no row."""
    judgement = _judge(item, _cycle_of(entries[-1], entries[:-1], world, is_known_there, typed_at), world)
    _keep_holds(entries[-1], judgement)
    return judgement


def _judge_again(
    item: WorkItem, entries: list[TimeEntry], world: World, user: User | None, is_known_there: bool
) -> None:
    entry, earlier = entries[-1], entries[:-1]
    inputs, version = pricing.read_inputs(item), entry.facts.get("values_version")
    is_typed_anew = inputs != entry.facts.get("inputs")
    typed_at, typed_by = typed_at_of(entry), entry.facts.get("typed_by")
    if is_typed_anew:
        typist = _find_typist(entry, world)
        typed_at = (typist.at if typist else None) or _typed_since_last_reading(entry, inputs)
        typed_by = _name_of(typist)
    judgement = judge_again(item, entries, world, typed_at, is_known_there=is_known_there)
    if typed_by:
        judgement.facts["typed_by"] = typed_by
    judgement.facts["values_version"] = item.values_version if is_typed_anew else version
    changes = _columns(entry, judgement) | {"closing": item.closings}
    if _is_unchanged(entry, judgement, changes):
        return
    if judgement.state != entry.state:
        why = str(changes["reason_sentence"]) or _("evaluated again")
        advance(entry, judgement.state, why=why, user=user, correlation_id=item.correlation_id, **changes)
    else:
        _change(entry, changes, user)
    world.past.note(entry)
    if earlier:
        claimed.follow_earlier(item, entries, judgement, world, user)
    _tell_outward(entry)


def _is_unchanged(entry: TimeEntry, judgement: Judgement, changes: dict[str, Any]) -> bool:
    """Whether the row already says all of this, so that a batch writes only what a change really moved."""
    is_wanted = entry.remote_task_id is not None or judgement.state != EntryState.READY
    same = all(getattr(entry, name) == value for name, value in changes.items() if name != "evaluated_at")
    return is_wanted and same and judgement.state == entry.state


def _keep_holds(entry: TimeEntry, judgement: Judgement) -> None:
    """Let a person's hold stand before everything else, and a run's or the push's hold where nothing else is wrong."""
    if judgement.state not in WAITING:
        return
    if entry.held_by_person:
        judgement.state, judgement.reason = EntryState.HELD, Reason.BY_PERSON
    elif judgement.state == EntryState.READY and (taken := _taken_by(entry)):
        judgement.state, judgement.reason = EntryState.HELD, taken
    elif judgement.state == EntryState.READY and entry.state == EntryState.HELD and entry.reason == Reason.NEXT_RUN:
        judgement.state, judgement.reason = EntryState.HELD, Reason.NEXT_RUN


def _taken_by(entry: TimeEntry) -> str:
    """Why the entry's task is taken, as last seen: it is on an invoice that this database does not know; else ""."""
    task = entry.remote_task
    return task.reason if task is not None and task.state == RecordState.ATTENTION and task.reason in TAKEN else ""


def _columns(entry: TimeEntry, judgement: Judgement) -> dict[str, Any]:
    columns = {
        **judgement.columns,
        "facts": judgement.facts,
        "reason": judgement.reason,
        "reason_sentence": reasons.sentence(judgement.reason, judgement.facts),
        "typed_by": entry.typed_by,
        "evaluated_at": timezone.now(),
    }
    if not entry.held_by_person:
        columns["reason_note"] = str(judgement.facts.get("quoted", "")) if judgement.reason else ""
        if judgement.reason and judgement.reason == entry.reason and judgement.reason in STICKY:
            columns["reason_note"] = entry.reason_note
    return columns


def _judge(item: WorkItem, cycle: Cycle, world: World) -> Judgement:
    judgement = pricing.judge(item, cycle, world)
    if cycle.typed_at is not None:
        judgement.facts["typed_at"] = cycle.typed_at.isoformat()
    return judgement


def _find_typist(entry: TimeEntry, world: World) -> Typist | None:
    """Note who typed the hours, where a delivery says so; returns who and when."""
    typist = find_typist(entry.item, world.company.attribute_hours, entry.item.attributes.get("hours"))
    entry.typed_by = typist.name if typist else ""
    return typist


def _name_of(typist: Typist | None) -> str:
    return (typist.full_name or typist.name) if typist else ""


def _typed_since_last_reading(entry: TimeEntry, inputs: dict[str, Any]) -> dt.datetime | None:
    """When hours that no delivery told of were typed: now, if Taiga holds other values than we last saw there.

    The same values under another name of the attribute were there before.
    """
    if inputs["hours"] == entry.facts.get("inputs", {}).get("hours"):
        return typed_at_of(entry)
    seen, now = entry.facts.get("values_version"), entry.item.values_version
    return clock.now() if seen is not None and now is not None and now > seen else None


def typed_at_of(entry: TimeEntry) -> dt.datetime | None:
    """When the hours of `entry` were typed, as far as that is known."""
    at = entry.facts.get("typed_at")
    return dt.datetime.fromisoformat(at) if at else None


def _wait_for_item(entry: TimeEntry, reason: str, user: User | None) -> None:
    """Hold what was to be billed until the item is closed again (or for good, when it is gone); prices stay."""
    if entry.state not in WAITING or (entry.state == EntryState.HELD and entry.reason == reason):
        return
    sentence = reasons.sentence(reason, {**entry.facts, "ref": entry.item.ref})
    changes: dict[str, Any] = {"reason": reason, "reason_sentence": sentence, "evaluated_at": timezone.now()}
    if entry.state == EntryState.HELD:
        _change(entry, changes, user)
    else:
        advance(entry, EntryState.HELD, why=sentence, user=user, **changes)


def _change(entry: TimeEntry, changes: dict[str, Any], user: User | None) -> None:
    """Write `changes` to an entry that stays in its (locked) state; another reason to wait leaves a trail too."""
    has_new_reason = changes["reason"] != entry.reason
    TimeEntry.objects.filter(pk=entry.pk, state=entry.state).update(**changes)
    for name, value in changes.items():
        setattr(entry, name, value)
    if has_new_reason:
        record(entry, entry.state, entry.state, why=entry.reason_sentence or _("evaluated again"), user=user)


def _tell_outward(entry: TimeEntry) -> None:
    """Want in Invoice Ninja and in Taiga what the entry now says; a held one leaves both as they are.

    One that is only put off is priced like a ready one, and the next run bills it: its task says the same.
    """
    is_put_off = entry.state == EntryState.HELD and entry.reason == Reason.NEXT_RUN
    if entry.state == EntryState.READY or is_put_off:
        push.request_task(entry)
    elif entry.state != EntryState.HELD and entry.remote_task_id is not None:
        push.withdraw_task(entry)
        # What a person typed there ("Not Billable") is theirs and stays.
        if entry.facts.get("not_billable_because") != "status":
            writeback.request_status(entry.item)
