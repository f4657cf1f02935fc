"""Where a person mends a stuck write of an invoice or of a credit: the page of the invoice. Reading only."""

from __future__ import annotations

from collections.abc import Sequence

from django.db.models import Q
from django.urls import reverse

from invoicing.models import Credit, CreditUse, Invoice
from sync.models import RecordKind, RemoteRecord


def pages_of(records: Sequence[RemoteRecord]) -> dict[int, str]:
    """The address of the invoice's page by the id of the record; nothing for records of other kinds. Two queries."""
    marks = {record.our_key: record.pk for record in records if record.kind == RecordKind.MARK_SENT}
    ids = {record.pk for record in records}
    found: dict[int, int] = {}
    invoices = Invoice.objects.filter(Q(remote__in=ids) | Q(remote__our_key__in=marks))
    for invoice, remote, key in invoices.values_list("pk", "remote_id", "remote__our_key"):
        found |= {pk: invoice for pk in (remote, marks.get(key)) if pk in ids}
    credits, uses = (
        model.objects.filter(remote__in=ids).order_by().values_list("invoice_id", "remote_id")
        for model in (Credit, CreditUse)
    )
    found |= {remote: invoice for invoice, remote in credits.union(uses) if remote is not None}
    return {pk: reverse("admin:invoicing_invoice_change", args=[invoice]) for pk, invoice in found.items()}
