"""Does worked = billed, to the cent? The four identities of billing-rules, for the work dates of a period.

Every figure comes from another side than the one it is compared with: what Taiga said when each item was last read, our
entries, our frozen lines, and what Invoice Ninja answered when each invoice was last read. `against_readings` goes on
from here to what both servers list as a whole. Hours are raw hours, amounts per currency before tax unless named gross.
Pure reading: nothing is locked or changed, nobody is called.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal

from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, Sum
from django.urls import reverse
from django.utils.translation import gettext as _

from billing_console import money
from billing_console.states import EntryState, InvoiceState
from invoicing.identities import Identity, Leftover, Term, add, by_currency, unequal
from invoicing.models import Credit, Invoice, InvoiceLine
from invoicing.run import DEAD
from invoicing.typed_hours import UNREADABLE, hours_identity
from mappings.rules import Period
from sync.models import TimeEntry, WorkItem

__all__ = ["ADJUSTMENTS", "Identity", "Leftover", "Term", "check", "entries_of"]

THERE = (
    InvoiceState.CREATED,
    InvoiceState.SENDING,
    InvoiceState.ATTENTION,
    InvoiceState.SENT,
    InvoiceState.PARTLY_PAID,
    InvoiceState.PAID,
)
_STATES = {
    "not_billable": EntryState.VOID.value,
    "unreadable": EntryState.HELD.value,
    "held": EntryState.HELD.value,
    "below_minimum": EntryState.BELOW_MINIMUM.value,
    "elsewhere": EntryState.EXCLUDED.value,
    "unbilled": EntryState.READY.value,
    "in_draft": EntryState.CLAIMED.value,
    "invoiced": EntryState.INVOICED.value,
    "written_off": EntryState.WRITTEN_OFF.value,
}
SENT = (InvoiceState.SENT, InvoiceState.PARTLY_PAID, InvoiceState.PAID)
NOT_THERE_YET = (InvoiceState.DRAFT, InvoiceState.HELD, InvoiceState.APPROVED)


def _written_anew(lines: QuerySet[InvoiceLine], added: QuerySet[InvoiceLine]) -> Term:
    """What a person wrote over hours or rate, against the figures that were kept beside it."""
    written = lines.filter(original_amount__isnull=False).annotate(change=F("amount") - F("original_amount"))
    return Term(_("adjustments"), written.count(), amounts=_on_lines(written, "change"))


def _added_by_hand(lines: QuerySet[InvoiceLine], added: QuerySet[InvoiceLine]) -> Term:
    return Term(_("added by hand"), added.count(), amounts=_on_lines(added))


# What makes the billed money differ from the priced entries, each a term of the third identity, made of the lines of
# the entries and of those without one. A line that differs from its entry in another way is a residue.
ADJUSTMENTS = [_written_anew, _added_by_hand]


def entries_of(period: Period | None, only: Q | None = None) -> QuerySet[TimeEntry]:
    """The entries whose work date is in `period` (local days, half-open; None is all), narrowed by `only`."""
    days = Q(work_date__gte=period.start, work_date__lt=period.end) if period else Q()
    return TimeEntry.objects.filter(only or Q(), days)


def check(period: Period | None, only: Q | None = None, by_hand: Q | None = None) -> list[Identity]:
    """The four identities over the entries of a period.

    `only` is a further condition on entries: of one client, project, person or run. `by_hand` is the same for lines
    that were added by hand, which have no entry and count for the last day of their invoice's period; None: all of
    them, or with `only` none.
    """
    entries = entries_of(period, only)
    parts = list(_partition(entries))
    return [
        _items(entries, parts, is_whole=not only),
        hours_identity(entries, parts),
        _amounts(entries, _added_lines(period, by_hand or (Q(pk__in=[]) if only else Q())), parts),
        _invoiced(entries),
    ]


def _added_lines(period: Period | None, by_hand: Q) -> QuerySet[InvoiceLine]:
    days = Q(work_date__gte=period.start, work_date__lt=period.end) if period else Q()
    living = InvoiceLine.objects.filter(by_hand, days, entry__isnull=True, is_voided=False)
    return living.exclude(invoice__state__in=DEAD)


def _partition(entries: QuerySet[TimeEntry]) -> Iterator[tuple[str, Term]]:
    unreadable = Q(state=EntryState.HELD, reason__in=UNREADABLE)
    classes = {
        "not_billable": (_("not billable"), Q(state=EntryState.VOID)),
        "unreadable": (_("unreadable"), unreadable),
        "held": (_("held"), Q(state=EntryState.HELD) & ~Q(reason__in=UNREADABLE)),
        "below_minimum": (_("below minimum"), Q(state=EntryState.BELOW_MINIMUM)),
        "elsewhere": (_("billed elsewhere"), Q(state=EntryState.EXCLUDED)),
        "unbilled": (_("unbilled"), Q(state=EntryState.READY)),
        "in_draft": (_("in a draft"), Q(state=EntryState.CLAIMED)),
        "invoiced": (_("invoiced"), Q(state=EntryState.INVOICED)),
        "written_off": (_("written off"), Q(state=EntryState.WRITTEN_OFF)),
    }
    for key, (name, condition) in classes.items():
        rows = entries.filter(condition)
        total = rows.aggregate(count=Count("pk"), hours=Sum("raw_hours"))
        amounts = by_currency(rows, "amount")
        yield key, Term(name, total["count"], total["hours"] or money.ZERO, amounts, _STATES[key])


def _items(entries: QuerySet[TimeEntry], parts: list[tuple[str, Term]], *, is_whole: bool) -> Identity:
    """1. Every cycle of every item ever read as closed is in exactly one class."""
    count = entries.count()
    right = tuple(Term(term.name, term.count, state=term.state) for _key, term in parts)
    residue = []
    if gap := count - sum(term.count for term in right):
        residue.append(_("%(count)d cycles are in no class") % {"count": gap})
    # What has no entry belongs to no client, project or person yet.
    forgotten = WorkItem.objects.filter(closings__gt=0, entries__isnull=True) if is_whole else WorkItem.objects.none()
    leftovers = tuple(
        Leftover(_("%(item)s was closed but has no entry") % {"item": item}, item.permalink)
        for item in forgotten.order_by("pk")
    )
    if leftovers:
        residue.append(_("%(count)d items were closed but have no entry") % {"count": len(leftovers)})
    return Identity(_("Items × cycles"), Term(_("cycles"), count), right, tuple(residue), leftovers=leftovers)


def _amounts(entries: QuerySet[TimeEntry], added: QuerySet[InvoiceLine], parts: list[tuple[str, Term]]) -> Identity:
    """3. Priced entries + adjustments = held + unbilled + in drafts + invoiced + written off; claimed ones as lines."""
    by_key = dict(parts)
    priced = ("held", "unbilled", "in_draft", "invoiced", "written_off")
    lines = InvoiceLine.objects.filter(is_voided=False, entry__in=entries)
    drafted = lines.filter(entry__state=EntryState.CLAIMED)
    billed = lines.filter(entry__state=EntryState.INVOICED)
    on_lines = {
        "in_draft": add(_on_lines(drafted), _on_lines(added.filter(invoice__state__in=NOT_THERE_YET))),
        "invoiced": add(_on_lines(billed), _on_lines(added.filter(invoice__state__in=THERE))),
    }
    right = tuple(
        Term(
            by_key[key].name,
            by_key[key].count,
            by_key[key].hours,
            on_lines.get(key, by_key[key].amounts),
            by_key[key].state,
        )
        for key in priced
    )
    states = [EntryState.HELD, EntryState.READY, EntryState.CLAIMED, EntryState.INVOICED, EntryState.WRITTEN_OFF]
    rows = entries.filter(state__in=states).exclude(reason__in=UNREADABLE)
    priced_ones = Term(_("as priced"), rows.count(), amounts=by_currency(rows, "amount"))
    adjusted = [term for adjust in ADJUSTMENTS if (term := adjust(lines, added)).count]
    left = add(priced_ones.amounts, *(term.amounts for term in adjusted))
    residue = unequal(left, add(*(term.amounts for term in right)))
    whole = Term(_("priced entries"), priced_ones.count, amounts=left)
    of_left = (priced_ones, *adjusted) if adjusted else ()
    return Identity(_("Money, before tax"), whole, right, residue, of_left)


def _on_lines(lines: QuerySet[InvoiceLine], column: str = "amount") -> dict[str, Decimal]:
    return by_currency(lines, column, "invoice__currency")


def _invoiced(entries: QuerySet[TimeEntry]) -> Identity:
    """4. Our invoiced lines = the server's net; of each sent invoice gross = paid + open there; gross − credits = both.

    The server counts a credit that was set against an invoice as paid; here it stands for itself.
    """
    on_them = InvoiceLine.objects.filter(invoice=OuterRef("pk"), is_voided=False, entry__in=entries)
    invoices = Invoice.objects.filter(Exists(on_them), state__in=THERE)
    theirs: dict[str, Decimal] = defaultdict(Decimal)
    paid: dict[str, Decimal] = defaultdict(Decimal)
    open_now: dict[str, Decimal] = defaultdict(Decimal)
    residue, leftovers = [], []
    count = 0
    for invoice in invoices.select_related("remote", "client").order_by("pk").iterator(chunk_size=1000):
        count += 1
        seen = invoice.remote.seen if invoice.remote else {}
        theirs[invoice.currency] += Decimal(seen.get("amount", "0")) - Decimal(seen.get("total_taxes", "0"))
        paid[invoice.currency] += invoice.paid_to_date
        if invoice.state in SENT:
            balance = invoice.balance or money.ZERO
            open_now[invoice.currency] += balance
            if gap := invoice.gross - invoice.paid_to_date - balance:
                words = {"number": invoice.number, "gap": gap, "currency": invoice.currency}
                residue.append(_("%(number)s: gross − paid − open = %(gap)s %(currency)s") % words)
                url = reverse("admin:invoicing_invoice_change", args=[invoice.pk])
                leftovers.append(Leftover(f"{invoice}: {residue[-1]}", url))
    lines = InvoiceLine.objects.filter(is_voided=False, invoice__in=invoices)
    ours = by_currency(lines, "amount", "invoice__currency")
    used, unused, gaps = credited(invoices)
    residue.extend(gaps)
    right = (
        Term(_("net in Invoice Ninja"), count, amounts=add(theirs)),
        Term(_("of it paid, gross"), amounts=_minus(paid, used)),
        *([Term(_("of it credited, gross"), amounts=add(used, unused))] if add(used, unused) else []),
        Term(_("of it open, gross"), amounts=_minus(open_now, unused)),
    )
    residue.extend(unequal(ours, add(theirs)))
    whole = Term(_("our lines"), lines.count(), amounts=ours)
    return Identity(_("Invoiced"), whole, right, tuple(residue), leftovers=tuple(leftovers))


def credited(invoices: QuerySet[Invoice]) -> tuple[dict[str, Decimal], dict[str, Decimal], list[str]]:
    """Credits of these invoices, gross by currency: set against them, still open; and where Invoice Ninja differs.

    One that is not there yet, or was given up, gives nothing back.
    """
    used: dict[str, Decimal] = defaultdict(Decimal)
    unused: dict[str, Decimal] = defaultdict(Decimal)
    gaps = []
    rows = Credit.objects.filter(invoice__in=invoices, is_given_up=False)
    for credit in rows.filter(remote__remote_id__isnull=False).select_related("remote", "invoice"):
        there = Decimal(credit.remote.seen.get("amount", "0"))
        used[credit.currency] += credit.used
        unused[credit.currency] += credit.gross - credit.used
        if there != credit.gross:
            words = {"number": credit.number, "gap": credit.gross - there, "currency": credit.currency}
            gaps.append(_("credit %(number)s: ours − there = %(gap)s %(currency)s") % words)
    return used, unused, gaps


def _minus(left: dict[str, Decimal], right: dict[str, Decimal]) -> dict[str, Decimal]:
    return add(left, {currency: -amount for currency, amount in right.items()})
