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
from invoicing import readings
from invoicing.models import Reading
from invoicing.verdict import Verdict
from mappings.models import ProjectMapping
from sync import attention
from sync.models import TimeEntry, WorkItem
from tests.invoicing.world import IN_JANUARY, make_client, make_project, make_user, make_work
from tests.outbound import created_invoice
from tests.people import GROUPS, browser_of
from tests.standins import World

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

    assert answer.context["proof"].verdict is Verdict.OURS
    assert answer.context["span"].start == dt.date(2025, 12, 1)
    assert money_rows(answer) == {
        "priced entries": (2, "308.75 EUR"),
        "held": (1, "95.00 EUR"),
        "unbilled": (1, "213.75 EUR"),
    }
    assert "Ours balances; the servers were never read" in answer.content.decode()


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

    assert answer.context["proof"].verdict is Verdict.DIFFERS
    assert "+4.9" in answer.content.decode()


def test_the_file_holds_the_same_figures_and_their_hash(mapping: ProjectMapping) -> None:
    answer = page(file="csv", start="2025-12-01", end="2025-12-31")
    rows = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))

    assert answer["Content-Disposition"] == 'attachment; filename="reconciliation-2025-12-01-2025-12-31.csv"'
    assert ["Money, before tax", "right", "unbilled", "1", "2.1", "EUR 213.75"] in rows
    assert rows[-2][:3] == ["verdict", "", "Ours balances; the servers were never read"]
    assert rows[-1][:3] == ["sha256", "", page(start="2025-12-01", end="2025-12-31").context["hash"]]


def test_the_hash_changes_with_a_figure(mapping: ProjectMapping) -> None:
    before = page().context["hash"]
    assert page().context["hash"] == before
    TimeEntry.objects.filter(state="ready").update(amount=1)
    assert page().context["hash"] != before


@pytest.mark.parametrize("group", GROUPS)
def test_every_group_may_look_and_a_viewer_may_not_ask_for_a_reading(group: str, mapping: ProjectMapping) -> None:
    assert browser_of(group).get(PAGE).status_code == 200
    assert not Reading.objects.exists()  # looking asks for nothing
    assert browser_of(group).post(PAGE).status_code == (403 if group == "viewer" else 302)
    assert Reading.objects.count() == (group != "viewer")
    assert browser_of("stranger").get(PAGE).status_code == 403


def test_a_second_click_finds_the_reading_already_asked_for(mapping: ProjectMapping) -> None:
    browser = browser_of("clerk")
    first, second = (browser.post(PAGE, follow=True).content.decode() for _click in range(2))

    assert "Both servers are being read. This page shows it when it is done." in first
    assert "Both servers are being read already." in second
    assert Reading.objects.count() == 1
    assert "Being read now" in browser.get(PAGE).content.decode()


def test_the_last_reading_is_shown_with_its_time_and_every_row_that_differs(world: World) -> None:
    with clock.set_to(IN_JANUARY):
        created_invoice(world, 2.1)
        assert "They were not read yet" in page().content.decode()
        readings.read_now()
        told = page()
        assert "1 item in Taiga, 1 invoice with its payments in Invoice Ninja." in told.content.decode()
        assert [row["is_true"] for row in told.context["identities"]] == [True] * 8
        world.set_values(WorkItem.objects.get().taiga_id, hours=5)
        assert page().context["hash"] == told.context["hash"]  # no server is asked by a page
        readings.read_now()

        now = page()

    assert "1 row that differs" in now.content.decode()
    assert now.context["identities"][4]["leftovers"][0].url.endswith("/change/")


def test_the_certificate_of_a_run_has_its_invoices_figures_and_hash(world: World) -> None:
    with clock.set_to(IN_JANUARY):
        invoice = created_invoice(world, 2.1)
        readings.read_now()
        address = f"/admin/invoicing/reconcile/run/{invoice.run_id}/"

        answer = browser_of("viewer").get(address)
        found = browser_of("viewer").get(address, {"file": "csv"})

    assert answer.context["proof"].verdict is Verdict.BALANCES
    assert "168.75\u00a0EUR" in answer.content.decode()
    rows = list(csv.reader(io.StringIO(found.content.decode("utf-8-sig"))))
    assert rows[1] == [
        "Acme Corp", invoice.number, "created", "2.25", "EUR", "168.75", "35.44", "204.19", *["0.00"] * 5,
    ]  # fmt: skip
    assert ["Lines in Invoice Ninja, before tax", "left", "our lines of these entries", "1", "0", "EUR 168.75"] in rows
    assert rows[-1][2] == answer.context["hash"]
    assert found["Content-Disposition"].startswith('attachment; filename="run-2025-12-01-2025-12-31-')
    assert browser_of("stranger").get(address).status_code == 403
    assert browser_of("administrator").post(address).status_code == 405
    assert browser_of("viewer").get("/admin/invoicing/reconcile/run/987654/").status_code == 404


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


def months(answer: Any) -> dict[str, str]:
    return {row["rel"]: row["query"] for row in answer.context["months"]}


def test_a_month_can_be_asked_for_and_paged(mapping: ProjectMapping) -> None:
    make_work(mapping, "4", closed=dt.datetime(2025, 11, 9, 12, tzinfo=dt.UTC))

    december, november = page(month="2025-12"), page(month="2025-11", client=mapping.client_id)

    assert (november.context["span"].start, november.context["span"].end) == (
        dt.date(2025, 11, 1), dt.date(2025, 12, 1),
    )  # fmt: skip
    assert money_rows(november)["priced entries"] == (1, "380.00 EUR")
    assert months(december) == {"prev": "month=2025-11", "next": "month=2026-01"}
    assert months(november) == {
        "prev": f"month=2025-10&client={mapping.client_id}", "next": f"month=2025-12&client={mapping.client_id}",
    }  # fmt: skip
    assert months(page(month="2026-01")) == {"prev": "month=2025-12"}  # it is January
    assert page(month="2025-11", file="csv")["Content-Disposition"].endswith('2025-11-01-2025-11-30.csv"')
    assert 'href="?start=2025-11-01&amp;end=2025-11-30&amp;client=' in november.content.decode()


@pytest.mark.parametrize("typed", ["2025-13", "December", "0000-01"])
def test_a_wrong_month_is_a_sentence(mapping: ProjectMapping, typed: str) -> None:
    answer = page(month=typed)
    assert f"“{typed}” is no month; write it as 2025-12." in answer.content.decode()
    assert "proof" not in answer.context


def test_the_page_loads_anew_when_the_reading_is_done(world: World) -> None:
    with clock.set_to(IN_JANUARY):
        created_invoice(world, 2.1)
        browser = browser_of("clerk")
        browser.post(PAGE)
        running = browser.get(PAGE).content.decode()
        assert 'hx-trigger="every 3s"' in running
        asked = browser.get(PAGE, headers={"HX-Request": "true"})
        assert (asked.status_code, asked.content) == (204, b"")

        assert readings.read_due() == 1

        asked = browser.get(PAGE, headers={"HX-Request": "true"})
        assert (asked.status_code, asked["HX-Refresh"]) == (200, "true")
        done = browser.get(PAGE)
    assert done.context["proof"].verdict is Verdict.BALANCES
    assert 'hx-trigger="every 3s"' not in done.content.decode()


def test_wrong_days_are_a_sentence(mapping: ProjectMapping) -> None:
    answer = page(start="2025-12-31", end="2025-12-01")
    assert "The last day lies before the first" in answer.content.decode()
    assert "identities" not in answer.context
