"""What people typed as hours in Taiga, against what our cycles carry: the second identity of billing-rules.

Items are read some at a time, so that the books of years need no more memory than those of a month.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import replace
from decimal import Decimal
from typing import Final

from django.db.models import OuterRef, QuerySet, Subquery, Sum
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing_console import formats, money
from billing_console.batches import read_in_batches
from billing_console.states import EntryState, ItemState, Reason
from invoicing.identities import Identity, Leftover, Term
from mappings.lookups import hour_rules
from mappings.rules import bill_hours
from sync import attributes, settled, standing
from sync.entries import is_given_away
from sync.models import Difference, TimeEntry, WorkItem
from sync.settled import Piece

UNREADABLE = (Reason.UNREADABLE_HOURS, Reason.UNREADABLE_BILLABLE, Reason.UNREADABLE_RATE)
AFTER_BILLING, AFTER_DECISION, WHILE_OPEN, UNREADABLE_NOW = "billed", "decided", "open", "unreadable"
# Hours in Taiga that are not those of the cycles, although nothing is wrong: each class is a term of its own.
_SINCE: Final = {
    AFTER_BILLING: gettext_lazy("changed after it was billed"),
    AFTER_DECISION: gettext_lazy("changed after a person decided"),
    WHILE_OPEN: gettext_lazy("changed while the item is open"),
    UNREADABLE_NOW: gettext_lazy("cannot be read now"),
}


def typed_hours(item: WorkItem) -> Decimal:
    """Hours that Taiga holds for the item now; 0 where nobody can read them."""
    raw = item.attributes.get(attributes.HOURS)
    try:
        return money.ZERO if attributes.is_blank(raw) else attributes.parse_hours(raw)
    except attributes.Unreadable:
        return money.ZERO


def hours_identity(
    entries: QuerySet[TimeEntry], parts: list[tuple[str, Term]], strays: tuple[Leftover, ...] = ()
) -> Identity:
    """What Taiga says now = what the cycles carry, without the unreadable, + what was typed since and changes nothing.

    `parts` are the classes of `entries` by their keys, `strays` the rows that are in none. Each item whose hours are
    not those of its cycles is named: in the class that explains it, or as a row that differs.
    """
    readable = entries.exclude(state=EntryState.HELD, reason__in=UNREADABLE)
    typed = money.ZERO
    count = 0
    leftovers = list(strays)
    found: dict[str, list[tuple[Decimal, Leftover]]] = {name: [] for name in _SINCE}
    for batch in read_in_batches(_with_carried_hours(readable.values("item_id"))):
        count += len(batch)
        hours = {item: typed_hours(item) for item in batch}
        typed += money.total(hours.values())
        changes = {item: change for item in batch if (change := hours[item] - _carried(item))}
        cycles = cycles_of(changes)
        pieces_of = standing.pieces_of(cycles)
        differing = set(Difference.objects.filter(item__in=cycles).values_list("item_id", flat=True)) if cycles else ()
        for item, change in changes.items():
            gap = formats.hours(change, is_signed=True)
            words = {"item": item, "typed": formats.hours(hours[item]), "gap": gap}
            sentence = _("%(item)s: %(typed)s typed in Taiga, its cycles carry %(gap)s otherwise") % words
            row = Leftover(sentence, reverse("admin:sync_timeentry_change", args=[cycles[item.pk][-1].pk]))
            has_difference = item.pk in differing
            why = _typed_since(item, hours[item], cycles[item.pk], pieces_of[item.pk], has_difference=has_difference)
            if why:
                found[why].append((change, row))
            else:
                leftovers.append(row)
    outside = _raw_hours(TimeEntry.objects.filter(item_id__in=readable.values("item_id"))) - _raw_hours(readable)
    left = Term(_("typed in Taiga"), count, typed - outside)
    carried = tuple(replace(term, amounts={}) for key, term in parts if key != "unreadable")
    right = (*carried, *(_since(name, found[name]) for name in _SINCE if found[name]))
    gap_left = left.hours - money.total(term.hours for term in right)
    residue = (f"{gap_left:+} h",) if gap_left else ()
    return Identity(_("Raw hours"), left, right, residue, leftovers=tuple(leftovers))


def _since(name: str, found: list[tuple[Decimal, Leftover]]) -> Term:
    hours = money.total(change for change, _row in found)
    return Term(str(_SINCE[name]), len(found), hours, rows=tuple(row for _change, row in found))


def _with_carried_hours(item_ids: QuerySet) -> QuerySet[WorkItem]:
    """These items in the order of their keys, with `carried`: the raw hours of all their cycles, None for none."""
    sums = TimeEntry.objects.filter(item=OuterRef("pk")).order_by().values("item").annotate(total=Sum("raw_hours"))
    items = WorkItem.objects.filter(pk__in=item_ids).annotate(carried=Subquery(sums.values("total")))
    return items.only("kind", "ref", "subject", "attributes").order_by("pk")


def _carried(item: WorkItem) -> Decimal:
    hours: Decimal | None = item.carried  # type: ignore[attr-defined]
    return hours or money.ZERO


def _raw_hours(entries: QuerySet[TimeEntry]) -> Decimal:
    return entries.aggregate(total=Sum("raw_hours"))["total"] or money.ZERO


def cycles_of(items: Collection[WorkItem]) -> dict[int, list[TimeEntry]]:
    """The cycles of these items in order, by the item's key, with their rules: one query."""
    cycles: dict[int, list[TimeEntry]] = defaultdict(list)
    if items:
        rows = TimeEntry.objects.filter(item__in=items).select_related("rule_set").order_by("item_id", "cycle")
        for entry in rows:
            cycles[entry.item_id].append(entry)
    return cycles


def _typed_since(
    item: WorkItem, hours: Decimal, cycles: list[TimeEntry], pieces: list[Piece], *, has_difference: bool
) -> str:
    """Why other hours than the cycles carry are typed in Taiga now; "" where nothing explains it.

    A cycle that is claimed, or decided by a person, is never priced again; one of an item that is open waits until it
    is closed; and what nobody can read is no number. Their raw hours stay what they were.
    """
    last = cycles[-1]
    now = attributes.quote(item.attributes.get(attributes.HOURS))
    if last.state == EntryState.HELD and last.reason in UNREADABLE:
        return UNREADABLE_NOW
    if now == last.facts.get("inputs", {}).get("hours"):
        return ""
    if item.state != ItemState.CLOSED:
        return WHILE_OPEN
    if last.state in (EntryState.EXCLUDED, EntryState.WRITTEN_OFF) and not is_given_away(last):
        return AFTER_DECISION
    if last.state not in (EntryState.CLAIMED, EntryState.INVOICED) and not is_given_away(last):
        return ""
    if has_difference:
        return AFTER_BILLING
    is_settled = last.rule_set is not None and not settled.moved_hours(
        pieces, bill_hours(hours, hour_rules(last.rule_set)).billed
    )
    return AFTER_BILLING if is_settled else ""
