"""Every arrow of a record × every kind of remote write has a case: a new arrow, or a new kind, fails without one.

`PROVOKED` says what makes the worker take the arrow; the worker is killed right before the commit and right after it,
and the next ordinary round ends in exactly one of each thing. Tasks are in `test_kills`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone

from billing_console import states
from billing_console.states import RecordState
from invoicing import creating, credit_use, crediting, invoice_credit, marking, payments, writing_off
from invoicing.credit_asked import Asked, sums_of
from invoicing.credit_left import left_of
from invoicing.credit_offer import offer
from invoicing.models import Credit, Invoice
from sync import outbox, provision_calls, provisioning, push, writeback
from sync.attention import try_again
from sync.models import Difference, RecordKind, RemoteRecord, TimeEntry, UpstreamGate, WorkItem
from tests.crash.conftest import Nursery, wait_for
from tests.crash.rounds import (
    KILLED,
    MOMENTS,
    RECORD,
    add_entry,
    approve_one,
    arrows_of,
    ask_to_mark,
    assert_one_invoice_each,
    sweep,
)
from tests.crash.test_kills import BY_PERSON, BY_WORKER, assert_one_status
from tests.invoicing.world import make_user
from tests.outbound import fresh
from tests.standins import World

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

Arrow = tuple[str, str]
Provoke = Callable[[World, RemoteRecord], Any]
PATCH = {"server": "taiga", "method": "PATCH", "path": "custom-attributes-values"}
BULK = {"server": "ninja", "method": "POST", "path": "/api/v1/invoices/bulk"}
POST = {"server": "ninja", "method": "POST", "path": "/api/v1/invoices$"}
MAKE = {"server": "taiga", "method": "POST", "path": "userstory-custom-attributes|/webhooks$"}
POST_CREDIT = {"server": "ninja", "method": "POST", "path": "/api/v1/credits$"}
POST_PAYMENT = {"server": "ninja", "method": "POST", "path": "/api/v1/payments$"}
THROTTLED: dict[str, Any] = {"kind": "status", "status": 429}
BROKEN: dict[str, Any] = {"kind": "status", "status": 500}
LOST: dict[str, Any] = {"kind": "lost_answer"}


def fails(call: dict[str, Any], fault: dict[str, Any], *, drained: bool = False) -> Provoke:
    """The call meets the fault; `drained`: it has already done so, and the arrow is what comes next."""

    def provoke(world: World, record: RemoteRecord) -> None:
        world.fail(**call, **fault)
        if drained:
            drain_once(record.kind)

    return provoke


def drain_once(kind: str) -> None:
    {
        "status": writeback.write_due,
        "invoice": creating.create_due,
        "mark_sent": marking.mark_due,
        "provision": provision_calls.provision_due,
        "credit": draining(crediting.HANDLER),
        "credit_use": credit_use.write_due,
    }[kind](limit=1)
    UpstreamGate.objects.update(resume_at=None)


def draining(handler: Any) -> Callable[..., int]:
    return lambda limit: outbox.drain(handler, limit)


def nothing(world: World, record: RemoteRecord) -> None:
    """The worker takes this arrow anyway."""


def written_and_forgotten(world: World, record: RemoteRecord) -> None:
    """Taiga has the status, but the worker did not live to say so, and its lease is over."""
    drain_once("status")
    RemoteRecord.objects.filter(pk=record.pk).update(
        state=RecordState.IN_DOUBT, synced_revision=0, not_before=timezone.now()
    )


def without_attribute(world: World, record: RemoteRecord) -> None:
    fails(PATCH, BROKEN, drained=True)(world, record)
    WorkItem.objects.filter(pk=record.item_id).update(status_attribute_id=None)


def wanted_anew(world: World, record: RemoteRecord) -> Any:
    """While the worker waits for the answer, another revision is wanted."""
    assert record.item is not None
    task = record.item.taiga_id
    world.fail(**PATCH, kind="delay", seconds=0.5, after=True)

    def middle(_pid: int) -> None:
        wait_for(lambda: "Invoice Status" in world.named_values(task))
        RemoteRecord.objects.filter(pk=record.pk).update(revision=2)

    return middle


def credit_deleted_by_hand(world: World, record: RemoteRecord) -> None:
    fails(POST_CREDIT, LOST, drained=True)(world, record)
    rows = world.api_ninja("GET", "/credits?per_page=5000&sort=id|asc")["data"]
    world.api_ninja("POST", "/credits/bulk", {"action": "delete", "ids": [rows[-1]["id"]]})


def used_otherwise(world: World, record: RemoteRecord) -> None:
    """Somebody uses a part of the credit by hand, and the answer of our own use got lost."""
    fails(POST_PAYMENT, BROKEN, drained=True)(world, record)
    wanted = record.desired
    body = {"client_id": wanted["client_id"], "amount": 0, "date": wanted["date"]}
    used = {"credits": [{"credit_id": wanted["credit_id"], "amount": 1}]}
    used |= {"invoices": [{"invoice_id": wanted["invoice_id"], "amount": 1}]}
    world.api_ninja("POST", "/payments", {**body, **used})


def deleted_by_hand(world: World, record: RemoteRecord) -> None:
    fails(POST if record.kind == "invoice" else BULK, LOST, drained=True)(world, record)
    world.api_ninja("POST", "/invoices/bulk", {"action": "delete", "ids": [world.invoices()[-1]["id"]]})


def made_and_forgotten(world: World, record: RemoteRecord) -> None:
    """Taiga has the thing, but the worker did not live to say so, and its lease is over."""
    drain_once("provision")
    RemoteRecord.objects.filter(pk=record.pk).update(
        state=RecordState.IN_DOUBT, synced_revision=0, remote_id=None, seen={}, not_before=timezone.now()
    )
    RemoteRecord.objects.filter(our_key__endswith="/test").delete()


def wanted_once_more(world: World, record: RemoteRecord) -> Any:
    """While the worker waits for the answer, somebody connects the project once more."""
    world.fail(**MAKE, kind="delay", seconds=0.5, after=True)

    def middle(_pid: int) -> None:
        wait_for(lambda: bool(things_like(world, record)))
        RemoteRecord.objects.filter(pk=record.pk).update(revision=2)

    return middle


def taken_out(world: World, record: RemoteRecord) -> None:
    """Nobody knows whether it was made, and the project is not the console's any more."""
    fails(MAKE, LOST, drained=True)(world, record)
    RemoteRecord.objects.filter(pk=record.pk).update(desired={**record.desired, "mapping": 0})


