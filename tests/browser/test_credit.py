"""Crediting an invoice in a browser, and the open credit on the client's next draft, on a phone and in both themes."""

from __future__ import annotations

import datetime as dt
import os

import pytest
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from invoicing import crediting, payments
from invoicing.models import Credit, CreditUse, Invoice
from mappings.rules import month
from tests.browser.test_money_pages import signed_in
from tests.invoicing.world import built, sweep_project
from tests.outbound import created_invoice, drain_all
from tests.standins import World

pytestmark = pytest.mark.django_db(transaction=True)
FEBRUARY = dt.datetime(2026, 2, 2, 9, tzinfo=dt.UTC)


def look(page: Page, name: str) -> None:
    """Nothing is wider than a phone; a picture of each width where a folder is named."""
    for suffix, width, height in (("-390", 390, 844), ("", 1280, 900)):
        page.set_viewport_size({"width": width, "height": height})
        wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wider == 0, name
        if folder := os.environ.get("PICTURES"):
            page.screenshot(path=f"{folder}/credit-{name}{suffix}.png", full_page=True)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_goodwill_is_given_and_offered_where_the_next_draft_is_reviewed(
    page: Page, live_server: LiveServer, world: World, theme: str
) -> None:
    invoice = created_invoice(world, 4.5, 2.1, 1)
    world.api_ninja("POST", "/invoices/bulk", {"action": "mark_sent", "ids": [invoice.remote.remote_id]})
    payments.poll()
    signed_in(page, live_server)
    page.add_init_script(f"localStorage.setItem('adminTheme', JSON.stringify('{theme}'))")
    page.goto(f"{live_server.url}/admin/invoicing/invoice/{invoice.pk}/change/")
    page.get_by_role("link", name="Credit…").click()
    look(page, f"form-{theme}")
    page.get_by_role("radio", name="The hours or amounts of chosen lines").check()
    page.get_by_role("checkbox", name="Task 1").check()
    page.get_by_label("Amount to credit").nth(1).fill("20,50")
    page.get_by_role("radio", name="Goodwill").check()
    page.get_by_role("button", name="See what is credited…").click()

    expect(page.locator("#bc-heading")).to_contain_text("Credit 433.18")
    look(page, f"question-{theme}")
    assert not Credit.objects.exists()
    page.get_by_label("Reason").fill("They waited for a week")
    page.get_by_role("button", name="Credit 433.18").click()

    expect(page.get_by_text("is being credited in Invoice Ninja")).to_be_visible()
    crediting.write_due()
    page.reload()
    look(page, f"invoice-{theme}")
    world.go_to(dt.datetime(2026, 1, 20, 9, tzinfo=dt.UTC))
    world.read(world.add_task("In January", billable=True, hours=8))
    drain_all()
    world.go_to(FEBRUARY)
    sweep_project(world.mapping, FEBRUARY)
    draft = Invoice.objects.get(run=built(month(2026, 1)))
    page.goto(f"{live_server.url}/admin/invoicing/invoice/{draft.pk}/review/")
    look(page, f"review-{theme}")
    page.get_by_role("link", name="Set it against this invoice when it is sent…").click()
    look(page, f"reserve-{theme}")
    page.get_by_role("button", name="Set 433.18").click()
    expect(page.get_by_role("link", name="Leave it open after all…")).to_be_visible()
    look(page, f"chosen-{theme}")
    assert CreditUse.objects.get().invoice_id == draft.pk
