"""All payments of some clients, as they were last read: received = on invoices + on none (billing-rules: Identities).

Amounts with tax, refunds taken off; whole clients, of any day, because money without an invoice has no period.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Count, QuerySet, Sum
from django.urls import reverse
from django.utils.translation import gettext as _

from billing_console import formats, money
from invoicing.identities import Leftover, Term, add, unequal
from invoicing.models import CountedPayment, Invoice, Reading, UnappliedPayment
from invoicing.unapplied import left
from mappings.models import Client

REPORT = "unapplied"


@dataclass(frozen=True)
class Beside:
    """Terms that stand beside the identity's sum, by how much they differ, and the payments that do."""

    terms: tuple[Term, ...]
    residue: tuple[str, ...]
    leftovers: list[Leftover]


def money_of_clients(reading: Reading, invoices: QuerySet[Invoice]) -> Beside:
    """What came in of the clients of `invoices`, and whether what is on no invoice there is what we keep."""
    clients = Client.objects.filter(pk__in=invoices.order_by().values("client"))
    theirs = CountedPayment.objects.filter(reading=reading, client_ninja_id__in=clients.values("ninja_id"))
    rows = list(
        theirs.order_by()
        .values("currency")
        .annotate(count=Count("pk"), came=Sum("received"), put=Sum("applied"), beside=Sum("unapplied"))
    )
    received = add({row["currency"]: row["came"] for row in rows})
    applied = add({row["currency"]: row["put"] for row in rows})
    unapplied = add({row["currency"]: row["beside"] for row in rows})
    there = {row.ninja_id: row for row in theirs.exclude(unapplied=0)}
    ours = {row.ninja_id: row for row in left().filter(client__in=clients).select_related("client")}
    leftovers = [
        _differs(reading, ours.get(ninja_id), there.get(ninja_id))
        for ninja_id in sorted(there.keys() | ours.keys())
        if (there[ninja_id].unapplied if ninja_id in there else 0) != (ours[ninja_id].amount if ninja_id in ours else 0)
    ]
    terms: tuple[Term, ...] = ()
    if there or leftovers:
        terms = (
            Term(
                _("beside it all payments of these clients"),
                sum(row["count"] for row in rows),
                amounts=received,
                is_beside=True,
            ),
            Term(_("of these on invoices"), amounts=applied, is_beside=True),
            Term(_("of these on no invoice"), len(there), amounts=unapplied, report=REPORT, is_beside=True),
        )
    return Beside(terms, unequal(received, add(applied, unapplied)), leftovers)


def _differs(reading: Reading, ours: UnappliedPayment | None, there: CountedPayment | None) -> Leftover:
    currency = there.currency if there is not None else ours.currency if ours is not None else ""
    words = {
        "number": there.number if there is not None else ours.number if ours is not None else "",
        "there": formats.exact_money(there.unapplied if there is not None else money.ZERO, currency),
        "ours": formats.exact_money(ours.amount if ours is not None else money.ZERO, currency),
    }
    return Leftover(
        _("payment %(number)s: %(there)s on no invoice in Invoice Ninja, %(ours)s here") % words,
        reverse("admin:invoicing_report", args=[REPORT]),
        is_newer=ours is not None and reading.is_older_than(ours.changed_at),
    )
