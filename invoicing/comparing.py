"""Reading one invoice in Invoice Ninja because it must be compared: a person asked, or its client's currency changed.

What is polled is what changed there; this reads exactly the invoice that is meant, one that is approved and not created
yet too, and writes nothing. One that waited and is equal by now goes on by itself.
"""

from __future__ import annotations

from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.fields.json import KeyTextTransform
from django.utils import timezone
from django.utils.translation import gettext as _

from billing_console.errors import NotAllowed
from billing_console.states import InvoiceState, RecordState
from invoicing import creating_checks, deviations, old_copies
from invoicing.creating_compare import differences, wanted
from invoicing.models import Decision, Deviation, Invoice
from sync import alarms, doorbell
from sync.clients.invoice_ninja import InvoiceNinjaClient
from sync.clients.ninja_rows import NinjaInvoice
from sync.models import RemoteRecord
from sync.transitions import advance

ALARM = "other_currency"
OPEN_STATES = (InvoiceState.CREATED, InvoiceState.SENT, InvoiceState.PARTLY_PAID)
_NAMED, _AT_ONCE = 5, 50


def ask(invoice: Invoice) -> None:
    """Have the invoice read and compared soon. Raises NotAllowed while there is nothing to read in Invoice Ninja."""
    rows = Invoice.objects.filter(pk=invoice.pk, remote__remote_id__isnull=False)
    if not rows.update(compare_asked_at=timezone.now()):
        raise NotAllowed(
            _("%(invoice)s is not in Invoice Ninja yet: there is nothing to compare.") % {"invoice": invoice}
        )
    transaction.on_commit(lambda: doorbell.ring("payments"))


def watch_currencies() -> None:
    """Raise the alarm as long as an open invoice has a client of another currency, and have such invoices compared."""
    other = _in_another_currency()
    owed = other.filter(state__in=(InvoiceState.SENT, InvoiceState.PARTLY_PAID)).select_related("client")
    if named := [f"{row.client} {row.number}" for row in owed.order_by("pk")[:_NAMED]]:
        alarms.raise_alarm(
            ALARM,
            _(
                "Invoice Ninja shows and reminds of %(invoices)s in another currency than they were sent in, because "
                "the currency of the client was changed. Put it back there: for a new currency, make a new client."
            )
            % {"invoices": ", ".join(named)},
            url_name="admin:invoicing_invoice_changelist",
        )
    else:
        alarms.clear(ALARM)
    noted = Deviation.objects.filter(invoice=OuterRef("pk"), decision=Decision.OPEN)
    noted = noted.annotate(there=KeyTextTransform("currency", "theirs"))
    rows = Invoice.objects.filter(state__in=OPEN_STATES, compare_asked_at__isnull=True, remote__remote_id__isnull=False)
    is_news = Q(pk__in=other.values("pk")) & ~Exists(noted.filter(there=OuterRef("client__currency")))
    is_over = Q(currency=F("client__currency")) & Exists(noted.exclude(there=OuterRef("client__currency")))
    rows.filter(is_news | is_over).update(compare_asked_at=timezone.now())


def compare_asked(ninja: InvoiceNinjaClient) -> int:
    """Read and compare what was asked for; returns how many. Raises UpstreamError, and asks again at the next time."""
    rows = Invoice.objects.filter(compare_asked_at__isnull=False, remote__remote_id__isnull=False)
    invoices = list(rows.select_related("client", "remote").order_by("pk")[:_AT_ONCE])
    for invoice in invoices:
        assert invoice.remote is not None
        try:
            there = old_copies.read_invoice(invoice.remote, ninja)
        except old_copies.OldCopy:
            continue  # it is asked for still
        _compare(invoice, there, ninja)
        asked = Invoice.objects.filter(pk=invoice.pk, compare_asked_at=invoice.compare_asked_at)
        asked.update(compare_asked_at=None)
    return len(invoices)


def _in_another_currency() -> QuerySet[Invoice]:
    rows = Invoice.objects.filter(state__in=OPEN_STATES, client__is_known=True)
    return rows.exclude(client__currency="").exclude(currency=F("client__currency"))


def _compare(invoice: Invoice, there: NinjaInvoice, ninja: InvoiceNinjaClient) -> None:
    remote = invoice.remote
    assert remote is not None
    if remote.state == RecordState.SYNCED:
        deviations.compare(invoice, there, states=(*deviations.COMPARED, InvoiceState.ATTENTION))
    elif remote.state == RecordState.ATTENTION and remote.reason == creating_checks.DIFFERS_THERE:
        _look_again(remote, invoice, there, ninja)


def _look_again(remote: RemoteRecord, invoice: Invoice, there: NinjaInvoice, ninja: InvoiceNinjaClient) -> None:
    """One that was never proven equal: keep what differs by now, or let the worker prove that nothing does."""
    stolen = creating_checks.stolen_tasks(there, remote, ninja)
    if there.is_deleted:
        return
    if differences(there, wanted(remote)) or stolen:
        deviations.note(invoice, there, stolen)
        return
    with transaction.atomic():
        why = _("compared again: equal by now")
        if advance(remote, RecordState.PENDING, why=why, only_if=Q(revision=remote.revision), not_before=None):
            transaction.on_commit(lambda: doorbell.ring("invoices"))
