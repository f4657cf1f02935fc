"""A long import in the browser: how far it is, what it would change, and that it was done; no click reloads."""

from __future__ import annotations

import pytest
from django.conf import settings
from django.contrib.auth import get_user_model
from django.test import Client as Browser
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from mappings import import_jobs
from mappings.models import Rate
from tests.mappings.test_import_jobs import MANY, rates

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_long_import_is_followed_to_its_end(page: Page, live_server: LiveServer) -> None:
    browser = Browser()
    browser.force_login(get_user_model().objects.create_superuser("ada"))
    cookie = {"name": settings.SESSION_COOKIE_NAME, "value": browser.cookies[settings.SESSION_COOKIE_NAME].value}
    page.context.add_cookies([{**cookie, "url": live_server.url}])
    page.goto(f"{live_server.url}/admin/mappings/configuration/")
    file = {"name": "rates.yaml", "mimeType": "text/yaml", "buffer": rates(MANY).encode()}
    page.locator("input[type=file]").set_input_files(file)  # type: ignore[arg-type]
    page.get_by_role("button", name="Show what would change").click()
    expect(page.get_by_role("status").last).to_contain_text("A worker reads the files soon.")

    import_jobs.run_due()

    button = page.get_by_role("button", name=f"Import {2 * MANY} changes")
    expect(button).to_be_visible()  # the page looked again by itself
    button.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#bc-job")).to_contain_text("A worker reads the files soon.")
    import_jobs.run_due()
    expect(page.locator("#bc-job")).to_contain_text("Imported")
    assert Rate.objects.count() == MANY
