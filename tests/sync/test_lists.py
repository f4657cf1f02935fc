"""The lists that the forms choose from: read when they are old or wanted, by the worker, never by a page."""

from __future__ import annotations

from datetime import timedelta

import pytest
from celery.signals import beat_init
from django.utils import timezone

from mappings.models import Client, NinjaProject, TaigaProject
from sandbox import scenario
from sync import discovery, doorbell, lists, taiga_projects, tasks
from sync.models import Heartbeat, UpstreamCall
from tests.standins import World

pytestmark = pytest.mark.django_db


def test_the_projects_of_our_user_are_cached_as_they_are(world: World) -> None:
    taiga_projects.refresh()
    website = TaigaProject.objects.get(taiga_id=scenario.WEBSITE.taiga_id)
    assert (website.name, website.slug, website.is_known, website.is_archived) == (
        "Website Redesign",
        "website-redesign",
        True,
        False,
    )
    assert website.is_admin is True
    there = {row["id"] for row in world.api_taiga("GET", "/projects", who=scenario.SERVICE_USER)}
    assert set(TaigaProject.objects.values_list("taiga_id", flat=True)) == there


def test_a_project_that_our_user_left_is_unknown_and_comes_back(world: World) -> None:
    TaigaProject.objects.create(taiga_id=4711, name="Left long ago", is_known=True)
    taiga_projects.refresh()
    assert TaigaProject.objects.get(taiga_id=4711).is_known is False
    TaigaProject.objects.filter(taiga_id=scenario.WEBSITE.taiga_id).update(is_known=False, name="Old name")
    taiga_projects.refresh()
    row = TaigaProject.objects.get(taiga_id=scenario.WEBSITE.taiga_id)
    assert (row.is_known, row.name) == (True, "Website Redesign")


def test_they_are_read_when_old_and_only_then(world: World) -> None:
    assert lists.ensure_lists() == 2
    before = UpstreamCall.objects.count()
    assert lists.ensure_lists() == 2
    assert UpstreamCall.objects.count() == before
    Heartbeat.objects.filter(name=taiga_projects.HEARTBEAT).update(at=timezone.now() - timedelta(minutes=11))
    lists.ensure_lists()
    assert UpstreamCall.objects.count() > before


def test_wanted_lists_are_read_by_the_worker_at_once(
    world: World, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: object
) -> None:
    rung: list[str] = []
    monkeypatch.setattr(doorbell, "ring", rung.append)
    lists.ensure_lists()
    Client.objects.all().update(name="Old")
    NinjaProject.objects.filter(ninja_id="proj_web001").update(name="Old")
    before = UpstreamCall.objects.count()
    with django_capture_on_commit_callbacks(execute=True):  # type: ignore[operator]
        lists.want_lists()
    assert (rung, UpstreamCall.objects.count()) == (["lists"], before)
    assert tasks.refresh_lists() == 2
    assert Client.objects.get(ninja_id="client_abc123").name != "Old"
    assert NinjaProject.objects.get(ninja_id="proj_web001").name == "Website Redesign"


def test_one_server_that_is_down_leaves_the_list_of_the_other(world: World) -> None:
    world.fail("taiga", kind="status", status=503, method="GET", path="/projects", count=1)
    assert lists.ensure_lists() == 1
    assert not TaigaProject.objects.exists()
    assert Client.objects.filter(is_known=True).count() == 3
    lists.want_lists()
    assert lists.ensure_lists() == 2


def test_a_failure_of_invoice_ninja_is_said_and_not_repeated_within_a_minute(world: World) -> None:
    world.fail("ninja", kind="status", status=503, method="GET", path="/clients", count=1)
    assert lists.ensure_lists() == 1
    assert discovery.failure() != ""
    before = UpstreamCall.objects.count()
    assert lists.ensure_lists() == 1
    assert UpstreamCall.objects.count() == before

    Heartbeat.objects.filter(name=f"{discovery.NINJA_HEARTBEAT}_failed").update(
        at=timezone.now() - timedelta(seconds=61)
    )
    assert lists.ensure_lists() == 2
    assert (discovery.failure(), Client.objects.filter(is_known=True).count()) == ("", 3)


def test_the_first_start_reads_them_without_a_mapping_and_without_a_ring(world: World) -> None:
    assert tasks.provision_projects() == 0
    assert (Client.objects.filter(is_known=True).count(), TaigaProject.objects.exists()) == (3, True)


def test_beat_rings_for_them_as_soon_as_it_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    rung: list[str] = []
    monkeypatch.setattr(doorbell, "ring", rung.append)
    beat_init.send(sender=None)
    assert rung == ["lists"]