INVALID: dict[str, Any] = {"kind": "status", "status": 422, "body": {"errors": {"date": ["is wrong"]}}}
REFUSED: dict[str, Any] = {"kind": "status", "status": 400, "body": {"_error_message": "No."}}
PROVOKED: dict[tuple[str, Arrow], Provoke] = {
    ("status", ("pending", "in_flight")): nothing,
    ("status", ("in_flight", "synced")): nothing,
    ("status", ("in_flight", "retry")): fails(PATCH, THROTTLED),
    ("status", ("in_flight", "in_doubt")): fails(PATCH, BROKEN),
    ("status", ("in_flight", "attention")): fails(PATCH, REFUSED),
    ("status", ("retry", "in_flight")): fails(PATCH, THROTTLED, drained=True),
    ("status", ("in_doubt", "synced")): written_and_forgotten,
    ("status", ("in_doubt", "pending")): fails(PATCH, BROKEN, drained=True),
    ("status", ("in_doubt", "attention")): without_attribute,
    ("status", ("synced", "pending")): wanted_anew,
    ("invoice", ("pending", "in_flight")): nothing,
    ("invoice", ("in_flight", "synced")): nothing,
    ("invoice", ("in_flight", "retry")): fails(POST, THROTTLED),
    ("invoice", ("in_flight", "in_doubt")): fails(POST, LOST),
    ("invoice", ("in_flight", "attention")): fails(POST, INVALID),
    ("invoice", ("retry", "in_flight")): fails(POST, THROTTLED, drained=True),
    ("invoice", ("in_doubt", "synced")): fails(POST, LOST, drained=True),
    ("invoice", ("in_doubt", "pending")): fails(POST, BROKEN, drained=True),
    ("invoice", ("in_doubt", "attention")): deleted_by_hand,
    ("mark_sent", ("pending", "in_flight")): nothing,
    ("mark_sent", ("in_flight", "synced")): nothing,
    ("mark_sent", ("in_flight", "retry")): fails(BULK, THROTTLED),
    ("mark_sent", ("in_flight", "in_doubt")): fails(BULK, LOST),
    ("mark_sent", ("in_flight", "attention")): fails(BULK, INVALID),
    ("mark_sent", ("retry", "in_flight")): fails(BULK, THROTTLED, drained=True),
    ("mark_sent", ("in_doubt", "synced")): fails(BULK, LOST, drained=True),
    ("mark_sent", ("in_doubt", "pending")): fails(BULK, BROKEN, drained=True),
    ("mark_sent", ("in_doubt", "attention")): deleted_by_hand,
    ("provision", ("pending", "in_flight")): nothing,
    ("provision", ("in_flight", "synced")): nothing,
    ("provision", ("in_flight", "retry")): fails(MAKE, THROTTLED),
    ("provision", ("in_flight", "in_doubt")): fails(MAKE, LOST),
    ("provision", ("in_flight", "attention")): fails(MAKE, REFUSED),
    ("provision", ("retry", "in_flight")): fails(MAKE, THROTTLED, drained=True),
    ("provision", ("in_doubt", "synced")): made_and_forgotten,
    ("provision", ("in_doubt", "pending")): fails(MAKE, BROKEN, drained=True),
    ("provision", ("in_doubt", "attention")): taken_out,
    ("provision", ("synced", "pending")): wanted_once_more,
    ("credit", ("pending", "in_flight")): nothing,
    ("credit", ("in_flight", "synced")): nothing,
    ("credit", ("in_flight", "retry")): fails(POST_CREDIT, THROTTLED),
    ("credit", ("in_flight", "in_doubt")): fails(POST_CREDIT, LOST),
    ("credit", ("in_flight", "attention")): fails(POST_CREDIT, INVALID),
    ("credit", ("retry", "in_flight")): fails(POST_CREDIT, THROTTLED, drained=True),
    ("credit", ("in_doubt", "synced")): fails(POST_CREDIT, LOST, drained=True),
    ("credit", ("in_doubt", "pending")): fails(POST_CREDIT, BROKEN, drained=True),
    ("credit", ("in_doubt", "attention")): credit_deleted_by_hand,
    ("credit_use", ("pending", "in_flight")): nothing,
    ("credit_use", ("in_flight", "synced")): nothing,
    ("credit_use", ("in_flight", "retry")): fails(POST_PAYMENT, THROTTLED),
    ("credit_use", ("in_flight", "in_doubt")): fails(POST_PAYMENT, LOST),
    ("credit_use", ("in_flight", "attention")): fails(POST_PAYMENT, INVALID),
    ("credit_use", ("retry", "in_flight")): fails(POST_PAYMENT, THROTTLED, drained=True),
    ("credit_use", ("in_doubt", "synced")): fails(POST_PAYMENT, LOST, drained=True),
    ("credit_use", ("in_doubt", "pending")): fails(POST_PAYMENT, BROKEN, drained=True),
    ("credit_use", ("in_doubt", "attention")): used_otherwise,
}
# A new revision of an invoice is refused while it is written, so only a person's act takes this arrow (test_kills).
# A credit and its use have no second revision.
NEVER_BY_WORKER = {(kind, ("synced", "pending")) for kind in ("invoice", "mark_sent", "credit", "credit_use")}


