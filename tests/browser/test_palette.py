"""The search of everything (Ctrl K) by keyboard alone."""

from __future__ import annotations

import pytest
from django.conf import settings
from django.contrib.auth import get_user_model
from django.test import Client as Browser
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from mappings.models import Client

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def start(page: Page, live_server: LiveServer) -> Page:
    """The start page, signed in, two clients to be found."""
    for name in ("Acme Corp", "Beacon Ltd"):
        Client.objects.create(ninja_id=name[0], name=name, currency="EUR", is_known=True)
    browser = Browser()
    browser.force_login(get_user_model().objects.create_superuser("ada"))
    cookie = {"name": settings.SESSION_COOKIE_NAME, "value": browser.cookies[settings.SESSION_COOKIE_NAME].value}
    page.context.add_cookies([{**cookie, "url": live_server.url}])
    page.goto(f"{live_server.url}/admin/")
    page.keyboard.press("Control+k")
    expect(page.locator("#search-input-command")).to_be_focused()
    return page


def address(name: str) -> str:
    return f"**/admin/mappings/client/{Client.objects.get(name=name).pk}/change/"


def test_enter_opens_the_first_hit(start: Page) -> None:
    start.keyboard.type("acme")
    expect(start.locator("#command-results-list li.active")).to_have_count(1)
    start.keyboard.press("Enter")
    start.wait_for_url(address("Acme Corp"))


def test_enter_pressed_before_the_hits_came_opens_the_first_one_of_what_was_typed(start: Page) -> None:
    start.keyboard.type("acme")
    expect(start.locator("#command-results-list li.active")).to_have_count(1)
    start.locator("#search-input-command").fill("")
    start.keyboard.type("beacon")
    start.keyboard.press("Enter")  # the hits of "acme" are still shown
    start.wait_for_url(address("Beacon Ltd"))


def test_enter_where_nothing_is_found_stays(start: Page) -> None:
    start.keyboard.type("nobody of that name")
    start.keyboard.press("Enter")
    start.wait_for_timeout(900)
    start.keyboard.press("Enter")
    assert start.url.endswith("/admin/")
