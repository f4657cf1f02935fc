"""How many closings the webhook told, per project and day, and what the others have in common."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing_console import clock
from mappings.models import ProjectMapping
from sync import coverage
from sync.coverage import ProjectCoverage
from sync.models import ProjectSweep, RejectedDelivery, WebhookDelivery
from tests.factories import ProjectFactory, WorkItemFactory
from tests.people import GROUPS, browser_of

pytestmark = pytest.mark.django_db

ZONE = "Europe/Brussels"
NOW = dt.datetime(2026, 1, 12, 9, 0, tzinfo=dt.UTC)
SINCE = dt.date(2025, 12, 16)


@pytest.fixture(autouse=True)
def _business_time() -> Iterator[None]:
    with clock.set_to(NOW):
        yield


@pytest.fixture
def project() -> ProjectMapping:
    return ProjectFactory(taiga_project_name="Website")


def closings(project: ProjectMapping, count: int, by: str, at: dt.datetime = NOW, **values: Any) -> None:
    for _number in range(count):
        WorkItemFactory(project=project, closed_seen_at=at, closing_found_by=by, **values)


def row_of() -> ProjectCoverage:
    (row,) = coverage.by_project(SINCE, ZONE)
    return row


def test_told_and_found_are_counted_by_local_day(project: ProjectMapping) -> None:
    closings(project, 3, "webhook")
    closings(project, 1, "sweep", dt.datetime(2026, 1, 11, 23, 30, tzinfo=dt.UTC))  # the 12th in Brussels
    closings(project, 2, "webhook", dt.datetime(2026, 1, 11, 22, 30, tzinfo=dt.UTC))
    closings(project, 9, "webhook", dt.datetime(2025, 12, 15, 22, 30, tzinfo=dt.UTC))  # before the first day

    row = row_of()

    assert {day: (each.told, each.found) for day, each in row.days.items()} == {
        dt.date(2026, 1, 12): (3, 1),
        dt.date(2026, 1, 11): (2, 0),
    }
    assert (row.told, row.total) == (5, 6)


def test_nothing_missed_has_no_cause(project: ProjectMapping) -> None:
    closings(project, 3, "webhook")
    assert row_of().cause == ""


@pytest.mark.parametrize(
    ("told", "missed", "refused", "heard", "words"),
    [
        (5, {"has_story": False}, 0, 0, "without a user story"),
        (5, {"kind": "U"}, 0, 0, "closed with their last task"),
        (0, {}, 3, 0, "3 deliveries were refused"),
        (0, {}, 0, 0, "missing, off, or leads elsewhere"),
        (5, {}, 0, 40, "silent since then"),
        (5, {}, 0, 0, "Some deliveries were lost"),
    ],
)
def test_a_gap_has_a_likely_cause(
    project: ProjectMapping, told: int, missed: dict[str, Any], refused: int, heard: int, words: str
) -> None:
    closings(project, told, "webhook")
    closings(project, 2, "sweep", **missed)
    ProjectSweep.objects.create(project=project, heard_at=NOW - dt.timedelta(days=heard))
    if refused:
        RejectedDelivery.objects.create(remote_address="10.0.0.1", minute=NOW, reason="bad_signature", count=refused)

    assert words in row_of().cause


def test_the_reason_that_ingest_gives_a_wrong_signature_is_the_one_looked_for(client: Any, settings: Any) -> None:
    client.post("/webhooks/taiga", b"{}", content_type="application/json", HTTP_X_TAIGA_WEBHOOK_SIGNATURE="00")

    assert "signature" in RejectedDelivery.objects.get().reason
    assert not WebhookDelivery.objects.exists()


@pytest.mark.parametrize("group", GROUPS)
def test_every_group_may_look(group: str, project: ProjectMapping) -> None:
    closings(project, 3, "webhook")
    answer = browser_of(group).get("/admin/sync/coverage/")

    assert answer.status_code == 200
    assert "100.0" in answer.content.decode()
    assert browser_of("stranger").get("/admin/sync/coverage/").status_code == 403
    assert browser_of(group).post("/admin/sync/coverage/").status_code == 405


def test_30_projects_cost_as_many_queries_as_one(project: ProjectMapping) -> None:
    browser = browser_of("viewer")

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            browser.get("/admin/sync/coverage/")
        return len(captured)

    closings(project, 1, "webhook")
    queries()
    one = queries()
    for _number in range(29):
        closings(ProjectFactory(), 1, "sweep")
    assert queries() == one


def test_without_a_project_the_page_says_what_to_do() -> None:
    assert "Map a Taiga project" in browser_of("viewer").get("/admin/sync/coverage/").content.decode()
