"""From Taiga's own lists to our entries to Invoice Ninja's lines to payments: our rows beside the last reading.

Both servers' words stand in the rows of a `Reading`; everything here compares them with our own, and names each row
that differs. Rows are read some at a time, so that the books of years need no more memory than those of a month.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from decimal import Decimal
from itertools import chain

from django.db.models import Exists, F, OuterRef, Q, QuerySet, Sum
from django.urls import reverse
from django.utils.translation import gettext as _

from billing_console import formats, money
from billing_console.batches import read_in_batches
from billing_console.states import InvoiceState
from invoicing import forgotten
from invoicing.books.facts import THERE
from invoicing.ended_there import ended, has_ended, rest_of
from invoicing.fees import net_there
from invoicing.identities import Amounts, Identity, Leftover, Term, add, identity_of, unequal
from invoicing.listed_hours import listed_hours, never_read
from invoicing.listed_money import money_of_clients
from invoicing.models import CountedInvoice, CountedLine, Invoice, InvoiceLine, Reading
from invoicing.reconcile import entries_of
from mappings.rules import Period
from sync.clients.ninja_rows import CANCELLED, PAID, PARTIAL, SENT
from sync.models import TimeEntry

ENDED = (InvoiceState.CANCELLED, InvoiceState.REVERSED)
OWING = (SENT, PARTIAL, PAID)
OURS, THEIRS = "on-invoice", "invoice-ninja-list"  # reports
ALL = Q()


def check_reading(
    reading: Reading, period: Period | None, only: Q | None = None, strangers: Q | None = ALL
) -> list[Identity]:
    """Taiga's hours, Invoice Ninja's lines, its invoices and its payments, each beside ours.

    `only` narrows our entries; `strangers` narrows the items that Taiga lists and we do not know, None leaves them out.
    """
    entries = entries_of(period, only)
    on_them = InvoiceLine.objects.filter(invoice=OuterRef("pk"), is_voided=False, entry__in=entries)
    invoices = Invoice.objects.filter(Exists(on_them), state__in=THERE)
    return [
        listed_hours(reading, entries, never_read(reading, period, strangers)),
        _listed_lines(reading, entries),
        _listed_invoices(reading, invoices, () if only else forgotten.leftovers_of(reading)),
        _listed_payments(reading, invoices),
    ]


# --- our lines → Invoice Ninja's lines ----------------------------------------------------------------------------


def _listed_lines(reading: Reading, entries: QuerySet[TimeEntry]) -> Identity:
    lines = (
        InvoiceLine.objects.filter(is_voided=False, entry__in=entries, invoice__state__in=(*THERE, *ENDED))
        .annotate(task=F("entry__remote_task__remote_id"), currency=F("invoice__currency"))
        .select_related("invoice__client", "invoice__remote")
        .order_by("pk")
    )
    ours: Amounts = defaultdict(Decimal)
    theirs: Amounts = defaultdict(Decimal)
    ended: Amounts = defaultdict(Decimal)
    count_lines = count = count_ended = 0
    leftovers = []
    for batch in read_in_batches(lines):
        named = _naming(reading, {line.task for line in batch if line.task})
        for line in batch:
            count_lines += 1
            ours[line.currency] += line.amount
            here = named.get(line.task or "", [])
            there = line.invoice.remote.remote_id if line.invoice.remote else None
            own = [found for found in here if found.invoice.ninja_id == there]
            foreign = [found for found in here if found.invoice.ninja_id != there]
            if line.invoice.state in ENDED:
                ended[line.currency] += line.amount
                count_ended += 1
            theirs[line.currency] += money.total(found.amount for found in own)
            count += len(own)
            if sentence := _line_differs(line, own):
                leftovers.append(_of(reading, line.invoice, sentence, line))
            elif foreign:  # whatever changed here since, it is billed there as well
                sentence = _("also on invoice %(number)s in Invoice Ninja") % {"number": foreign[0].invoice.number}
                leftovers.append(_of(reading, line.invoice, sentence, line, may_be_newer=False))
    right = (
        Term(_("on living invoices in Invoice Ninja"), count, amounts=add(theirs), report=THEIRS),
        Term(_("on cancelled invoices"), count_ended, amounts=add(ended), report=THEIRS),
    )
    left = Term(_("our lines of these entries"), count_lines, amounts=add(ours), report=OURS)
    residue = unequal(left.amounts, add(*(term.amounts for term in right)))
    return identity_of(_("Lines in Invoice Ninja, before tax"), left, right, residue, leftovers)


def _naming(reading: Reading, tasks: Collection[str]) -> dict[str, list[CountedLine]]:
    """The lines of living invoices in Invoice Ninja that name each of these tasks (its ids there)."""
    named: dict[str, list[CountedLine]] = defaultdict(list)
    living = CountedLine.objects.filter(_alive("invoice__"), reading=reading, task_id__in=tasks)
    for found in living.select_related("invoice"):
        named[found.task_id].append(found)
    return named


def _line_differs(line: InvoiceLine, own: list[CountedLine]) -> str:
    if line.invoice.state in ENDED:
        return _("the cancelled invoice lives in Invoice Ninja") if own else ""
    if not own:
        return _("no such line in Invoice Ninja")
    if len(own) > 1:
        return _("twice on its invoice in Invoice Ninja")
    if own[0].amount != line.amount:
        words = _amounts(line.invoice.currency, there=own[0].amount, ours=line.amount)
        return _("%(there)s in Invoice Ninja, %(ours)s here") % words
    return ""


def _alive(way: str = "") -> Q:
    return ~ended(way)


# --- our invoices → Invoice Ninja's → payments --------------------------------------------------------------------

Pair = tuple[Invoice, CountedInvoice | None]
_ENTRY = "admin:sync_timeentry_change"


def _pairs(reading: Reading, invoices: QuerySet[Invoice]) -> Iterator[list[Pair]]:
    for batch in read_in_batches(invoices.select_related("client", "remote").order_by("pk")):
        ids = {row.pk: row.remote.remote_id for row in batch if row.remote and row.remote.remote_id}
        rows = CountedInvoice.objects.filter(reading=reading, ninja_id__in=list(ids.values()))
        there = {row.ninja_id: row for row in rows}
        yield [(row, there.get(ids.get(row.pk, ""))) for row in batch]


def _listed_invoices(reading: Reading, invoices: QuerySet[Invoice], unknown: Iterable[Leftover]) -> Identity:
    ours: Amounts = defaultdict(Decimal)
    theirs: Amounts = defaultdict(Decimal)
    leftovers = []
    count = count_there = 0
    for invoice, there in chain.from_iterable(_pairs(reading, invoices)):
        count += 1
        count_there += there is not None
        ours[invoice.currency] += invoice.net
        tax = money.tax_amount(invoice.net, invoice.tax_rate)
        net = money.ZERO
        if there and not _has_ended(there):
            net = net_there(invoice, there.amount - there.fees, there.tax)
        theirs[invoice.currency] += net
        if there is None:
            sentence = _("not in the last reading")
        elif _has_ended(there):
            sentence = _("cancelled or deleted in Invoice Ninja, alive here")
        elif (net, there.tax) != (invoice.net, tax):
            words = _amounts(invoice.currency, net=net, tax=there.tax, our_net=invoice.net, our_tax=tax)
            sentence = _("net %(net)s and tax %(tax)s in Invoice Ninja, %(our_net)s and %(our_tax)s here") % words
        else:
            continue
        leftovers.append(_of(reading, invoice, sentence))
    leftovers += unknown
    left = Term(_("our invoices, whole"), count, amounts=add(ours), report=OURS)
    right = (Term(_("as Invoice Ninja lists them"), count_there, amounts=add(theirs), report=THEIRS),)
    return identity_of(
        _("Invoices in Invoice Ninja, before tax"), left, right, unequal(left.amounts, right[0].amounts), leftovers
    )


def _listed_payments(reading: Reading, invoices: QuerySet[Invoice]) -> Identity:
    """Gross there = paid + settled by credits + written off + open, by the payments themselves; ours are the same.

    Beside it, of the clients of these invoices as a whole: all payments = on invoices + on none.
    """
    sums: dict[str, Amounts] = {name: defaultdict(Decimal) for name in ("gross", "paid", "credited", "lost", "open")}
    leftovers = []
    count = 0
    for pairs in _pairs(reading, invoices):
        kept = _our_payments(invoice.pk for invoice, _there in pairs)
        for invoice, there in pairs:
            if there is None or _has_ended(there) or there.status not in (*OWING, CANCELLED):
                continue
            count += 1
            parts = {"gross": there.amount, "paid": there.paid, "open": there.balance}
            rest = _cancelled_rest(invoice, there)
            parts |= {"credited": there.credited - there.written_off, "lost": there.written_off + rest}
            for name, amount in parts.items():
                sums[name][invoice.currency] += amount
            if gap := there.amount - there.paid - there.credited - there.balance - rest:
                words = _amounts(invoice.currency, gap=gap)
                leftovers.append(_of(reading, invoice, _("gross − paid − credits − open = %(gap)s") % words))
            elif kept.get(invoice.pk, money.ZERO) != there.paid + there.credited:
                ours = kept.get(invoice.pk, money.ZERO)
                words = _amounts(invoice.currency, there=there.paid + there.credited, ours=ours)
                leftovers.append(_of(reading, invoice, _("%(there)s paid in Invoice Ninja, %(ours)s here") % words))
            elif invoice.written_off != there.written_off:
                words = _amounts(invoice.currency, there=there.written_off, ours=invoice.written_off)
                sentence = _("%(there)s written off in Invoice Ninja, %(ours)s here") % words
                leftovers.append(_of(reading, invoice, sentence))
    left = Term(_("sent invoices, gross"), count, amounts=add(sums["gross"]), report=THEIRS)
    right: tuple[Term, ...] = (
        Term(_("paid"), amounts=add(sums["paid"])),
        Term(_("settled by credits"), amounts=add(sums["credited"])),
        *([Term(_("written off"), amounts=add(sums["lost"]))] if add(sums["lost"]) else []),
        Term(_("open"), amounts=add(sums["open"])),
    )
    residue = unequal(left.amounts, add(*(term.amounts for term in right)))
    beside = money_of_clients(reading, invoices)
    right, residue, leftovers = right + beside.terms, residue + beside.residue, leftovers + beside.leftovers
    return identity_of(_("Payments in Invoice Ninja, gross"), left, right, residue, leftovers)


def _cancelled_rest(invoice: Invoice, there: CountedInvoice) -> Decimal:
    """What was cancelled of it there after money came in, also where some of the money went back since."""
    gap = there.amount - there.paid_to_date - there.balance
    return rest_of(there.status, there) or (gap if gap == invoice.cancelled_rest else money.ZERO)


def _our_payments(invoice_ids: Iterable[int]) -> dict[int, Decimal]:
    rows = Invoice.objects.filter(pk__in=list(invoice_ids), payments__is_deleted=False)
    rows = rows.exclude(payments__status__in=("2", "3"))
    sums = rows.order_by().values("pk").annotate(paid=Sum(F("payments__amount") - F("payments__refunded")))
    return {row["pk"]: row["paid"] for row in sums}


def _amounts(currency: str, **amounts: Decimal) -> dict[str, str]:
    """As people read them; a gap smaller than a cent with all its decimals."""
    return {name: formats.exact_money(amount, currency) for name, amount in amounts.items()}


def _has_ended(there: CountedInvoice) -> bool:
    return has_ended(there.status, there)


def _changed_at(invoice: Invoice) -> dt.datetime:
    record = invoice.remote.state_since if invoice.remote else None
    known = (invoice.created_at, invoice.state_since, invoice.changed_at, record)
    return max(at for at in known if at is not None)


def _of(
    reading: Reading, invoice: Invoice, sentence: str, line: InvoiceLine | None = None, *, may_be_newer: bool = True
) -> Leftover:
    name = f"{invoice} {invoice.number}" + (f", {line.notes}" if line is not None else "")
    url = reverse("admin:invoicing_invoice_change", args=[invoice.pk])
    is_newer = may_be_newer and reading.is_older_than(_changed_at(invoice))
    return Leftover(f"{name}: {sentence}", url, is_newer=is_newer)
