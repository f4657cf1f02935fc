"""What is owed by how long it is overdue, above the list of payments; each bucket leads to exactly its invoices."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing_console import clock
from invoicing import owed
from invoicing.models import Invoice, Payment
from tests.invoicing.world import built, make_client, make_project, make_work
from tests.people import GROUPS, browser_of

pytestmark = pytest.mark.django_db

PAGE = "/admin/invoicing/payment/"
DUE = dt.date(2026, 2, 1)


@pytest.fixture
def invoice() -> Iterator[Invoice]:
    """258.64 EUR, 100.00 of it paid, due on 1 February."""
    make_work(make_project(make_client()), "2.10")
    built()
    facts: dict[str, Any] = {"state": "partly_paid", "seal": "x", "number": "0007", "balance": Decimal("158.64")}
    days = {"invoice_date": dt.date(2026, 1, 2), "due_date": DUE, "paid_to_date": 100}
    Invoice.objects.update(**facts, **days)
    with clock.set_to(dt.datetime(2026, 2, 10, 9, tzinfo=dt.UTC)):
        yield Invoice.objects.get()


@pytest.mark.parametrize(
    ("days", "bucket"),
    [(-1, "open"), (0, "open"), (1, "1-30"), (30, "1-30"), (31, "31-60"), (60, "31-60"), (61, "61-90"), (90, "61-90"),
     (91, "over-90"), (400, "over-90")],
)  # fmt: skip
def test_every_open_invoice_is_in_one_bucket(invoice: Invoice, days: int, bucket: str) -> None:
    with clock.set_to(dt.datetime(2026, 2, 1, 12, tzinfo=dt.UTC) + dt.timedelta(days=days)):
        found = [key for key in ("open", *owed.BUCKETS) if owed.in_bucket(key, Invoice.objects.all()).exists()]
        assert found == [bucket]


@pytest.mark.parametrize("changes", [{"state": "paid"}, {"balance": 0}, {"state": "created"}])
def test_what_is_not_owed_is_in_none(invoice: Invoice, changes: dict[str, Any]) -> None:
    Invoice.objects.update(**changes)
    assert not any(owed.in_bucket(key, Invoice.objects.all()).exists() for key in ("open", *owed.BUCKETS))


def test_the_list_of_payments_begins_with_what_is_owed(invoice: Invoice) -> None:
    Payment.objects.create(invoice=invoice, ninja_id="p1", amount=100, status="4", paid_on=dt.date(2026, 1, 20))

    answer = browser_of("viewer").get(PAGE)

    row = answer.context["owed_buckets"][1]
    shown = [text.replace("\u00a0", " ") for text in (row.label, row.gross, row.paid, row.balance)]
    assert (row.count, shown) == (1, ["1 to 30 days overdue", "258.64 EUR", "100.00 EUR", "158.64 EUR"])
    listed = browser_of("viewer").get(row.url)
    assert list(listed.context["cl"].queryset) == [invoice]
    assert "paid 100.00" in listed.content.decode()
    assert not browser_of("viewer").get(PAGE.replace("payment", "invoice"), {"owed": "61-90"}).context["cl"].queryset


@pytest.mark.parametrize("group", GROUPS)
def test_every_group_may_look(group: str, invoice: Invoice) -> None:
    assert browser_of(group).get(PAGE).status_code == 200
    assert browser_of("stranger").get(PAGE).status_code == 403


def test_30_payments_cost_as_many_queries_as_one(invoice: Invoice) -> None:
    browser = browser_of("viewer")

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            browser.get(PAGE)
        return len(captured)

    Payment.objects.create(invoice=invoice, ninja_id="p0", amount=100)
    queries()
    one = queries()
    for number in range(1, 30):
        Payment.objects.create(invoice=invoice, ninja_id=f"p{number}", amount=100)
    assert queries() == one
