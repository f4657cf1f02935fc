"""Does worked = billed, to the cent? The four identities of billing-rules, for the work dates of a period.

Every figure comes from another side than the one it is compared with: what Taiga said when each item was last read, our
entries, our frozen lines, and what Invoice Ninja answered when each invoice was last read. `against_readings` goes on
from here to what both servers list as a whole. Hours are raw hours, amounts per currency before tax unless named gross.
Pure reading: nothing is locked or changed, nobody is called.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from functools import reduce
from operator import or_
from typing import Final

from django.db.models import Count, Exists, F, FilteredRelation, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing_console import formats, money
from billing_console.states import EntryState, InvoiceState, Reason
from invoicing import kept_words
from invoicing.books.facts import ASKED, THERE
from invoicing.credited_classes import classes_of
from invoicing.fees import net_there
from invoicing.identities import Identity, Leftover, Term, add, by_currency, identity_of, unequal
from invoicing.models import Became, Credit, CreditUse, Invoice, InvoiceLine, Meaning, Payment
from invoicing.run import DEAD
from invoicing.typed_hours import UNREADABLE, hours_identity
from mappings.rules import Period
from sync.models import TimeEntry, WorkItem

__all__ = ["ADJUSTMENTS", "Identity", "Leftover", "Term", "check", "entries_of"]

_NOBODY_PAYS = (Reason.UNMAPPED_PROJECT,)
_OTHERS = tuple(reason for reason in Reason if reason not in (*UNREADABLE, *_NOBODY_PAYS))
# Every state of an entry, and of a held one what it waits for, is in exactly one of these.
_CLASSES: Final[dict[str, tuple[Promise, EntryState, tuple[Reason, ...]]]] = {
    "nobody_pays": (gettext_lazy("nobody pays"), EntryState.HELD, _NOBODY_PAYS),
    "not_billable": (gettext_lazy("not billable"), EntryState.VOID, ()),
    "unreadable": (gettext_lazy("unreadable"), EntryState.HELD, UNREADABLE),
    "held": (gettext_lazy("held"), EntryState.HELD, _OTHERS),
    "below_minimum": (gettext_lazy("below minimum"), EntryState.BELOW_MINIMUM, ()),
    "elsewhere": (gettext_lazy("billed elsewhere"), EntryState.EXCLUDED, ()),
    "unbilled": (gettext_lazy("unbilled"), EntryState.READY, ()),
    "in_draft": (gettext_lazy("in a draft"), EntryState.CLAIMED, ()),
    "invoiced": (gettext_lazy("invoiced"), EntryState.INVOICED, ()),
    "written_off": (gettext_lazy("written off"), EntryState.WRITTEN_OFF, ()),
}
_PRICED = ("nobody_pays", "held", "unbilled", "in_draft", "invoiced", "written_off")
NOT_THERE_YET = (InvoiceState.DRAFT, InvoiceState.HELD, InvoiceState.APPROVED)


def _written_anew(lines: QuerySet[InvoiceLine], added: QuerySet[InvoiceLine]) -> Term:
    """What a person wrote over hours or rate, against the figures that were kept beside it."""
    written = lines.filter(original_amount__isnull=False).exclude(meaning=Meaning.ON_PURPOSE)
    written = written.annotate(change=F("amount") - F("original_amount"))
    return Term(_("adjustments"), written.count(), amounts=_on_lines(written, "change"))


def _on_purpose(lines: QuerySet[InvoiceLine], added: QuerySet[InvoiceLine]) -> Term:
    """The same where the hours in Taiga are right: what was left out is waived, and never asked for again."""
    said = lines.filter(meaning=Meaning.ON_PURPOSE, original_amount__isnull=False)
    said = said.annotate(change=F("amount") - F("original_amount"))
    return Term(_("waived or added on purpose"), said.count(), amounts=_on_lines(said, "change"))


def _added_by_hand(lines: QuerySet[InvoiceLine], added: QuerySet[InvoiceLine]) -> Term:
    return Term(_("added by hand"), added.count(), amounts=_on_lines(added))


# What makes the billed money differ from the priced entries, each a term of the third identity, made of the lines of
# the entries and of those without one. A line that differs from its entry in another way is a residue.
ADJUSTMENTS = [_written_anew, _on_purpose, _added_by_hand]


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
    strays = tuple(_in_no_class(entries))
    return [
        _items(entries, parts, strays, is_whole=not only),
        hours_identity(entries, parts, strays),
        _amounts(entries, _all_by_hand(period, only, by_hand), parts, period, is_whole=not only),
        _invoiced(entries),
    ]


def lines_by_hand(period: Period | None, only: Q | None, by_hand: Q | None) -> QuerySet[InvoiceLine]:
    """The living lines that were added by hand, for the same period and conditions as `check`."""
    return _living(_all_by_hand(period, only, by_hand))


def _all_by_hand(period: Period | None, only: Q | None, by_hand: Q | None) -> QuerySet[InvoiceLine]:
    """The same with those that were taken off their invoice."""
    days = Q(work_date__gte=period.start, work_date__lt=period.end) if period else Q()
    condition = by_hand or (Q(pk__in=[]) if only else Q())
    return InvoiceLine.objects.filter(condition, days, entry__isnull=True)


def _living(by_hand: QuerySet[InvoiceLine]) -> QuerySet[InvoiceLine]:
    return by_hand.filter(is_voided=False).exclude(invoice__state__in=DEAD)


def _partition(entries: QuerySet[TimeEntry]) -> Iterator[tuple[str, Term]]:
    for key, (name, state, reasons) in _CLASSES.items():
        rows = entries.filter(_in_class(key))
        total = rows.aggregate(count=Count("pk"), hours=Sum("raw_hours"))
        amounts = by_currency(rows, "amount")
        yield key, Term(str(name), total["count"], total["hours"] or money.ZERO, amounts, state.value, reasons)


def _in_class(key: str) -> Q:
    _name, state, reasons = _CLASSES[key]
    return Q(state=state, reason__in=reasons) if reasons else Q(state=state)


def _in_no_class(entries: QuerySet[TimeEntry]) -> Iterator[Leftover]:
    somewhere = reduce(or_, (_in_class(key) for key in _CLASSES))
    for entry in entries.exclude(somewhere).select_related("item").order_by("pk").iterator():
        words = {"item": entry.item, "state": entry.state, "reason": entry.reason or "–"}
        yield Leftover(_("%(item)s is in no class: state %(state)s, reason %(reason)s") % words, _page_of(entry.pk))


def _items(
    entries: QuerySet[TimeEntry], parts: list[tuple[str, Term]], strays: tuple[Leftover, ...], *, is_whole: bool
) -> Identity:
    """1. Every cycle of every item ever read as closed is in exactly one class."""
    count = entries.count()
    right = tuple(replace(term, hours=money.ZERO, amounts={}) for _key, term in parts)
    residue = []
    if gap := count - sum(term.count for term in right):
        residue.append(_("%(count)d cycles are in no class") % {"count": gap})
    # What has no entry belongs to no client, project or person yet.
    forgotten = WorkItem.objects.filter(closings__gt=0, entries__isnull=True) if is_whole else WorkItem.objects.none()
    without = tuple(
        Leftover(_("%(item)s was closed but has no entry") % {"item": item}, item.permalink)
        for item in forgotten.order_by("pk")
    )
    if without:
        residue.append(_("%(count)d items were closed but have no entry") % {"count": len(without)})
    return Identity(_("Items × cycles"), Term(_("cycles"), count), right, tuple(residue), leftovers=strays + without)


def _page_of(entry_id: int) -> str:
    return reverse("admin:sync_timeentry_change", args=[entry_id])


def _amounts(
    entries: QuerySet[TimeEntry],
    by_hand: QuerySet[InvoiceLine],
    parts: list[tuple[str, Term]],
    period: Period | None,
    *,
    is_whole: bool,
) -> Identity:
    """3. Priced entries + adjustments = held + unbilled + in drafts + invoiced + written off; claimed ones as lines.

    Lines by hand are among the adjustments, also those that wait for a draft (unbilled), or were written off.
    """
    waiting, written_off = by_hand.filter(is_waiting=True), by_hand.filter(became=Became.WRITTEN_OFF)
    living = _living(by_hand)
    added = by_hand.filter(Q(pk__in=living.values("pk")) | Q(is_waiting=True) | Q(became=Became.WRITTEN_OFF))
    by_key = dict(parts)
    lines = InvoiceLine.objects.filter(is_voided=False, entry__in=entries)
    drafted = lines.filter(entry__state=EntryState.CLAIMED)
    billed = lines.filter(entry__state=EntryState.INVOICED)
    on_lines = {
        "in_draft": add(_on_lines(drafted), _on_lines(living.filter(invoice__state__in=NOT_THERE_YET))),
        "invoiced": add(_on_lines(billed), _on_lines(living.filter(invoice__state__in=THERE))),
        "unbilled": add(by_key["unbilled"].amounts, _on_lines(waiting)),
        "written_off": add(by_key["written_off"].amounts, _on_lines(written_off)),
    }
    right = tuple(replace(by_key[key], amounts=on_lines.get(key, by_key[key].amounts)) for key in _PRICED)
    states = [_CLASSES[key][1] for key in _PRICED]
    rows = entries.filter(state__in=states).exclude(reason__in=UNREADABLE)
    priced_ones = Term(_("as priced"), rows.count(), amounts=by_currency(rows, "amount"))
    adjusted = [term for adjust in ADJUSTMENTS if (term := adjust(lines, added)).count]
    left = add(priced_ones.amounts, *(term.amounts for term in adjusted))
    residue = unequal(left, add(*(term.amounts for term in right)))
    whole = Term(_("priced entries"), priced_ones.count, amounts=left)
    of_left = (priced_ones, *adjusted) if adjusted else ()
    given_back, unasked = kept_words.credited(entries)
    leftovers = [
        *_wrong_lines(entries),
        *kept_words.forgotten_words(entries),
        *kept_words.lost_by_hand(by_hand),
        *kept_words.wrong_totals(entries, period, is_whole=is_whole),
        *unasked,
    ]
    right += (given_back,) if given_back.count else ()
    return identity_of(_("Money, before tax"), whole, right, residue, leftovers, of_left=of_left)


def _wrong_lines(entries: QuerySet[TimeEntry]) -> tuple[Leftover, ...]:
    """Entries whose line says another amount than they were priced with, and no person's word for it."""
    claimed = Q(state__in=(EntryState.CLAIMED, EntryState.INVOICED))
    is_other = ~Q(amount=F("first")) | ~Q(currency=F("on")) | Q(first__isnull=True) | Q(amount__isnull=True)
    rows = (
        entries.alias(line=FilteredRelation("lines", condition=Q(lines__is_voided=False)))
        .annotate(first=Coalesce("line__original_amount", "line__amount"), on=F("line__invoice__currency"))
        .filter((claimed & is_other) | (~claimed & Q(line__original_amount__isnull=False)))
    )
    leftovers = []
    for entry in rows.select_related("item").order_by("pk").iterator():
        priced = formats.money(entry.amount or money.ZERO, entry.currency)
        if entry.first is None:
            sentence = _("%(item)s: priced %(priced)s, but on no line") % {"item": entry.item, "priced": priced}
        else:
            line = formats.money(entry.first, entry.on)
            words = {"item": entry.item, "priced": priced, "line": line}
            sentence = _("%(item)s: priced %(priced)s, %(line)s on its line") % words
        leftovers.append(Leftover(sentence, _page_of(entry.pk)))
    return tuple(leftovers)


