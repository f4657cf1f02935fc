"""What a reconciliation proves: everything, our own side only, that something differs, or nothing at all.

It is proven only where all eight identities hold and both servers were read as a whole after the last change of the
rows that they are made of. Where a row of ours changed later, the reading says nothing of it: such a difference is no
fault, and no proof either. Pure reading: nothing is locked or changed, nobody is called. Times are real time, UTC.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

from django.conf import settings
from django.db.models import Max, Q, QuerySet
from django.utils.translation import gettext as _

from billing_console import formats
from invoicing import against_readings, readings, reconcile
from invoicing.identities import Identity
from invoicing.models import Credit, Deviation, Invoice, InvoiceLine, Reading, UnappliedPayment
from mappings.rules import Period
from sync.models import TimeEntry, WorkItem


class Verdict(Enum):
    """The values are those of the files and of `reconcile --json`."""

    BALANCES = "balances"
    OURS = "ours_balances"
    DIFFERS = "differs"
    NOTHING = "nothing_to_prove"


BADGES = {
    Verdict.BALANCES: "ok",
    Verdict.OURS: "warning",
    Verdict.DIFFERS: "error",
    Verdict.NOTHING: "empty",
}


@dataclass(frozen=True)
class Proof:
    """The identities of some rows with what they prove; `reading` is the one they were compared with, None for none.

    `changed_at` is when a row of ours changed last, None where there is none.
    """

    identities: tuple[Identity, ...]
    reading: Reading | None
    changed_at: dt.datetime | None

    @property
    def is_fresh(self) -> bool:
        """Whether both servers were read after the last change."""
        began = self.reading.began_at if self.reading else None
        return began is not None and (self.changed_at is None or self.changed_at < began)

    @property
    def verdict(self) -> Verdict:
        """What is proven."""
        if not all(identity.is_true or identity.is_outdated for identity in self.identities):
            return Verdict.DIFFERS
        if all(identity.is_empty for identity in self.identities):
            return Verdict.NOTHING
        is_proven = self.is_fresh and all(identity.is_true for identity in self.identities)
        return Verdict.BALANCES if is_proven else Verdict.OURS

    @property
    def badge(self) -> str:
        """The state whose badge it has."""
        return BADGES[self.verdict]

    @property
    def words(self) -> str:
        """The verdict in words; a time is in the console's zone, by the business clock as every time on the page."""
        match self.verdict:
            case Verdict.BALANCES:
                return _("Balances")
            case Verdict.DIFFERS:
                return _("Differs")
            case Verdict.NOTHING:
                return _("Nothing to prove")
        if self.reading is None:
            return _("Ours balances; the servers were never read")
        when = formats.moment(self.reading.read_at, settings.BILLING_TIMEZONE)
        return _("Ours balances; the servers were last read at %(when)s") % {"when": when}

    @property
    def sentence(self) -> str:
        """What the verdict means, and what to do."""
        match self.verdict:
            case Verdict.BALANCES:
                return _(
                    "All eight checks hold, and both servers were read after the last change: what was worked is what "
                    "was billed, on both servers and here."
                )
            case Verdict.DIFFERS:
                return _("Something does not fit. Each row that differs is named below; open it and see why.")
            case Verdict.NOTHING:
                return _("The console knows of no closed item and no invoice of these days.")
        if self.reading is None:
            return _("The console's own rows fit together. Read both servers to prove that these say the same.")
        return _(
            "The console's own rows fit together, but some changed after the servers were read, so that is not proven "
            "by them. Read both servers now."
        )


def prove(
    period: Period | None, only: Q | None = None, strangers: Q | None = against_readings.ALL, by_hand: Q | None = None
) -> Proof:
    """The four identities of our rows, the four that compare with the last reading where there is one, and the verdict.

    `only` narrows our entries, `strangers` the items that Taiga lists and we do not know (None leaves them out),
    `by_hand` the lines added by hand; as in `reconcile.check` and `against_readings.check_reading`.
    """
    found = reconcile.check(period, only, by_hand)
    reading = readings.latest()
    if reading is not None:
        found += against_readings.check_reading(reading, period, only, strangers)
    entries = reconcile.entries_of(period, only)
    changes = [at for at in _changes(entries, reconcile.lines_by_hand(period, only, by_hand)) if at is not None]
    return Proof(tuple(found), reading, max(changes, default=None))


def _changes(entries: QuerySet[TimeEntry], by_hand: QuerySet[InvoiceLine]) -> Iterator[dt.datetime | None]:
    """When rows of each kind changed last: one query for each kind."""
    yield from _latest(entries, "evaluated_at", "state_since")
    yield from _latest(WorkItem.objects.filter(entries__in=entries), "changed_at")
    lines = InvoiceLine.objects.filter(Q(entry__in=entries) | Q(pk__in=by_hand.values("pk")))
    yield from _latest(lines, "adjusted_at", "voided_at")
    invoices = Invoice.objects.filter(pk__in=lines.values("invoice"))
    yield from _latest(invoices, "created_at", "state_since", "changed_at", "remote__state_since")
    yield from _latest(Deviation.objects.filter(invoice__in=invoices), "decided_at")
    clients = invoices.order_by().values("client")
    yield from _latest(UnappliedPayment.objects.filter(client__in=clients), "changed_at")
    credits = Credit.objects.filter(invoice__in=invoices)
    yield from _latest(credits, "made_at", "remote__state_since", "uses__remote__state_since")


def _latest(rows: QuerySet[Any], *columns: str) -> Iterable[dt.datetime | None]:
    return rows.aggregate(**{f"last_{column}": Max(column) for column in columns}).values()
