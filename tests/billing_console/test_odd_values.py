"""No value of GET, POST, a cookie or an address makes a 5xx: a property over every address of the console.

What a page reads is found by watching it read: the names it asks for, and those of the filters of its list.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.sessions.models import Session
from django.db import models, transaction
from django.http import QueryDict
from django.test import Client as Browser
from django.test.client import FakePayload
from django.urls import URLPattern, URLResolver, get_resolver
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.models import User
from invoicing.models import Invoice, InvoiceLine, RunClient
from tests.factories import TimeEntryFactory
from tests.people import browser_of
from tests.standins import World
from tests.walking import office  # noqa: F401

ODD = (
    "",
    "\0",
    "a\0b",
    "9" * 5000,
    "-" + "9" * 20,
    str(2**63),
    "-1",
    "0",
    "1",
    "²",
    "٣",
    "NaN",
    "-Infinity",
    "1e999999999",
    "0001-01-01",
    "0001-01",
    "9999-12-31",
    "9999-12",
    "2026-02-30",
    "a" * 3000,
    "%",
    "'\"<>",
    "💶",
    "[]",
    '{"a": [1]}',
    "[[[1]]]",
    "id:" + "9" * 30,
    "1,2",
    "None",
    "..",
)
ARGUMENTS = ("0", "9" * 30, "9" * 5000, "²", "%00", "a%00b", "x", "-1", "a" * 3000, "%20", "%F0%9F%92%B6")
# They end the session, or serve files and words of Django's own.
NOT_ASKED = re.compile(r"logout|static|jsi18n|^media")
OTHERS = ("q", "p", "o", "all", "e", "_facets", "_to_field", "_popup", "_changelist_filters", "shown", "shown_rows")
ACTED = ("action", "index", "select_across", "_selected_action", "_save", "_continue", "post")


@dataclass
class Address:
    """One address of the console: its route, its arguments as real rows have them, and what its page reads."""

    route: str
    url: str
    names: dict[str, set[str]] = field(default_factory=lambda: {"get": set(), "post": set()})


@contextmanager
def watching(names: set[str]) -> Iterator[None]:
    """Collects the names that are asked of GET and POST meanwhile."""
    kept = {name: getattr(QueryDict, name) for name in ("get", "getlist", "__getitem__", "__contains__", "pop")}

    def noting(name: str) -> Any:
        def asked(self: QueryDict, key: Any, *args: Any, **kwargs: Any) -> Any:
            names.add(key)
            return kept[name](self, key, *args, **kwargs)

        return asked

    for name in kept:
        setattr(QueryDict, name, noting(name))
    try:
        yield
    finally:
        for name, method in kept.items():
            setattr(QueryDict, name, method)


def routes(patterns: list[URLPattern | URLResolver], prefix: str = "") -> Iterator[str]:
    """Every route of the URL configuration."""
    for pattern in patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from routes(pattern.url_patterns, route)
        elif not NOT_ASKED.search(route):
            yield route


ARGUMENT = re.compile(r"<(?:(\w+):)?(\w+)>|\(\?P<(\w+)>[^)]*\)|\(([^)]*)\)")


def row_of(route: str, name: str) -> str:
    """The id of a row, or the name of a report, that an argument of the route can mean."""
    if name == "name":
        return "revenue"
    named: dict[str, type[models.Model]] = {"line": InvoiceLine, "row": RunClient, "invoice": Invoice}
    found = re.match(r"admin/(\w+)/(\w+)/", route)
    by_route = {f"{model._meta.app_label}/{model._meta.model_name}": model for model in admin.site._registry}
    model = named.get(name) or (by_route.get(f"{found[1]}/{found[2]}") if found else None) or Invoice
    return str(model._default_manager.values_list("pk", flat=True).order_by("pk").first() or 1)


def address_of(route: str) -> Address:
    """The address of a route, with a row that there is."""
    return Address(route, as_url(ARGUMENT.sub(lambda found: row_of(route, found[2] or found[3] or ""), route)))


def as_url(route: str) -> str:
    """The address of a route whose arguments are filled in."""
    return "/" + re.sub(r"[\^$\\]|\(\?.*?\)", "", route)


def learn(browser: Browser, address: Address) -> None:
    """What the page at the address reads."""
    names = address.names
    for method in ("get", "post"):
        with transaction.atomic(), watching(names[method]):
            getattr(browser, method)(address.url, {"reason": "Because", "_form_submitted": "1"})
            transaction.set_rollback(True)
        names[method] = {name for name in names[method] if name != "csrfmiddlewaretoken"}
    found = re.fullmatch(r"admin/(\w+)/(\w+)/", address.route)
    for model, model_admin in admin.site._registry.items():
        if found and (model._meta.app_label, model._meta.model_name) == found.groups():
            for one in model_admin.list_filter:
                name = one[0] if isinstance(one, tuple) else getattr(one, "parameter_name", one)
                names["get"] |= {f"{name}{end}" for end in ("", "__exact", "__id__exact", "_from", "_to", "_0", "_1")}
            names["get"] |= set(OTHERS)
            names["post"] |= set(ACTED)


@pytest.fixture
def browser(office: World) -> Browser:  # noqa: F811
    """An administrator's, who may open and do everything; a failure is an answer here."""
    found = browser_of("administrator")
    found.raise_request_exception = False
    return found


