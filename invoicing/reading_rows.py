"""From what a server listed to the row that the reconciliation keeps of it. Pure: nothing is stored or called."""

from __future__ import annotations

from collections.abc import Collection
from decimal import Decimal
from typing import Any, Final

from billing_console import clock, money
from billing_console.money import ZERO
from invoicing.fees import Fees, fees_of, is_fee
from invoicing.models import CountedInvoice, CountedItem, CountedLine, CountedPayment, Invoice, Reading
from mappings.models import ProjectMapping
from sync import attributes
from sync.census import Counted
from sync.clients.ninja_rows import NinjaId, NinjaInvoice, NinjaLine, NinjaPayment
from sync.texts import clean_text

# Payments that brought no money: cancelled, failed.
VAIN: Final = ("2", "3")
MICRO: Final = Decimal("0.000001")


def counted_item(
    reading: Reading,
    taiga_project_id: int,
    mapping: ProjectMapping | None,
    row: Counted,
    item_id: int | None,
    zone: str,
) -> CountedItem:
    """An item as Taiga lists it; hours and tick read as strictly as everywhere, None where nobody can read them.

    `mapping` is None where nobody pays for the project; `zone` is that of its closing's day.
    """
    values = row.attributes or {}
    typed = _uncovered(values.get(attributes.HOURS))
    return CountedItem(
        reading=reading,
        kind=row.kind,
        taiga_id=row.taiga_id,
        project=mapping,
        taiga_project_id=taiga_project_id,
        item_id=item_id,
        ref=row.ref,
        subject=clean_text(row.subject, 255),
        is_closed=row.is_closed,
        is_ticked=_ticked(_uncovered(values.get(attributes.BILLABLE))),
        work_date=clock.local_date(row.finished_at, zone) if row.finished_at else None,
        typed=clean_text("" if typed is None else str(typed), 100),
        hours=_hours(typed),
    )


def counted_invoice(
    reading: Reading, row: NinjaInvoice, ours: Invoice | None, forgotten_key: str = ""
) -> CountedInvoice:
    """An invoice as Invoice Ninja lists it; its payments are added later. Fees are told apart on ours only."""
    own = fees_of(row, ours.currency) if ours is not None else Fees()
    return CountedInvoice(
        reading=reading,
        ninja_id=row.id,
        invoice=ours,
        number=clean_text(row.number, 191),
        forgotten_key=forgotten_key,
        status=row.status_id[:4],
        is_deleted=row.is_deleted,
        amount=row.amount,
        tax=row.total_taxes - own.tax,
        fees=own.gross,
        balance=row.balance,
        paid_to_date=row.paid_to_date,
    )


def counted_line(
    reading: Reading, invoice: CountedInvoice, line: NinjaLine, there: NinjaInvoice, ours: Invoice | None
) -> CountedLine:
    """A line with the amount that the server adds up: its line total, rounded half up to the currency."""
    amount = money.quantize(line.line_total, ours.currency) if ours is not None else line.line_total.quantize(MICRO)
    return CountedLine(
        reading=reading,
        invoice=invoice,
        task_id=line.task_id,
        hours=line.quantity,
        amount=amount,
        notes=clean_text(line.notes, 255),
        is_fee=is_fee(there, line),
    )


def shares_of(payment: NinjaPayment) -> dict[NinjaId, tuple[Decimal, Decimal]]:
    """For each invoice what this payment brings it: (money, credit), without what was given back."""
    if payment.is_deleted or payment.status_id in VAIN:
        return {}
    # A payment that moves credits has the amount 0, or what was paid beside them: the credits go in first.
    credit = sum((part.amount - part.refunded for part in payment.allocations if part.credit_id), ZERO)
    shares: dict[NinjaId, tuple[Decimal, Decimal]] = {}
    for part in payment.allocations:
        if not part.invoice_id:
            continue
        amount = part.amount - part.refunded
        by_credit = min(credit, amount)
        credit -= by_credit
        before = shares.get(part.invoice_id, (ZERO, ZERO))
        shares[part.invoice_id] = before[0] + amount - by_credit, before[1] + by_credit
    return shares


def written_off_by(payment: NinjaPayment, credits: Collection[str]) -> dict[NinjaId, Decimal]:
    """For each invoice how much of what credits settled were `credits`: ids there of rests that are written off."""
    left = sum((part.amount - part.refunded for part in payment.allocations if part.credit_id in credits), ZERO)
    found: dict[NinjaId, Decimal] = {}
    for invoice_id, (_money, by_credit) in shares_of(payment).items():
        if part := min(left, by_credit):
            found[invoice_id] = part
            left -= part
    return found


def unapplied_of(payment: NinjaPayment) -> Decimal:
    """What of it is on no invoice, in its currency; 0 for one that was deleted or brought no money.

    `applied` there is without credits, and a refund does not lower it (recordings 1265 to 1300). What was refunded
    beyond the parts was of what is on no invoice.
    """
    if payment.is_deleted or payment.status_id in VAIN:
        return ZERO
    of_parts = sum((part.refunded for part in payment.allocations), ZERO)
    return payment.amount - payment.applied - (payment.refunded - of_parts)


def counted_payment(reading: Reading, payment: NinjaPayment, currency: str) -> CountedPayment:
    """A payment as Invoice Ninja lists it; what is applied by its parts, what is not by the server's own sum."""
    applied = sum((brought for brought, _credit in shares_of(payment).values()), ZERO)
    return CountedPayment(
        reading=reading,
        ninja_id=payment.id,
        client_ninja_id=payment.client_id,
        number=clean_text(payment.number, 191),
        currency=currency,
        received=payment.amount - payment.refunded,
        applied=applied,
        unapplied=unapplied_of(payment),
    )


def _uncovered(value: Any) -> Any:
    """A cell without the apostrophe that keeps spreadsheets from running it."""
    return value.removeprefix("'") if isinstance(value, str) else value


def _hours(typed: Any) -> Decimal | None:
    try:
        return ZERO if attributes.is_blank(typed) else attributes.parse_hours(typed)
    except attributes.Unreadable:
        return None


def _ticked(raw: Any) -> bool | None:
    try:
        return attributes.parse_billable(raw)
    except attributes.Unreadable:
        return None
