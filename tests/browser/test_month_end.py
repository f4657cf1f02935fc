"""The month end as an approver does it: every draft by the keyboard alone, in both widths."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from billing_console import clock
from billing_console.states import InvoiceState
from invoicing.models import Invoice
from tests.invoicing.world import IN_JANUARY, built, make_client, make_project, make_user, make_work

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def _in_january() -> Iterator[None]:
    with clock.set_to(IN_JANUARY):
        yield


@pytest.fixture
def approver(page: Page, live_server: LiveServer, _in_january: None) -> Page:
    """An approver's page, signed in, with three drafts of December waiting."""
    for name in ("Acme Corp", "Beacon Mobile", "Cobalt Systems"):
        project = make_project(make_client(name))
        for ref in (45, 46):
            make_work(project, "2.1", ref=ref)
    built()
    client = Client()
    client.force_login(make_user("Approver"))
    cookie = {"name": settings.SESSION_COOKIE_NAME, "value": client.cookies[settings.SESSION_COOKIE_NAME].value}
    page.context.add_cookies([{**cookie, "url": live_server.url}])
    return page


def test_three_drafts_are_reviewed_and_approved_by_keyboard_alone(approver: Page, live_server: LiveServer) -> None:
    run = Invoice.objects.first().run
    approver.goto(live_server.url + reverse("admin:invoicing_invoicerun_review", args=[run.pk]))
    approver.wait_for_load_state("networkidle")
    approver.keyboard.press("n")
    expect(approver.locator("#bc-heading")).to_contain_text("Acme Corp")

    for name in ("Acme Corp", "Beacon Mobile", "Cobalt Systems"):
        expect(approver.locator("#bc-heading")).to_contain_text(name)
        expect(approver.locator("#bc-heading [data-bc-focus]")).to_be_focused()  # the script is there
        approver.keyboard.press("j")
        approver.keyboard.press("o")
        expect(approver.locator("details[open]").first).to_be_visible()
        with approver.expect_navigation():  # else the page that is left would still be looked at
            approver.keyboard.press("a")

    expect(approver.get_by_text("Cobalt Systems").first).to_be_visible()
    assert list(Invoice.objects.values_list("state", flat=True)) == [InvoiceState.APPROVED] * 3


def test_the_letter_a_typed_into_a_reason_approves_nothing(approver: Page, live_server: LiveServer) -> None:
    draft = Invoice.objects.first()
    approver.goto(live_server.url + reverse("admin:invoicing_invoice_review", args=[draft.pk]))

    expect(approver.locator("#bc-heading [data-bc-focus]")).to_be_focused()
    approver.keyboard.press("r")
    dialog = approver.locator("dialog[open]")
    expect(dialog).to_be_visible()
    approver.keyboard.type("a has to ask")
    approver.keyboard.press("Escape")

    expect(dialog).to_have_count(0)
    assert set(Invoice.objects.values_list("state", flat=True)) == {InvoiceState.DRAFT}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_draft_fits_a_phone(approver: Page, live_server: LiveServer, theme: str) -> None:
    draft = Invoice.objects.first()
    approver.emulate_media(color_scheme=theme)
    approver.set_viewport_size({"width": 390, "height": 844})

    approver.goto(live_server.url + reverse("admin:invoicing_invoice_review", args=[draft.pk]))

    sideways = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert approver.evaluate(sideways) == 0
    expect(approver.get_by_role("button", name="Approve 427.50 EUR and next")).to_be_visible()


def test_without_a_right_there_is_no_button(approver: Page, live_server: LiveServer) -> None:
    clerk = Client()
    clerk.force_login(make_user("Billing clerk"))
    value = clerk.cookies[settings.SESSION_COOKIE_NAME].value
    approver.context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": value, "url": live_server.url}])

    approver.goto(live_server.url + reverse("admin:invoicing_invoice_review", args=[Invoice.objects.first().pk]))

    expect(approver.get_by_text("An approver must approve this draft.")).to_be_visible()
    approver.keyboard.press("a")
    assert set(Invoice.objects.values_list("state", flat=True)) == {InvoiceState.DRAFT}
