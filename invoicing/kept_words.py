"""Whether what people said is kept, for the third identity: their words, their lines by hand, and what was credited.

Figures that were written over a line stay with the work until it is billed or they are taken back; a line by hand waits
until it is billed, taken back or written off; what was credited and is not billed again stands as such, or is asked
about (billing-rules: A person's word; Cancelled and billed again). Pure reading; amounts are before tax.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal

from django.db.models import Exists, F, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce
from django.urls import reverse
from django.utils.translation import gettext as _

from billing_console import formats, money
from billing_console.batches import read_in_batches
from billing_console.states import DifferenceState, EntryState, InvoiceState, ItemState
from invoicing.adjusting import figures
from invoicing.identities import Leftover, Term, add
from invoicing.models import Invoice, InvoiceLine
from invoicing.typed_hours import cycles_of
from mappings.rules import Period
from sync import claimed, settled, standing
from sync.models import Difference, TimeEntry, WorkItem

_UNBILLED = (InvoiceState.DRAFT, InvoiceState.HELD, InvoiceState.APPROVED)


def forgotten_words(entries: QuerySet[TimeEntry]) -> Iterator[Leftover]:
    """Lines that say again what a person had written over, although nobody took that back. Two queries."""
    earlier = InvoiceLine.objects.filter(entry=OuterRef("entry"), is_voided=True).order_by("-pk")
    lines = InvoiceLine.objects.filter(
        entry__in=entries, is_voided=False, original_amount__isnull=True, adjusted_at__isnull=True
    ).annotate(last=Subquery(earlier.values("pk")[:1]))
    written = InvoiceLine.objects.filter(pk=OuterRef("last"), original_amount__isnull=False)
    written = written.filter(original_hours=OuterRef("billed_hours"), original_rate=OuterRef("rate"))
    rows = lines.filter(Exists(written)).select_related("invoice__client").order_by("pk")
    said = InvoiceLine.objects.select_related("adjusted_by").in_bulk([row.last for row in rows])
    for line in rows:
        old = said[line.last]
        words = {
            "line": line.notes,
            "who": old.adjusted_by or _("Somebody"),
            "figures": figures(old.billed_hours, old.rate, old.amount, line.invoice.currency),
        }
        sentence = _("%(line)s: %(who)s had written %(figures)s, and the line says the first figures again") % words
        yield _of_invoice(line.invoice, sentence)


def lost_by_hand(lines: QuerySet[InvoiceLine]) -> Iterator[Leftover]:
    """Lines by hand (of `lines`) that were taken off their invoice and went nowhere. One query."""
    lost = lines.filter(is_voided=True, is_waiting=False, became="").select_related("invoice__client")
    for line in lost.order_by("pk"):
        words = {"line": line.notes, "amount": formats.money(line.amount, line.invoice.currency)}
        sentence = _("%(line)s, %(amount)s, added by hand, is on no invoice and waits for none") % words
        yield _of_invoice(line.invoice, sentence)


def wrong_totals(entries: QuerySet[TimeEntry], period: Period | None, *, is_whole: bool) -> Iterator[Leftover]:
    """Drafts whose total is not that of their lines: something was taken off unseen. One query.

    Those that hold, or held, work of `entries`; with `is_whole` also those that hold none, by the last day of theirs.
    """
    drafts = Q(Exists(InvoiceLine.objects.filter(invoice=OuterRef("pk"), entry__in=entries)))
    if is_whole:
        drafts |= Q(period_end__gt=period.start, period_end__lte=period.end) if period else Q(pk__isnull=False)
    total = Coalesce(Sum("lines__amount", filter=Q(lines__is_voided=False)), money.ZERO)
    rows = Invoice.objects.filter(drafts, state__in=_UNBILLED).annotate(of_lines=total).exclude(net=F("of_lines"))
    for invoice in rows.select_related("client").order_by("pk"):
        words = {
            "net": formats.money(invoice.net, invoice.currency),
            "lines": formats.money(invoice.of_lines, invoice.currency),
        }
        yield _of_invoice(invoice, _("it comes to %(net)s, its lines to %(lines)s") % words)


def credited(entries: QuerySet[TimeEntry]) -> tuple[Term, list[Leftover]]:
    """What was credited of these entries' items and is worked all the same, at the printed rate: the class *credited,
    not billed again*; and the items of it that nobody asks about. A few queries for some hundred items."""
    given = Difference.objects.filter(entry__in=entries, state=DifferenceState.CREDITED)
    items = WorkItem.objects.filter(pk__in=given.values("item")).select_related("project").order_by("pk")
    amounts: dict[str, Decimal] = defaultdict(Decimal)
    count, hours, rows, lost = 0, money.ZERO, [], []
    for batch in read_in_batches(items):
        cycles = cycles_of(batch)
        pieces = standing.pieces_of(cycles)
        # Asked about, left at that by a person, or taken off by a credit that a person gave on the invoice.
        answered = Q(state__in=(DifferenceState.OPEN, DifferenceState.IGNORED)) | Q(taken_hours__isnull=False)
        answers = set(Difference.objects.filter(answered, item__in=batch).values_list("item", flat=True))
        for item in batch:
            last = cycles[item.pk][-1]
            now = claimed.billable_now(item, last.rule_set) if last.rule_set is not None else None
            more = settled.moved_hours(pieces[item.pk], now) if now is not None else money.ZERO
            if more <= 0:
                continue
            count, hours = count + 1, hours + more
            amount = money.line_amount(more, pieces[item.pk][-1].rate, last.currency)
            amounts[last.currency] += amount
            words = {"item": item, "hours": formats.hours(more), "amount": formats.money(amount, last.currency)}
            page = reverse("admin:sync_timeentry_change", args=[last.pk])
            rows.append(Leftover(_("%(item)s: %(hours)s, %(amount)s") % words, page))
            if item.pk not in answers and _is_final(item, last):
                sentence = _("%(item)s: %(hours)s, %(amount)s were credited, and nothing bills them or asks about them")
                lost.append(Leftover(sentence % words, page))
    name = _("of it credited, not billed again")
    return Term(name, count, amounts=add(amounts), rows=tuple(rows), is_beside=True), lost


def _is_final(item: WorkItem, last: TimeEntry) -> bool:
    """Whether the console has read and judged the item by the rules it was billed by, and nothing more comes."""
    is_judged = not item.is_dirty and not item.needs_evaluation
    by_these_rules = last.rule_set is not None and last.rule_set.is_current
    return is_judged and by_these_rules and item.state == ItemState.CLOSED and last.state == EntryState.INVOICED


def _of_invoice(invoice: Invoice, sentence: str) -> Leftover:
    return Leftover(f"{invoice}: {sentence}", reverse("admin:invoicing_invoice_change", args=[invoice.pk]))
