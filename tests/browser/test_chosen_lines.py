"""A long draft and two clerks: find lines, act on chosen ones by keyboard, and what was typed stays; on a phone too."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.urls import reverse
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from billing_console import clock
from invoicing import adjusting
from invoicing.models import Invoice
from tests.invoicing.world import IN_JANUARY, built, make_client, make_project, make_user, make_work, on_screen
from tests.people import browser_of

pytestmark = pytest.mark.django_db(transaction=True)
WIDE = "element => element.scrollWidth - element.clientWidth"
SCREENS = [(1440, "light"), (390, "dark")]


@pytest.fixture(autouse=True)
def _in_january() -> Iterator[None]:
    with clock.set_to(IN_JANUARY):
        yield


def opened(page: Page, live_server: LiveServer, width: int, theme: str) -> Invoice:
    project = make_project(make_client())
    for ref in range(1, 6):
        make_work(project, "2", ref=ref, subject=f"Migration of part {ref}" if ref != 4 else "Training")
    invoice = built().invoices.get()
    name = settings.SESSION_COOKIE_NAME
    session = browser_of("clerk").cookies[name].value
    page.context.add_cookies([{"name": name, "value": session, "url": live_server.url}])
    page.set_viewport_size({"width": width, "height": 900})
    page.add_init_script(f"localStorage.setItem('adminTheme', JSON.stringify('{theme}'))")
    page.goto(live_server.url + reverse("admin:invoicing_invoice_review", args=[invoice.pk]))
    return invoice


@pytest.mark.parametrize(("width", "theme"), SCREENS)
def test_found_lines_are_chosen_by_keyboard_and_get_a_tenth_less(
    page: Page, live_server: LiveServer, tmp_path: Path, width: int, theme: str
) -> None:
    invoice = opened(page, live_server, width, theme)
    page.get_by_role("searchbox", name="Find lines").fill("migration")
    page.keyboard.press("Enter")
    expect(page.get_by_text("4 lines found", exact=True)).to_be_visible()
    page.get_by_label("Choose #1", exact=True).focus()
    page.keyboard.press("Space")
    page.get_by_label("Choose #5", exact=True).check()
    page.get_by_role("combobox", name="What").select_option("percent")
    page.get_by_label("Rate in EUR, per cent").fill("-10")
    page.screenshot(path=tmp_path / f"chosen-{width}.png", full_page=True)
    assert page.locator("html").evaluate(WIDE) == 0
    page.keyboard.press("Enter")

    expect(page.get_by_role("heading", name="2 lines of Acme Corp, 380.00 EUR → 342.00 EUR?")).to_be_visible()
    page.screenshot(path=tmp_path / f"question-{width}.png", full_page=True)
    assert page.locator("html").evaluate(WIDE) == 0
    page.get_by_label("Reason").fill("as agreed")
    page.keyboard.press("Enter")

    expect(page.get_by_text("2 lines are written. The draft is now 912.00")).to_be_visible()
    rates = dict(invoice.lines.values_list("ref", "rate"))
    assert rates == {1: Decimal("85.500"), 2: Decimal(95), 3: Decimal(95), 4: Decimal(95), 5: Decimal("85.500")}


@pytest.mark.parametrize(("width", "theme"), SCREENS)
def test_what_was_typed_over_another_clerks_line_stays_on_the_page(
    page: Page, live_server: LiveServer, tmp_path: Path, width: int, theme: str
) -> None:
    invoice = opened(page, live_server, width, theme)
    page.locator("details.bc-why summary").first.click()
    page.get_by_role("button", name="Write hours or rate").first.click()
    dialog = page.locator("dialog#line-figures")
    dialog.get_by_label("Hours", exact=True).fill("1.25")
    dialog.get_by_label("On purpose").check()
    dialog.get_by_label("Reason").fill("by phone")
    line = invoice.lines.get(ref=1)
    figures: dict[str, Any] = {"hours": Decimal("1.5"), "rate": Decimal(95), "reason": "said Ann", "meaning": "purpose"}
    adjusting.adjust_line(line, seen=on_screen(line), user=make_user("Billing clerk"), **figures)
    dialog.get_by_role("button", name="Write the figures").click()

    expect(page.get_by_role("heading", name="Not saved")).to_be_visible()
    table = page.locator("section", has=page.get_by_role("heading", name="Not saved")).get_by_role("table")
    expect(table).to_contain_text("1.25")
    expect(table).to_contain_text("1.50")
    page.screenshot(path=tmp_path / f"refused-{width}.png", full_page=True)
    assert page.locator("html").evaluate(WIDE) == 0
    page.get_by_role("button", name="Open it again with what you typed").focus()
    page.keyboard.press("Enter")
    expect(dialog.get_by_label("Reason")).to_have_value("by phone")
    expect(dialog.get_by_label("On purpose")).to_be_checked()
    dialog.get_by_role("button", name="Write the figures").click()

    expect(page.get_by_text("is now 1.25 × 95.00").first).to_be_visible()
    assert invoice.lines.get(ref=1).billed_hours == Decimal("1.25")


@pytest.mark.parametrize(("width", "theme"), [(1440, "light"), (1440, "dark")])
def test_a_dialog_shows_what_it_acts_on(
    page: Page, live_server: LiveServer, tmp_path: Path, width: int, theme: str
) -> None:
    invoice = opened(page, live_server, width, theme)
    entry = make_work(invoice.lines.earliest("pk").entry.project, "30", ref=9)
    page.goto(live_server.url + reverse("admin:sync_timeentry_change", args=[entry.pk]))
    page.get_by_role("link", name="Confirm value…").or_(page.get_by_role("button", name="Confirm value…")).first.click()
    dialog = page.locator("#modal-content")
    expect(dialog.get_by_text("30.00 h").first).to_be_visible()
    expect(dialog.get_by_text("2,850.00 EUR").first).to_be_visible()
    page.screenshot(path=tmp_path / f"dialog-{theme}.png")
    dialog.get_by_label("Reason").fill("it is right")
    dialog.get_by_role("button", name="Confirm").click()
    expect(page.get_by_text("Confirmed.")).to_be_visible()
