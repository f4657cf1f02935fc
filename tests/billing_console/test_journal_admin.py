"""Long lists: their pages from both ends, and words that an index finds."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing_console.journal_admin import JournalPaginator
from sync.models import RemoteRecord, WebhookDelivery
from tests.factories import DeliveryFactory, UpstreamCallFactory
from tests.people import browser_of

pytestmark = pytest.mark.django_db

DELIVERIES, CALLS = "/admin/sync/webhookdelivery/", "/admin/sync/upstreamcall/"
RECORDS = "/admin/sync/remoterecord/"


def ids(rows: Any) -> list[int]:
    return [row.pk for row in rows]


def test_pages_count_from_both_ends_and_each_row_stands_on_one() -> None:
    DeliveryFactory.create_batch(7)
    newest_first = ids(WebhookDelivery.objects.order_by("-id"))
    paginator = JournalPaginator(WebhookDelivery.objects.order_by("-id"), 3)

    from_the_start = [ids(paginator.page(number)) for number in (1, 2, 3)]
    from_the_end = [ids(paginator.page(number)) for number in (-3, -2, -1)]

    assert from_the_start == [newest_first[:3], newest_first[3:6], newest_first[6:]]
    assert from_the_end == [newest_first[:1], newest_first[1:4], newest_first[4:]]


@pytest.mark.parametrize(
    ("page", "there", "missing"),
    [
        ("", ["p=2", "p=-1"], ["p=0", "p=1&", 'p=1"']),
        ("?p=2", ["p=1", "p=-1"], ["p=3"]),
        ("?p=-1", ["p=1", "p=-2"], ["p=0", "p=-1"]),
        ("?p=-2", ["p=1", "p=-1"], ["p=-3"]),
    ],
)
def test_the_links_lead_on_as_far_as_there_are_rows(page: str, there: list[str], missing: list[str]) -> None:
    DeliveryFactory.create_batch(75)  # a page has 50

    text = browser_of("viewer").get(DELIVERIES + page).content.decode()

    pages = text.partition('<nav class="bc-pages"')[2].partition("</nav>")[0]
    assert all(f'href="?{link}"' in pages for link in there)
    assert not any(f"?{link}" in pages for link in missing)


@pytest.mark.parametrize("page", ["?p=0", "?p=x", "?p=-9", "?p=99999999999"])
def test_a_page_that_is_not_there_breaks_nothing(page: str) -> None:
    DeliveryFactory()

    assert browser_of("viewer").get(DELIVERIES + page, follow=True).status_code == 200


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("4711", ["ref"]),
        ("feed", ["fingerprint"]),
        ('"4711"', ["ref"]),
        ("4711 4711", ["ref"]),
        ("#4711", ["ref"]),
        ("#471", []),
        ("4711 feed", []),
        ("471", []),
        ("99999999999999999999", []),
        ("'", []),
        ("", ["fingerprint", "other", "ref"]),
    ],
)
def test_a_word_is_found_exactly_by_its_index(word: str, found: list[str]) -> None:
    DeliveryFactory(item_ref=4711, by_username="ref")
    DeliveryFactory(item_ref=1, fingerprint="feed", by_username="fingerprint")
    DeliveryFactory(item_ref=2, by_username="other")

    with CaptureQueriesContext(connection) as queries:
        answer = browser_of("viewer").get(DELIVERIES, {"q": word})
    assert "9999999999 result" not in answer.content.decode()  # nobody counts them

    assert sorted(row.by_username for row in answer.context["cl"].result_list) == found
    asked = [query["sql"] for query in queries if 'FROM "sync_webhookdelivery"' in query["sql"]]
    assert asked
    assert not any("UPPER" in sql or "::text" in sql for sql in asked)


def found_at(address: str, word: str, column: str) -> list[str]:
    with CaptureQueriesContext(connection) as queries:
        answer = browser_of("viewer").get(address, {"q": word})
    assert not any("UPPER" in query["sql"] and word in query["sql"] for query in queries)
    return sorted(getattr(row, column) for row in answer.context["cl"].result_list)


def test_calls_are_found_by_what_belongs_together_and_by_the_beginning_of_their_path() -> None:
    number = uuid.uuid4()
    UpstreamCallFactory(correlation_id=number, path="/tasks/1")
    UpstreamCallFactory(path="/tasks/10?_=50%")
    UpstreamCallFactory(path="/invoices/2")

    assert found_at(CALLS, str(number), "path") == ["/tasks/1"]
    assert found_at(CALLS, "/tasks/1", "path") == ["/tasks/1", "/tasks/10?_=50%"]
    assert found_at(CALLS, "/tasks/10?_=50%", "path") == ["/tasks/10?_=50%"]
    assert found_at(CALLS, "voices", "path") == []
    assert found_at(CALLS, "%", "path") == []


def test_records_are_found_by_the_beginning_of_our_key_and_by_the_id_there() -> None:
    for key, remote_id in (("TT45-1", "Wpmbk5ezJn"), ("TT450-1", None), ("TT9-1", "wpmbk5ezjn")):
        RemoteRecord.objects.create(server="invoice_ninja", kind="task", our_key=key, remote_id=remote_id)

    assert found_at(RECORDS, "TT45", "our_key") == ["TT45-1", "TT450-1"]
    assert found_at(RECORDS, "Wpmbk5ezJn", "our_key") == ["TT45-1"]
    assert found_at(RECORDS, "45", "our_key") == []


def test_nobody_is_offered_to_select_rows_that_nobody_counted() -> None:
    DeliveryFactory.create_batch(60)

    page = browser_of("clerk").get(DELIVERIES).content.decode()

    assert "9999999999" not in page
    assert "Click here to select the objects across all pages" not in page
    assert "9,999,999,999" not in page
