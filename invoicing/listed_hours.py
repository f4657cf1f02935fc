"""Taiga's own lists beside the items that the console read: the fifth identity, with *nobody pays* on both sides.

Rows are read some at a time. Hours are raw, as typed. Nothing is called or changed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import Final

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing_console import formats, money
from billing_console.batches import read_in_batches
from billing_console.states import ItemState
from invoicing.identities import Identity, Leftover, Term, identity_of
from invoicing.models import CountedItem, Reading
from invoicing.typed_hours import typed_hours
from mappings.rules import Period
from sync.models import TimeEntry, WorkItem

LISTED, LISTED_UNPAID = "taiga-list", "taiga-list-nobody"  # reports
_PAID, _NOBODY, _GONE, _HIDDEN = "paid", "nobody", "gone", "hidden"
_OUTSIDE: Final = {
    _GONE: gettext_lazy("no longer in Taiga's lists"),
    _HIDDEN: gettext_lazy("in projects that nobody pays for and our Taiga user may not see"),
}


class _Sum:
    """How many rows, and their hours."""

    def __init__(self) -> None:
        self.count, self.hours = 0, money.ZERO

    def add(self, hours: Decimal | None) -> None:
        self.count += 1
        self.hours += hours or money.ZERO


def never_read(reading: Reading, period: Period | None, strangers: Q | None) -> QuerySet[CountedItem]:
    """Closed and billable in Taiga, in the period, and not read by us to this day."""
    rows = CountedItem.objects.filter(reading=reading, is_closed=True).exclude(is_ticked=False)
    if strangers is None or period is None:
        return rows.none()
    ours = WorkItem.objects.filter(kind=OuterRef("kind"), taiga_id=OuterRef("taiga_id"))
    return rows.filter(~Exists(ours), strangers, work_date__gte=period.start, work_date__lt=period.end)


def listed_hours(reading: Reading, entries: QuerySet[TimeEntry], unknown: QuerySet[CountedItem]) -> Identity:
    """5. What the console read of the items of `entries` = what Taiga lists of them and of the `unknown` ones.

    What nobody pays for is a class on both sides, compared item by item like the rest.
    """
    items = WorkItem.objects.filter(pk__in=entries.values("item_id")).select_related("project").order_by("pk")
    leftovers = []
    ours: dict[str, _Sum] = defaultdict(_Sum)
    there: dict[str, _Sum] = defaultdict(_Sum)
    for batch in read_in_batches(items):
        listed = _listed(reading, batch)
        sentences = {}
        for item in batch:
            row, hours = listed.get((item.kind, item.taiga_id)), typed_hours(item)
            side = _PAID if item.project_id else _NOBODY
            ours[side].add(hours)
            if row is None and (why := _outside(item, reading)):
                there[why].add(hours)
                continue
            if row is not None:
                there[side].add(row.hours)
            if sentence := _item_differs(item, hours, row):
                sentences[item] = sentence
        leftovers += _of_items(reading, sentences, entries)
    for row in unknown.order_by("pk").iterator():
        there[_PAID if row.project_id else _NOBODY].add(row.hours)
        leftovers.append(Leftover(_("%(item)s is closed in Taiga and was never read here") % {"item": row}))
    nobody = _("nobody pays")
    right = (
        Term(_("as Taiga lists it"), there[_PAID].count, there[_PAID].hours, report=LISTED),
        Term(nobody, there[_NOBODY].count, there[_NOBODY].hours, report=LISTED_UNPAID),
        *(Term(str(name), there[why].count, there[why].hours) for why, name in _OUTSIDE.items()),
    )
    unpaid = ours[_NOBODY]
    lookups = (("item__project__isnull", "True"),)
    sides = (
        Term(_("with a payer"), ours[_PAID].count, ours[_PAID].hours),
        Term(nobody, unpaid.count, unpaid.hours, lookups=lookups),
    )
    of_left = sides if unpaid.count else ()
    count, typed = sum(one.count for one in ours.values()), money.total(one.hours for one in ours.values())
    left = Term(_("as the console read it"), count, typed)
    gap = typed - money.total(term.hours for term in right)
    residue = (f"{gap:+} h",) if gap else ()
    return identity_of(_("Taiga's list, raw hours"), left, right, residue, leftovers, of_left=of_left)


def _listed(reading: Reading, items: Collection[WorkItem]) -> dict[tuple[str, int], CountedItem]:
    """What Taiga lists of these, by kind and id: an id alone may be another kind's."""
    rows = CountedItem.objects.filter(reading=reading, taiga_id__in=[item.taiga_id for item in items])
    return {(row.kind, row.taiga_id): row for row in rows}


def _outside(item: WorkItem, reading: Reading) -> str:
    """Why Taiga's lists need not have an item; "" where they must."""
    if item.state == ItemState.GONE:
        return _GONE
    if item.project is not None:
        return "" if item.project.is_active else _GONE
    return _HIDDEN if item.taiga_project_id in (None, *reading.hidden_projects) else ""


def _of_items(reading: Reading, sentences: Mapping[WorkItem, str], entries: QuerySet[TimeEntry]) -> list[Leftover]:
    """What does not fit, each with the page of the item's last cycle among `entries`."""
    if not sentences:
        return []
    last_entry = dict(entries.filter(item__in=sentences).order_by("cycle").values_list("item_id", "pk"))
    return [
        Leftover(
            f"{item}: {sentence}",
            reverse("admin:sync_timeentry_change", args=[last_entry[item.pk]]),
            is_newer=reading.is_older_than(item.changed_at),
        )
        for item, sentence in sentences.items()
    ]


def _item_differs(item: WorkItem, hours: Decimal, row: CountedItem | None) -> str:
    if row is None:
        return _("not in Taiga's list")
    if item.state == ItemState.GONE:
        return _("in Taiga's list again")
    if row.is_closed != (item.state == ItemState.CLOSED):
        return _("closed in Taiga, open here") if row.is_closed else _("open in Taiga, closed here")
    if (row.hours or money.ZERO) != hours:
        words = {"there": row.typed or _("nothing"), "ours": formats.hours(hours)}
        return _("Taiga lists %(there)s, the console read %(ours)s") % words
    return ""
