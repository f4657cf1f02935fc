"""Every night: no task of ours on two living invoices. The stand-in's memory holds what was done by hand."""

from __future__ import annotations

from typing import Any

import pytest

from invoicing import double_billing
from invoicing.models import DoubleBilling
from sync import upstreams
from sync.clients import ninja_lists
from sync.models import Alarm, Heartbeat, UpstreamCall
from tests.outbound import created_invoice
from tests.standins import World


def by_hand(world: World, *tasks: Any, **more: Any) -> dict[str, Any]:
    """Somebody makes an invoice in Invoice Ninja that names these tasks."""
    lines = [{"task_id": task["id"], "quantity": 1, "cost": 75, "type_id": "2", "notes": "by hand"} for task in tasks]
    body = {"client_id": "client_abc123", "line_items": lines, **more}
    return dict(world.api_ninja("POST", "/invoices", body)["data"])


def test_all_is_well_and_nothing_is_changed(world: World) -> None:
    created_invoice(world, 4.5, 2.0)
    by_hand(world)
    before = UpstreamCall.objects.count()

    assert double_billing.check() == 0

    assert (DoubleBilling.objects.count(), Alarm.objects.count()) == (0, 0)
    assert Heartbeat.objects.get(name="double_billing").detail == "0 tasks on two invoices"
    calls = UpstreamCall.objects.order_by("id")[before:]
    assert {call.method for call in calls} == {"GET"}
    assert len(calls) <= 2


def test_a_task_on_a_second_invoice_is_an_alarm_that_names_both_and_ends_with_it(world: World) -> None:
    invoice = created_invoice(world, 4.5, 2.0)
    foreign = by_hand(world, world.tasks()[1])

    assert double_billing.check() == 1
    assert double_billing.check() == 1  # the next night: the same finding, no second one

    (row,), (alarm,) = DoubleBilling.objects.all(), Alarm.objects.all()
    assert (row.record.our_key, row.ended_at) == ("TAIGA-T2-1", None)
    assert row.invoices == [
        [invoice.number, invoice.remote.remote_id, True], [foreign["number"], foreign["id"], False],
    ]  # fmt: skip
    assert (
        row.sentence
        == alarm.sentence
        == (
            f"TAIGA-T2-1 is on 2 invoices in Invoice Ninja: {invoice.number} (ours), {foreign['number']} (by hand). "
            "The client pays it twice; take it off the wrong one there, or cancel that."
        )
    )
    assert (alarm.key, alarm.cleared_at) == ("double-billing-TAIGA-T2-1", None)

    world.api_ninja("DELETE", f"/invoices/{foreign['id']}")
    assert double_billing.check() == 0
    assert DoubleBilling.objects.get().ended_at is not None
    assert Alarm.objects.get().cleared_at is not None


@pytest.mark.parametrize("end", ["delete", "cancel"])
def test_an_ended_invoice_bills_nobody(world: World, end: str) -> None:
    created_invoice(world)
    foreign = by_hand(world, world.tasks()[0])
    for act in ("mark_sent", end):
        world.api_ninja("POST", "/invoices/bulk", {"action": act, "ids": [foreign["id"]]})
    assert double_billing.check() == 0


def test_two_invoices_by_hand_name_a_task_that_is_on_none_of_ours(world: World) -> None:
    world.read(world.add_task("Task", billable=True, hours=1))
    from sync import push

    push.push_due()
    numbers = sorted(by_hand(world, *world.tasks())["number"] for _time in range(2))
    assert double_billing.check() == 1
    assert [one[0] for one in DoubleBilling.objects.get().invoices] == numbers


def test_one_invoice_by_hand_is_no_double_and_left_to_the_poll(world: World) -> None:
    world.read(world.add_task("Task", billable=True, hours=1))
    from sync import push

    push.push_due()
    by_hand(world, *world.tasks())
    assert double_billing.check() == 0


def test_a_copy_of_ours_is_found_as_well(world: World) -> None:
    invoice = created_invoice(world)
    copy = by_hand(world, world.tasks()[0], private_notes=invoice.key)
    assert double_billing.check() == 1
    assert sorted(one[1] for one in DoubleBilling.objects.get().invoices) == sorted(
        [copy["id"], invoice.remote.remote_id]
    )


def test_many_pages_are_looked_through_one_after_the_other(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    created_invoice(world)
    monkeypatch.setattr(ninja_lists, "PAGE_SIZE", 5)
    monkeypatch.setattr(double_billing, "PAGE", 5)
    for _number in range(12):
        by_hand(world)
    by_hand(world, world.tasks()[0])
    held: list[int] = []
    books = double_billing._books
    monkeypatch.setattr(double_billing, "in_batches", lambda rows, _size: _watched(rows, held))

    assert double_billing.check() == 1

    assert max(held) <= 5
    assert sum(held) >= 14
    assert books is double_billing._books


def _watched(rows: Any, held: list[int]) -> Any:
    from itertools import islice

    while page := list(islice(rows, 5)):
        held.append(len(page))
        yield page


@pytest.mark.parametrize("path", ["/api/v1/invoices\\?", "/api/v1/invoices/"])
def test_a_failure_in_the_middle_finds_and_ends_nothing(world: World, path: str) -> None:
    created_invoice(world)
    by_hand(world, world.tasks()[0])
    double_billing.check()
    assert upstreams.check_pin("invoice_ninja")
    world.fail("ninja", kind="status", status=503, method="GET", path=path, count=1)

    assert double_billing.check() == 0

    assert DoubleBilling.objects.get().ended_at is None
    assert Alarm.objects.get(key__startswith="double").cleared_at is None
    assert "maintenance" in Heartbeat.objects.get(name="double_billing_failed").detail
