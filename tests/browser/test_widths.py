"""Pages of rows with long contents stay within the window, at a desk and on a phone."""

from __future__ import annotations

import json

import pytest
from django.conf import settings
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import reverse
from playwright.sync_api import Page
from pytest_django.live_server_helper import LiveServer

from sync.models import RemoteRecord
from tests.factories import DeliveryFactory

pytestmark = pytest.mark.django_db(transaction=True)

LONG = "x" * 4000


@pytest.mark.parametrize("width", [1280, 390])
def test_a_body_without_a_line_end_is_wrapped(page: Page, live_server: LiveServer, width: int) -> None:
    body = json.dumps({"data": {"subject": LONG, "tags": ["a b"] * 2000}})
    delivery = DeliveryFactory(raw_body=body.encode(), headers={"X-Long": LONG}, item_subject="y" * 400, error=LONG)
    record = RemoteRecord.objects.create(
        server="taiga",
        kind="status",
        our_key="T1",
        desired={"value": LONG},
        seen={"values": {"7": LONG}},
        sentence=LONG,
    )
    client = Client()
    client.force_login(get_user_model().objects.create_superuser("ada"))
    cookie = {"name": settings.SESSION_COOKIE_NAME, "value": client.cookies[settings.SESSION_COOKIE_NAME].value}
    page.context.add_cookies([{**cookie, "url": live_server.url}])
    page.set_viewport_size({"width": width, "height": 844})

    for name, arguments in [
        ("webhookdelivery_change", [delivery.pk]),
        ("webhookdelivery_changelist", []),
        ("remoterecord_change", [record.pk]),
        ("remoterecord_changelist", []),
    ]:
        page.goto(live_server.url + reverse(f"admin:sync_{name}", args=arguments))
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        inner = page.evaluate(
            """Math.max(...[...document.querySelectorAll('#main pre, #main .readonly')].map(e => e.scrollWidth), 0)"""
        )
        widest = page.evaluate(
            """[...document.querySelectorAll('#main *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1)
            .slice(0, 5).map(e => e.tagName + '.' + e.className)"""
        )
        assert (name, wide) == (name, 0), widest
        assert inner <= width, name
