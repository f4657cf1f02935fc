"""Whom an invoice is mailed to, put right by the keyboard alone: from its page to the question, and back."""

from __future__ import annotations

import pytest
from django.conf import settings
from django.urls import reverse
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from invoicing import creating
from invoicing.models import Invoice
from tests.invoicing.test_inviting import ann_leaves_for_bea, invited, read_lists
from tests.outbound import fresh
from tests.people import browser_of
from tests.standins import World

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def wrong(world: World) -> Invoice:
    """An invoice that would reach Ann, who does not want it, and not Bea, who does."""
    invoice = ann_leaves_for_bea(world)
    read_lists(world)
    return fresh(invoice)


@pytest.mark.parametrize(("width", "theme"), [(1440, "light"), (390, "dark")])
def test_the_receivers_are_put_right_by_keyboard_alone(
    page: Page, live_server: LiveServer, world: World, wrong: Invoice, width: int, theme: str
) -> None:
    name = settings.SESSION_COOKIE_NAME
    session = browser_of("approver").cookies[name].value
    page.context.add_cookies([{"name": name, "value": session, "url": live_server.url}])
    page.set_viewport_size({"width": width, "height": 844})
    page.add_init_script(f"localStorage.setItem('adminTheme', JSON.stringify('{theme}'))")
    address = live_server.url + reverse("admin:invoicing_invoice_change", args=[wrong.pk])
    page.goto(address)
    expect(page.get_by_text("Invoice Ninja would mail it to Ann A (ann@acme.example)")).to_be_visible()
    fits(page)

    page.get_by_role("link", name="Put the receivers right…").press("Enter")
    question = page.get_by_role("heading", name=f"Make bea@acme.example the receiver of {wrong.number}")
    expect(question).to_be_focused()
    expect(page.get_by_role("row", name="Ann A")).to_contain_text("ann@acme.example")
    fits(page)
    button = page.get_by_role("button", name="Change the receivers, mail nothing")
    for _stop in range(3):  # the table, the way back, the button
        page.keyboard.press("Tab")
    expect(button).to_be_focused()
    assert button.evaluate("element => getComputedStyle(element).outlineStyle") == "solid"
    page.keyboard.press("Enter")

    expect(page).to_have_url(address)
    expect(page.get_by_text("The receivers are being changed in Invoice Ninja")).to_be_visible()
    assert invited(world) == ["Ann"]
    creating.create_due()
    assert invited(world) == ["Bea"]
    assert world.mails() == []
    page.reload()
    expect(page.get_by_text("Invoice Ninja mails it to bea@acme.example.")).to_be_visible()
    expect(page.get_by_text("Put the receivers right…")).to_have_count(0)


def fits(page: Page) -> None:
    """Nothing is wider than the window."""
    page.wait_for_function("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