def _on_lines(lines: QuerySet[InvoiceLine], column: str = "amount") -> dict[str, Decimal]:
    return by_currency(lines, column, "invoice__currency")


def _invoiced(entries: QuerySet[TimeEntry]) -> Identity:
    """4. Our invoiced lines = the server's net; of each sent invoice gross + fees = paid + settled + lost + open.

    Settled is by credits; lost are rests that are written off, on a credit of ours or because they were cancelled there
    after money came in. The server counts a credit that was set against an invoice as paid; here it stands for itself.
    What is left of a credit lowers no open invoice: open invoices and open credits are two figures. What was credited
    stands by what it means for the work. Fees are what the server put on an invoice by itself, with the tax on them.
    """
    on_them = InvoiceLine.objects.filter(invoice=OuterRef("pk"), is_voided=False, entry__in=entries)
    invoices = Invoice.objects.filter(Exists(on_them), state__in=THERE)
    theirs: dict[str, Decimal] = defaultdict(Decimal)
    paid: dict[str, Decimal] = defaultdict(Decimal)
    settled: dict[str, Decimal] = defaultdict(Decimal)
    lost: dict[str, Decimal] = defaultdict(Decimal)
    open_now: dict[str, Decimal] = defaultdict(Decimal)
    charged: dict[str, Decimal] = defaultdict(Decimal)
    residue, leftovers = [], []
    count = 0
    of_it = InvoiceLine.objects.filter(invoice=OuterRef("pk"), is_voided=False).order_by().values("invoice")
    with_lines = invoices.annotate(lines_sum=Subquery(of_it.annotate(total=Sum("amount")).values("total")))
    for invoice in with_lines.select_related("remote", "client").order_by("pk").iterator(chunk_size=1000):
        count += 1
        seen = invoice.remote.seen if invoice.remote else {}
        net = _net_seen(invoice, seen)
        theirs[invoice.currency] += net
        if net != invoice.lines_sum:
            words = {"ours": invoice.lines_sum, "there": net, "currency": invoice.currency}
            sentence = _("its lines come to %(ours)s, net %(there)s %(currency)s in Invoice Ninja") % words
            leftovers.append(_of_invoice(invoice, sentence))
        paid[invoice.currency] += invoice.paid_by_money
        settled[invoice.currency] += invoice.settled
        lost[invoice.currency] += invoice.lost
        charged[invoice.currency] += invoice.fees
        if invoice.state in ASKED:
            balance = invoice.balance or money.ZERO
            open_now[invoice.currency] += balance
            if gap := invoice.gross + invoice.fees - invoice.paid_to_date - invoice.cancelled_rest - balance:
                words = {"number": invoice.number, "gap": gap, "currency": invoice.currency}
                residue.append(_("%(number)s: gross + fees − paid − open = %(gap)s %(currency)s") % words)
                leftovers.append(_of_invoice(invoice, residue[-1]))
    lines = InvoiceLine.objects.filter(is_voided=False, invoice__in=invoices)
    ours = by_currency(lines, "amount", "invoice__currency")
    unused, gaps = open_credits(invoices)
    classes, strays = classes_of(invoices)
    gaps += strays
    residue.extend(gap for gap, _invoice in gaps)
    leftovers.extend(_of_invoice(invoice, gap) for gap, invoice in gaps)
    right = (
        Term(_("net in Invoice Ninja"), count, amounts=add(theirs)),
        Term(_("of it paid, gross"), amounts=add(paid), is_beside=True),
        *([Term(_("of it settled by credits, gross"), amounts=add(settled), is_beside=True)] if add(settled) else []),
        *([Term(_("of it written off, gross"), amounts=add(lost), is_beside=True)] if add(lost) else []),
        Term(_("of it open, gross"), amounts=add(open_now), is_beside=True),
        *([Term(_("beside it open credits, gross"), amounts=add(unused), is_beside=True)] if add(unused) else []),
        *classes,
        *(
            [Term(_("fees of Invoice Ninja in these, gross"), amounts=add(charged), is_beside=True)]
            if add(charged)
            else []
        ),
    )
    residue.extend(unequal(ours, add(theirs)))
    whole = Term(_("our lines"), lines.count(), amounts=ours)
    return Identity(_("Invoiced"), whole, right, tuple(residue), leftovers=tuple(leftovers))


