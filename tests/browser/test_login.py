"""From the address to the start page, with a real browser."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth import get_user_model
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_person_logs_in_and_lands_on_the_start_page(page: Page, live_server: LiveServer) -> None:
    get_user_model().objects.create_superuser("ada", password="analytical engine")

    page.goto(live_server.url)
    page.locator("input[name=username]").fill("ada")
    page.locator("input[name=password]").fill("analytical engine")
    page.get_by_role("button", name="Log in").click()

    expect(page).to_have_url(f"{live_server.url}/admin/")
    expect(page).to_have_title(re.compile("Billing console"))
    expect(page.get_by_text("Please enter the correct")).not_to_be_visible()


def test_a_wrong_password_says_so(page: Page, live_server: LiveServer) -> None:
    page.goto(f"{live_server.url}/admin/login/")
    page.locator("input[name=username]").fill("ada")
    page.locator("input[name=password]").fill("difference engine")
    page.get_by_role("button", name="Log in").click()

    expect(page.get_by_text("Please enter the correct username and password")).to_be_visible()
