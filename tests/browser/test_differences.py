"""The list of Differences and the page of one on a phone: nothing is cut, and the list says what it is about."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.conf import settings
from django.urls import reverse
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from billing_console import clock
from sync import entries
from sync.models import Difference, WorkItem
from tests.invoicing.test_correction_pages import billed, decide_url
from tests.invoicing.world import IN_JANUARY, make_client
from tests.people import browser_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def moved() -> Iterator[Difference]:
    """Work that was billed to one client and is another's now, who has a long name."""
    with clock.set_to(IN_JANUARY):
        other, invoice = make_client("Hotel de Ville de Bruxelles Investments and Events"), billed()
        item = WorkItem.objects.get(entries__lines__invoice=invoice)
        item.attributes = {**item.attributes, "client": other.ninja_id}
        item.save()
        entries.evaluate(item)
        yield Difference.objects.get(item=item)


def test_the_pages_of_a_difference_on_a_phone(page: Page, live_server: LiveServer, moved: Difference) -> None:
    name = settings.SESSION_COOKIE_NAME
    session = browser_of("approver").cookies[name].value
    page.context.add_cookies([{"name": name, "value": session, "url": live_server.url}])
    page.set_viewport_size({"width": 390, "height": 844})

    page.goto(live_server.url + reverse("admin:sync_difference_changelist"))
    link = page.get_by_role("link", name="Implement payment gateway")
    cell = link.locator("xpath=ancestor::td")
    assert cell.evaluate("cell => getComputedStyle(cell, '::before').content") == "none"  # not "Select record"
    link.focus()
    assert link.evaluate("element => getComputedStyle(element).outlineStyle") == "solid"
    link.press("Enter")

    expect(page).to_have_url(live_server.url + decide_url(moved))
    expect(page.get_by_text("only once it was credited can the hours be billed to Hotel de Ville")).to_be_visible()
    wide = "element => element.scrollWidth - element.clientWidth"
    assert page.locator(".bc-scroll").first.evaluate(wide) == 0
    assert page.locator("html").evaluate(wide) == 0
