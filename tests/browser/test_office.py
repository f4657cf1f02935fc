"""The pages that an office sees every day, with the December of the scenario: work list, held entries, draft, sending.

Their pictures in the README and the operators' manual are taken here.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import Group
from django.core.cache import cache
from django.test import Client as Visitor
from django.urls import reverse
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from accounts.groups import ADMINISTRATOR
from accounts.models import User
from invoicing import tasks as invoicing_tasks
from invoicing.models import Invoice
from sandbox import scenario
from sandbox.player import Player, Progress
from sandbox.scenario import API, MOBILE
from sandbox.server import serve
from sync import tasks as sync_tasks
from sync import upstreams
from tests.browser.pictures import Camera
from tests.flow.steps import Flow, december, import_guide

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def office(live_server: LiveServer, settings: Any, tmp_path: Path) -> Iterator[Flow]:
    """The scenario's office on 2 January 2026: December is worked, its three drafts wait, and four entries are held."""
    running = serve(state=tmp_path / "stand-ins")
    cache.clear()
    upstreams._logins.clear()
    settings.SANDBOX_CLOCK_FILE = str(tmp_path / "stand-ins" / "clock.json")
    settings.TAIGA_API, settings.INVOICE_NINJA_API = f"{running.taiga.url}/api/v1", f"{running.ninja.url}/api/v1"
    settings.TAIGA_USERNAME, settings.TAIGA_PASSWORD = scenario.SERVICE_USER, scenario.SERVICE_PASSWORD
    settings.TAIGA_TOKEN, settings.INVOICE_NINJA_TOKEN = "", scenario.NINJA_TOKEN
    settings.RETRY_BASE_SECONDS = settings.LOOK_UP_AFTER_SECONDS = 0.0
    player = Player(running.taiga.url, running.ninja.url, Progress(tmp_path / "progress.json"), lambda line: None)
    player.seed(f"{live_server.url}/webhooks/taiga", settings.WEBHOOK_SECRET)
    reminding = {"enable_reminder1": True, "schedule_reminder1": "after_due_date", "num_days_reminder1": 7}
    running.ninja.seed({"company": {"update_products": False, "settings": reminding}})
    flow = Flow(running)
    import_guide()
    flow.sweep()

    def wait_until(what: str, is_true: Any) -> None:
        flow.sweep()
        assert is_true(), what

    player.play_december(wait_until)
    flow.close(30, at=december(29), subject="Move the data", who="bob", project=MOBILE)
    flow.close("", at=december(30), subject="Answer the support mails", who="carol", project=API)
    flow.close(2, at=december(30, 16), subject="Prepare the release", who="eve", project=API, rate="95 EUR")
    flow.sweep()
    player.set_clock(scenario.APPROVAL)
    for _round in range(2):
        invoicing_tasks.build_runs()
        flow.work()
    for beat in (sync_tasks.beat, invoicing_tasks.poll_payments, sync_tasks.look_around):
        beat()
    yield flow
    running.stop()


@pytest.fixture
def approver(page: Page, live_server: LiveServer, office: Flow) -> Page:
    """The office's page, signed in."""
    user = User.objects.create(username="office", email="office@example.test", is_staff=True)
    user.groups.add(Group.objects.get(name=ADMINISTRATOR))
    visitor = Visitor()
    visitor.force_login(user)
    value = visitor.cookies[django_settings.SESSION_COOKIE_NAME].value
    page.context.add_cookies([{"name": django_settings.SESSION_COOKIE_NAME, "value": value, "url": live_server.url}])
    return page


def test_december_as_the_office_sees_it(approver: Page, live_server: LiveServer, office: Flow, tmp_path: Path) -> None:
    page, camera = approver, Camera(approver, tmp_path)
    page.goto(f"{live_server.url}/admin/")
    expect(page.locator(".bc-tile").filter(has_text="Drafts to review")).to_contain_text("1,791.25 EUR")
    camera.take("work-list", height=800)

    page.locator(".bc-tile").filter(has_text="Needs attention").click()
    for words in ("two hours", "30 hours", "95 EUR", "is empty"):
        expect(page.get_by_role("main").get_by_text(words).first).to_be_visible()
    camera.take("needs-attention", until=page.locator("#content table").last)

    page.goto(live_server.url + reverse("admin:invoicing_invoice_review", args=[Invoice.objects.earliest("pk").pk]))
    expect(page.locator("#bc-heading [data-bc-focus]")).to_be_focused()  # the script is there
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("o")
    expect(page.get_by_text("0.10 h typed by Carol Clark")).to_be_visible()
    camera.take("draft-review", height=860)

    for _client in ("Acme Corp", "Beacon Mobile"):
        page.get_by_role("button", name="and next").click()
        page.wait_for_load_state()
    office.work()
    page.goto(f"{live_server.url}/admin/")
    page.locator(".bc-tile").filter(has_text="Approved, not sent").click()
    page.locator("#action-toggle").check()
    page.locator("select[name=action]").select_option("send_selected")
    page.get_by_role("button", name="Run").click()
    expect(page.get_by_role("heading", name="Send 2 invoices, 1,506.45 EUR?")).to_be_visible()
    camera.take("confirm-send", height=800)
    assert office.mails() == []
