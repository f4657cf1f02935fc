"""What a draft lacks, and how it takes along what became ready since."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal as D
from typing import Any

import pytest
from django.db import connection
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from billing_console import clock
from billing_console.states import EntryState, Reason
from invoicing import build, lacking, review
from invoicing.lacking import Part
from invoicing.models import Invoice, RunClient
from sync import attention
from sync.models import TimeEntry
from tests.invoicing.world import IN_JANUARY, built, make_client, make_project, make_user, make_work, prove
from tests.people import hidden_fields, post

pytestmark = pytest.mark.django_db

NOTHING = Part(0, D(0), 0)


@pytest.fixture(autouse=True)
def _in_january() -> Iterator[None]:
    with clock.set_to(IN_JANUARY):
        yield


def draft(**rules: Any) -> tuple[Invoice, Any]:
    """A draft of 213.75, and its project."""
    project = make_project(make_client(**rules))
    make_work(project, ref=1)
    return built().invoices.get(), project


def browser(group: str = "Billing clerk") -> Browser:
    client = Browser()
    client.force_login(make_user(group))
    return client


def url(name: str, invoice: Invoice) -> str:
    return reverse(f"admin:invoicing_invoice_{name}", args=[invoice.pk])


def words(response: Any) -> str:
    return response.content.decode().replace("\xa0", " ")


def test_what_is_held_ready_and_put_off_is_told_with_its_money() -> None:
    invoice, project = draft()
    later = make_work(project, "4", ref=5)
    build.build_due()
    held = make_work(project, "30", ref=2)  # 2,850.00, too many hours
    make_work(project, "1", ref=3)  # 95.00, ready
    unpriced = make_work(project, "40", ref=4)
    TimeEntry.objects.filter(pk=unpriced.pk).update(amount=None, currency="")
    TimeEntry.objects.filter(pk=later.pk).update(state="held", reason=Reason.NEXT_RUN)
    assert held.state == EntryState.HELD
    found = lacking.of(invoice)
    assert found.ready == Part(1, D(95), 0)
    assert found.held == Part(2, D(2850), 1)
    assert found.put_off == Part(1, D(380), 0)
    text = words(browser().get(url("review", invoice)))
    assert "2 held</a>, 2,850.00 EUR (1 without a price yet)" in text
    assert "1 put off to the next run</a>, 380.00 EUR" in text
    assert "1 ready</a>, 95.00 EUR" in text
    assert "Take along…" in text
    assert "Take along…" not in words(browser("Viewer").get(url("review", invoice)))


def test_only_what_belongs_on_this_draft_counts() -> None:
    invoice, project = draft()
    make_work(make_project(make_client("Another")))
    make_work(project, "1", ref=2, closed=IN_JANUARY)
    other_currency = make_work(project, "1", ref=3)
    TimeEntry.objects.filter(pk=other_currency.pk).update(currency="USD")
    assert not lacking.of(invoice)
    assert "Not on this draft" not in words(browser().get(url("review", invoice)))


def test_of_a_projects_own_draft_only_the_projects_entries_count() -> None:
    invoice, project = draft(grouping="project")
    make_work(make_project(project.client, "Api"), "3")
    assert lacking.of(invoice).ready == NOTHING
    make_work(project, "1")
    assert lacking.of(invoice).ready == Part(1, D(95), 0)


def test_what_was_confirmed_since_is_taken_along() -> None:
    invoice, project = draft()
    held = make_work(project, "30", ref=2)
    confirmed = attention.confirm_entry(held, user=make_user("Billing clerk"))
    prove(confirmed)
    free = make_work(project, "1", ref=3, rate=D(0))
    prove(attention.confirm_entry(free, user=make_user("Billing clerk")))
    clerk = browser()
    assert "2 ready</a>, 2,850.00 EUR" in words(clerk.get(url("review", invoice)))
    question = clerk.get(url("take_along", invoice))
    fields = hidden_fields(clerk, url("take_along", invoice))
    assert "Take along onto the draft of Acme Corp: 2 entries, 2,850.00 EUR?" in words(question)
    assert "3,063.75 EUR" in words(question)
    invoice.refresh_from_db()
    assert invoice.net == D("213.75")  # GET changed nothing
    answer = post(clerk, url("take_along", invoice), fields)
    assert answer["Location"] == url("review", invoice)
    assert RunClient.objects.get().state == "waiting"
    build.build_due()
    invoice.refresh_from_db()
    assert (invoice.net, invoice.lines.filter(is_voided=False).count()) == (D("3063.75"), 3)
    assert not lacking.of(invoice)
    # A second click, or Back: the draft is another one by now.
    again = post(clerk, url("take_along", invoice), fields, follow=True)
    assert "Nothing is ready any more" in words(again)
    assert RunClient.objects.get().state == "built"


def test_what_became_ready_after_the_question_is_not_taken_unseen() -> None:
    invoice, project = draft()
    make_work(project, "1", ref=2)
    clerk = browser()
    fields = hidden_fields(clerk, url("take_along", invoice))
    make_work(project, "2", ref=3)
    answer = post(clerk, url("take_along", invoice), fields, follow=True)
    assert "Ready was “95.00 EUR” and is “285.00 EUR” now" in words(answer)
    assert RunClient.objects.get().state == "built"


def test_an_approved_invoice_takes_nothing_along() -> None:
    invoice, project = draft()
    make_work(project, "1", ref=2)
    clerk = browser()
    fields = hidden_fields(clerk, url("take_along", invoice))
    review.approve(invoice, revision=invoice.revision, user=make_user("Approver"))
    answer = post(clerk, url("take_along", invoice), fields, follow=True)
    assert "is approved already" in words(answer)
    assert "is approved already" in words(clerk.get(url("take_along", invoice), follow=True))
    assert "Not on this draft" not in words(clerk.get(url("review", invoice)))
    assert RunClient.objects.get().state == "built"


def test_nothing_ready_is_said() -> None:
    invoice, _project = draft()
    answer = browser().get(url("take_along", invoice), follow=True)
    assert "Nothing is ready any more" in words(answer)


@pytest.mark.parametrize(
    ("group", "status"), [("Viewer", 403), ("Billing clerk", 302), ("Approver", 302), ("Administrator", 302)]
)
def test_who_may_prepare_takes_along(group: str, status: int) -> None:
    invoice, project = draft()
    make_work(project, "1", ref=2)
    assert post(browser(group), url("take_along", invoice)).status_code == status
    assert RunClient.objects.get().state == ("built" if status == 403 else "waiting")
    assert browser(group).get(url("take_along", invoice)).status_code == (403 if status == 403 else 200)


def test_what_is_lacking_is_one_query_however_much_it_is() -> None:
    invoice, project = draft()
    for count in (1, 12):
        for _number in range(count):
            make_work(project, "1")
        row = Invoice.objects.select_related("rule_set").get(pk=invoice.pk)
        with CaptureQueriesContext(connection) as queries:
            assert lacking.of(row).ready.count >= count
        assert len(queries) == 1
