"""What a change of rates or rules would move among unclaimed entries, and what claimed ones would have come to.

Priced by the very code that prices for good, in the world as it is and in the world as it would be, side by side in
memory: nothing is written, and what another cause is about to move is not counted. Read in batches, so that memory
stays small however many entries there are.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from functools import partial
from typing import Final

from django.db.models import Q

from billing_console import formats, money
from billing_console.states import EntryState, ItemState
from mappings.effects import Change, Effect, Priced
from sync import attributes, entries, pricing, reevaluate, stories
from sync.cycles import Cycle, Judgement
from sync.models import TimeEntry, WorkItem
from sync.world import World

BATCH: Final = 500
_CLAIMED: Final = (EntryState.CLAIMED, EntryState.INVOICED)


def effect_on_unclaimed(change: Change) -> list[Effect]:
    """The effect on everything that is not in a draft or on an invoice yet; one `Effect`."""
    effect = Effect()
    for items, rows in _batches(change, Q(state__in=reevaluate.UNCLAIMED, item__state=ItemState.CLOSED)):
        world = World.load(items.values(), [entry for some in rows.values() for entry in some])
        changed = world.changed_by(change)
        for pk, item in items.items():
            last = rows[pk][-1]
            if last.state not in reevaluate.UNCLAIMED:
                continue
            typed_at = entries.typed_at_of(last)
            before = _priced(entries.judge_again(item, rows[pk], world, typed_at))
            after = _priced(entries.judge_again(item, rows[pk], changed, typed_at))
            if before != after:
                effect.add(last.pk, before, after, partial(name_of, last))
    return [effect]


def would_have_been(change: Change, chosen: Q) -> Iterator[tuple[TimeEntry, Priced]]:
    """The claimed entries among `chosen` (a filter over TimeEntry) that `change` would have priced otherwise.

    Each with what it would have come to, from what was typed when it was priced. Cycles of one item follow each other:
    what an earlier one would have billed more, the next one would have billed less. One that would have been held
    comes to None.
    """
    for items, rows in _batches(change, chosen & Q(state__in=_CLAIMED)):
        frozen = {entry.pk: _as_priced(items[pk], entry) for pk, some in rows.items() for entry in some}
        world = World.load(frozen.values(), [entry for some in rows.values() for entry in some])
        changed = world.changed_by(change)
        for some in rows.values():
            yield from _again(some, frozen, world, changed)


def _again(
    rows: list[TimeEntry], frozen: dict[int, WorkItem], world: World, changed: World
) -> Iterator[tuple[TimeEntry, Priced]]:
    raw_before = billed_before = billed_before_then = money.ZERO
    for entry in rows:
        billed = billed_then = entry.billed_hours or money.ZERO
        if entry.state in _CLAIMED and entry.first_closed_at is not None and "inputs" in entry.facts:
            item = frozen[entry.pk]
            before = _priced(pricing.judge(item, _cycle(entry, raw_before, billed_before), world))
            after = _priced(pricing.judge(item, _cycle(entry, raw_before, billed_before_then), changed))
            billed, billed_then = before.hours or money.ZERO, after.hours or money.ZERO
            if before != after:
                is_held = bool(after.hold) and not before.hold
                yield entry, Priced(None, None, "", after.hold) if is_held else after
        raw_before += entry.raw_hours or money.ZERO
        billed_before += billed
        billed_before_then += billed_then


def _cycle(entry: TimeEntry, raw_before: Decimal, billed_before: Decimal) -> Cycle:
    """The cycle with everything confirmed that a person could be asked: it was billed."""
    assert entry.first_closed_at is not None
    confirmed = {
        pricing.FREE,
        pricing.BILL_HERE,
        stories.BOTH,
        pricing.confirm_hours_token(_total_hours(entry)),
    }
    return Cycle(
        first_closed_at=entry.first_closed_at,
        person=entry.person,
        confirmed=frozenset(confirmed),
        raw_before=raw_before,
        billed_before=billed_before,
        is_known_there=True,
        was_billed=True,
    )


def _total_hours(entry: TimeEntry) -> Decimal:
    return attributes.parse_hours(Decimal(entry.facts.get("total_raw_hours") or entry.raw_hours or 0))


def _as_priced(item: WorkItem, entry: TimeEntry) -> WorkItem:
    """The item as it was when the entry was priced, not stored: Taiga may say something else by now."""
    inputs = entry.facts.get("inputs", {})
    item_rate = entry.facts.get("item_rate")
    return WorkItem(
        kind=item.kind,
        taiga_id=item.taiga_id,
        ref=item.ref,
        taiga_project_id=inputs.get("project", item.taiga_project_id),
        assignee_id=entry.person_id,
        attributes={
            attributes.HOURS: _total_hours(entry),
            attributes.BILLABLE: True,
            attributes.RATE: Decimal(item_rate) if item_rate is not None else None,
            attributes.CLIENT: inputs.get("client", ""),
        },
    )


def name_of(entry: TimeEntry) -> tuple[str, str]:
    """What a move is called: "#45 Subject", and below it who, for which project and when."""
    below = [str(entry.person) if entry.person else "", str(entry.project or ""), formats.day(entry.work_date)]
    return str(entry.item), " · ".join(part for part in below if part)


def _priced(judgement: Judgement) -> Priced:
    columns = judgement.columns
    hold = judgement.reason if judgement.state == EntryState.HELD else ""
    # What is held for want of a rate still has the columns of a rate in them, all None.
    return Priced(columns["billed_hours"], columns["amount"], columns["currency"], hold, judgement.state)


def _batches(change: Change, chosen: Q) -> Iterator[tuple[dict[int, WorkItem], dict[int, list[TimeEntry]]]]:
    """Items with one of the `chosen` entries that `change` may concern, and all entries of each, oldest cycle first.

    Three queries a batch. An item without such an entry is left out.
    """
    if not change.moves_prices:
        return
    scope = Q()
    for row in (*change.rates, *((change.rule_set,) if change.rule_set else ())):
        scope |= reevaluate.scope_of(row)
    mine = TimeEntry.objects.filter(scope, chosen).order_by("item_id").values_list("item_id", flat=True).distinct()
    last = 0
    while ids := list(mine.filter(item_id__gt=last)[:BATCH]):
        last = ids[-1]
        batch = WorkItem.objects.select_related("project").defer("values").in_bulk(ids)
        rows: dict[int, list[TimeEntry]] = {pk: [] for pk in batch}
        related = ("person", "project", "client", "remote_task")
        for entry in TimeEntry.objects.filter(item__in=batch).select_related(*related).order_by("item_id", "cycle"):
            entry.item = batch[entry.item_id]
            rows[entry.item_id].append(entry)
        yield batch, rows
