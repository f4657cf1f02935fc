"""Does worked = billed, to the cent? The four identities of billing-rules, for the work dates of a period.

Every figure comes from another side than the one it is compared with: what Taiga says now, our entries, our frozen
lines, and what Invoice Ninja answered when each invoice was last read. Hours are raw hours, amounts per currency before
tax unless named gross. Pure reading: nothing is locked or changed, nobody is called.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from django.db.models import Count, F, Q, QuerySet, Sum
from django.utils.translation import gettext as _

from billing_console import money
from billing_console.states import EntryState, InvoiceState, Reason
from invoicing.models import Credit, Invoice, InvoiceLine
from mappings.lookups import hour_rules
from mappings.rules import Period, bill_hours
from sync import attributes
from sync.entries import is_given_away
from sync.models import Difference, TimeEntry, WorkItem

UNREADABLE = (Reason.UNREADABLE_HOURS, Reason.UNREADABLE_BILLABLE, Reason.UNREADABLE_RATE)
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


@dataclass(frozen=True)
class Term:
    """One part of an identity: how many rows, their raw hours, their amounts by currency.

    `state` is that of the entries it is made of, "" for a part of another kind.
    """

    name: str
    count: int = 0
    hours: Decimal = money.ZERO
    amounts: dict[str, Decimal] = field(default_factory=dict)
    state: str = ""


@dataclass(frozen=True)
class Identity:
    """`left` must equal the sum of `right`; `residue` says by how much it does not, empty when it holds."""

    name: str
    left: Term
    right: tuple[Term, ...]
    residue: tuple[str, ...]

    @property
    def is_true(self) -> bool:
        """Whether nothing is left over."""
        return not self.residue


def check(period: Period, only: Q | None = None) -> list[Identity]:
    """The four identities over the entries whose work date is in `period` (local days, half-open).

    `only` is a further condition on entries: of one client, project or person.
    """
    entries = TimeEntry.objects.filter(only or Q(), work_date__gte=period.start, work_date__lt=period.end)
    parts = list(_partition(entries))
    return [
        _items(entries, parts, is_whole=not only),
        _hours(entries, parts),
        _amounts(entries, parts),
        _invoiced(entries),
    ]


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
        amounts = _by_currency(rows, "amount")
        yield key, Term(name, total["count"], total["hours"] or money.ZERO, amounts, _STATES[key])


def _by_currency(rows: QuerySet[Any], column: str, currency: str = "currency") -> dict[str, Decimal]:
    sums = rows.exclude(**{currency: ""}).order_by().values(currency).annotate(total=Sum(column))
    return {row[currency]: row["total"] for row in sums if row["total"]}


def _add(*several: dict[str, Decimal]) -> dict[str, Decimal]:
    totals: dict[str, Decimal] = defaultdict(Decimal)
    for amounts in several:
        for currency, amount in amounts.items():
            totals[currency] += amount
    return {currency: amount for currency, amount in totals.items() if amount}


def _unequal(left: dict[str, Decimal], right: dict[str, Decimal]) -> tuple[str, ...]:
    """ "EUR 0.01" for each currency that differs, left − right."""
    currencies = sorted(left.keys() | right.keys())
    gaps = {code: left.get(code, money.ZERO) - right.get(code, money.ZERO) for code in currencies}
    return tuple(f"{code} {_in_units(gap, code):+}" for code, gap in gaps.items() if gap)


def _in_units(gap: Decimal, currency: str) -> Decimal:
    """With the currency's decimals, or all it has where it is finer: a gap is never rounded away."""
    rounded = money.quantize(gap, currency)
    return rounded if rounded == gap else gap


def _items(entries: QuerySet[TimeEntry], parts: list[tuple[str, Term]], *, is_whole: bool) -> Identity:
    """1. Every cycle of every item ever read as closed is in exactly one class."""
    count = entries.count()
    right = tuple(Term(term.name, term.count, state=term.state) for _key, term in parts)
    residue = []
    if gap := count - sum(term.count for term in right):
        residue.append(_("%(count)d cycles are in no class") % {"count": gap})
    forgotten = WorkItem.objects.filter(closings__gt=0, entries__isnull=True).count()
    if forgotten and is_whole:  # what has no entry belongs to no client, project or person yet
        residue.append(_("%(count)d items were closed but have no entry") % {"count": forgotten})
    return Identity(_("Items × cycles"), Term(_("cycles"), count), right, tuple(residue))


def _hours(entries: QuerySet[TimeEntry], parts: list[tuple[str, Term]]) -> Identity:
    """2. What Taiga says now = what the cycles carry, without the unreadable, + what was typed after the billing."""
    ids = entries.exclude(state=EntryState.HELD, reason__in=UNREADABLE).values("item_id")
    cycles: dict[int, list[TimeEntry]] = defaultdict(list)
    for entry in TimeEntry.objects.filter(item_id__in=ids).select_related("rule_set").order_by("item_id", "cycle"):
        cycles[entry.item_id].append(entry)
    differing = set(Difference.objects.filter(item_id__in=ids).values_list("item_id", flat=True))
    items = list(WorkItem.objects.filter(pk__in=ids))
    typed = changed = money.ZERO
    count = 0
    for item in items:
        hours = _typed(item)
        typed += hours
        change = hours - money.total(entry.raw_hours or money.ZERO for entry in cycles[item.pk])
        if change and _is_changed_since(item, hours, cycles[item.pk], has_difference=item.pk in differing):
            changed, count = changed + change, count + 1
    inside = set(entries.values_list("pk", flat=True))
    other = [entry.raw_hours or money.ZERO for rows in cycles.values() for entry in rows if entry.pk not in inside]
    left = Term(_("typed in Taiga"), len(items), typed - money.total(other))
    carried = tuple(
        Term(term.name, term.count, term.hours, {}, term.state) for key, term in parts if key != "unreadable"
    )
    right = (*carried, Term(_("changed after it was billed"), count, changed))
    gap = left.hours - money.total(term.hours for term in right)
    return Identity(_("Raw hours"), left, right, (f"{gap:+} h",) if gap else ())


