"""The form of a mapping as a person meets it: lists that are searched, and projects of the chosen client only."""

from __future__ import annotations

import pytest
from django.conf import settings
from django.contrib.auth import get_user_model
from django.test import Client as Browser
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from mappings.models import Client, NinjaProject, ProjectMapping, TaigaProject

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_project_is_mapped_by_searching_both_sides(page: Page, live_server: LiveServer) -> None:
    for name, taiga_id in (("Brand book", 44), ("Website", 45)):
        TaigaProject.objects.create(taiga_id=taiga_id, name=name, slug=name.lower().replace(" ", "-"), is_known=True)
    for name, project in (("Acme Corp", "Shop"), ("Beacon Mobile", "App")):
        client = Client.objects.create(ninja_id=name.lower(), name=name, currency="EUR", is_known=True)
        NinjaProject.objects.create(ninja_id=project, client=client, name=project, is_known=True)
    browser = Browser()
    browser.force_login(get_user_model().objects.create_superuser("ada"))
    cookie = {"name": settings.SESSION_COOKIE_NAME, "value": browser.cookies[settings.SESSION_COOKIE_NAME].value}
    page.context.add_cookies([{**cookie, "url": live_server.url}])
    page.goto(f"{live_server.url}/admin/mappings/projectmapping/add/")

    def choose(field: str, typed: str, name: str) -> None:
        page.click(f".field-{field} .select2-selection")
        page.keyboard.type(typed)
        page.locator(".select2-results__option", has_text=name).click()

    choose("taiga_project", "brand", "Brand book (brand-book)")
    choose("client", "beac", "Beacon Mobile")
    page.click(".field-ninja_project .select2-selection")
    expect(page.locator(".select2-results__option:not(.loading-results)")).to_have_text(["App"])
    page.locator(".select2-results__option", has_text="App").click()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("reads everything that was ever closed in it")).to_be_visible()
    mapping = ProjectMapping.objects.get()
    assert (mapping.taiga_project_id, str(mapping.client), str(mapping.ninja_project)) == (44, "Beacon Mobile", "App")
