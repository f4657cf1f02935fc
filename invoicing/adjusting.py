"""What a person writes over what was worked: other hours or another rate on a line, and a line of their own.

The line keeps the first figures beside the new ones, its entry keeps its own amount, and the difference is an
*adjustment*, which the reconciliation counts. Its task in Invoice Ninja keeps the worked time: only the invoice line
differs from it. Hours are Decimal hours, rates and amounts in the invoice's currency before tax.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from billing_console import formats, money
from billing_console.errors import NotAllowed
from billing_console.reason import reason_of
from invoicing import claim, content, guards
from invoicing.as_shown import Words
from invoicing.models import Invoice, InvoiceLine, Meaning
from mappings.rules import ONE_DAY
from sync import entries, stories
from sync.clients.ninja_texts import neutralise, trim
from sync.models import TimeEntry
from sync.transitions import record

if TYPE_CHECKING:
    from accounts.models import User

MOST_HOURS = Decimal("9999.99")
MOST_RATE = Decimal("999999.99")


def adjust_line(
    line: InvoiceLine, *, seen: Words, user: User, hours: Decimal, rate: Decimal, reason: str, meaning: str = ""
) -> Invoice:
    """Bill other hours or another rate on this line; the amount is rounded anew. Returns the draft with its totals.

    `meaning` says what other hours mean, a `Meaning`. Writing the first figures again takes the adjustment back.
    Raises NotAllowed without a reason, for other hours without a meaning, for figures that cannot be printed exactly,
    on a line that Taiga changed, and where the draft would come to nothing.
    """
    reason = reason_of(reason)
    with transaction.atomic():
        items = [line.entry.item_id] if line.entry is not None else []
        claim.lock_work(stories.with_family(items))
        invoice = guards.lock_draft(line.invoice_id)
        row = guards.lock_line(invoice, line.pk, seen)
        check_figures(hours, rate, invoice.currency, is_manual=row.is_manual)
        if row.change_sentence:
            raise NotAllowed(_("Taiga changed this line. Refresh the draft first, then write its hours or rate."))
        if (hours, rate) == (row.billed_hours, row.rate):
            return invoice
        amount = money.line_amount(hours, rate, invoice.currency)
        if row.is_manual and not amount:
            raise NotAllowed(_("A line added by hand must come to an amount. Remove it instead."))
        marks = marks_of(row, hours, rate, user, reason, meaning)
        changes = {"billed_hours": hours, "rate": rate, "amount": amount} | marks
        InvoiceLine.objects.filter(pk=row.pk).update(**changes)
        why = _("Line %(line)s: %(before)s is now %(after)s: %(reason)s") % {
            "line": row.notes,
            "before": figures(row.billed_hours, row.rate, row.amount, invoice.currency),
            "after": figures(hours, rate, amount, invoice.currency),
            "reason": reason,
        }
        _save(invoice, user, why)
        if row.entry is not None and TimeEntry.objects.filter(item__in=items, cycle__gt=row.entry.cycle).exists():
            entries.evaluate_many(items, user=user)  # a later cycle is measured against what is printed now
    return invoice


def marks_of(row: InvoiceLine, hours: Decimal, rate: Decimal, user: User, reason: str, meaning: str) -> dict[str, Any]:
    """Columns that say who wrote these figures over the row's, and what it said first; empty ones when it says that
    again. Raises NotAllowed where the hours are other ones and nobody says what that means."""
    first = (row.billed_hours, row.rate, row.amount)
    if row.original_hours is not None and row.original_rate is not None and row.original_amount is not None:
        first = (row.original_hours, row.original_rate, row.original_amount)
    is_back = (hours, rate) == first[:2]
    marks: dict[str, Any] = dict(
        zip(("original_hours", "original_rate", "original_amount"), (None,) * 3 if is_back else first, strict=True)
    )
    if is_back and not row.is_manual:
        return marks | {
            "meaning": "",
            "adjust_reason": "",
            "adjusted_by": user,  # who took it back, and when
            "adjusted_at": timezone.now(),
            "dropped_sentence": "",
        }
    has_other_hours = hours != first[0] and not row.is_manual
    if has_other_hours and meaning not in Meaning.values:
        raise NotAllowed(
            _(
                "Say whether the hours in Taiga are wrong, or whether other hours are billed on purpose: later changes "
                "in Taiga are measured against that."
            )
        )
    return marks | {
        "meaning": meaning if has_other_hours else "",
        "adjust_reason": reason,
        "adjusted_by": user,
        "adjusted_at": timezone.now(),
        "dropped_sentence": "",
    }


def add_line(invoice: Invoice, *, user: User, text: str, quantity: Decimal, price: Decimal, reason: str) -> Invoice:
    """Add a line of one's own: something beside the hours, or, with a negative price, a discount.

    It has no task and no product, is worked on nobody's hours and counts for the last day of the period. Raises
    NotAllowed without text or reason, for figures that cannot be printed exactly, and where nothing would be left.
    """
    reason = reason_of(reason)
    words = clean_text(text)
    with transaction.atomic():
        row = guards.lock_draft(invoice.pk)
        check_figures(quantity, price, row.currency, is_manual=True)
        amount = money.line_amount(quantity, price, row.currency)
        if not amount:
            raise NotAllowed(_("A line added by hand must come to an amount."))
        InvoiceLine.objects.create(
            invoice=row,
            notes=words,
            work_date=row.period_end - ONE_DAY,
            raw_hours=money.ZERO,
            billed_hours=quantity,
            rate=price,
            amount=amount,
            adjust_reason=reason,
            adjusted_by=user,
            adjusted_at=timezone.now(),
        )
        why = _("Line %(line)s added, %(figures)s: %(reason)s") % {
            "line": words,
            "figures": figures(quantity, price, amount, row.currency),
            "reason": reason,
        }
        _save(row, user, why)
    return row


def clean_text(text: str) -> str:
    """What a person typed for a line, trimmed and safe from rewriting by Invoice Ninja. Raises NotAllowed for none."""
    words = neutralise("\n".join(trim(part) for part in trim(text).splitlines()))
    if not words:
        raise NotAllowed(_("A line needs a text."))
    return words


def figures(hours: Decimal, rate: Decimal, amount: Decimal, currency: str) -> str:
    """ "2.25 × 95.00 = 213.75 EUR", for sentences."""
    return _("%(hours)s × %(rate)s = %(amount)s") % {
        "hours": formats.number(hours, 2),
        "rate": formats.rate(rate, ""),
        "amount": formats.money(amount, currency),
    }


def check_figures(hours: Decimal, rate: Decimal, currency: str, *, is_manual: bool) -> None:
    """Printed quantity × printed rate must equal the printed amount (billing-rules: Order of calculation)."""
    if hours != money.quantize_hours(hours) or not 0 <= hours <= MOST_HOURS:
        raise NotAllowed(_("Hours have at most two decimals and are between 0 and 9,999.99."))
    if rate != money.quantize(rate, currency) or abs(rate) > MOST_RATE:
        words = {"count": money.exponent(currency), "currency": currency}
        raise NotAllowed(_("A price has at most %(count)d decimals in %(currency)s and is below a million.") % words)
    if rate < 0 and not is_manual:
        raise NotAllowed(_("A rate cannot be negative. Add a line by hand for a discount."))


def _save(invoice: Invoice, user: User, why: str) -> None:
    record(invoice, invoice.state, invoice.state, why=why, user=user)
    content.retotal(invoice)
    guards.need_money(invoice)
