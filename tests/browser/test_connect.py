"""Connecting a project as an administrator does it: search, choose and confirm by the keyboard, also on a phone."""

from __future__ import annotations

import pytest
from django.conf import settings
from django.test import Client as Visitor
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from mappings.models import Client, NinjaProject, ProjectMapping, TaigaProject
from tests.people import make_user

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def administrator(page: Page, live_server: LiveServer) -> Page:
    """An administrator's page, signed in; one Taiga project, and many who might pay."""
    TaigaProject.objects.create(taiga_id=9, name="Field service", is_known=True, is_admin=True)
    for number in range(30):
        Client.objects.create(ninja_id=f"c{number}", name=f"Client {number}", currency="EUR", is_known=True)
    zebra = Client.objects.create(ninja_id="zebra", name="Zebra Ltd", currency="EUR", is_known=True)
    NinjaProject.objects.create(ninja_id="vans", name="Vans", client=zebra, is_known=True)
    visitor = Visitor()
    visitor.force_login(make_user("administrator"))
    cookie = {"name": settings.SESSION_COOKIE_NAME, "value": visitor.cookies[settings.SESSION_COOKIE_NAME].value}
    page.context.add_cookies([{**cookie, "url": live_server.url}])
    return page


def test_a_project_is_connected_by_keyboard_on_a_phone(administrator: Page, live_server: LiveServer) -> None:
    page = administrator
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{live_server.url}/admin/sync/provision/")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.get_by_role("link", name="Field service", exact=True).press("Enter")

    page.get_by_label("Search by name").fill("zeb")
    page.keyboard.press("Enter")
    page.get_by_role("radio", name="Zebra Ltd / Vans").press("Space")
    page.get_by_label("Issues").press("Space")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.get_by_role("button", name="Connect Field service").press("Enter")

    expect(page.get_by_role("status").filter(has_text="of 12 there")).to_have_text("0 of 12 there, 0 waiting for you.")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    mapping = ProjectMapping.objects.get()
    assert (mapping.taiga_project_id, str(mapping.client), str(mapping.ninja_project)) == (9, "Zebra Ltd", "Vans")