def _typed(item: WorkItem) -> Decimal:
    """Hours that Taiga holds for the item now; 0 where nobody can read them."""
    raw = item.attributes.get(attributes.HOURS)
    try:
        return money.ZERO if attributes.is_blank(raw) else attributes.parse_hours(raw)
    except attributes.Unreadable:
        return money.ZERO


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


def _amounts(entries: QuerySet[TimeEntry], parts: list[tuple[str, Term]]) -> Identity:
    """3. Priced entries + adjustments = held + unbilled + in drafts + invoiced + written off; claimed ones as lines."""
    by_key = dict(parts)
    priced = ("held", "unbilled", "in_draft", "invoiced", "written_off")
    lines = InvoiceLine.objects.filter(is_voided=False, entry__in=entries)
    drafted = lines.filter(entry__state=EntryState.CLAIMED)
    billed = lines.filter(entry__state=EntryState.INVOICED)
    on_lines = {
        "in_draft": _by_currency(drafted, "amount", "invoice__currency"),
        "invoiced": _by_currency(billed, "amount", "invoice__currency"),
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
    adjusted = _by_currency(lines.annotate(change=F("amount") - F("entry__amount")), "change", "invoice__currency")
    left = _add(_by_currency(rows, "amount"), adjusted)
    residue = _unequal(left, _add(*(term.amounts for term in right)))
    return Identity(_("Money, before tax"), Term(_("priced entries"), rows.count(), amounts=left), right, residue)


def _invoiced(entries: QuerySet[TimeEntry]) -> Identity:
    """4. Our invoiced lines = the server's net; of each sent invoice gross = paid + open there; gross − credits = both.

    The server counts a credit that was set against an invoice as paid; here it stands for itself.
    """
    invoices = Invoice.objects.filter(state__in=THERE, lines__entry__in=entries, lines__is_voided=False).distinct()
    rows = list(invoices.select_related("remote", "client"))
    theirs: dict[str, Decimal] = defaultdict(Decimal)
    residue = []
    for invoice in rows:
        seen = invoice.remote.seen if invoice.remote else {}
        theirs[invoice.currency] += Decimal(seen.get("amount", "0")) - Decimal(seen.get("total_taxes", "0"))
        if invoice.state in SENT:
            paid_and_open = invoice.paid_to_date + (invoice.balance or money.ZERO)
            if paid_and_open != invoice.gross:
                words = {"number": invoice.number, "gap": invoice.gross - paid_and_open, "currency": invoice.currency}
                residue.append(_("%(number)s: gross − paid − open = %(gap)s %(currency)s") % words)
    lines = InvoiceLine.objects.filter(is_voided=False, invoice__in=[row.pk for row in rows])
    ours = _by_currency(lines, "amount", "invoice__currency")
    open_now = {
        currency: money.total(
            row.balance or money.ZERO for row in rows if row.currency == currency and row.state in SENT
        )
        for currency in {row.currency for row in rows}
    }
    paid = {
        currency: money.total(row.paid_to_date for row in rows if row.currency == currency)
        for currency in {row.currency for row in rows}
    }
    used, unused, gaps = credited(rows)
    residue.extend(gaps)
    right = (
        Term(_("net in Invoice Ninja"), len(rows), amounts=_add(theirs)),
        Term(_("of it paid, gross"), amounts=_minus(paid, used)),
        *([Term(_("of it credited, gross"), amounts=_add(used, unused))] if _add(used, unused) else []),
        Term(_("of it open, gross"), amounts=_minus(open_now, unused)),
    )
    residue.extend(_unequal(ours, _add(theirs)))
    return Identity(_("Invoiced"), Term(_("our lines"), lines.count(), amounts=ours), right, tuple(residue))


def credited(invoices: list[Invoice]) -> tuple[dict[str, Decimal], dict[str, Decimal], list[str]]:
    """Credits of these invoices, gross by currency: set against them, still open; and where Invoice Ninja differs.

    One that is not there yet, or was given up, gives nothing back.
    """
    used: dict[str, Decimal] = defaultdict(Decimal)
    unused: dict[str, Decimal] = defaultdict(Decimal)
    gaps = []
    rows = Credit.objects.filter(invoice__in=[row.pk for row in invoices], is_given_up=False)
    for credit in rows.filter(remote__remote_id__isnull=False).select_related("remote", "invoice"):
        there = Decimal(credit.remote.seen.get("amount", "0"))
        used[credit.currency] += credit.used
        unused[credit.currency] += credit.gross - credit.used
        if there != credit.gross:
            words = {"number": credit.number, "gap": credit.gross - there, "currency": credit.currency}
            gaps.append(_("credit %(number)s: ours − there = %(gap)s %(currency)s") % words)
    return used, unused, gaps


def _minus(left: dict[str, Decimal], right: dict[str, Decimal]) -> dict[str, Decimal]:
    return _add(left, {currency: -amount for currency, amount in right.items()})
