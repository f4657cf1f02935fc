"""Two living things in Invoice Ninja under one key of ours: which is ours, and how the other one ends."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from billing_console.errors import NotAllowed
from billing_console.states import InvoiceState, RecordState
from invoicing import creating, payments, twins
from invoicing.models import Invoice, Twin
from sync import whose
from sync.models import Alarm, RemoteRecord
from sync.upstreams import ninja_client
from tests.invoicing.test_sending_views import words
from tests.invoicing.world import make_user
from tests.outbound import approved_invoice, created_invoice, fresh, make_due
from tests.people import browser_of, post
from tests.standins import World

pytestmark = pytest.mark.django_db


def copy_there(world: World, invoice: Invoice, **changes: Any) -> dict[str, Any]:
    """What a worker that slept makes there: the same body once more."""
    record = RemoteRecord.objects.get(invoice=invoice)
    body = creating.invoice_body(record.desired) | changes
    row: dict[str, Any] = world.api_ninja("POST", "/invoices", body)["data"]
    return row


def twin_of(world: World) -> tuple[Invoice, dict[str, Any], Twin]:
    """A created invoice, its second one there, and what the next poll notes."""
    invoice = created_invoice(world)
    other = copy_there(world, invoice)
    payments.poll()
    return invoice, other, Twin.objects.get()


def end(world: World, twin: Twin) -> RemoteRecord:
    twins.request_end(twin, user=make_user())
    world.ninja.store.guard.clear()
    creating.create_due()
    return RemoteRecord.objects.get(pk=twin.record_id)


@pytest.mark.parametrize(
    ("made", "named", "kept", "others"),
    [
        ({"a": 1}, None, None, []),
        ({"a": 2, "b": 1}, None, "b", ["a"]),
        ({"a": 1, "b": 2}, None, "a", ["b"]),
        ({"a": 1, "b": 2}, "b", "b", ["a"]),  # our books name it
        ({"a": 1, "b": 2}, "gone", "a", ["b"]),
        ({"a": 3, "b": 1, "c": 2}, None, "b", ["c", "a"]),
    ],
)
def test_of_those_under_one_key_the_one_of_our_books_is_ours_else_the_oldest(
    world: World, made: dict[str, int], named: str | None, kept: str | None, others: list[str]
) -> None:
    row = ninja_client().invoice(created_invoice(world).remote.remote_id)
    rows = [
        type(row)(**{**vars(row), "id": name, "created_at": dt.datetime(2026, 1, day, tzinfo=dt.UTC)})
        for name, day in made.items()
    ]
    dead = type(row)(**{**vars(row), "id": "dead", "is_deleted": True})

    both = twins.tell_apart([*rows, dead], named)

    if kept is None:
        assert both is None
    else:
        assert both is not None
        assert (both.kept.id, [one.id for one in both.others]) == (kept, others)


def test_a_second_one_is_said_once_and_is_not_ours(world: World) -> None:
    invoice, other, twin = twin_of(world)

    assert (twin.kept_id, twin.other_id) == (invoice.remote.remote_id, other["id"])
    payments.poll()
    assert (Twin.objects.count(), Alarm.objects.filter(key__startswith="twin-").count()) == (1, 1)
    ninja = ninja_client()
    assert whose.is_known(ninja.invoice(invoice.remote.remote_id)) is True
    assert whose.is_known(ninja.invoice(other["id"])) is False


def test_the_second_draft_is_deleted_and_ours_has_its_tasks_again(world: World) -> None:
    invoice, other, twin = twin_of(world)
    assert {task["invoice_id"] for task in world.tasks()} == {other["id"]}

    record = end(world, twin)

    assert record.state == RecordState.SYNCED
    assert [row["is_deleted"] for row in world.invoices()] == [False, True]
    assert {task["invoice_id"] for task in world.tasks()} == {invoice.remote.remote_id}
    assert (fresh(twin).ended_at is not None, fresh(invoice).state) == (True, InvoiceState.CREATED)
    assert not Alarm.objects.filter(key__startswith="twin-", cleared_at=None).exists()
    assert twins.WISH not in record.desired


def test_a_second_one_that_the_client_has_is_cancelled(world: World) -> None:
    invoice, other, twin = twin_of(world)
    world.api_ninja("POST", "/invoices/bulk", {"action": "mark_sent", "ids": [other["id"]]})

    assert end(world, twin).state == RecordState.SYNCED

    assert [row["status_id"] for row in world.invoices()] == ["1", "5"]
    assert {task["invoice_id"] for task in world.tasks()} == {invoice.remote.remote_id}


def test_a_second_one_with_money_is_left_alone_and_asked_about(world: World) -> None:
    invoice, other, twin = twin_of(world)
    world.api_ninja("POST", "/invoices/bulk", {"action": "mark_paid", "ids": [other["id"]]})

    record = end(world, twin)

    assert (record.state, record.reason) == (RecordState.ATTENTION, "paid_there")
    assert record.sentence.startswith(f"Money came in on {other['number']}, the second invoice for the same work")
    assert fresh(twin).ended_at is None
    assert world.invoices()[1]["status_id"] == "4"


def test_one_that_does_not_bear_our_key_any_more_is_left_alone(world: World) -> None:
    _invoice, other, twin = twin_of(world)
    world.api_ninja("PUT", f"/invoices/{other['id']}", {"private_notes": "mine"})

    record = end(world, twin)

    assert (record.state, record.reason) == (RecordState.ATTENTION, "not_ours")
    assert [row["is_deleted"] for row in world.invoices()] == [False, False]


@pytest.mark.parametrize("fault", ["lost_answer", "refused"])
def test_an_end_whose_answer_is_lost_is_looked_up_and_ends_once(world: World, fault: str) -> None:
    invoice, other, twin = twin_of(world)
    world.fail("ninja", kind=fault, method="POST", path="/api/v1/invoices/bulk", count=1)

    record = end(world, twin)

    assert record.state in (RecordState.IN_DOUBT, RecordState.RETRY)
    for _round in range(3):
        world.ninja.store.guard.clear()
        make_due(record)
        creating.create_due()
    assert fresh(record).state == RecordState.SYNCED
    assert [row["is_deleted"] for row in world.invoices()] == [False, True]
    assert {task["invoice_id"] for task in world.tasks()} == {invoice.remote.remote_id}


def test_both_made_at_one_moment_are_found_by_the_proof_and_the_older_is_kept(world: World) -> None:
    """The sleeper's bytes arrive after the second worker looked, and before it wrote."""
    invoice = approved_invoice(world)
    early: list[dict[str, Any]] = []

    def wake(execute: Any, sql: str, *args: Any) -> Any:
        answer = execute(sql, *args)
        if not early and sql.startswith("SELECT EXISTS (") and "clock_timestamp()" in sql:
            early.append(copy_there(world, invoice))
        return answer

    with connection.execute_wrapper(wake):
        creating.create_due()

    record = RemoteRecord.objects.get(invoice=invoice)
    twin = Twin.objects.get()
    late = next(row for row in world.invoices() if row["id"] != early[0]["id"])
    assert (record.state, record.reason, record.sentence) == (RecordState.ATTENTION, "found_twice", twin.sentence)
    assert (record.remote_id, twin.kept_id, twin.other_id) == (early[0]["id"], early[0]["id"], late["id"])

    assert end(world, twin).state == RecordState.SYNCED
    row = fresh(invoice)
    assert (row.state, row.number) == (InvoiceState.CREATED, early[0]["number"])
    assert {task["invoice_id"] for task in world.tasks()} == {early[0]["id"]}


