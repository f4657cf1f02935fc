"""A stuck write of an invoice leads to the invoice, from where it can be mended."""

from __future__ import annotations

import pytest
from django.urls import reverse

from invoicing import record_pages
from sync.models import RemoteRecord
from tests.invoicing.test_correction_pages import billed, decide_url, difference, posted
from tests.invoicing.test_correction_pages import january as january
from tests.people import browser_of

pytestmark = pytest.mark.django_db


def test_writes_of_invoices_marks_and_credits_lead_to_the_invoice(django_assert_num_queries) -> None:
    invoice = billed(count=2)
    posted(browser_of("approver"), decide_url(difference("1", invoice), "credit"))
    mark = {"server": "invoice_ninja", "kind": "mark_sent", "our_key": invoice.key, "state": "attention"}
    RemoteRecord.objects.create(**mark)
    RemoteRecord.objects.filter(kind__in=("invoice", "credit")).update(state="attention")
    records = list(RemoteRecord.objects.all())
    address = reverse("admin:invoicing_invoice_change", args=[invoice.pk])

    with django_assert_num_queries(2):
        found = record_pages.pages_of(records)

    assert {record.kind: found.get(record.pk) for record in records} == {
        "task": None, "invoice": address, "mark_sent": address, "credit": address,
    }  # fmt: skip
    page = browser_of("viewer").get(reverse("admin:sync_attention")).content.decode()
    assert page.count(f'<a href="{address}">Look at the invoice</a>') == 3