def test_every_arrow_of_every_kind_has_a_case() -> None:
    by_worker = {(kind, arrow) for kind in RecordKind.values for arrow in arrows_of(states.RECORD) - BY_PERSON}
    tasks = {("task", arrow) for arrow in BY_WORKER}
    assert by_worker == set(PROVOKED) | NEVER_BY_WORKER | tasks


def cases(kind: str) -> Any:
    arrows = sorted(arrow for of, arrow in PROVOKED if of == kind)
    return pytest.mark.parametrize("arrow", arrows, ids="→".join)


@cases("status")
def test_a_write_back_killed_at_an_arrow_ends_in_one_status(near: World, nursery: Nursery, arrow: Arrow) -> None:
    for moment in MOMENTS:
        entry = add_entry(near, f"Status killed {moment}")
        push.push_due()
        record = RemoteRecord.objects.get(kind="status", item=entry.item)
        attribute = fresh(entry.item).status_attribute_id
        middle = PROVOKED["status", arrow](near, record)

        code = nursery.run("sync.writeback.write_due", die_at=(RECORD, *arrow, moment), middle=middle)

        assert code == KILLED
        assert (fresh(record).state == arrow[1]) is (moment == "after")
        sweep("status")
        WorkItem.objects.filter(pk=entry.item_id).update(status_attribute_id=attribute)
        tried_again(record, "status")
        assert_one_status(near, entry)


