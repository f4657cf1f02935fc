"""What lines of a sealed invoice would come to if they were priced now; nothing is written."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from django.db import transaction

from billing_console import formats, money
from billing_console.states import EntryState
from invoicing.models import InvoiceLine
from sync import entries, reasons
from sync.models import TimeEntry


@dataclass(frozen=True)
class Now:
    """`amount` before tax that would be billed now, 0 where nothing is; `why` is what would hold it."""

    amount: Decimal
    why: str = ""

    def words(self, currency: str) -> str:
        """The amount, or the reason why there is none."""
        return self.why or formats.money(self.amount, currency)


def amounts_now(lines: Iterable[InvoiceLine]) -> dict[int, Now]:
    """By the line's id. What a person wrote stays as written, and so does a line by hand.

    Locks the items for the moment of the reading, as every pricing does; a constant number of queries.
    """
    lines = list(lines)
    with transaction.atomic():
        wanted = TimeEntry.objects.filter(pk__in=[line.entry_id for line in lines if line.entry_id is not None])
        items, by_item, world = entries.lock_and_load(list(wanted.values_list("item_id", flat=True)))
        last = {rows[-1].pk: rows for rows in by_item.values() if rows}  # only the last cycle is priced again
        found = {}
        for line in lines:
            found[line.pk] = Now(line.amount)
            if rows := last.get(line.entry_id or 0):
                judgement = entries.judge_again(items[rows[-1].item_id], rows, world, entries.typed_at_of(rows[-1]))
                found[line.pk] = _now(line, judgement)
    return found


def _now(line: InvoiceLine, judgement: entries.Judgement) -> Now:
    if judgement.state == EntryState.HELD:
        return Now(money.ZERO, reasons.label(judgement.reason))
    if judgement.state != EntryState.READY:
        return Now(money.ZERO)
    columns = judgement.columns
    first = (line.original_hours, line.original_rate) if line.is_adjusted else (line.billed_hours, line.rate)
    return Now(line.amount if (columns["billed_hours"], columns["rate"]) == first else columns["amount"])
