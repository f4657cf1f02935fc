"""What payments in Invoice Ninja brought our invoices: by money, by credits, and by rests that are written off.

Amounts are gross, in the invoice's currency. What is on no invoice is in `unapplied`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.db.models import OuterRef, Subquery, Sum
from django.db.models.functions import Coalesce
from django.utils import timezone

from invoicing import cursors, old_copies
from invoicing.models import Credit, Invoice, Payment
from invoicing.reading_rows import shares_of, written_off_by
from sync.clients.ninja_rows import NinjaPayment

_READ = ("amount", "refunded", "by_credit", "by_write_off", "status", "paid_on", "is_deleted")


def observe(rows: Iterable[NinjaPayment]) -> set[int]:
    """Keep every payment that was applied to one of our invoices, as it is now; the last of several readings counts.

    Returns our ids of the invoices whose payments are not as they were known. An older reading than what is known takes
    nothing back (`old_copies`). What was deleted, or moved to another
    invoice, no longer names ours: our row stays, marked as deleted.
    """
    newest = {row.id: row for row in rows}
    read = Payment.objects.filter(ninja_id__in=newest).select_related("invoice__remote")
    older = old_copies.older_payments(newest.values(), read)
    rows = [row for row in newest.values() if row.id not in older]
    now = timezone.now()
    wanted: dict[tuple[str, str], dict[str, Any]] = {}
    write_offs = _write_offs(rows)
    for row in rows:
        written_off = written_off_by(row, write_offs)
        by_credit = {invoice_id: credit for invoice_id, (_money, credit) in shares_of(row).items()}
        for part in row.allocations:
            if part.invoice_id:
                columns = wanted.setdefault((part.invoice_id, row.id), {"amount": Decimal(0), "refunded": Decimal(0)})
                columns["amount"] += part.amount
                columns["refunded"] += part.refunded
                columns["by_credit"] = by_credit.get(part.invoice_id, Decimal(0))
                columns["by_write_off"] = written_off.get(part.invoice_id, Decimal(0))
                columns |= {"status": row.status_id, "paid_on": row.date, "is_deleted": row.is_deleted}
    found = Invoice.objects.filter(remote__remote_id__in={invoice_id for invoice_id, _payment in wanted})
    ours = {invoice.remote.remote_id: invoice for invoice in found.select_related("remote") if invoice.remote}
    known = {
        (payment.invoice.remote.remote_id, payment.ninja_id): payment
        for payment in read
        if payment.invoice.remote and payment.ninja_id not in older
    }
    changed_at = {str(row.id): cursors.as_known(row.updated_at) for row in rows}
    changed = {
        pair: columns for pair, columns in wanted.items() if pair[0] in ours and _differs(known.get(pair), columns)
    }
    gone = [payment for pair, payment in known.items() if pair not in wanted and not payment.is_deleted]
    with transaction.atomic():
        Payment.objects.bulk_create(
            [
                Payment(
                    invoice=ours[invoice_id],
                    ninja_id=payment_id,
                    seen_at=now,
                    remote_updated_at=changed_at[payment_id],
                    **columns,
                )
                for (invoice_id, payment_id), columns in changed.items()
            ],
            update_conflicts=True,
            unique_fields=["invoice", "ninja_id"],
            update_fields=[*_READ, "seen_at", "remote_updated_at", "older_seen_at"],
        )
        Payment.objects.filter(pk__in=[payment.pk for payment in gone]).update(is_deleted=True, seen_at=now)
        touched = {ours[invoice_id].pk for invoice_id, _payment in changed} | {payment.invoice_id for payment in gone}
        _sum_up(touched)
    same = [payment for pair, payment in known.items() if pair not in changed]
    for payment in same:
        payment.seen_at, payment.remote_updated_at, payment.older_seen_at = now, changed_at[payment.ninja_id], None
    Payment.objects.bulk_update(same, ["seen_at", "remote_updated_at", "older_seen_at"], batch_size=500)
    return touched


def _write_offs(rows: Iterable[NinjaPayment]) -> set[str]:
    """Ids there of those of their credits by which the console writes a rest off."""
    named = {part.credit_id for row in rows for part in row.allocations if part.credit_id}
    found = Credit.objects.exclude(cause="").filter(remote__remote_id__in=named) if named else Credit.objects.none()
    return {remote_id for remote_id in found.values_list("remote__remote_id", flat=True) if remote_id}


def _differs(payment: Payment | None, columns: dict[str, Any]) -> bool:
    return payment is None or any(getattr(payment, name) != value for name, value in columns.items())


def _sum_up(invoice_ids: Collection[int]) -> None:
    """What credits settled of these invoices, and wrote off, by their payments, which just changed."""
    if not invoice_ids:
        return
    living = Payment.objects.filter(invoice=OuterRef("pk"), is_deleted=False).order_by().values("invoice")
    credited = Coalesce(Subquery(living.annotate(total=Sum("by_credit")).values("total")), Decimal(0))
    written_off = Coalesce(Subquery(living.annotate(total=Sum("by_write_off")).values("total")), Decimal(0))
    rows = Invoice.objects.filter(pk__in=invoice_ids)
    rows.update(credited=credited, written_off=written_off, changed_at=timezone.now())