@cases("invoice")
def test_a_creation_killed_at_an_arrow_ends_in_one_invoice(near: World, nursery: Nursery, arrow: Arrow) -> None:
    for number, moment in enumerate(MOMENTS):
        invoice = approve_one(near, number)
        record = RemoteRecord.objects.get(invoice=invoice)
        PROVOKED["invoice", arrow](near, record)

        code = nursery.run("invoicing.creating.create_due", die_at=(RECORD, *arrow, moment))

        assert code == KILLED
        assert (fresh(record).state == arrow[1]) is (moment == "after")
        sweep("invoice")
        if arrow == ("in_doubt", "attention"):
            assert_left_deleted(near)
        else:
            tried_again(record, "invoice")
            assert_one_invoice_each(near)


@cases("mark_sent")
def test_a_mark_killed_at_an_arrow_ends_sent_and_without_a_mail(near: World, nursery: Nursery, arrow: Arrow) -> None:
    for number, moment in enumerate(MOMENTS):
        invoice = approve_one(near, number)
        creating.create_due()
        record = ask_to_mark(fresh(invoice))
        PROVOKED["mark_sent", arrow](near, record)

        code = nursery.run("invoicing.marking.mark_due", die_at=(RECORD, *arrow, moment))

        assert code == KILLED
        assert (fresh(record).state == arrow[1]) is (moment == "after")
        sweep("mark_sent")
        if arrow == ("in_doubt", "attention"):
            assert (fresh(record).state, fresh(invoice).state) == ("attention", "attention")
        else:
            tried_again(record, "mark_sent")
            assert (fresh(record).state, fresh(invoice).state) == ("synced", "sent")
            assert near.invoices()[-1]["status_id"] == "2"
        assert near.mails() == []


@pytest.mark.parametrize("thing", ["U/billable", "hook"])
@cases("provision")
def test_a_connection_killed_at_an_arrow_ends_in_one_thing(
    near: World, nursery: Nursery, arrow: Arrow, thing: str
) -> None:
    for project, moment in zip((1, 2), MOMENTS, strict=True):
        record = only_wanted(near, project, thing)
        middle = PROVOKED["provision", arrow](near, record)

        code = nursery.run("sync.provision_calls.provision_due", die_at=(RECORD, *arrow, moment), middle=middle)

        assert code == KILLED
        assert (fresh(record).state == arrow[1]) is (moment == "after")
        sweep("provision")
        RemoteRecord.objects.filter(pk=record.pk).update(desired=record.desired)
        tried_again(record, "provision")
        (there,) = things_like(near, record)
        now = fresh(record)
        assert (now.state, now.seen["id"], now.seen["wrong"]) == ("synced", there["id"], [])
        RemoteRecord.objects.filter(kind="provision").delete()


def only_wanted(world: World, project: int, thing: str) -> RemoteRecord:
    """The one thing of a project that has neither, wanted now."""
    for hook in hooks_of(world, project):
        world.api_taiga("DELETE", f"/webhooks/{hook['id']}", who="owner")
    target = provisioning.target_of(world.mapping)
    provisioning.connect(project, f"Project {project}", "", target, ["U"])
    RemoteRecord.objects.filter(kind="provision").exclude(our_key=f"P{project}/{thing}").delete()
    return RemoteRecord.objects.get(kind="provision")


def hooks_of(world: World, project: int) -> Any:
    return world.api_taiga("GET", f"/webhooks?project={project}", who="owner")


def things_like(world: World, record: RemoteRecord) -> Any:
    """What Taiga holds of its kind in its project."""
    project = int(record.our_key[1:].partition("/")[0])
    if record.desired["thing"] == "hook":
        return hooks_of(world, project)
    return world.api_taiga("GET", f"/userstory-custom-attributes?project={project}", who="owner")


