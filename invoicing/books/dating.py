"""On which day a change counts. Pure.

The first word on a fact counts on the fact's own date; what changes later counts on the day on which it is noticed, so
that what was said of a day stays. An invoice that gets another date moves with it. Nothing counts in a closed month:
what would is dated today, and keeps its own date beside it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from invoicing.books.facts import Change, Sums
from invoicing.models import Fact, Posting

# Facts that have the invoice's date. It may be changed until the invoice is sent.
_OF_INVOICE = (Fact.INVOICED, Fact.TAX)


@dataclass(frozen=True)
class Calendar:
    """Today, and the first day that is in no closed month (None: none is closed); business days."""

    today: dt.date
    open_from: dt.date | None = None

    def counts_on(self, day: dt.date) -> dt.date:
        """`day`, or today where its month is closed."""
        return day if self.open_from is None or day >= self.open_from else self.today


def postings(change: Change, calendar: Calendar, happened_on: dt.date | None = None) -> Iterator[Posting]:
    """What is to be added to the books. `happened_on` is the business day of `change.at`."""
    if change.booked_day is None:
        own = change.own_day or happened_on
        if own is not None and change.fact not in _OF_INVOICE:
            own = min(own, calendar.today)  # the date of a payment is typed by hand, and may lie ahead
        yield _posting(change, change.now, calendar.counts_on(own or calendar.today), own)
    elif _is_moved(change):
        assert change.own_day is not None
        stood_on = calendar.counts_on(change.booked_day)
        yield _posting(change, -change.booked, stood_on, change.booked_fact_day, is_move=True)
        yield _posting(change, change.now, calendar.counts_on(change.own_day), change.own_day, is_move=True)
    else:
        yield _posting(change, change.now - change.booked, calendar.today, change.booked_fact_day)


def _is_moved(change: Change) -> bool:
    is_dated = change.fact in _OF_INVOICE and bool(change.now)
    return is_dated and change.own_day is not None and change.own_day != change.booked_fact_day


def _posting(change: Change, sums: Sums, day: dt.date, fact_day: dt.date | None, *, is_move: bool = False) -> Posting:
    return Posting(
        invoice_id=change.invoice_id,
        fact=change.fact,
        key=change.key,
        day=day,
        fact_day=fact_day,
        due_date=change.due_date,
        is_move=is_move,
        **asdict(sums),
    )
