"""Working on what was received: claims, leases, our own echo, failures; no call is made for any of it."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from billing_console.errors import IllegalTransition
from billing_console.states import DeliveryState, RecordState
from sync import attention, ingest
from sync.models import (
    RemoteRecord,
    TaigaAttributes,
    Transition,
    UpstreamCall,
    UpstreamPin,
    Verdict,
    WebhookDelivery,
    WorkItem,
)
from sync.payloads import read_delivery
from tests.sync.making import Office

pytestmark = pytest.mark.django_db
BOT = 9


def receive(body: dict[str, Any], mapping: Any = None) -> WebhookDelivery:
    raw = json.dumps(body).encode()
    received = ingest.receive(raw, read_delivery(raw), headers={}, address="127.0.0.1", mapping=mapping)
    return WebhookDelivery.objects.get(uuid=received.uuid)


def change(
    item_id: int = 1, *, by: int = 3, diff: Any = None, kind: str = "task", action: str = "change", **more: Any
) -> dict[str, Any]:
    return {
        "action": action,
        "type": kind,
        "by": {"id": by, "username": "somebody"},
        "date": "2025-12-01T14:30:00.123Z",
        "data": {"id": item_id, "ref": 45, "subject": "Spike", "project": {"id": 7, "name": "Website"}},
        "change": {"comment": "", "diff": diff or {}},
        **more,
    }


def status_diff(value: Any, part: str = "new") -> dict[str, Any]:
    row: dict[str, Any] = {"name": "Invoice Status", "type": "dropdown"}
    if part == "changed":
        row["changes"] = {"value": ["Pending Invoice", value]}
    else:
        row["value"] = value
    return {"custom_attributes": {"new": [], "changed": [], "deleted": [], part: [row]}}


def test_a_task_delivery_marks_the_item_with_its_correlation(office: Office) -> None:
    delivery = receive(change())
    assert ingest.process_due() == 1
    item = WorkItem.objects.get()
    assert (item.kind, item.taiga_id, item.taiga_project_id, item.is_dirty) == ("T", 1, 7, True)
    assert (item.found_by, item.marked_by) == ("webhook", "webhook")
    assert item.correlation_id == delivery.uuid
    delivery.refresh_from_db()
    assert delivery.state == DeliveryState.PROCESSED
    assert delivery.processed_at is not None
    moves = Transition.objects.filter(model="sync.webhookdelivery").order_by("id")
    assert [move.to_state for move in moves] == ["processing", "processed"]
    assert {move.correlation_id for move in moves} == {delivery.uuid}
    assert not UpstreamCall.objects.exists()


def test_nothing_waits_after_a_batch_and_nothing_is_done_twice(office: Office) -> None:
    for number in range(120):
        receive(change(number + 1))
    assert ingest.process_due(limit=100) == 100
    assert ingest.process_due() == 20
    assert ingest.process_due() == 0
    assert WorkItem.objects.count() == 120


@pytest.mark.parametrize(("kind", "item_kind"), [("userstory", "U"), ("issue", "I")])
def test_stories_and_issues_are_read_unless_they_have_nothing_to_bill_by(
    office: Office, kind: str, item_kind: str
) -> None:
    receive(change(1, kind=kind))
    ingest.process_due()
    assert list(WorkItem.objects.values_list("kind", "taiga_id")) == [(item_kind, 1)]

    TaigaAttributes.objects.create(
        taiga_project_id=office.mapping.taiga_project_id, kind=item_kind, names={"1": "Colour"}, read_at=timezone.now()
    )
    receive(change(2, kind=kind))
    ingest.process_due()

    delivery = WebhookDelivery.objects.latest("id")
    assert (delivery.item_kind, delivery.state) == (item_kind, DeliveryState.IGNORED)
    assert WorkItem.objects.count() == 1

    TaigaAttributes.objects.update(names={"1": "Colour", "2": "billable"})
    receive(change(3, kind=kind))
    ingest.process_due()
    assert WorkItem.objects.count() == 2


def test_a_deleted_story_has_its_projects_waiting_tasks_read(office: Office) -> None:
    waiting, other = office.item(1), office.item(2, billable=False)
    office.entry(waiting)
    office.entry(other)
    receive(change(50, kind="userstory", action="delete"))
    ingest.process_due()
    assert list(WorkItem.objects.filter(is_dirty=True, kind="T")) == [waiting]


def test_a_project_event_of_a_projects_own_hook_has_its_waiting_tasks_read(office: Office) -> None:
    item = office.item(1)
    office.entry(item)
    body = {"action": "delete", "type": "project", "by": {"id": 3}, "date": "2025-12-01T14:30:00Z", "data": None}
    receive(body, office.mapping)
    ingest.process_due()
    assert WorkItem.objects.get().is_dirty
    assert WebhookDelivery.objects.get().state == DeliveryState.PROCESSED


# --- our own echo -----------------------------------------------------------------------------------------------------


@pytest.fixture
def written(office: Office) -> RemoteRecord:
    """We want "Invoiced" on task 1 in Taiga; the answer to our PATCH has not come yet."""
    UpstreamPin.objects.create(server="taiga", base_url="http://taiga", identity=str(BOT))
    item = office.item(1)
    WorkItem.objects.update(status_before_ours={"value": None})
    return RemoteRecord.objects.create(
        server="taiga",
        kind="status",
        our_key="T1",
        item=item,
        desired={"value": "Invoiced"},
        state=RecordState.PENDING,
    )


@pytest.mark.parametrize("part", ["new", "changed"])
def test_our_own_echo_costs_nothing(written: RemoteRecord, part: str) -> None:
    receive(change(by=BOT, diff=status_diff("Invoiced", part)))
    ingest.process_due()
    delivery = WebhookDelivery.objects.get()
    assert (delivery.verdict, delivery.state) == (Verdict.ECHO, DeliveryState.IGNORED)
    assert not WorkItem.objects.get().is_dirty


def test_the_echo_of_a_restored_status_is_ours_too(written: RemoteRecord) -> None:
    RemoteRecord.objects.update(desired={"restore": True})
    receive(change(by=BOT, diff=status_diff("Invoiced", "deleted")))
    ingest.process_due()
    assert WebhookDelivery.objects.get().verdict == Verdict.ECHO


@pytest.mark.parametrize(
    "body",
    [
        change(by=3, diff=status_diff("Invoiced")),  # a person
        change(by=BOT, diff=status_diff("Not Billable")),  # not what we wrote
        change(by=BOT, diff={**status_diff("Invoiced"), "status": {"from": "New", "to": "Closed"}}),  # and more
        change(by=BOT, diff={"custom_attributes": {"new": [{"name": "Billable", "value": "Invoiced"}]}}),
        change(2, by=BOT, diff=status_diff("Invoiced")),  # another item
        change(by=BOT, diff={"custom_attributes": []}),
        change(by=BOT, diff={"custom_attributes": {"new": 5}}) | {"change": []},
        change(by=BOT),
    ],
)
def test_everything_else_of_the_service_user_is_read(written: RemoteRecord, body: dict[str, Any]) -> None:
    receive(body)
    ingest.process_due()
    assert WebhookDelivery.objects.get().state == DeliveryState.PROCESSED
    assert WorkItem.objects.filter(is_dirty=True).count() == 1


# --- what goes wrong --------------------------------------------------------------------------------------------------


def test_a_worker_that_died_leaves_the_delivery_to_the_next(office: Office) -> None:
    receive(change())
    assert len(ingest._claim(10)) == 1  # and then the worker is killed
    assert ingest.process_due() == 0
    WebhookDelivery.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert ingest.process_due() == 1
    assert WebhookDelivery.objects.get().state == DeliveryState.PROCESSED
    assert WorkItem.objects.count() == 1


def test_a_worker_that_slept_past_its_lease_writes_no_outcome(office: Office) -> None:
    receive(change())
    (asleep,) = ingest._claim(10)
    WebhookDelivery.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    ingest.process_due()
    ingest._process(asleep)
    row = WebhookDelivery.objects.get()
    assert (row.state, row.attempts) == (DeliveryState.PROCESSED, 2)


def test_a_failure_waits_then_stands_with_a_sentence_and_blocks_nobody(
    office: Office, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.RETRY_BASE_SECONDS = 0.0
    bad, good = receive(change(1)), receive(change(2))
    mark = ingest.mark_dirty

    def fail_on_one(kind: str, taiga_id: int, **more: Any) -> None:
        if taiga_id == 1:
            raise RuntimeError("the disk is on fire")
        mark(kind, taiga_id, **more)

    monkeypatch.setattr(ingest, "mark_dirty", fail_on_one)
    ingest.process_due()
    good.refresh_from_db()
    bad.refresh_from_db()
    assert good.state == DeliveryState.PROCESSED
    assert (bad.state, bad.attempts) == (DeliveryState.FAILED, ingest.MAX_ATTEMPTS)
    assert "process it again" in bad.error
    assert "fire" not in bad.error

    monkeypatch.undo()
    attention.process_again(bad, user=office.user)
    ingest.process_due()
    bad.refresh_from_db()
    assert (bad.state, bad.error, bad.attempts) == (DeliveryState.PROCESSED, "", 1)
    assert Transition.objects.filter(model="sync.webhookdelivery", row_id=bad.pk, user=office.user).count() == 1


def test_a_failed_attempt_is_not_tried_before_its_time(
    office: Office, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.RETRY_BASE_SECONDS = 60.0

    def fail(*args: Any, **more: Any) -> None:
        raise RuntimeError

    monkeypatch.setattr(ingest, "mark_dirty", fail)
    delivery = receive(change())
    assert ingest.process_due() == 1
    assert ingest.process_due() == 0
    delivery.refresh_from_db()
    assert delivery.state == DeliveryState.RECEIVED
    assert delivery.not_before is not None
    assert delivery.not_before > timezone.now() + timedelta(seconds=40)


def test_processing_again_is_refused_while_it_waits(office: Office) -> None:
    delivery = receive(change())
    with pytest.raises(IllegalTransition):
        attention.process_again(delivery, user=office.user)