@pytest.mark.parametrize("asked", ["difference", "rest", "person"])
@cases("credit")
def test_a_credit_killed_at_an_arrow_ends_in_one_credit(
    near: World, nursery: Nursery, arrow: Arrow, asked: str
) -> None:
    for number, moment in enumerate(MOMENTS):
        credit = {"difference": ask_credit, "rest": ask_write_off, "person": ask_goodwill}[asked](near, number)
        record = credit.remote
        PROVOKED["credit", arrow](near, record)

        code = nursery.run("invoicing.crediting.write_due", die_at=(RECORD, *arrow, moment))

        assert code == KILLED
        assert (fresh(record).state == arrow[1]) is (moment == "after")
        sweep("credit")
        there = near.api_ninja("GET", "/credits?per_page=5000&sort=id|asc")["data"]
        if arrow == ("in_doubt", "attention"):
            assert (fresh(record).state, there[-1]["is_deleted"]) == ("attention", True)
        else:
            tried_again(record, "credit")
            there = near.api_ninja("GET", "/credits?per_page=5000&sort=id|asc")["data"]
            assert fresh(record).state == "synced"
        keys = [row["private_notes"] for row in there]
        assert keys == [row.key for row in Credit.objects.order_by("pk")]


@cases("credit_use")
def test_the_use_of_a_credit_killed_at_an_arrow_ends_in_one_payment(
    near: World, nursery: Nursery, arrow: Arrow
) -> None:
    for number, moment in enumerate(MOMENTS):
        credit = ask_credit(near, number)
        sweep("credit")
        payments.poll()
        record = credit_use.request_use(fresh(credit))
        near.ninja.store.guard.clear()  # two months of the story lie within a second of the server
        PROVOKED["credit_use", arrow](near, record)

        code = nursery.run("invoicing.credit_use.write_due", die_at=(RECORD, *arrow, moment))

        assert code == KILLED
        assert (fresh(record).state == arrow[1]) is (moment == "after")
        near.ninja.store.guard.clear()
        sweep("credit_use")
        if arrow == ("in_doubt", "attention"):
            assert fresh(record).state == "attention"
        else:
            tried_again(record, "credit_use")
            assert (fresh(record).state, fresh(credit).used) == ("synced", fresh(credit).gross)
        assert len(near.api_ninja("GET", "/payments")["data"]) == number + 1


def ask_write_off(world: World, number: int) -> Credit:
    """A sent invoice, and 8.38 of it that an approver writes off."""
    invoice = send_one(world, number)
    facts = {"amount": "8.38", "cause": "bank_costs", "balance": str(invoice.balance)}
    credit = writing_off.request_write_off(invoice, **facts, user=make_user(), note="fee")
    credit.uses.update(is_dropped=True)  # its use is a record of its own, killed elsewhere
    return credit


def ask_goodwill(world: World, number: int) -> Credit:
    """A sent invoice of which an approver gives a tenth back as goodwill, set against nothing."""
    invoice = send_one(world, number)
    asked, left = Asked(way="per_cent", meaning="goodwill", per_cent="10"), left_of(invoice)
    mark = invoice_credit.mark_of(asked, left, sums_of(asked, left))
    credit = invoice_credit.request_credit(invoice, asked, mark=mark, user=make_user(), note="sorry")
    assert credit is not None
    return credit


def send_one(world: World, number: int) -> Invoice:
    """An invoice that was marked as sent there, and read."""
    invoice = approve_one(world, number)
    creating.create_due()
    remote_id = fresh(invoice).remote.remote_id
    world.api_ninja("POST", "/invoices/bulk", {"action": "mark_sent", "ids": [remote_id]})
    payments.poll()
    return Invoice.objects.get(pk=invoice.pk)


def ask_credit(world: World, number: int) -> Credit:
    """A sent invoice of which somebody took 1 h back, and the credit that an approver asks for."""
    send_one(world, number)
    entry = TimeEntry.objects.latest("pk")
    world.set_values(entry.item.taiga_id, hours=3.5)
    world.read(entry.item.taiga_id)
    difference = Difference.objects.get(item=entry.item, state="open")
    offered, _why = offer(difference)
    assert offered is not None
    gross = str(offered.gross)
    return crediting.request_credit(difference, mark=difference.mark, gross=gross, user=make_user(), note="agreed")


def assert_left_deleted(world: World) -> None:
    """What somebody deleted waits for a person, and is not made again."""
    assert {row["is_deleted"] for row in world.invoices()} == {True}
    assert [row["private_notes"] for row in world.invoices()] == [row.key for row in Invoice.objects.order_by("pk")]
    assert set(RemoteRecord.objects.filter(kind="invoice").values_list("state", flat=True)) == {"attention"}


def tried_again(record: RemoteRecord, kind: str) -> None:
    """A person tries again what waits for one."""
    if fresh(record).state == RecordState.ATTENTION:
        try_again(fresh(record), user=make_user())
        sweep(kind)
