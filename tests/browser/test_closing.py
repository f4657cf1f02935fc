"""A month is closed, looked at and reopened as people do it; its pages fit a phone, in both themes."""

from __future__ import annotations

import datetime as dt
import os
import re
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from invoicing import payments, readings, sending
from invoicing.books import keeping
from invoicing.models import Closing, Invoice
from tests.invoicing.world import make_user
from tests.outbound import created_invoice
from tests.standins import World

pytestmark = pytest.mark.django_db(transaction=True)

FEBRUARY = dt.datetime(2026, 2, 10, 9, tzinfo=dt.UTC)


@pytest.fixture
def books(world: World) -> Invoice:
    """December's invoice of 4.5 and 2.0 h at 75.00, sent on 2 January; it is 10 February, nobody paid."""
    made = created_invoice(world, 4.5, 2.0)
    sending.request_sending(made, seal=made.seal, user=None)
    sending.send_due()
    keeping.keep()
    world.go_to(FEBRUARY)
    payments.poll()
    keeping.keep()
    readings.read_now()
    return Invoice.objects.get()


def sign_in(page: Page, live_server: LiveServer, group: str) -> None:
    client = Client()
    client.force_login(make_user(group))
    cookie = {"name": settings.SESSION_COOKIE_NAME, "value": client.cookies[settings.SESSION_COOKIE_NAME].value}
    page.context.clear_cookies()
    page.context.add_cookies([{**cookie, "url": live_server.url}])


def fits(page: Page, name: str) -> None:
    """Nothing is wider than the window; a picture of it where PICTURES names a folder."""
    page.wait_for_function("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    if folder := os.environ.get("PICTURES"):
        page.screenshot(path=f"{folder}/{name}.png", full_page=True)


@pytest.mark.parametrize(("width", "theme"), [(1280, "light"), (390, "dark")])
def test_a_month_is_closed_and_reopened(
    page: Page, live_server: LiveServer, books: Invoice, width: int, theme: str
) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.add_init_script(f"localStorage.setItem('adminTheme', JSON.stringify('{theme}'))")
    sign_in(page, live_server, "Approver")
    page.goto(f"{live_server.url}/admin/invoicing/closings/")
    fits(page, f"closings-none-{width}")
    page.get_by_role("link", name="Close January 2026…").click()
    expect(page.get_by_text("Owed at its end, with tax")).to_be_visible()
    fits(page, f"close-{width}")
    page.get_by_role("button", name="Close January 2026").click()

    expect(page.get_by_text("January 2026 is closed.")).to_be_visible()
    expect(page.get_by_text("The books say the same today")).to_be_visible()
    expect(page.get_by_role("link", name="Reopen…")).to_have_count(0)  # an approver cannot
    fits(page, f"closing-{width}")
    with page.expect_download() as download:
        page.get_by_role("link", name="certificate.csv").click()
    assert download.value.suggested_filename == "2026-01-certificate.csv"

    sign_in(page, live_server, "Administrator")
    page.reload()
    page.get_by_role("link", name="Reopen…").click()
    page.get_by_label("Reason").fill("An invoice was forgotten")
    fits(page, f"reopen-{width}")
    page.get_by_role("button", name="Reopen January 2026").click()
    expect(page.get_by_text("January 2026 is open again.")).to_be_visible()
    expect(page.get_by_text(re.compile("An invoice was forgotten"))).to_be_visible()
    page.goto(f"{live_server.url}/admin/invoicing/closings/")
    fits(page, f"closings-{width}")
    assert Closing.objects.get().reopen_reason == "An invoice was forgotten"


@pytest.mark.parametrize(("width", "theme"), [(1280, "light"), (390, "dark")])
def test_reports_as_at_a_day(page: Page, live_server: LiveServer, books: Invoice, width: int, theme: str) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.add_init_script(f"localStorage.setItem('adminTheme', JSON.stringify('{theme}'))")
    sign_in(page, live_server, "Viewer")
    shown: dict[str, Any] = {"ageing": "2026-01-31", "unbilled": "2026-01-01", "revenue": "2026-01-31"}
    for name, day in shown.items():
        page.goto(f"{live_server.url}/admin/invoicing/reports/{name}/")
        page.get_by_label("As at the end of").fill(day)
        page.get_by_role("button", name="Show", exact=True).click()
        fits(page, f"{name}-{width}")
    expect(page.get_by_role("cell", name="589.88 EUR").first).to_be_visible()
