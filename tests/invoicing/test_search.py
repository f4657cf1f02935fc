from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
from django.contrib.auth.models import Group
from django.core.cache import cache
from django.db import connection
from django.test import Client as Browser
from django.test import RequestFactory

from accounts.models import User
from invoicing.models import Invoice, InvoiceRun, RunTrigger
from invoicing.search import by_amount_or_po, find
from mappings.models import Client, RuleSet
from sync.models import TimeEntry, WorkItem

pytestmark = pytest.mark.django_db


@pytest.fixture
def rows() -> dict[str, object]:
    client = Client.objects.create(ninja_id="client1", name="Acme Corp", currency="EUR")
    item = WorkItem.objects.create(kind="T", taiga_id=900, ref=45, subject="Implement payment gateway")
    entry = TimeEntry.objects.create(item=item, state="held", reason="no_rate", client=client)
    first, after = dt.date(2025, 12, 1), dt.date(2026, 1, 1)
    run = InvoiceRun.objects.create(
        frequency="monthly",
        period_start=first,
        period_end=after,
        timezone="UTC",
        trigger=RunTrigger.PERSON,
        requested_at=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
    )
    invoice = Invoice.objects.create(
        run=run,
        client=client,
        rule_set=RuleSet.objects.create(),
        currency="EUR",
        period_start=first,
        period_end=after,
        timezone="UTC",
        state="sent",
        seal="seal",
        number="2026-0042",
        net=Decimal("615"),
        tax_decision="tax",
        product_key="Consulting",
    )
    return {"entry": entry, "invoice": invoice, "client": client}


def found(term: str, group: str = "Viewer") -> list[str]:
    request = RequestFactory().get("/")
    request.user = User.objects.create_user(f"user of {group} {term}", is_staff=True)
    if group:
        request.user.groups.add(Group.objects.get(name=group))
    return [result.link for result in find(request, term)]


def test_a_reference_finds_the_task(rows) -> None:
    address = f"/admin/sync/timeentry/{rows['entry'].pk}/change/"

    assert found("#45") == [address]
    assert found("45") == [address]
    assert found("payment") == [address]
    assert found("#46") == []


def test_a_number_finds_the_invoice_and_a_name_the_client_too(rows) -> None:
    invoice = f"/admin/invoicing/invoice/{rows['invoice'].pk}/change/"

    assert found("0042") == [invoice]
    assert found("acme") == [invoice, f"/admin/mappings/client/{rows['client'].pk}/change/"]


@pytest.mark.parametrize(
    "term", ["615", "615.00", "615,00 EUR", "744,15", "744.15", "€744.15", "1 244,15", "1.244,15", "1,244.15", "po-77"]
)
def test_an_amount_in_either_format_or_a_po_number_finds_the_invoice(client: Browser, rows, term: str) -> None:
    invoice = rows["invoice"]
    amounts = {"gross": Decimal("744.15"), "balance": Decimal("1244.15")}
    Invoice.objects.filter(pk=invoice.pk).update(**amounts, po_number="PO-7731", number="R-1")

    assert found(term) == [f"/admin/invoicing/invoice/{invoice.pk}/change/"]

    client.force_login(User.objects.create_superuser("root"))
    listed = client.get("/admin/invoicing/invoice/", {"q": term}).context["cl"].result_list
    assert [row.pk for row in listed] == [invoice.pk]


@pytest.mark.parametrize("term", ["0.00", "744.16", "7731", "PO-78", "acme 744.15 x"])
def test_another_amount_or_po_number_finds_nothing(client: Browser, rows, term: str) -> None:
    Invoice.objects.update(gross=Decimal("744.15"), balance=Decimal(0), po_number="PO-7731", number="R-1")

    assert found(term) == []

    client.force_login(User.objects.create_superuser("root"))
    assert list(client.get("/admin/invoicing/invoice/", {"q": term}).context["cl"].result_list) == []


def test_an_amount_joins_the_other_words_of_the_list(client: Browser, rows) -> None:
    client.force_login(User.objects.create_superuser("root"))
    Invoice.objects.update(gross=Decimal("744.15"))
    for words, count in (("acme 744,15", 1), ("beta 744,15", 0)):
        assert len(client.get("/admin/invoicing/invoice/", {"q": words}).context["cl"].result_list) == count


def test_a_result_says_the_amounts_it_may_have_been_found_by(rows) -> None:
    Invoice.objects.update(gross=Decimal("744.15"), balance=Decimal("44.15"), po_number="PO-7731")
    request = RequestFactory().get("/")
    request.user = User.objects.create_superuser("root")
    (result,) = find(request, "44.15")
    assert result.description.replace("\xa0", " ") == (
        "1–31 Dec 2025 · 615.00 EUR before tax · 744.15 EUR with tax · 44.15 EUR open · PO PO-7731 · Sent"
    )


def test_amounts_and_po_numbers_have_an_index_each(rows) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
    plan = Invoice.objects.filter(by_amount_or_po("2,696")).order_by("-id")[:8].explain()
    for name in ("invoice_by_net", "invoice_by_gross", "invoice_by_balance", "invoice_by_po"):
        assert name in plan, plan


@pytest.mark.parametrize("term", ["", " ", "a", "#", "²", "9" * 30, "no such thing", "%", "'; --"])
def test_strange_words_find_nothing_and_break_nothing(rows, term: str) -> None:
    assert found(term) == []


def test_who_may_see_nothing_finds_nothing(rows) -> None:
    assert found("acme", group="") == []
    assert found("#45", group="") == []


def test_the_palette_shows_it(client: Browser, rows) -> None:
    cache.clear()
    client.force_login(User.objects.create_superuser("root"))

    response = client.get("/admin/search/", {"s": "#45", "extended": "1"})

    assert b"#45 Implement payment gateway" in response.content