def test_it_is_asked_for_once(world: World) -> None:
    _invoice, _other, twin = twin_of(world)
    user = make_user()
    twins.request_end(twin, user=user)

    with pytest.raises(NotAllowed, match="is just being ended"):
        twins.request_end(twin, user=user)

    creating.create_due()
    with pytest.raises(NotAllowed, match="has ended in Invoice Ninja"):
        twins.request_end(twin, user=user)


# --- pages ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def twin(world: World) -> Twin:
    return twin_of(world)[2]


def question(twin: Twin) -> str:
    return reverse("admin:invoicing_twin_end", args=[twin.pk])


@pytest.mark.parametrize("who", ["viewer", "clerk", "approver", "administrator"])
def test_everybody_sees_the_list_and_only_approvers_the_question(twin: Twin, who: str) -> None:
    page = words(browser_of(who).get(reverse("admin:invoicing_twin_changelist")))
    assert twin.sentence in page
    assert (f"End {twin.other_number}…" in page) is (who in ("approver", "administrator"))
    answer = browser_of(who).get(question(twin))
    assert answer.status_code == (200 if who in ("approver", "administrator") else 403)
    if who in ("viewer", "clerk"):
        assert post(browser_of(who), question(twin)).status_code == 403
        assert fresh(twin.record).state == RecordState.SYNCED


def test_the_question_names_both_and_changes_nothing_and_the_second_click_is_refused(twin: Twin, world: World) -> None:
    browser = browser_of("approver")

    page = words(browser.get(question(twin)))

    assert f"End {twin.other_number} of" in page
    assert f"and keep {twin.kept_number}?" in page
    assert fresh(twin.record).state == RecordState.SYNCED
    answer = words(post(browser, question(twin), follow=True))
    assert f"{twin.other_number} is being ended in Invoice Ninja." in answer
    assert fresh(twin.record).state == RecordState.PENDING
    assert "is just being ended" in words(browser.get(question(twin), follow=True))
    creating.create_due()
    assert [row["is_deleted"] for row in world.invoices()] == [False, True]
    assert "has ended in Invoice Ninja" in words(browser.get(question(twin), follow=True))


def test_the_list_costs_the_same_however_long_it_is(twin: Twin) -> None:
    browser = browser_of("approver")
    address = reverse("admin:invoicing_twin_changelist")
    browser.get(address)
    with CaptureQueriesContext(connection) as one:
        browser.get(address)
    columns = {"record": twin.record, "kept_id": "a", "sentence": "x", "found_at": twin.found_at}
    Twin.objects.bulk_create(Twin(**columns, other_id=f"o{number}") for number in range(20))
    with CaptureQueriesContext(connection) as many:
        assert browser.get(address).content.decode().count("End o") == 20
    assert len(many) == len(one)
