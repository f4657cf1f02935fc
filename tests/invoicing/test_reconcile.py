from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest

from billing_console.states import EntryState, InvoiceState, ItemState
from invoicing import creating, payments, reconcile, review, sending
from invoicing.models import Invoice, InvoiceLine
from invoicing.reconcile import Identity
from mappings.models import ProjectMapping
from mappings.rules import month
from sync import attention, entries
from sync.models import RemoteRecord, TimeEntry, WorkItem
from tests.invoicing.world import DECEMBER, built, change_hours, make_client, make_project, make_user, make_work
from tests.outbound import created_invoice, fresh
from tests.standins import World

pytestmark = pytest.mark.django_db


@pytest.fixture
def mapping() -> ProjectMapping:
    return make_project(make_client())


def checked() -> dict[str, Identity]:
    names = ("items", "hours", "money", "invoiced")
    return dict(zip(names, reconcile.check(DECEMBER), strict=True))


def residues() -> dict[str, tuple[str, ...]]:
    return {name: identity.residue for name, identity in checked().items() if not identity.is_true}


def terms(identity: Identity) -> dict[str, tuple[int, Decimal, dict[str, Decimal]]]:
    return {term.name: (term.count, term.hours, term.amounts) for term in identity.right if term.count}


def test_nothing_balances() -> None:
    assert residues() == {}
    assert all(identity.left.count == 0 for identity in checked().values())


def test_every_class_is_counted_once_with_its_hours_and_money(mapping: ProjectMapping) -> None:
    clerk = make_user("Billing clerk")
    make_work(mapping, "2.10")  # ready: 2.25 h
    make_work(mapping, "1", billable=False)
    make_work(mapping, "3", is_synced=False)
    unreadable = make_work(mapping, "1", billable="perhaps")
    attention.hold_entry(make_work(mapping, "1.5"), user=clerk, note="ask the client")
    attention.exclude_entry(make_work(mapping, "4"), user=clerk, note="billed elsewhere")
    attention.write_off_entry(make_work(mapping, "0.5"), user=clerk, note="our mistake")

    found = checked()

    assert residues() == {}
    assert unreadable.state == EntryState.HELD
    assert {name: count for name, (count, _hours, _money) in terms(found["items"]).items()} == {
        "not billable": 1, "unreadable": 1, "held": 1, "billed elsewhere": 1, "unbilled": 2, "written off": 1,
    }  # fmt: skip
    assert found["hours"].left.hours == Decimal("12.10")
    assert {name: hours for name, (_count, hours, _money) in terms(found["hours"]).items()} == {
        "not billable": Decimal(1), "held": Decimal("1.5"), "billed elsewhere": Decimal(4),
        "unbilled": Decimal("5.1"), "written off": Decimal("0.5"),
    }  # fmt: skip
    assert found["money"].left.amounts == {"EUR": Decimal("403.75") + Decimal(285)}


def test_a_draft_holds_what_it_claimed(mapping: ProjectMapping) -> None:
    make_work(mapping, "2.10")
    make_work(mapping, "1")
    built()

    found = checked()

    assert residues() == {}
    assert terms(found["money"]) == {"in a draft": (2, Decimal("3.1"), {"EUR": Decimal("308.75")})}
    assert found["invoiced"].left.count == 0


def test_only_the_period_asked_for(mapping: ProjectMapping) -> None:
    make_work(mapping, "1", closed=dt.datetime(2025, 12, 31, 22, 59, 59, tzinfo=dt.UTC))
    make_work(mapping, "2", closed=dt.datetime(2025, 12, 31, 23, 0, tzinfo=dt.UTC))

    assert checked()["items"].left.count == 1
    assert reconcile.check(month(2026, 1))[1].left.hours == Decimal(2)


def test_several_cycles_of_one_item_add_up(mapping: ProjectMapping) -> None:
    entry = make_work(mapping, "2.10")
    built()
    (draft,) = Invoice.objects.all()
    review.approve(draft, revision=draft.revision, user=make_user("Approver"))
    WorkItem.objects.update(closings=2, finished_at=dt.datetime(2025, 12, 20, 12, 0, tzinfo=dt.UTC))
    change_hours(entry, "3.10")

    assert TimeEntry.objects.count() == 2
    assert residues() == {}
    assert checked()["hours"].left.hours == Decimal("3.1")


def test_hours_taken_away_after_billing_stand_as_an_open_difference(mapping: ProjectMapping) -> None:
    entry = make_work(mapping, "2")
    built()
    (draft,) = Invoice.objects.all()
    review.approve(draft, revision=draft.revision, user=make_user("Approver"))

    change_hours(entry, "1")

    assert residues() == {}
    assert terms(checked()["hours"])["changed after it was billed"] == (1, Decimal("-1"), {})


