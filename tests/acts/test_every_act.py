"""Every act of the console, found in its addresses and lists: refused when it is not what was shown, or says nothing.

An act that is new has no scene here and fails the first test. Each scene is played twice: as it was shown it acts, and
where another one does something meanwhile it is refused with the old and the new value, and nothing changes.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.contrib import admin
from django.urls import URLPattern, URLResolver

from billing_console import clock
from billing_console.pages import PageView
from sync.models import TimeEntry, UpstreamCall
from tests.acts import money, work
from tests.acts.scene import Scene, everything, said, url
from tests.invoicing.test_reminding_views import FEBRUARY_10
from tests.invoicing.world import IN_JANUARY
from tests.outbound import drain_all
from tests.people import browser_of
from tests.standins import World

pytestmark = pytest.mark.django_db
SCENES = work.SCENES | money.SCENES

# They are about nothing on the screen: servers are read again, or a question with what it shows follows.
ABOUT_NOTHING = {
    "accounts_single_keys",
    "doctor",
    "invoicing_invoice_differences",
    "invoicing_invoice_mark_select",
    "invoicing_invoice_pdf",
    "invoicing_invoice_send_select",
    "invoicing_invoicerun_approve",
    "invoicing_reconcile",
    "sync_provision",
    "sync_unmapped",
    "mappings.client:refresh_lists",
    "mappings.ninjaproject:refresh_lists",
    "mappings.projectmapping:refresh_lists",
    "mappings.taigaproject:refresh_lists",
}
# Actions of lists that go on to a question, which then carries what it shows.
ASKING = {"invoicing.invoice:approve_selected", "invoicing.invoice:send_selected", "invoicing.invoice:mark_selected"}
# What files would change is compared by tests/mappings/test_config_views.py and test_import_jobs.py.
ELSEWHERE = {"mappings_configuration", "mappings_import_job"}
LATER = {"invoicing_pause_reminders", "invoicing_lift_pause", "invoicing_remind", "invoicing_reminder_decide"}
# It is run by a worker; no row changes.
ELSEWHERE_DONE = {"django_celery_beat.periodictask:run_tasks"}
KINDS = ("actions_detail", "actions_row", "actions_list", "actions_submit_line", "actions")


def pages(patterns: list[URLPattern | URLResolver]) -> Iterator[tuple[str, str]]:
    """Name of every address that takes a POST, and why it needs no version."""
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            yield from pages(pattern.url_patterns)
            continue
        view = getattr(pattern.callback, "view_class", None)
        if view is not None and issubclass(view, PageView) and view.act_permission is not None:
            yield str(pattern.name), view.needs_no_version


def dialogs_and_lists() -> Iterator[tuple[str, str]]:
    """Every dialog of a row or a list and every action of a list, and why it needs no version."""
    for model, model_admin in admin.site._registry.items():
        for kind in KINDS:
            for name in getattr(model_admin, kind, None) or ():
                why = getattr(getattr(model_admin, name), "needs_no_version", "")
                yield f"{model._meta.label_lower}:{name}", why


ACTS = dict([*pages(admin.site.get_urls()), *dialogs_and_lists()])


def test_every_act_has_a_scene() -> None:
    assert len(ACTS) > 70
    assert {name for name, why in ACTS.items() if why} == ABOUT_NOTHING
    known = {name.removesuffix(":writes") for name in SCENES}
    assert set(ACTS) - ABOUT_NOTHING - ASKING - ELSEWHERE == known


def test_every_action_of_a_list_that_acts_at_once_carries_its_rows() -> None:
    at_once = {
        model._meta.label_lower for model, model_admin in admin.site._registry.items() if model_admin.actions
    } - {name.partition(":")[0] for name in ASKING}

    assert at_once == {
        model._meta.label_lower
        for model, model_admin in admin.site._registry.items()
        if getattr(model_admin, "acts_at_once", False)
    }


@pytest.mark.parametrize("name", sorted(SCENES))
def test_an_act_is_refused_when_it_is_another_than_was_shown(name: str) -> None:
    browser = browser_of("administrator")
    with clock.set_to(FEBRUARY_10 if name in LATER else IN_JANUARY):
        scene = SCENES[name]()
        form = scene.form(browser)
        scene.meanwhile()
        before = everything()

        page = said(browser.post(scene.address, form, follow=True))

        assert everything() == before
        assert scene.old in page
        assert scene.new in page
        calls = UpstreamCall.objects.count()
        without = said(browser.post(scene.address, {**scene.asked_with, **scene.typed, "shown": ""}, follow=True))
        assert everything() == before
        assert "came without what you saw" in without or "was not on the screen" in without
        assert UpstreamCall.objects.count() == calls


@pytest.mark.parametrize("name", sorted(set(SCENES) - ELSEWHERE_DONE))
def test_an_act_is_done_when_it_is_what_was_shown(name: str) -> None:
    browser = browser_of("administrator")
    with clock.set_to(FEBRUARY_10 if name in LATER else IN_JANUARY):
        scene = SCENES[name]()
        form = scene.form(browser)
        before = everything()

        page = said(browser.post(scene.address, form, follow=True))

        assert everything() != before, page[:900]


def test_thirty_hours_were_shown_and_three_hundred_are_not_confirmed(world: World) -> None:
    """The dialog showed 30 h; Taiga said 300 h before "Confirm" was pressed, and 22,500.00 would have been billed."""
    task = world.add_task("Migration", billable=True, hours=30)
    entry = world.read(task)
    browser = browser_of("clerk")
    scene = Scene(url("sync_timeentry_confirm", entry.pk), lambda: None, "", "", work.BECAUSE)
    assert "Hours as typed 30.00 h" in said(browser.get(scene.address))
    form = scene.form(browser)
    world.set_values(task, hours=300)
    world.read(task)

    page = said(browser.post(scene.address, form, follow=True))

    assert "Hours as typed was “30.00 h” and is “300.00 h” now" in page
    drain_all()
    row = TimeEntry.objects.get(pk=entry.pk)
    assert (row.state, row.confirmed_value, row.raw_hours) == ("held", "", 300)
    assert world.tasks() == []
    # Looked at again, it is a person's own word.
    browser.post(scene.address, scene.form(browser))
    drain_all()
    assert [one["time_log"] != "" for one in world.tasks()] == [True]
