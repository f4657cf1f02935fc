"""The question who pays for a project, on the first start: nobody is known yet, then the lists come."""

from __future__ import annotations

import pytest
from django.conf import settings
from django.utils import timezone
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from mappings.models import Client, TaigaProject
from tests.people import browser_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("width", [1280, 390])
def test_the_clients_appear_by_themselves_and_can_be_chosen(page: Page, live_server: LiveServer, width: int) -> None:
    name = settings.SESSION_COOKIE_NAME
    session = browser_of("administrator").cookies[name].value
    page.context.add_cookies([{"name": name, "value": session, "url": live_server.url}])
    page.set_viewport_size({"width": width, "height": 900})
    TaigaProject.objects.create(
        taiga_id=9, name="Field Service", slug="field", is_known=True, is_admin=True, refreshed_at=timezone.now()
    )
    page.goto(f"{live_server.url}/admin/sync/provision/9/")
    connect = page.get_by_role("button", name="Connect Field Service")
    expect(page.get_by_text("The lists are being read; this page looks again by itself.")).to_be_visible()
    expect(connect).to_be_disabled()
    assert page.evaluate("document.documentElement.scrollWidth") <= width

    Client.objects.create(ninja_id="acme", name="Field Service GmbH", currency="EUR", is_known=True)

    expect(page.get_by_role("radio", name="Field Service GmbH")).to_be_checked()
    expect(connect).to_be_enabled()
    expect(page.get_by_text("The lists are being read")).to_have_count(0)

    page.get_by_role("button", name="Refresh the lists").press("Enter")
    expect(page.get_by_text("The lists of both servers are read again now.")).to_be_visible()
    expect(page).to_have_url(f"{live_server.url}/admin/sync/provision/9/")
