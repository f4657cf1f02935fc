from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
from django.contrib.auth.models import Group
from django.core.cache import cache
from django.test import Client as Browser
from django.test import RequestFactory

from accounts.models import User
from invoicing.models import Invoice, InvoiceRun, RunTrigger
from invoicing.search import find
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
