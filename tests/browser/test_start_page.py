"""The start page and its frame as a person meets them: themes, a phone, the keyboard alone."""

from __future__ import annotations

import pytest
from django.conf import settings
from django.contrib.auth import get_user_model
from django.test import Client
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def start(page: Page, live_server: LiveServer) -> Page:
    """The start page, signed in."""
    client = Client()
    client.force_login(get_user_model().objects.create_superuser("ada"))
    cookie = {"name": settings.SESSION_COOKIE_NAME, "value": client.cookies[settings.SESSION_COOKIE_NAME].value}
    page.context.add_cookies([{**cookie, "url": live_server.url}])
    page.goto(f"{live_server.url}/admin/")
    return page


def sideways(page: Page) -> int:
    """How many pixels the page is wider than its window."""
    return page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")


def contrast(page: Page, selector: str) -> float:
    """The contrast ratio of the text of the first match against the colour behind it (WCAG 2)."""
    return page.evaluate(
        """selector => {
            const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
            const rgb = colour => {
                canvas.clearRect(0, 0, 1, 1);
                canvas.fillStyle = colour;
                canvas.fillRect(0, 0, 1, 1);
                return canvas.getImageData(0, 0, 1, 1).data;
            };
            const light = colour => {
                const [r, g, b] = [...rgb(colour)].slice(0, 3).map(value => {
                    const part = value / 255;
                    return part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
                });
                return 0.2126 * r + 0.7152 * g + 0.0722 * b;
            };
            const element = document.querySelector(selector);
            let behind = element;
            while (behind && rgb(getComputedStyle(behind).backgroundColor)[3] < 255) behind = behind.parentElement;
            const pair = [light(getComputedStyle(element).color), light(getComputedStyle(behind).backgroundColor)];
            return (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
        }""",
        selector,
    )


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_the_work_list_reads_well_in_both_themes_and_on_a_phone(start: Page, theme: str, width: int) -> None:
    start.evaluate(f"localStorage.setItem('adminTheme', JSON.stringify('{theme}'))")
    start.set_viewport_size({"width": width, "height": 844})
    start.reload()

    assert ("dark" in (start.locator("html").get_attribute("class") or "")) == (theme == "dark")
    expect(start.locator(".bc-tile")).to_have_count(9)
    assert sideways(start) == 0
    for selector in (".bc-tile-name", ".bc-tile-figure", ".bc-tile-foot", ".bc-lead", ".bc-note", ".bc-badge"):
        assert contrast(start, selector) >= 4.5, selector


def test_tab_reaches_the_skip_link_then_the_menu_and_the_account(start: Page) -> None:
    start.keyboard.press("Tab")
    expect(start.locator(".bc-skip")).to_be_focused()

    reached = []
    for _step in range(60):
        start.keyboard.press("Tab")
        reached.append(
            start.evaluate(
                "(document.activeElement.getAttribute('aria-label') ?? '') + ' ' + document.activeElement.textContent"
            )
        )
        if "Account" in reached[-1]:
            break
    for name in ("Work list", "Users", "Account"):
        assert any(name in words for words in reached), name

    start.keyboard.press("Enter")
    expect(start.get_by_role("button", name="Log out")).to_be_visible()
    assert start.evaluate("document.activeElement.closest('#nav-sidebar nav') !== null")


def test_the_skip_link_leads_into_the_content(start: Page) -> None:
    start.keyboard.press("Tab")
    start.keyboard.press("Enter")

    expect(start.get_by_role("main")).to_be_focused()


def test_the_keys_can_be_looked_up_and_turned_off(start: Page) -> None:
    start.keyboard.press("?")
    dialog = start.get_by_role("dialog", name="Keys")
    expect(dialog).to_be_visible()
    start.keyboard.press("Escape")
    expect(dialog).to_be_hidden()

    start.keyboard.press("?")
    dialog.get_by_role("button", name="Turn single keys off").click()
    expect(start.locator("meta[name='bc-single-keys']")).to_have_attribute("content", "off")
    assert get_user_model().objects.get(username="ada").has_single_keys is False


def test_rows_of_a_list_are_walked_with_j_and_opened_with_o(start: Page, live_server: LiveServer) -> None:
    start.goto(f"{live_server.url}/admin/accounts/user/")

    start.keyboard.press("j")
    expect(start.locator("#result_list tr[aria-current='true']")).to_have_count(1)
    start.keyboard.press("o")

    expect(start).to_have_url(f"{live_server.url}/admin/accounts/user/{get_user_model().objects.get().pk}/change/")


def test_letters_typed_into_a_field_stay_letters(start: Page, live_server: LiveServer) -> None:
    start.goto(f"{live_server.url}/admin/accounts/user/")
    search = start.locator("#searchbar")
    search.fill("")
    search.press_sequentially("jo?")

    expect(search).to_have_value("jo?")
    expect(start.locator("[aria-current='true']")).to_have_count(0)
