"""Credits by what they mean for the work: each in one class, and the work says the same of it as the money.

Hours that were wrong are taken off what stands billed (a credited Difference), goodwill and prices take none off. A
part of the fourth identity. Amounts are before tax by currency. Pure reading.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from django.db.models import Prefetch, QuerySet
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing_console import formats, money
from billing_console.states import DifferenceState
from invoicing.credit_left import lines_left
from invoicing.identities import Term, add
from invoicing.models import Credit, CreditedPart, CreditMeaning, Invoice, InvoiceLine
from sync.models import Difference

_NAMES: Final[dict[str, Promise]] = {
    CreditMeaning.HOURS: gettext_lazy("credited because of hours, before tax"),
    CreditMeaning.PRICE: gettext_lazy("credited because of a price, before tax"),
    CreditMeaning.GOODWILL: gettext_lazy("credited as goodwill, before tax"),
}


def classes_of(invoices: QuerySet[Invoice]) -> tuple[list[Term], list[tuple[str, Invoice]]]:
    """A term for each class that has a credit, and a sentence for each row that its class does not explain."""
    sums: dict[str, dict[str, Decimal]] = {meaning: defaultdict(Decimal) for meaning in _NAMES}
    parts = CreditedPart.objects.select_related("line", "difference")
    there = Credit.objects.filter(invoice__in=invoices, is_given_up=False, cause="", remote__remote_id__isnull=False)
    gaps: list[tuple[str, Invoice]] = []
    for credit in there.select_related("invoice__client", "remote").prefetch_related(Prefetch("parts", parts)):
        sums[credit.meaning or CreditMeaning.HOURS][credit.currency] += credit.net
        gaps += [(f"{_('credit')} {credit.number}: {sentence}", credit.invoice) for sentence in _wrong(credit)]
    gaps += _above(invoices)
    gaps += _without_credit(invoices)
    terms = [
        Term(str(name), amounts=add(sums[meaning]), is_beside=True) for meaning, name in _NAMES.items() if sums[meaning]
    ]
    return terms, gaps


def _wrong(credit: Credit) -> Iterator[str]:
    seen, parts = credit.remote.seen, list(credit.parts.all())
    net = Decimal(seen.get("amount", "0")) - Decimal(seen.get("total_taxes", "0"))
    rounding = abs(net - credit.net)
    if rounding and rounding >= money.unit(credit.currency):
        words = {"ours": formats.money(credit.net, credit.currency), "there": formats.money(net, credit.currency)}
        yield _("%(ours)s before tax here, %(there)s in Invoice Ninja") % words
    if money.total(part.amount for part in parts) != credit.net:
        words = {"net": formats.money(credit.net, credit.currency)}
        yield _("its lines do not come to its %(net)s") % words
    for part in parts:
        taken = part.difference.taken_hours if part.difference is not None else None
        is_wanted = credit.meaning == CreditMeaning.HOURS and part.line is not None and part.line.entry_id is not None
        if is_wanted and part.hours and taken != part.hours:
            words = {"line": str(part.line), "hours": formats.hours(part.hours), "taken": formats.hours(taken)}
            yield _("%(hours)s of “%(line)s” were wrong, but the work gives back %(taken)s") % words
        elif not is_wanted and taken is not None:
            words = {"line": str(part.line), "taken": formats.hours(taken), "what": credit.get_meaning_display()}
            yield _("%(taken)s of “%(line)s” are taken off the work, but it says: %(what)s") % words


def _above(invoices: QuerySet[Invoice]) -> Iterator[tuple[str, Invoice]]:
    """Lines of which more was credited than is on them."""
    rows = InvoiceLine.objects.filter(invoice__in=invoices, is_voided=False, credited_parts__isnull=False)
    lines = list(rows.select_related("invoice__client").distinct())
    for left in lines_left(lines).values():
        if left.amount and (left.amount > 0) != (left.line.amount > 0):
            words = {"line": left.line, "over": formats.money(abs(left.amount), left.line.invoice.currency)}
            yield _("%(over)s more were credited of “%(line)s” than it comes to") % words, left.line.invoice


def _without_credit(invoices: QuerySet[Invoice]) -> Iterator[tuple[str, Invoice]]:
    """Hours that a person took off the work by a credit which does not say so, or is none any more."""
    of_them = InvoiceLine.objects.filter(invoice__in=invoices, is_voided=False, entry__isnull=False)
    rows = Difference.objects.filter(
        state=DifferenceState.CREDITED, taken_hours__isnull=False, entry__in=of_them.values("entry")
    )
    living = CreditedPart.objects.filter(credit__is_given_up=False, difference__isnull=False).values("difference")
    stray = list(rows.exclude(pk__in=living).select_related("item"))
    lines = of_them.filter(entry__in=[row.entry_id for row in stray]).select_related("invoice__client")
    by_entry = {line.entry_id: line.invoice for line in lines}
    for row in stray:
        words = {"item": row.item, "hours": formats.hours(row.taken_hours)}
        sentence = _("%(hours)s of %(item)s are taken off the work, but no credit gives them back") % words
        yield sentence, by_entry[row.entry_id]
