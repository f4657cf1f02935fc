"""What Invoice Ninja says of our invoices since: sent by hand, partly paid, paid, cancelled; and what is overdue.

Polled by `updated_at` with overlap: always page 1, because pages shift under the reader (design: Catching what webhooks
never say). Amounts are gross, in the invoice's currency. Overdue is our own rule: balance > 0 and today > due date.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from billing_console import clock
from billing_console.errors import ConfigError, UpstreamError
from billing_console.states import InvoiceState
from invoicing import creating
from invoicing.models import Invoice, Payment, PollCursor
from sync import heartbeats, upstreams
from sync.clients.ninja_rows import CANCELLED, PAID, PARTIAL, REVERSED, SENT, NinjaInvoice, NinjaPayment
from sync.models import Server
from sync.transitions import advance

OVERLAP = dt.timedelta(seconds=5)
INVOICES, PAYMENTS = "invoices", "payments"
OWED = (InvoiceState.SENT, InvoiceState.PARTLY_PAID)
STATE_BY_STATUS = {
    SENT: InvoiceState.SENT,
    PARTIAL: InvoiceState.PARTLY_PAID,
    PAID: InvoiceState.PAID,
    CANCELLED: InvoiceState.CANCELLED,
    REVERSED: InvoiceState.REVERSED,
}


def poll() -> int:
    """Read what changed in Invoice Ninja since the last poll; returns how many of our invoices were looked at.

    A failure is a sentence in the heartbeat "payments"; the next poll reads the same again.
    """
    try:
        upstreams.check_pin(Server.NINJA)
        ninja = upstreams.ninja_client()
        invoices = list(ninja.invoices_updated_since(_since(INVOICES)))
        seen = observe_invoices(invoices)
        _advance_cursor(INVOICES, invoices)
        payments = list(ninja.payments_updated_since(_since(PAYMENTS)))
        observe_payments(payments)
        _advance_cursor(PAYMENTS, payments)
    except (UpstreamError, ConfigError) as error:
        heartbeats.note("payments_failed", error.sentence)
        return 0
    heartbeats.note("payments", "")
    return seen


def observe_invoices(rows: Iterable[NinjaInvoice]) -> int:
    """Take over status, balance and what was paid of those rows that are ours; returns how many are."""
    by_id = {row.id: row for row in rows}
    ours = Invoice.objects.filter(remote__remote_id__in=by_id, remote__server=Server.NINJA).select_related("remote")
    count = 0
    for invoice in ours:
        if invoice.remote and invoice.remote.remote_id:
            _observe(invoice, by_id[invoice.remote.remote_id])  # type: ignore[index]
            count += 1
    return count


def _observe(invoice: Invoice, there: NinjaInvoice) -> None:
    with transaction.atomic():
        locked = Invoice.objects.select_for_update(of=("self",)).get(pk=invoice.pk)
        if locked.remote_updated_at and there.updated_at and there.updated_at < locked.remote_updated_at:
            return  # an older reading never overwrites a newer one
        facts = {
            "number": there.number or locked.number,
            "remote_status": there.status_id,
            "balance": there.balance,
            "paid_to_date": there.paid_to_date,
            "remote_updated_at": there.updated_at,
        }
        to = _state_after(locked, there)
        if to and to != locked.state:
            sent_at = {"sent_at": timezone.now()} if locked.state == InvoiceState.CREATED else {}
            advance(locked, to, why=_why(locked, there), **facts, **sent_at)
            creating.refresh_statuses(locked)
        else:
            Invoice.objects.filter(pk=locked.pk).update(**facts)


def _state_after(invoice: Invoice, there: NinjaInvoice) -> str | None:
    """The state that the observation means, or None to leave it: while we send, sending decides."""
    if invoice.state in (InvoiceState.SENDING, InvoiceState.ATTENTION, InvoiceState.APPROVED):
        return None
    ended = there.is_deleted or there.status_id in (CANCELLED, REVERSED)
    if ended and there.paid_to_date > 0:
        sentence = _("Invoice %(number)s was cancelled or deleted in Invoice Ninja although money came in.") % {
            "number": there.number
        }
        Invoice.objects.filter(pk=invoice.pk).update(attention_sentence=sentence)
        return None
    if there.is_deleted:
        return InvoiceState.CANCELLED
    return STATE_BY_STATUS.get(there.status_id)


def _why(invoice: Invoice, there: NinjaInvoice) -> str:
    if invoice.state == InvoiceState.CREATED:
        return _("seen in Invoice Ninja: sent by hand")
    return _("seen in Invoice Ninja: paid %(paid)s, open %(open)s %(currency)s") % {
        "paid": there.paid_to_date,
        "open": there.balance,
        "currency": invoice.currency,
    }


def observe_payments(rows: Iterable[NinjaPayment]) -> None:
    """Keep every payment that was applied to one of our invoices, as it is now."""
    pairs = [(row, part) for row in rows for part in row.allocations if part.invoice_id]
    ours = {
        invoice.remote.remote_id: invoice
        for invoice in Invoice.objects.filter(
            remote__remote_id__in={part.invoice_id for _row, part in pairs}
        ).select_related("remote")
        if invoice.remote
    }
    Payment.objects.bulk_create(
        [
            Payment(
                invoice=ours[part.invoice_id],
                ninja_id=row.id,
                amount=part.amount,
                refunded=part.refunded,
                status=row.status_id,
                paid_on=row.date,
                is_deleted=row.is_deleted,
                seen_at=timezone.now(),
            )
            for row, part in pairs
            if part.invoice_id in ours
        ],
        update_conflicts=True,
        unique_fields=["invoice", "ninja_id"],
        update_fields=["amount", "refunded", "status", "paid_on", "is_deleted", "seen_at"],
    )


def overdue(invoices: QuerySet[Invoice] | None = None) -> QuerySet[Invoice]:
    """Invoices that are overdue by now: balance > 0 and today, in the invoice's zone, after the due date."""
    rows = Invoice.objects.all() if invoices is None else invoices
    zones = set(Invoice.objects.filter(state__in=OWED).values_list("timezone", flat=True).distinct())
    late = Q(pk__in=[])
    for zone in zones:
        late |= Q(timezone=zone, due_date__lt=clock.today(zone))
    return rows.filter(late, state__in=OWED, balance__gt=0)


def _since(name: str) -> int:
    """Unix seconds to ask from: the last value seen, minus an overlap for rows of the same second."""
    cursor = PollCursor.objects.filter(name=name).first()
    return int((cursor.seen_until - OVERLAP).timestamp()) if cursor else 0


def _advance_cursor(name: str, rows: Iterable[NinjaInvoice] | Iterable[NinjaPayment]) -> None:
    newest = max((row.updated_at for row in rows if row.updated_at), default=None)
    if newest:
        PollCursor.objects.update_or_create(name=name, defaults={"seen_until": newest})
