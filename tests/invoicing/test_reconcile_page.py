"""The page shows the four identities with a link to the rows of each part; its file holds the same, with a hash."""

from __future__ import annotations

import csv
import datetime as dt
import io
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing_console import clock
from mappings.models import ProjectMapping
from sync import attention
from sync.models import TimeEntry, WorkItem
from tests.invoicing.world import IN_JANUARY, make_client, make_project, make_user, make_work
from tests.people import GROUPS, browser_of

pytestmark = pytest.mark.django_db

PAGE = "/admin/invoicing/reconcile/"


@pytest.fixture(autouse=True)
def _business_time() -> Iterator[None]:
    with clock.set_to(IN_JANUARY):
        yield


@pytest.fixture
def mapping() -> ProjectMapping:
    mapping = make_project(make_client())
    make_work(mapping, "2.10")  # ready: 2.25 h × 95 = 213.75
    attention.hold_entry(make_work(mapping, "1"), user=make_user("Billing clerk"), note="ask")
    return mapping


def page(**query: Any) -> Any:
    return browser_of("viewer").get(PAGE, query)


def money_rows(answer: Any) -> dict[str, tuple[int, str]]:
    rows = answer.context["identities"][2]["rows"]
    return {row["name"]: (row["count"], row["money"].replace("\u00a0", " ")) for row in rows if row["count"]}


def test_the_last_month_is_shown_and_balances(mapping: ProjectMapping) -> None:
    answer = page()

    assert answer.context["is_true"]
    assert answer.context["span"].start == dt.date(2025, 12, 1)
    assert money_rows(answer) == {
        "priced entries": (2, "308.75 EUR"),
        "held": (1, "95.00 EUR"),
        "unbilled": (1, "213.75 EUR"),
    }
    assert "Balances to the cent" in answer.content.decode()


def test_a_part_leads_to_exactly_its_rows(mapping: ProjectMapping) -> None:
    url = next(row["url"] for row in page().context["identities"][2]["rows"] if row["name"] == "unbilled")

    listed = browser_of("viewer").get(url)

    assert listed.status_code == 200
    assert [entry.state for entry in listed.context["cl"].queryset] == ["ready"]


def test_it_can_be_one_client_project_or_person(mapping: ProjectMapping) -> None:
    other = make_project(make_client("Globex"))
    make_work(other, "1")

    whole, one = page(), page(client=other.client_id)

    assert money_rows(whole)["priced entries"] == (3, "403.75 EUR")
    assert money_rows(one)["priced entries"] == (1, "95.00 EUR")
    assert whole.context["hash"] != one.context["hash"]


def test_a_difference_is_a_residue_and_no_check_mark(mapping: ProjectMapping) -> None:
    WorkItem.objects.filter(entries__state="ready").update(attributes={"hours": 7, "billable": True})

    answer = page()

    assert not answer.context["is_true"]
    assert "Does not balance" in answer.content.decode()
    assert "+4.9" in answer.content.decode()


def test_the_file_holds_the_same_figures_and_their_hash(mapping: ProjectMapping) -> None:
    answer = page(file="csv", start="2025-12-01", end="2025-12-31")
    rows = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))

    assert answer["Content-Disposition"] == 'attachment; filename="reconciliation-2025-12-01-2025-12-31.csv"'
    assert ["Money, before tax", "right", "unbilled", "1", "2.1", "EUR 213.75"] in rows
    assert rows[-1][:3] == ["sha256", "", page(start="2025-12-01", end="2025-12-31").context["hash"]]


def test_the_hash_changes_with_a_figure(mapping: ProjectMapping) -> None:
    before = page().context["hash"]
    assert page().context["hash"] == before
    TimeEntry.objects.filter(state="ready").update(amount=1)
    assert page().context["hash"] != before


@pytest.mark.parametrize("group", GROUPS)
def test_every_group_may_look_and_nobody_posts(group: str) -> None:
    assert browser_of(group).get(PAGE).status_code == 200
    assert browser_of(group).post(PAGE).status_code == 405
    assert browser_of("stranger").get(PAGE).status_code == 403


def test_30_entries_cost_as_many_queries_as_one(mapping: ProjectMapping) -> None:
    browser = browser_of("viewer")

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            browser.get(PAGE)
        return len(captured)

    queries()
    before = queries()
    for _number in range(28):
        make_work(mapping, "1")
    assert queries() == before


def test_wrong_days_are_a_sentence(mapping: ProjectMapping) -> None:
    answer = page(start="2025-12-31", end="2025-12-01")
    assert "The last day lies before the first" in answer.content.decode()
    assert "identities" not in answer.context
