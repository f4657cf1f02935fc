"""A payload that would run, in texts of both servers and of people: Chromium runs it nowhere, also where scripts draw.

Every page is read with a parser by tests/billing_console/test_hostile_texts.py; here are those that scripts draw.
"""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.conf import settings
from django.contrib.auth import get_user_model
from django.test import Client as Browser
from django.urls import reverse
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from mappings.models import Client, Company, Person, Product
from tests.factories import TimeEntryFactory

pytestmark = pytest.mark.django_db(transaction=True)
RUNS = '"><img src=x onerror="window.ran=1">'


def test_a_payload_runs_nowhere(page: Page, live_server: LiveServer) -> None:
    page.add_init_script("window.ran = 0; addEventListener('securitypolicyviolation', () => { window.ran = 2 })")
    Company.objects.update_or_create(pk=1, defaults={"name": RUNS, "tax_name": RUNS, "tax_rate": Decimal(21)})
    client = Client.objects.create(ninja_id="c", name=f"Acme {RUNS}", currency="EUR", is_known=True)
    Product.objects.create(ninja_id="p", product_key=RUNS, is_known=True)
    Person.objects.create(taiga_user_id=7, username=RUNS, full_name=RUNS)
    texts = {"item__subject": RUNS, "reason_sentence": RUNS, "raw_value": RUNS, "client": client}
    entry = TimeEntryFactory(**texts, item__project__client=client, item__project__taiga_project_name=RUNS)
    browser = Browser()
    browser.force_login(get_user_model().objects.create_superuser("ada", first_name=RUNS))
    cookie = {"name": settings.SESSION_COOKIE_NAME, "value": browser.cookies[settings.SESSION_COOKIE_NAME].value}
    page.context.add_cookies([{**cookie, "url": live_server.url}])

    def open_and_see(name: str, *args: object) -> None:
        page.goto(f"{live_server.url}{reverse(name, args=args)}")
        page.wait_for_load_state("networkidle")
        assert page.evaluate("window.ran") == 0, name

    for name, args in (
        ("admin:mappings_ruleset_add", ()),
        ("admin:sync_attention", ()),
        ("admin:sync_timeentry_changelist", ()),
        ("admin:sync_timeentry_change", (entry.pk,)),
    ):
        open_and_see(name, *args)
    page.get_by_role("link", name="Exclude").first.click()  # a dialog that says what it is about
    expect(page.locator("dialog, [role=dialog], #modal").first).to_be_attached()
    page.wait_for_timeout(300)
    assert page.evaluate("window.ran") == 0
    open_and_see("admin:mappings_rate_add")
    page.locator(".select2-selection:visible").first.click()  # hits that a script draws
    expect(page.locator(".select2-results__option").first).to_be_visible()
    page.wait_for_timeout(300)
    assert page.evaluate("window.ran") == 0
    open_and_see("admin:index")
    page.keyboard.press("Control+k")
    expect(page.locator("#search-input-command")).to_be_focused()
    page.keyboard.type("acme")
    expect(page.locator("#command-results-list li.active")).to_have_count(1)
    assert "<img" in page.locator("#command-results-list").inner_text()
    assert page.evaluate("window.ran") == 0
