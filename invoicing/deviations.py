"""An invoice in Invoice Ninja that is not what was sealed: both sides are kept, so that a page can show them.

Whoever read the invoice notes what differs; a later reading that is equal, or differs in another way, ends the row.
A person decides about exactly the row that was on screen (`invoicing.adopting`).
"""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction
from django.utils import timezone

from billing_console.states import InvoiceState, RecordState
from invoicing import snapshots
from invoicing.creating_compare import differences, wanted
from invoicing.models import Decision, Deviation, Invoice
from sync.clients.ninja_rows import CANCELLED, REVERSED, NinjaInvoice

COMPARED = (InvoiceState.CREATED, InvoiceState.SENT, InvoiceState.PARTLY_PAID, InvoiceState.PAID)


def note(invoice: Invoice, there: NinjaInvoice, stolen: Sequence[str] = ()) -> None:
    """Keep both sides of an invoice that was read to differ; the same again changes nothing. Locks the invoice.

    `stolen` are the numbers of tasks of ours that name another invoice there.
    """
    if invoice.remote is None:
        return
    theirs = snapshots.theirs_of(there, invoice.currency) | {"currency": _currency_there(invoice)}
    ours = snapshots.ours_of(wanted(invoice.remote))
    with transaction.atomic():
        Invoice.objects.select_for_update(of=("self",), no_key=True).get(pk=invoice.pk)
        rows = Deviation.objects.filter(invoice=invoice, decision=Decision.OPEN)
        is_known = rows.filter(seal=invoice.seal, ours=ours, theirs=theirs, stolen=list(stolen)).exists()
        if not is_known:
            rows.update(decision=Decision.GONE, decided_at=timezone.now())
            Deviation.objects.create(
                invoice=invoice,
                found_at=timezone.now(),
                seal=invoice.seal,
                ours=ours,
                theirs=theirs,
                stolen=list(stolen),
            )


def end(invoice: Invoice) -> None:
    """Both sides are equal again."""
    rows = Deviation.objects.filter(invoice=invoice, decision=Decision.OPEN)
    rows.update(decision=Decision.GONE, decided_at=timezone.now())


def compare(invoice: Invoice, there: NinjaInvoice, states: Sequence[str] = COMPARED) -> None:
    """Note or end what differs of an invoice that was read by the way; nothing while it is being written or sent.

    Its amount is read in the currency that its client has there: another one than it was sealed in differs, too.
    """
    remote = invoice.remote
    if remote is None or invoice.state not in states or there.is_deleted or there.status_id in (CANCELLED, REVERSED):
        return
    if remote.state != RecordState.SYNCED or remote.synced_revision != remote.revision:
        return
    if differences(there, wanted(remote)) or _currency_there(invoice) != invoice.currency:
        note(invoice, there)
    else:
        end(invoice)


def _currency_there(invoice: Invoice) -> str:
    """The currency in which Invoice Ninja shows it; what is paid stays what it was."""
    return invoice.currency if invoice.state == InvoiceState.PAID else invoice.client.currency or invoice.currency


def open_of(invoice: Invoice) -> Deviation | None:
    """What waits for a decision on this invoice."""
    return Deviation.objects.filter(invoice=invoice, decision=Decision.OPEN).first()