def ask(browser: Browser, method: str, url: str, data: dict[str, Any]) -> Any:
    """The answer, and the database as it was."""
    with transaction.atomic():
        answer = getattr(browser, method)(url, data)
        transaction.set_rollback(True)
    return answer


EVERY = sorted(set(routes(get_resolver().url_patterns)))


def test_the_walk_knows_our_addresses_and_what_their_pages_read(browser: Browser) -> None:
    found = {address.route: address for address in map(address_of, EVERY)}
    assert len(found) > 250
    for route, names in {
        "admin/invoicing/invoicerun/preview/": {"month"},
        "admin/sync/timeentry/": {"q", "p", "state__exact"},
        "admin/invoicing/reports/<slug:name>/": {"start", "end", "client", "file"},
    }.items():
        learn(browser, found[route])
        assert names <= found[route].names["get"], found[route].names


def test_no_value_of_any_address_makes_a_5xx(browser: Browser) -> None:
    known: dict[str, Address] = {}

    @settings(max_examples=250, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def no_5xx(data: st.DataObject) -> None:
        route = data.draw(st.sampled_from(EVERY))
        method = data.draw(st.sampled_from(["get", "post"]))
        address = known.get(route)
        if address is None:
            address = known[route] = address_of(route)
            learn(browser, address)
        if ARGUMENT.search(route) and data.draw(st.booleans()):
            url = as_url(ARGUMENT.sub(data.draw(st.sampled_from(ARGUMENTS)), route))
            assert ask(browser, method, url, {}).status_code < 500
        names = sorted(address.names[method])
        some = data.draw(st.sets(st.sampled_from(names), max_size=4)) if names else set()
        values = {name: data.draw(st.sampled_from(ODD) | st.text(max_size=8)) for name in sorted(some)}
        assert ask(browser, method, address.url, values).status_code < 500

    no_5xx()


# --- the values that were found; {} are ids of rows ---

LONG = "9" * 5000
FOUND = [
    ("post", "sync/timeentry/{entry}/hold/", {"reason": "a\0b"}),
    ("post", "invoicing/invoice/{invoice}/reject/", {"reason": "\0"}),
    ("post", "sync/attention/", {"reason": "\0"}),
    ("post", "invoicing/sending/select/", {"invoice": LONG}),
    ("post", "sync/timeentry/", {"action": "process_again", "_selected_action": "x"}),
    ("post", "sync/webhookdelivery/", {"action": "process_again", "_selected_action": LONG}),
    ("get", "sync/timeentry/", {"state__exact": "\0"}),
    ("get", "sync/upstreamcall/", {"p": "-" + "9" * 20}),
    ("get", "sync/upstreamcall/", {"p": "9" * 20}),
    ("get", "invoicing/invoicerun/preview/", {"month": "9999-12"}),
    ("post", "invoicing/invoicerun/preview/", {"month": "9999-12"}),
    ("get", "invoicing/reconcile/", {"end": "9999-12-31"}),
    ("get", "invoicing/reconcile/", {"month": "9999-12"}),
    ("get", "invoicing/reports/revenue/", {"start": "0001-01-01", "end": "9999-12-31"}),
    ("get", "autocomplete/", {"term": "\0", "app_label": "mappings", "model_name": "rate", "field_name": "client"}),
    ("get", "search/", {"s": "acme", "extended": "1", "page": LONG}),
    ("get", "search/", {"s": "acme", "extended": "1", "page": "7"}),
    ("get", "mappings/rate/export/", {"nothing": "7"}),
    ("get", "mappings/rate/add/", {"from": "²"}),
    ("post", "mappings/rate/add/", {"level": "user", "person": "NaN"}),
    ("post", "mappings/rate/add/", {"level": "user", "client": LONG}),
    ("post", "mappings/rate/add/", {"valid_from": "9999-12-31", "level": "user"}),
    ("post", "mappings/projectmapping/add/", {"ninja_project": "[]"}),
    ("get", "mappings/company/1/change/", {"_to_field": ""}),
    ("get", f"mappings/ruleset/{LONG}/change/", {}),
    ("get", "mappings/ruleset/²/change/", {}),
    ("get", f"sync/timeentry/{LONG}/change/", {}),
    ("get", f"invoicing/invoice/{LONG}/change/", {}),
    ("get", "invoicing/invoice/a%00b/change/", {}),
    ("get", "mappings/projectmapping/x/history/x/", {}),
]


@pytest.mark.django_db
@pytest.mark.parametrize(("method", "path", "data"), FOUND, ids=[f"{m} {p[:40]} {str(d)[:40]!a}" for m, p, d in FOUND])
def test_a_value_that_was_found_is_an_answer(method: str, path: str, data: dict[str, str]) -> None:
    entry = TimeEntryFactory()
    url = "/admin/" + path.format(entry=entry.pk, invoice=1)

    answer = getattr(browser_of("administrator"), method)(url, data)

    assert answer.status_code < 500


@pytest.mark.django_db
@pytest.mark.parametrize("cookie", ["sessionid", "django_language", "csrftoken"])
def test_a_nul_in_a_cookie_is_an_answer(client: Browser, cookie: str) -> None:
    answer = client.get("/admin/login/", headers={"cookie": f'{cookie}="\\000aaaaaaaaaa"'})

    assert answer.status_code == 400
    assert "cannot be read" in answer.content.decode()


@pytest.mark.django_db
def test_what_is_refused_says_so_and_changes_nothing() -> None:
    browser = browser_of("administrator")
    answer = browser.post("/admin/sync/attention/", {"reason": "a\0b"})
    assert (answer.status_code, "Nothing was changed" in answer.content.decode()) == (400, True)
    entry = TimeEntryFactory()
    ticked = {"action": "process_again", "_selected_action": ["x", str(entry.pk)]}
    answer = browser.post("/admin/sync/webhookdelivery/", ticked, follow=True)
    assert "The list was sent in a form that we do not know" in answer.content.decode()


# --- the body ---


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("who", "length", "status"),
    [
        ("", 64 * 1024 + 1, 413),
        ("", 300 * 1024 * 1024, 413),
        ("administrator", 4 * 1024 * 1024 + 1, 413),
        ("", "9" * 30, 413),
        ("", "-1", 413),
        ("", 64 * 1024, 200),
        ("a cookie", 64 * 1024 + 1, 413),
        ("a cookie", 64 * 1024, 200),
        ("who was signed out", 64 * 1024 + 1, 413),
        ("who may not sign in any more", 64 * 1024 + 1, 413),
        ("administrator", 64 * 1024 + 1, 200),
    ],
)
def test_a_body_is_measured_before_it_is_read(who: str, length: Any, status: int) -> None:
    browser = sender(who)
    parts = {"CONTENT_LENGTH": str(length), "wsgi.input": NeverRead() if status == 413 else FakePayload(b"")}

    answer = browser.generic("POST", "/admin/login/", content_type="application/x-www-form-urlencoded", **parts)

    assert answer.status_code == status


def sender(who: str) -> Browser:
    if who in ("", "administrator"):
        return browser_of(who)
    if who == "a cookie":
        browser = browser_of("")
        browser.cookies["sessionid"] = "0" * 32
        return browser
    browser = browser_of("administrator")
    if who == "who was signed out":
        Session.objects.all().delete()
    else:
        User.objects.update(is_active=False)
    return browser


@pytest.mark.django_db
def test_a_file_of_somebody_with_a_cookie_alone_never_reaches_the_disk() -> None:
    """An import is posted as ever, with a session that is none."""
    browser = sender("a cookie")
    file = io.BytesIO(b"x" * 3_000_000)
    assert browser.post("/admin/mappings/rate/import/", {"files": file}).status_code == 413
    assert browser.post("/i18n/setlang/", {"files": io.BytesIO(b"x" * 3_000_000)}).status_code == 413


class NeverRead:
    """A body that fails the test when a byte of it is asked for."""

    def read(self, *args: Any) -> bytes:
        raise AssertionError("the body was read")

    readline = read
