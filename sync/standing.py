"""What stands billed of an item, read from its rows: its pieces with what was credited since, and a person's last word.

The arithmetic is `sync.settled`. Hours are Decimal billed hours.
"""

from __future__ import annotations

from collections import defaultdict

from django.db.models import F, QuerySet

from billing_console.states import DifferenceState
from sync import hooks, settled, words
from sync.models import Difference, TimeEntry
from sync.settled import Piece
from sync.world import World


def credited_of(item_id: int) -> list[Difference]:
    """The item's credited Differences in the order in which they were credited, each with its entry: one query."""
    return list(credited().filter(item=item_id))


def credited() -> QuerySet[Difference]:
    """All credited Differences, each with its entry, in the order in which they were credited."""
    rows = Difference.objects.filter(state=DifferenceState.CREDITED).select_related("entry")
    return rows.order_by(F("credited_at").asc(nulls_first=True), "pk")


def credited_before(difference: Difference) -> list[Difference]:
    """Those of the same item that were credited before this one; all of them while it is not credited."""
    rows = credited_of(difference.item_id)
    places = [place for place, row in enumerate(rows) if row.pk == difference.pk]
    return rows[: places[0]] if places else rows


def measured(difference: Difference) -> list[Piece]:
    """The pieces that a Difference is measured against: the cycles up to its own, before it was credited."""
    rows = TimeEntry.objects.filter(item=difference.item_id, cycle__lte=difference.entry.cycle)
    entries = list(rows.order_by("cycle"))
    pieces = settled.stand(entries, credited_before(difference), hooks.printed([entry.pk for entry in entries]))
    return pieces if difference.payer_now_id is None else settled.as_printed(pieces)


def pieces_of(cycles: dict[int, list[TimeEntry]]) -> dict[int, list[Piece]]:
    """What stands billed of each item, by its key: two queries."""
    if not cycles:
        return {}
    printed = hooks.printed([entry.pk for some in cycles.values() for entry in some])
    since: dict[int, list[Difference]] = defaultdict(list)
    for row in credited().filter(item__in=cycles):
        since[row.item_id].append(row)
    return {pk: settled.stand(some, since[pk], printed) for pk, some in cycles.items()}


def word_of(entries: list[TimeEntry], world: World, credited: list[Difference]) -> dict[str, str]:
    """What a person last said of a line of these cycles, as facts for a sentence; {} where nobody did.

    They wrote over it, or credited hours of it as wrong, which nothing bills again unasked.
    """
    if said := [row for row in credited if row.taken_hours is not None]:
        return words.facts_of_credit(said[-1])
    for entry in reversed(entries):
        line = world.printed.get(entry.pk)
        if line is not None and line.is_said:
            return words.facts_of(line)
    return {}
