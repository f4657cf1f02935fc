"""Rates and rules as an administrator changes them: the effect first, then the question, in both widths."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from billing_console import clock
from mappings.models import Person, Product, Rate, RuleSet
from tests.invoicing.world import IN_JANUARY, built, make_client, make_project, make_user, make_work

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def _in_january() -> Iterator[None]:
    with clock.set_to(IN_JANUARY):
        yield


@pytest.fixture
def administrator(page: Page, live_server: LiveServer, _in_january: None) -> Page:
    """An administrator's page, signed in; two tasks are billed for December and three wait."""
    project = make_project(make_client())
    for ref in (45, 46):
        make_work(project, "2.1", ref=ref)
    built()
    for ref in (47, 48, 49):
        make_work(project, "1.2", ref=ref, subject="Repair the search")
    Rate.objects.create(
        level="user", person=Person.objects.create(taiga_user_id=8, full_name="Bob Brown"), amount=80, currency="EUR"
    )
    Product.objects.create(ninja_id="p1", product_key="Consulting", is_known=True)
    client = Client()
    client.force_login(make_user("Administrator"))
    cookie = {"name": settings.SESSION_COOKIE_NAME, "value": client.cookies[settings.SESSION_COOKIE_NAME].value}
    page.context.add_cookies([{**cookie, "url": live_server.url}])
    return page


def test_a_rule_set_is_changed_with_its_effect_in_sight(administrator: Page, live_server: LiveServer) -> None:
    rules = RuleSet.objects.get(client__isnull=False)
    page = administrator
    page.goto(live_server.url + reverse("admin:mappings_ruleset_change", args=[rules.pk]))
    # What the next run does follows what is typed, before anything is saved.
    expect(page.get_by_text("Next run 1 Feb 2026 → bills 1–31 Jan 2026")).to_be_visible()
    page.locator("[name=generation_day]").fill("31")
    page.locator("[name=product_key]").fill("Advice")
    page.locator("[name=product_key]").press("Tab")
    expect(page.get_by_text("Next run 31 Jan 2026 → bills 1–31 Dec 2025")).to_be_visible()
    expect(page.get_by_text("Invoice Ninja has no product “Advice”.").first).to_be_visible()
    page.locator("[name=rounding]").select_option("hour")
    # The hints come a moment later and move the button down: who presses it just then presses beside it.
    expect(page.get_by_text("The minimum of 0.25 h is no multiple of the rounding of 1 h.")).to_be_visible()
    page.get_by_role("button", name="Show the effect").click()
    expect(page.get_by_text("3 entries move.")).to_be_visible()
    expect(page.locator("[name=generation_day]")).to_have_value("31")
    expect(page.get_by_text("December 2025 would have been 570.00 EUR instead of 427.50 EUR")).to_be_visible()
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_role("button", name="Back to the form, save nothing").click()
    expect(page.locator("[name=generation_day]")).to_have_value("31")
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_role("button", name="Save, +213.75 EUR on 3 entries").click()
    expect(page.get_by_text("Standard v2: Next run 31 Jan 2026")).to_be_visible()
    assert RuleSet.objects.get(client__isnull=False, is_current=True).generation_day == 31


def fits(page: Page) -> None:
    """Wait until nothing is wider than the window: what a script makes of fields is narrowed a moment later."""
    page.wait_for_function("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


@pytest.mark.parametrize(("width", "theme"), [(1440, "light"), (390, "dark")])
def test_the_pages_of_a_rate_fit(administrator: Page, live_server: LiveServer, width: int, theme: str) -> None:
    page, rate = administrator, Rate.objects.get(level="project")
    page.set_viewport_size({"width": width, "height": 900})
    page.add_init_script(f"localStorage.setItem('adminTheme', JSON.stringify('{theme}'))")
    page.goto(live_server.url + reverse("admin:mappings_rate_changelist"))
    fits(page)
    page.goto(live_server.url + reverse("admin:mappings_rate_change", args=[rate.pk]))
    fits(page)
    page.get_by_role("link", name="Add a new rate from").click()
    page.locator("[name=amount]").fill("100")
    page.locator("[name=valid_from]").fill("2025-12-01")
    page.get_by_role("button", name="Save", exact=True).click()
    # Two entries in a draft were priced with the present rate, so that it cannot end before them.
    expect(page.get_by_text("Add a new rate from 10 Dec 2025 instead.")).to_be_visible()
    fits(page)
    Rate.objects.filter(level="user").update(person=Person.objects.get(taiga_user_id=7))
    own = Rate.objects.get(level="user")
    page.goto(live_server.url + reverse("admin:mappings_rate_change", args=[own.pk]))
    page.locator("[name=amount]").fill("82,50")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("heading", name="Save this? It moves 3 entries")).to_be_visible()
    fits(page)
    assert Rate.objects.get(level="user").amount == Decimal(80)