def _of_invoice(invoice: Invoice, sentence: str) -> Leftover:
    return Leftover(f"{invoice}: {sentence}", reverse("admin:invoicing_invoice_change", args=[invoice.pk]))


def _net_seen(invoice: Invoice, seen: dict[str, str]) -> Decimal:
    """What our lines came to before tax by the total that was read as proof."""
    amount, taxes = (Decimal(seen.get(name, "0")) for name in ("amount", "total_taxes"))
    fees, fees_tax = (Decimal(seen.get(name, "0")) for name in ("fees", "fees_tax"))
    return net_there(invoice, amount - fees, taxes - fees_tax)


def open_credits(invoices: QuerySet[Invoice]) -> tuple[dict[str, Decimal], list[tuple[str, Invoice]]]:
    """What is left of the credits of these invoices, gross by currency; and where Invoice Ninja differs.

    A use whose payment was deleted there uses nothing. One that is not there yet, or was given up, gives nothing back.
    """
    unused: dict[str, Decimal] = defaultdict(Decimal)
    gaps = []
    rows = Credit.objects.filter(invoice__in=invoices, is_given_up=False)
    deleted = Payment.objects.filter(
        invoice=OuterRef("invoice"), ninja_id=OuterRef("remote__remote_id"), is_deleted=True
    )
    uses = CreditUse.objects.filter(Exists(deleted), credit=OuterRef("pk")).order_by().values("credit")
    undone = Coalesce(Subquery(uses.annotate(total=Sum("used")).values("total")), money.ZERO)
    rows = rows.filter(remote__remote_id__isnull=False).annotate(undone=undone)
    for credit in rows.select_related("remote", "invoice__client"):
        there = Decimal(credit.remote.seen.get("amount", "0"))
        unused[credit.currency] += credit.rest + credit.undone
        if there != credit.gross:
            words = {"number": credit.number, "gap": credit.gross - there, "currency": credit.currency}
            gap = _("credit %(number)s: ours − there = %(gap)s %(currency)s") % words
            gaps.append((gap, credit.invoice))
    return unused, gaps