def test_hours_that_round_to_what_was_billed_balance_without_a_difference(mapping: ProjectMapping) -> None:
    entry = make_work(mapping, "2.10")
    built()
    (draft,) = Invoice.objects.all()
    review.approve(draft, revision=draft.revision, user=make_user("Approver"))

    change_hours(entry, "2.20")

    assert residues() == {}
    TimeEntry.objects.update(raw_hours=Decimal("2.15"))
    WorkItem.objects.update(attributes={"billable": True, "hours": Decimal("2.10")})
    assert residues() == {"hours": ("-0.050000 h",)}  # Taiga says what it said then: the cycle itself is wrong


def test_an_item_that_is_no_longer_billable_keeps_its_hours_in_the_balance(mapping: ProjectMapping) -> None:
    entry = make_work(mapping, "2")
    built()
    (draft,) = Invoice.objects.all()
    review.approve(draft, revision=draft.revision, user=make_user("Approver"))

    WorkItem.objects.update(attributes={"billable": False, "hours": 2})
    entries.evaluate(WorkItem.objects.get(pk=entry.item_id))

    assert residues() == {}


def approved(entry: TimeEntry) -> TimeEntry:
    built()
    (draft,) = Invoice.objects.all()
    review.approve(draft, revision=draft.revision, user=make_user("Approver"))
    return TimeEntry.objects.get(pk=entry.pk)


def typed(entry: TimeEntry, hours: Any, **changes: Any) -> None:
    """Somebody types other hours in Taiga, and perhaps reopens the item; the console reads it."""
    attributes = {"billable": True, "hours": hours}
    WorkItem.objects.filter(pk=entry.item_id).update(attributes=attributes, **changes)
    entries.evaluate(WorkItem.objects.get(pk=entry.item_id))


@pytest.mark.parametrize("is_billed", [False, True])
@pytest.mark.parametrize("state", [ItemState.OPEN, ItemState.GONE])
def test_hours_typed_while_the_item_is_open_wait_with_it(
    mapping: ProjectMapping, is_billed: bool, state: ItemState
) -> None:
    entry = make_work(mapping, "2.10")
    if is_billed:
        approved(entry)

    typed(entry, 5, state=state)

    assert residues() == {}
    (term,) = [term for term in checked()["hours"].right if term.count and term.hours == Decimal("2.9")]
    assert term.name == "changed while the item is open"
    assert [row.url for row in term.rows] == [f"/admin/sync/timeentry/{entry.pk}/change/"]


@pytest.mark.parametrize("decide", [attention.exclude_entry, attention.write_off_entry])
def test_hours_typed_after_a_person_decided_are_a_class_of_their_own(mapping: ProjectMapping, decide: Any) -> None:
    entry = make_work(mapping, "2.10")
    decide(entry, user=make_user("Billing clerk"), note="no")

    typed(entry, 3)

    assert residues() == {}
    assert terms(checked()["hours"])["changed after a person decided"] == (1, Decimal("0.9"), {})


def test_a_billed_item_that_is_closed_again_with_hours_nobody_can_read_balances(mapping: ProjectMapping) -> None:
    entry = approved(make_work(mapping, "2.10"))

    typed(entry, "two hours", closings=2)

    assert TimeEntry.objects.count() == 2
    assert residues() == {}
    assert terms(checked()["hours"])["cannot be read now"] == (1, Decimal("-2.1"), {})


def test_what_nobody_pays_for_is_a_class_of_its_own(mapping: ProjectMapping) -> None:
    make_work(mapping, "1.5")
    ProjectMapping.objects.update(is_active=False)
    entries.evaluate(WorkItem.objects.get())
    make_work(make_project(make_client("Globex")), "1")

    found = checked()

    assert residues() == {}
    assert {name: count for name, (count, _hours, _money) in terms(found["items"]).items()} == {
        "nobody pays": 1, "unbilled": 1,
    }  # fmt: skip
    assert terms(found["hours"])["nobody pays"][1] == Decimal("1.5")


def line_written_over() -> None:
    InvoiceLine.objects.update(amount=Decimal("100.00"))


def line_taken_away() -> None:
    InvoiceLine.objects.update(is_voided=True)


def state_without_a_class() -> None:
    TimeEntry.objects.filter(state=EntryState.READY).update(state="strange")


def hours_written_over() -> None:
    TimeEntry.objects.filter(state=EntryState.READY).update(raw_hours=5)


def net_written_over() -> None:
    remote = RemoteRecord.objects.get(kind="invoice")
    remote.seen = {**remote.seen, "amount": "408.39"}
    remote.save(update_fields=["seen"])


