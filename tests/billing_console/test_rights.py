"""Every address of the admin, walked: nothing of ours is open to nobody, to a stranger, or to a viewer who posts."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator

import pytest
from django.contrib import admin
from django.urls import URLPattern, URLResolver

from tests.people import browser_of

pytestmark = pytest.mark.django_db

# Django's and the kit's own: signing in and out, words for scripts, the start page (which greets a stranger), searching
# (which asks each list for its right), the person's own switch.
OPEN = re.compile(
    r"^(login|logout|password_change|password_change/done|jsi18n|autocomplete|search|r/|toggle-sidebar|account/.*)?/?$"
    r"|^(accounts|auth|mappings|sync|invoicing|django_celery_beat)/$|^r/.*|^\(\?P<.*"
)
NO_ROW = "987654321"
ARGUMENTS = {"int": NO_ROW, "uuid": str(uuid.UUID(int=7)), "path": NO_ROW, "str": NO_ROW, "slug": "x"}
# Answered with a redirect before rights are asked: to the form, home for a row that is not there, to a run's own page;
# addresses with a "^" are the history's, which look their row up first.
ELSEWHERE = re.compile(
    rf"^\w+/\w+/{NO_ROW}/(history/)?$|^invoicing/invoicerun/{NO_ROW}/change/$|^sync/difference/{NO_ROW}/change/$"
)


def addresses(patterns: list[URLPattern | URLResolver], prefix: str = "") -> Iterator[str]:
    """Every address below the admin, with arguments that no row has."""
    for pattern in patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from addresses(pattern.url_patterns, route)
        elif not OPEN.match(route):
            url = re.sub(r"<(?:(\w+):)?\w+>", lambda found: ARGUMENTS[found[1] or "str"], route).rstrip("$")
            if not ELSEWHERE.match(url) and "^" not in url:
                yield url


ALL = sorted(set(addresses(admin.site.get_urls())))


def test_the_walk_finds_our_pages() -> None:
    assert len(ALL) > 100
    assert {"sync/attention/", "invoicing/invoice/987654321/review/", "invoicing/invoice/987654321/approve/"} <= set(
        ALL
    )


def test_nobody_gets_in() -> None:
    browser = browser_of("")

    answers = {url: browser.get(f"/admin/{url}") for url in ALL}

    wrong = {url for url, answer in answers.items() if answer.status_code != 302 or "/login/" not in answer["Location"]}
    assert wrong == set()


@pytest.mark.parametrize("method", ["get", "post"])
def test_a_stranger_on_the_staff_gets_nothing(method: str) -> None:
    browser = browser_of("stranger")

    statuses = {url: getattr(browser, method)(f"/admin/{url}").status_code for url in ALL}

    assert {url: status for url, status in statuses.items() if status not in (403, 404, 405)} == {}


def test_a_viewer_posts_in_vain() -> None:
    browser = browser_of("viewer")

    statuses = {url: browser.post(f"/admin/{url}", {"_form_submitted": "1"}).status_code for url in ALL}

    # A list takes a post as a look and says that no action was chosen; an export only reads.
    lists = {url for url in ALL if re.fullmatch(r"\w+/\w+/(export/)?", url)}
    assert {url: status for url, status in statuses.items() if status not in (403, 404, 405) and url not in lists} == {}
