"""What people typed as hours in Taiga, against what our cycles carry: the second identity of billing-rules.

Items are read some at a time, so that the books of years need no more memory than those of a month.
"""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal

from django.db.models import OuterRef, QuerySet, Subquery, Sum
from django.urls import reverse
from django.utils.translation import gettext as _

from billing_console import formats, money
from billing_console.batches import read_in_batches
from billing_console.states import EntryState, Reason
from invoicing.identities import Identity, Leftover, Term
from mappings.lookups import hour_rules
from mappings.rules import bill_hours
from sync import attributes
from sync.entries import is_given_away
from sync.models import Difference, TimeEntry, WorkItem

UNREADABLE = (Reason.UNREADABLE_HOURS, Reason.UNREADABLE_BILLABLE, Reason.UNREADABLE_RATE)


def typed_hours(item: WorkItem) -> Decimal:
    """Hours that Taiga holds for the item now; 0 where nobody can read them."""
    raw = item.attributes.get(attributes.HOURS)
    try:
        return money.ZERO if attributes.is_blank(raw) else attributes.parse_hours(raw)
    except attributes.Unreadable:
        return money.ZERO


def hours_identity(entries: QuerySet[TimeEntry], parts: list[tuple[str, Term]]) -> Identity:
    """What Taiga says now = what the cycles carry, without the unreadable, + what was typed after the billing.

    `parts` are the classes of `entries` by their keys.
    """
    of_items = entries.exclude(state=EntryState.HELD, reason__in=UNREADABLE).values("item_id")
    typed = changed = money.ZERO
    count = count_changed = 0
    leftovers = []
    for batch in read_in_batches(_with_carried_hours(of_items)):
        count += len(batch)
        hours = {item: typed_hours(item) for item in batch}
        typed += money.total(hours.values())
        changes = {item: change for item in batch if (change := hours[item] - _carried(item))}
        cycles = _cycles_of(changes)
        differing = set(Difference.objects.filter(item__in=cycles).values_list("item_id", flat=True)) if cycles else ()
        for item, change in changes.items():
            if _is_changed_since(item, hours[item], cycles[item.pk], has_difference=item.pk in differing):
                changed, count_changed = changed + change, count_changed + 1
                continue
            gap = formats.hours(change, is_signed=True)
            words = {"item": item, "typed": formats.hours(hours[item]), "gap": gap}
            sentence = _("%(item)s: %(typed)s typed in Taiga, its cycles carry %(gap)s otherwise") % words
            url = reverse("admin:sync_timeentry_change", args=[cycles[item.pk][-1].pk])
            leftovers.append(Leftover(sentence, url))
    outside = _raw_hours(TimeEntry.objects.filter(item_id__in=of_items)) - _raw_hours(
        entries.filter(item_id__in=of_items)
    )
    left = Term(_("typed in Taiga"), count, typed - outside)
    carried = tuple(
        Term(term.name, term.count, term.hours, {}, term.state) for key, term in parts if key != "unreadable"
    )
    right = (*carried, Term(_("changed after it was billed"), count_changed, changed))
    gap_left = left.hours - money.total(term.hours for term in right)
    residue = (f"{gap_left:+} h",) if gap_left else ()
    return Identity(_("Raw hours"), left, right, residue, leftovers=tuple(leftovers))


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


def _cycles_of(items: dict[WorkItem, Decimal]) -> dict[int, list[TimeEntry]]:
    cycles: dict[int, list[TimeEntry]] = defaultdict(list)
    if items:
        rows = TimeEntry.objects.filter(item__in=items).select_related("rule_set").order_by("item_id", "cycle")
        for entry in rows:
            cycles[entry.item_id].append(entry)
    return cycles


def _is_changed_since(item: WorkItem, hours: Decimal, cycles: list[TimeEntry], *, has_difference: bool) -> bool:
    """Whether somebody typed other hours after the item was billed, and that has its Difference or rounds to the same.

    A cycle that is claimed is never priced again, so its raw hours stay what they were.
    """
    last = cycles[-1]
    now = attributes.quote(item.attributes.get(attributes.HOURS))
    is_settled = last.state in (EntryState.CLAIMED, EntryState.INVOICED) or is_given_away(last)
    if not is_settled or now == last.facts.get("inputs", {}).get("hours"):
        return False
    billed = money.total(entry.billed_hours or money.ZERO for entry in cycles)
    return has_difference or (
        last.rule_set is not None and bill_hours(hours, hour_rules(last.rule_set)).billed == billed
    )
