"""Other hours on a draft, and an invoice cancelled and billed again: what a person must choose, by keyboard too."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.urls import reverse
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from billing_console import clock
from invoicing.models import Invoice, Meaning
from sync.models import RemoteRecord
from tests.invoicing.test_correction_pages import billed
from tests.invoicing.world import IN_JANUARY, built, make_client, make_project, make_work
from tests.people import browser_of

pytestmark = pytest.mark.django_db(transaction=True)
WIDE = "element => element.scrollWidth - element.clientWidth"


@pytest.fixture(autouse=True)
def _in_january() -> Iterator[None]:
    with clock.set_to(IN_JANUARY):
        yield


def signed_in(page: Page, live_server: LiveServer, width: int, theme: str) -> None:
    name = settings.SESSION_COOKIE_NAME
    session = browser_of("approver").cookies[name].value
    page.context.add_cookies([{"name": name, "value": session, "url": live_server.url}])
    page.set_viewport_size({"width": width, "height": 900})
    page.add_init_script(f"localStorage.setItem('adminTheme', JSON.stringify('{theme}'))")


@pytest.mark.parametrize(("width", "theme"), [(1440, "light"), (390, "dark")])
def test_other_hours_are_written_with_what_they_mean(
    page: Page, live_server: LiveServer, tmp_path: Path, width: int, theme: str
) -> None:
    make_work(make_project(make_client()), "4", ref=5)
    invoice = built().invoices.get()
    signed_in(page, live_server, width, theme)
    page.goto(live_server.url + reverse("admin:invoicing_invoice_review", args=[invoice.pk]))
    page.locator("details.bc-why summary").first.click()
    page.get_by_role("button", name="Write hours or rate").first.click()
    dialog = page.locator("dialog#line-figures")
    dialog.get_by_label("Hours", exact=True).fill("5")
    dialog.get_by_label("Reason").fill("it was five, by phone")
    dialog.get_by_role("button", name="Write the figures").click()
    expect(dialog).to_be_visible()  # the browser insists on an answer
    page.screenshot(path=tmp_path / f"figures-{width}.png")
    assert page.locator("html").evaluate(WIDE) == 0
    dialog.get_by_label("The hours in Taiga are wrong").focus()
    page.keyboard.press("Space")
    page.keyboard.press("Enter")

    expect(page.get_by_text("is now 5.00 × 95.00").first).to_be_visible()
    assert invoice.lines.get().meaning == Meaning.TAIGA_IS_WRONG


@pytest.mark.parametrize(("width", "theme"), [(1440, "light"), (390, "dark")])
def test_an_invoice_is_cancelled_with_what_follows(
    page: Page, live_server: LiveServer, tmp_path: Path, width: int, theme: str
) -> None:
    invoice = billed(count=2)
    signed_in(page, live_server, width, theme)
    page.goto(live_server.url + reverse("admin:invoicing_invoice_cancel", args=[invoice.pk]))
    expect(page.get_by_role("row").first).to_contain_text("Priced anew")
    page.screenshot(path=tmp_path / f"cancel-{width}.png", full_page=True)
    assert page.locator("html").evaluate(WIDE) == 0
    page.get_by_label("Bill it again as it was: a draft of 380.00").check()
    page.get_by_label("Reason").fill("wrong PO number")
    page.get_by_role("button", name="Cancel 0").click()
    expect(page.get_by_text("is being cancelled in Invoice Ninja")).to_be_visible()
    wish = RemoteRecord.objects.get(invoice=invoice).desired["ended"]
    assert (wish["again"], wish["note"], Invoice.objects.count()) == ("copy", "wrong PO number", 1)
