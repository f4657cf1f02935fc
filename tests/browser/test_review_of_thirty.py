"""Thirty drafts of a month are reviewed by the keyboard alone, with every act that a draft knows among them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from billing_console import clock
from invoicing.models import Invoice
from tests.invoicing.world import IN_JANUARY, built, make_client, make_project, make_user, make_work

pytestmark = pytest.mark.django_db(transaction=True)
DRAFTS = 30


@pytest.fixture
def _in_january() -> Iterator[None]:
    with clock.set_to(IN_JANUARY):
        yield


@pytest.fixture
def approver(page: Page, live_server: LiveServer, _in_january: None) -> Page:
    """An approver's page, signed in, with thirty drafts of two lines (213.75 and 95.00 EUR) waiting."""
    for number in range(DRAFTS):
        project = make_project(make_client(f"Client {number:02}"))
        make_work(project, "2.1", ref=1)
        make_work(project, "1", ref=2)
    built()
    client = Client()
    client.force_login(make_user("Approver"))
    cookie = {"name": settings.SESSION_COOKIE_NAME, "value": client.cookies[settings.SESSION_COOKIE_NAME].value}
    page.context.add_cookies([{**cookie, "url": live_server.url}])
    return page


def type_into_dialog(page: Page, *values: str) -> None:
    """Fill the fields of the open dialog one after the other and send it; "" leaves a field as it is."""
    expect(page.locator("dialog[open]")).to_be_visible()
    for number, value in enumerate(values):
        if number:
            page.keyboard.press("Tab")
        if value:
            page.keyboard.press("Control+A")
            page.keyboard.type(value)
    page.keyboard.press("Enter")


def test_thirty_drafts_are_reviewed_by_keyboard_alone(approver: Page, live_server: LiveServer) -> None:
    page, keys = approver, approver.keyboard
    run = Invoice.objects.first().run
    page.goto(live_server.url + reverse("admin:invoicing_invoicerun_review", args=[run.pk]))
    page.wait_for_load_state()
    keys.press("n")

    for number in range(DRAFTS):
        heading = page.locator("#bc-heading")
        expect(heading).to_contain_text(f"Client {number:02}")
        expect(heading.locator("[data-bc-focus]")).to_be_focused()  # the script is there
        if number == 3:
            keys.press("h")
            type_into_dialog(page, "Ask the client")
            expect(heading).to_contain_text("Held")
            expect(heading.locator("[data-bc-focus]")).to_be_focused()
            keys.press("n")
            continue
        if number == 5:
            keys.press("r")
            type_into_dialog(page, "Wrong client")
            continue  # goes on to the next by itself
        if number == 7:
            keys.press("j")
            keys.press("w")
            type_into_dialog(page, "2", "90.50", " ", "Agreed")  # space: the hours in Taiga are wrong
            expect(page.get_by_text("is now 2.00 × 90.50 = 181.00").first).to_be_visible()
        if number == 9:
            keys.press("j")
            keys.press("j")
            keys.press("e")
            type_into_dialog(page, "Not yet")
            expect(page.get_by_text("waits for the next run").first).to_be_visible()
        if number == 11:
            keys.press("l")
            expect(page.locator("dialog[open] textarea")).to_be_focused()
            type_into_dialog(page, "Hosting", "3", "10", "Agreed")
            expect(page.get_by_text("The line is added.").first).to_be_visible()
        if number == 13:
            keys.press("j")
            keys.press("o")
            expect(page.locator("details[open]").first).to_be_visible()
            keys.press("y")
            type_into_dialog(page, "Ask first")
            expect(page.get_by_text("is held until somebody releases").first).to_be_visible()
        if number in (7, 9, 13):  # the keys go on at the line
            expect(page.locator(".bc-line[aria-current='true'] summary")).to_be_focused()
        keys.press("a")

    # The last "and next" goes back to the run: one draft is held and waits, none is left to review.
    expect(page.get_by_text("Drafts").first).to_be_visible()
    rows = Invoice.objects.order_by("client__name")
    assert Counter(rows.values_list("state", flat=True)) == {"approved": 28, "held": 1, "rejected": 1}
    nets = dict(enumerate(rows.values_list("net", flat=True)))
    assert {number: nets[number] for number in (0, 7, 9, 11, 13)} == {
        0: Decimal("308.75"),
        7: Decimal("276.00"),
        9: Decimal("213.75"),
        11: Decimal("338.75"),
        13: Decimal("95.00"),
    }
