"""Values of others have a bound: what is longer than anything readable is kept by its beginning, length and hash."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

import pytest
from django.contrib import admin
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import NoReverseMatch, reverse

from sync import push, writeback
from sync.bounds import LONGEST_VALUE, bounded_values
from sync.models import TimeEntry, WorkItem
from tests.factories import DeliveryFactory, DifferenceFactory, RemoteTaskFactory, TimeEntryFactory
from tests.people import browser_of
from tests.standins import World

# Columns that may hold whole answers of others, or bodies: no list loads them.
HEAVY = re.compile(
    r'"sync_workitem"."(?:values|status_before_ours)"|"sync_remoterecord"."desired"'
    r'|"sync_webhookdelivery"."(?:raw_body|headers)"|"invoicing_invoicepdf"."content"|"invoicing_closingfile"."content"'
)


@pytest.mark.parametrize(
    "value",
    ["two hours", "x" * LONGEST_VALUE, 4.5, None, True, {"a": [1]}, [], 0, "é" * LONGEST_VALUE],
)
def test_what_can_be_read_is_kept_as_it_is(value: Any) -> None:
    assert bounded_values({"1": value}) == {"1": value}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("7" * 20_000_000, "7" * 20_000_000),
        ([[]] * 100_000, json.dumps([[]] * 100_000)),
        ({"a": "b" * 5000}, json.dumps({"a": "b" * 5000})),
        (int("9" * 2000), "9" * 2000),
    ],
)
def test_of_what_nobody_reads_the_beginning_the_length_and_a_hash_are_kept(value: Any, text: str) -> None:
    kept = bounded_values({"1": value})["1"]
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    assert kept == f"{text[:200]}… ({len(text)} characters, sha256 {digest})"
    assert bounded_values({"1": kept}) == {"1": kept}  # once is enough
    assert bounded_values({"1": value})["1"] == kept
    other = bounded_values({"1": text + "7"})["1"]
    assert other != kept


@pytest.mark.parametrize("name", ["hours", "client", "rate", "status"])
def test_a_long_value_of_a_task_is_held_cut_and_the_page_is_short(world: World, name: str) -> None:
    task = world.add_task("Long", **{"billable": True, "hours": 2, name: "7x" * 250_000})
    entry = world.read(task)

    assert entry.state == "held" or name == "status"
    item = WorkItem.objects.get(pk=entry.item_id)
    assert len(json.dumps(item.values, default=str)) < 2_000
    assert len(json.dumps(item.attributes, default=str)) < 2_000
    browser = browser_of("administrator")
    for address in ("admin:sync_attention", "admin:sync_timeentry_changelist", "admin:sync_unmapped"):
        assert len(browser.get(reverse(address)).content) < 300_000
    again = world.read(task)
    assert (again.pk, again.state, again.cycle) == (entry.pk, entry.state, entry.cycle)


def test_what_is_written_back_is_what_taiga_has_however_long(world: World) -> None:
    """The values are merged from a fresh reading, never from what we keep of them."""
    task = world.add_task("Long", billable=True, hours=2)
    story = {"name": "Story", "project": world.mapping.taiga_project_id, "type": "text", "order": 9}
    other = world.api_taiga("POST", "/task-custom-attributes", story, who="owner")["name"]
    names, now = world.attribute_ids(), world.values(task)
    long = "a long story " * 10_000
    body = {"attributes_values": {**now["attributes_values"], str(names[other]): long}, "version": now["version"]}
    world.api_taiga("PATCH", f"/tasks/custom-attributes-values/{task}", body)
    world.read(task)
    push.push_due()
    writeback.write_due()

    values = world.named_values(task)
    assert values["Invoice Status"] == "Invoiced"
    assert values[other] == long


def test_an_answer_about_one_item_is_refused_when_it_is_longer_than_any(world: World) -> None:
    task = world.add_task("Long", billable=True, hours="7" * 2_000_000)
    with pytest.raises(TimeEntry.DoesNotExist):
        world.read(task)
    item = WorkItem.objects.get(taiga_id=task)
    assert "its answer is too large" in item.error


# --- lists ------------------------------------------------------------------------------------------------------------

OWN_LISTS = (
    "admin:index",
    "admin:sync_attention",
    "admin:sync_unmapped",
    "admin:sync_coverage",
    "admin:doctor",
    "admin:invoicing_reminders",
)


def lists() -> list[str]:
    found = list(OWN_LISTS)
    for model in admin.site._registry:
        found.append(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    return found


@pytest.mark.django_db
@pytest.mark.parametrize("name", lists())
def test_no_list_loads_what_may_be_long(name: str) -> None:
    for _number in range(2):
        entry = TimeEntryFactory()
        DifferenceFactory(entry=entry, item=entry.item)
        DeliveryFactory(item_taiga_id=entry.item.taiga_id)
        RemoteTaskFactory(item=entry.item, our_key=f"T{entry.item.taiga_id}-2", remote_id=f"r{entry.item.taiga_id}")
    try:
        address = reverse(name)
    except NoReverseMatch:
        pytest.skip("no such page")
    browser = browser_of("administrator")
    browser.get(address)
    with CaptureQueriesContext(connection) as queries:
        assert browser.get(address, follow=True).status_code == 200
    assert [found for one in queries for found in HEAVY.findall(one["sql"].partition(" FROM ")[0])] == []
