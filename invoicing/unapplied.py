"""Money that came in and is on no invoice: without a reference, or more than was owed (billing-rules: What came in
otherwise). Read with the payments; amounts with tax, in the payment's own currency. Nothing is written there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.db.models import OuterRef, QuerySet, Subquery, Sum
from django.utils import timezone
from django.utils.translation import gettext as _

from billing_console import formats
from invoicing import cursors, old_copies
from invoicing.models import Invoice, UnappliedPayment
from invoicing.reading_rows import unapplied_of
from mappings.models import Client
from sync import currencies
from sync.clients.invoice_ninja import InvoiceNinjaClient
from sync.clients.ninja_rows import NinjaPayment
from sync.texts import clean_text

_SAID = ("client_ninja_id", "number", "reference", "currency", "received", "amount", "paid_on")
_READ = (*_SAID, "remote_updated_at", "older_seen_at")


def observe(rows: Iterable[NinjaPayment], ninja: InvoiceNinjaClient) -> None:
    """Keep what of each of these payments is on no invoice, as it is now; an older reading changes nothing until it is
    believed (`old_copies`).

    A payment of which everything is on
    invoices makes no row. Raises UpstreamError where a currency's code has to be asked for.
    """
    newest = {row.id: row for row in rows}
    read = UnappliedPayment.objects.filter(ninja_id__in=newest)
    older = old_copies.older_payments(newest.values(), read)
    known = {row.ninja_id: row for row in read}
    now = timezone.now()
    changed = []
    for row in newest.values():
        left, before = unapplied_of(row), known.get(row.id)
        if before is None and not left:
            continue
        if row.id in older:
            continue
        columns: dict[str, Any] = {
            "client_ninja_id": row.client_id,
            "number": clean_text(row.number, 191),
            "reference": clean_text(row.transaction_reference, 255),
            "currency": currencies.code_of_id(ninja, row.currency_id),
            "received": row.amount - row.refunded,
            "amount": left,
            "paid_on": row.date,
            "remote_updated_at": cursors.as_known(row.updated_at),
            "older_seen_at": None,
        }
        if before is None or any(getattr(before, name) != value for name, value in columns.items()):
            changed.append(UnappliedPayment(ninja_id=row.id, changed_at=now, **columns))
    with transaction.atomic():
        UnappliedPayment.objects.bulk_create(
            changed, update_conflicts=True, unique_fields=["ninja_id"], update_fields=[*_READ, "changed_at"]
        )
        _find_clients()


def _find_clients() -> None:
    """Our rows of the clients, also of those that the list of Invoice Ninja's clients had not told before."""
    ours = Client.objects.filter(ninja_id=OuterRef("client_ninja_id")).values("pk")[:1]
    UnappliedPayment.objects.filter(client__isnull=True).update(client=Subquery(ours))


def left() -> QuerySet[UnappliedPayment]:
    """The payments of which something is on no invoice; what was given back by a payment of its own is below 0."""
    return UnappliedPayment.objects.exclude(amount=0)


def by_client(clients: Collection[int]) -> dict[int, dict[str, Decimal]]:
    """What of these clients is on no invoice, by currency and above 0; one query."""
    rows = left().filter(client__in=clients).order_by().values("client", "currency").annotate(total=Sum("amount"))
    found: dict[int, dict[str, Decimal]] = {}
    for row in rows.filter(total__gt=0):
        found.setdefault(row["client"], {})[row["currency"]] = row["total"]
    return found


def hint(amounts: dict[str, Decimal] | None) -> str:
    """What to say where a client is asked for money: that some of it may be here already; "" for nothing."""
    if not amounts:
        return ""
    words = {"money": " + ".join(formats.money(amount, code) for code, amount in sorted(amounts.items()))}
    return (
        _(
            "%(money)s of this client came in without an invoice. Look whether it is for this one, and put it on it in "
            "Invoice Ninja."
        )
        % words
    )


def hint_for(invoice: Invoice) -> str:
    """The hint for one open invoice; "" where nothing is owed on it, or nothing came in otherwise."""
    return hint(by_client([invoice.client_id]).get(invoice.client_id)) if invoice.balance else ""
