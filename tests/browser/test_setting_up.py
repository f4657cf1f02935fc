"""The first set-up as an administrator does it, from an empty database to the first entries that were held and freed.

The walk of the operators' manual, "Setting up", whose pictures are taken here. Everything is clicked, or done in Taiga
by its people; in between the worker's own tasks are called, and nothing writes a row.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from django.core.management import call_command
from playwright.sync_api import Locator, Page, expect
from pytest_django.live_server_helper import LiveServer

from invoicing import tasks as invoicing_tasks
from sandbox import scenario
from sandbox.scenario import WEBSITE
from sandbox.server import Running
from sync import tasks as sync_tasks
from sync import upstreams
from tests.browser.pictures import Camera
from tests.flow.steps import DRAINS, Flow, hours_of, is_idle

pytestmark = pytest.mark.django_db(transaction=True)

NAME, WORDS = "ada", "analytical engine"
# What beat rings, and what the flow's tests call by name.
WORKER: tuple[Callable[[], Any], ...] = (
    sync_tasks.beat,
    sync_tasks.refresh_lists,
    sync_tasks.provision_projects,
    sync_tasks.sweep_projects,
    *DRAINS,
    invoicing_tasks.poll_payments,
    sync_tasks.look_around,
)


@pytest.fixture
def bare_servers(running_standins: Running, live_server: LiveServer, settings: Any) -> Iterator[Flow]:
    """Both servers as an office has them before the console comes: Taiga without any attribute or webhook of ours."""
    cache.clear()
    upstreams._logins.clear()
    settings.PUBLIC_URL = live_server.url
    settings.TAIGA_API = f"{running_standins.taiga.url}/api/v1"
    settings.INVOICE_NINJA_API = f"{running_standins.ninja.url}/api/v1"
    settings.TAIGA_USERNAME, settings.TAIGA_PASSWORD = scenario.SERVICE_USER, scenario.SERVICE_PASSWORD
    settings.TAIGA_TOKEN = ""
    settings.INVOICE_NINJA_TOKEN = scenario.NINJA_TOKEN
    settings.RETRY_BASE_SECONDS = settings.LOOK_UP_AFTER_SECONDS = 0.0
    taiga = scenario.taiga_seed("", "")
    for project in taiga["projects"]:
        project["attributes"] = project["webhooks"] = []
    ninja = scenario.ninja_seed()
    ninja["company"]["settings"] = {"tax_name1": "VAT", "tax_rate1": 21}
    for standin, seed in ((running_standins.taiga, taiga), (running_standins.ninja, ninja)):
        standin.faults.clear()
        standin.reset()
        standin.clock.set_real()
        standin.seed(seed)
    yield Flow(running_standins)
    running_standins.taiga.drain()


def work() -> None:
    """The worker does everything that is due, as beat makes it."""
    for _round in range(10):
        for each in WORKER:
            each()
        if is_idle():
            return
    raise AssertionError("The worker never comes to rest.")


class Walk:
    """An administrator at the screen."""

    def __init__(self, page: Page, url: str, flow: Flow, camera: Camera) -> None:
        self.page, self.url, self.flow, self.camera = page, url, flow, camera

    def open(self, name: str) -> None:
        """Click a page in the sidebar."""
        self.page.locator("#nav-sidebar").get_by_role("link", name=name).click()
        self.page.wait_for_load_state()

    def press(self, name: str | re.Pattern[str]) -> None:
        """Click a button."""
        self.page.get_by_role("button", name=name).click()
        self.page.wait_for_load_state()

    def sees(self, words: str | re.Pattern[str]) -> Locator:
        """Wait until the words stand on the page."""
        found = self.page.get_by_role("main").get_by_text(words).first
        expect(found).to_be_visible()
        return found

    def ref(self, task: int) -> int:
        """The number that people see of a task."""
        return int(self.flow.taiga().get(f"/tasks/{task}")["ref"])

    def choose(self, field: str, typed: str, name: str) -> None:
        """Search a list of the form and click the one that is found."""
        self.page.click(f".field-{field} .select2-selection")
        self.page.keyboard.type(typed)
        self.page.locator(".select2-results__option", has_text=name).click()


@pytest.fixture
def walk(page: Page, live_server: LiveServer, bare_servers: Flow, tmp_path: Path, monkeypatch: Any) -> Walk:
    """The console just installed: the administrator has an account, and nothing else is there."""
    call_command("setup_schedule", verbosity=0)
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", WORDS)
    call_command("createsuperuser", username=NAME, email="", interactive=False, verbosity=0)
    return Walk(page, live_server.url, bare_servers, Camera(page, tmp_path, "set-up-"))


def test_from_an_empty_database_to_the_first_released_entries(walk: Walk) -> None:
    sign_in(walk)
    connect(walk)
    look_at_the_project(walk)
    add_a_rate(walk)
    decide_the_tax(walk)
    ask_the_doctor(walk)
    correct_hours_in_taiga(walk)
    confirm_hours_here(walk)


def sign_in(walk: Walk) -> None:
    page = walk.page
    page.goto(walk.url)
    page.locator("input[name=username]").fill(NAME)
    page.locator("input[name=password]").fill(WORDS)
    walk.camera.take("01-sign-in", height=560)
    walk.press("Log in")
    walk.sees("Worker and schedule: has not reported yet.")
    work()
    page.reload()
    walk.sees("No Taiga project is mapped to a client yet, so nothing is billed. Connect one.")
    walk.camera.take("02-start", until=page.locator("section[aria-labelledby=bc-health]"), height=1100)


def connect(walk: Walk) -> None:
    page = walk.page
    walk.open("Connect")
    walk.sees("3 projects belong to nobody yet.")
    walk.sees("by its name perhaps Acme Corp / Website Redesign")
    walk.camera.take("03-projects", until=page.get_by_role("table"))
    page.get_by_role("link", name=WEBSITE.name, exact=True).click()
    expect(page.get_by_role("radio", name="Acme Corp / Website Redesign")).to_be_checked()
    walk.camera.take("04-connect")
    walk.press(f"Connect {WEBSITE.name}")
    walk.sees("0 of 7 there, 0 waiting for you.")
    work()
    walk.sees("7 of 7 there, 0 waiting for you.")  # by itself
    walk.sees("It arrived: the delivery")
    walk.camera.take("05-connected", until=page.get_by_role("button", name="Check again"))


def look_at_the_project(walk: Walk) -> None:
    walk.open("Projects")
    walk.page.get_by_role("main").get_by_role("link", name=WEBSITE.name).first.click()
    walk.sees("EUR · Europe/Brussels")
    walk.camera.take("06-project")


def add_a_rate(walk: Walk) -> None:
    page = walk.page
    walk.open("Rates")
    walk.sees("No rates yet")
    page.get_by_role("main").get_by_role("link", name="Add rate").click()
    page.locator("[name=level]").select_option("project")
    walk.choose("project", "web", WEBSITE.name)
    page.locator("[name=amount]").fill("75")
    walk.press("Show the effect")
    walk.sees("Nothing that is not billed yet moves.")
    expect(page.locator("[name=amount]")).to_have_value("75")
    walk.camera.take("07-rate")
    page.get_by_role("button", name="Save", exact=True).click()
    walk.sees("was added successfully")


def decide_the_tax(walk: Walk) -> None:
    page = walk.page
    walk.open("Rule sets")
    walk.sees("not decided")
    page.get_by_role("link", name="The company").click()
    walk.sees("Invoice Ninja's company has VAT 21 %")
    expect(page.locator("[name=tax_name]")).to_have_value("VAT")
    page.locator("[name=tax_decision]").select_option("tax")
    walk.sees(re.compile(r"Next run 1 \w+ 20\d\d → bills 1–\d\d \w+ 20\d\d"))
    page.get_by_role("heading", name="Tax", exact=True).evaluate("heading => heading.scrollIntoView()")
    walk.camera.take("08-rules", height=1010)
    page.get_by_role("button", name="Save", exact=True).click()
    walk.sees("VAT 21 %")


def ask_the_doctor(walk: Walk) -> None:
    walk.open("Doctor")
    walk.press("Check again")
    work()
    walk.page.reload()
    walk.sees("2 warnings")
    walk.camera.take("09-doctor", until=walk.page.locator("details.bc-more"))


def correct_hours_in_taiga(walk: Walk) -> None:
    flow, page = walk.flow, walk.page
    task = flow.open("Implement payment gateway")
    flow.type(task, billable=True, hours="two hours")
    flow.move(task, "Closed")
    work()
    walk.open("Needs attention")
    walk.sees(f'Duration (Hours) of #{walk.ref(task)} holds "two hours"')
    walk.camera.take("10-held", until=page.get_by_role("table"))
    flow.type(task, hours=2)
    work()
    page.reload()
    walk.sees("Nothing is stuck")
    walk.open("Time entries")
    page.get_by_role("main").get_by_role("link", name="Implement payment gateway").click()
    expect(page.get_by_role("main").get_by_role("listitem").filter(has_text="Done")).to_have_count(6)
    walk.sees("(project default) = 150.00 EUR")
    walk.camera.take("11-entry")
    assert flow.values(task) == {"billable": True, "hours": 2, "status": "Invoiced"}
    assert [(row["rate"], hours_of(row)) for row in flow.tasks()] == [(75, 2)]


def confirm_hours_here(walk: Walk) -> None:
    flow, page = walk.flow, walk.page
    task = flow.open("Move the data", who="bob")
    flow.type(task, who="bob", billable=True, hours=30)
    flow.move(task, "Closed", who="bob")
    work()
    walk.open("Needs attention")
    page.get_by_role("main").get_by_role("link", name="Move the data").click()
    walk.sees("has 30 hours, more than the 24 that are billed without asking.")
    page.get_by_role("link", name="Confirm value…").click()
    page.get_by_label("Reason").fill("Agreed with Acme: a weekend of moving data")
    walk.camera.take("12-confirm")
    page.get_by_role("button", name="Confirm", exact=True).click()
    walk.sees("Confirmed.")
    work()
    page.reload()
    expect(page.locator("#bc-heading")).to_contain_text("Ready")
    walk.sees("Agreed with Acme: a weekend of moving data")
    walk.open("Work list")
    walk.sees("2,400.00 EUR")
    walk.camera.take("13-start", until=page.locator("section[aria-labelledby=bc-health]"), height=1100)
    assert flow.values(task)["status"] == "Invoiced"