@pytest.mark.parametrize(
    ("tamper", "where", "sentences"),
    [
        (line_written_over, {"money", "invoiced"}, ["priced 337.50 EUR, 100.00 EUR on its line",
                                                    "its lines come to 100.000, net 337.50 EUR in Invoice Ninja"]),
        (line_taken_away, {"money"}, ["priced 337.50 EUR, but on no line"]),
        (state_without_a_class, {"items", "hours"}, ["is in no class: state strange, reason –"]),
        (hours_written_over, {"hours"}, ["typed in Taiga, its cycles carry −3.00 h otherwise"]),
        (net_written_over, {"invoiced"}, ["its lines come to 337.500, net 337.51 EUR in Invoice Ninja"]),
    ],
)  # fmt: skip
def test_every_residue_names_its_rows(world: World, tamper: Any, where: set[str], sentences: list[str]) -> None:
    created_invoice(world, 4.5)
    world.go_to(dt.datetime(2025, 12, 30, 9, tzinfo=dt.UTC))
    world.read(world.add_task("Another", billable=True, hours=2))
    tamper()

    wrong = {name: identity for name, identity in checked().items() if not identity.is_true}

    assert set(wrong) == where
    for identity in wrong.values():
        assert (bool(identity.residue), bool(identity.leftovers)) == (True, True)
        assert all(row.url for row in identity.leftovers)
    said = [row.sentence.replace("\u00a0", " ") for identity in wrong.values() for row in identity.leftovers]
    assert all(any(row.endswith(sentence) for row in said) for sentence in sentences), said


@pytest.mark.parametrize(
    ("tamper", "wrong"),
    [
        (lambda: TimeEntry.objects.update(raw_hours=Decimal("2.20")), {"hours": ("-0.100000 h",)}),
        (lambda: WorkItem.objects.update(attributes={"billable": True, "hours": 3}), {"hours": ("+0.900000 h",)}),
        (lambda: TimeEntry.objects.all().delete(), {"items": ("1 items were closed but have no entry",)}),
    ],
)
def test_what_does_not_balance_is_named_to_the_hour(mapping: ProjectMapping, tamper: Any, wrong: Any) -> None:
    make_work(mapping, "2.10")
    tamper()
    assert residues() == wrong


def test_the_whole_way_balances_with_what_invoice_ninja_holds(world: World) -> None:
    invoice = created_invoice(world, 4.5, 2.1)
    assert residues() == {}
    sending.request_sending(invoice, seal=invoice.seal, user=None)
    sending.send_due()
    payments.poll()

    found = checked()

    assert residues() == {}
    assert found["invoiced"].left.amounts == {"EUR": Decimal("506.25")}
    assert {term.name: term.amounts for term in found["invoiced"].right} == {
        "net in Invoice Ninja": {"EUR": Decimal("506.25")},
        "of it paid, gross": {},
        "of it open, gross": {"EUR": Decimal("612.56")},
    }
    body = {"client_id": "client_abc123", "amount": 300, "invoices": [
        {"invoice_id": invoice.remote.remote_id, "amount": 300}]}  # fmt: skip
    world.api_ninja("POST", "/payments", body)
    payments.poll()
    assert fresh(invoice).state == InvoiceState.PARTLY_PAID
    assert residues() == {}


def test_a_cent_between_the_servers_is_found(world: World) -> None:
    invoice = created_invoice(world, 4.5)
    remote = RemoteRecord.objects.get(pk=invoice.remote_id)
    remote.seen = {**remote.seen, "amount": "408.39"}
    remote.save(update_fields=["seen"])

    assert residues() == {"invoiced": ("EUR -0.01",)}


def test_an_invoice_edited_after_it_was_sent_is_found(world: World) -> None:
    invoice = created_invoice(world, 4.5)
    sending.request_sending(invoice, seal=invoice.seal, user=None)
    sending.send_due()
    line = {"quantity": 1, "cost": 100, "type_id": "2", "notes": "by hand", "task_id": world.tasks()[0]["id"]}
    world.api_ninja("PUT", f"/invoices/{invoice.remote.remote_id}", {"line_items": [line]})
    payments.poll()

    assert residues() == {"invoiced": (f"{fresh(invoice).number}: gross + fees − paid − open = 287.380 EUR",)}


def test_it_reads_with_as_many_queries_for_many_as_for_one(
    mapping: ProjectMapping, django_assert_max_num_queries: Any
) -> None:
    for _number in range(30):
        make_work(mapping, "1")
    entries.evaluate_many([])
    with django_assert_max_num_queries(60):
        reconcile.check(DECEMBER)


def test_it_changes_nothing_and_calls_nobody(world: World) -> None:
    invoice = created_invoice(world)
    before = (list(Invoice.objects.values()), list(TimeEntry.objects.values()), list(RemoteRecord.objects.values()))
    world.fail("ninja", kind="status", status=500, count=None)

    reconcile.check(DECEMBER)

    after = (list(Invoice.objects.values()), list(TimeEntry.objects.values()), list(RemoteRecord.objects.values()))
    assert after == before
    assert creating.create_due() == 0
    assert fresh(invoice).state == InvoiceState.CREATED
