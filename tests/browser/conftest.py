"""A real Chromium for the tests that need one; where there is none they are skipped, or fail if insisted on."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from django.conf import settings
from django.contrib.staticfiles import finders
from playwright.sync_api import Browser, Page, Route, sync_playwright

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
# Playwright's synchronous interface runs an event loop in this thread, and Django would refuse its own database.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder, and keep them in one process: two browsers are slower than one."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.xdist_group("browser"))


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of Chromium. BROWSER_TESTS=required makes its absence a failure."""
    found = next((path for name in PROGRAMS if (path := shutil.which(name))), None)
    if found is None and os.environ.get("BROWSER_TESTS") == "required":
        pytest.fail("BROWSER_TESTS=required, but there is no Chromium: apt-get install chromium")
    if found is None:
        pytest.skip("BROWSER TESTS DID NOT RUN: there is no Chromium here (apt-get install chromium)")
    return found


@pytest.fixture(scope="session")
def browser(chromium: str) -> Iterator[Browser]:
    """One headless Chromium for the whole run."""
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=flags)
        yield browser
        browser.close()


@cache
def static_file(path: str) -> str | None:
    """The file behind an address of a static file, None for any other address."""
    prefix = f"/{settings.STATIC_URL.strip('/')}/"
    return finders.find(unquote(path.removeprefix(prefix))) if path.startswith(prefix) else None


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page with cookies of its own. Fails the test for an error in a script or a call beyond this machine."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, locale="en-GB")
    context.set_default_timeout(15_000)
    problems: list[str] = []

    def stay_here(route: Route) -> None:
        address = urlsplit(route.request.url)
        if (file := static_file(address.path)) is not None:
            route.fulfill(path=file)  # twenty files a page: the live server would take seconds for them
        elif address.hostname in ("localhost", "127.0.0.1") or route.request.url.startswith("data:"):
            route.continue_()
        else:
            problems.append(f"a page asked for {route.request.url}")
            route.abort()

    context.route("**/*", stay_here)
    page = context.new_page()
    page.on("pageerror", lambda error: problems.append(f"a script failed: {error}"))
    yield page
    context.close()
    assert problems == []
