"""From an item to its entry: every reason that concerns tasks, the price with its why, re-evaluation in place."""

from __future__ import annotations

import datetime as dt
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from billing_console.states import EntryState, ItemState, Reason, RecordState
from mappings.models import Client, Company, Rate, RuleSet
from sync import attention, entries, explain
from sync.models import RemoteRecord, TimeEntry, Transition, WorkItem
from tests.sync.making import Office

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("who", "raw", "hours", "billed", "rate", "amount"),
    [
        ("alice", {"hours": Decimal("4.5")}, "4.5", "4.50", "95", "427.50"),
        ("carol", {"hours": Decimal("0.1")}, "0.1", "0.25", "50", "12.50"),
        ("alice", {"hours": "2,5"}, "2.5", "2.50", "95", "237.50"),
        (None, {"hours": Decimal("1.05")}, "1.05", "1.25", "75", "93.75"),
        ("alice", {"hours": 3, "rate": 110}, "3", "3.00", "110", "330.00"),
        ("carol", {"hours": Decimal("0.35")}, "0.35", "0.50", "50", "25.00"),
        ("alice", {"hours": "4h20"}, "4.333333", "4.50", "95", "427.50"),
        ("alice", {"hours": 24}, "24", "24.00", "95", "2280.00"),
        ("alice", {"hours": 1, "rate": "110,50"}, "1", "1.00", "110.50", "110.50"),
        ("alice", {"hours": 1, "client": "client_abc123"}, "1", "1.00", "95", "95.00"),
    ],
)
def test_a_closed_billable_task_is_ready_with_its_price(
    office: Office, who: str | None, raw: dict[str, Any], hours: str, billed: str, rate: str, amount: str
) -> None:
    item = office.item(who=getattr(office, who) if who else None, **raw)
    entry = office.entry(item)

    assert (entry.state, entry.reason, entry.cycle) == (EntryState.READY, "", 1)
    assert entry.raw_hours == Decimal(hours)
    assert (entry.billed_hours, entry.rate, entry.amount) == (Decimal(billed), Decimal(rate), Decimal(amount))
    assert (entry.currency, entry.client, entry.project) == ("EUR", office.client, office.mapping)
    assert entry.work_date == dt.date(2025, 12, 1)
    record = RemoteRecord.objects.get()
    assert (record.our_key, record.state) == ("TAIGA-T1-1", RecordState.PENDING)
    assert record.desired["rate"] == f"{Decimal(rate):.2f}"
    trail = Transition.objects.filter(model="sync.timeentry", row_id=entry.pk)
    assert [(move.from_state, move.to_state) for move in trail] == [("", "ready")]


HELD = [
    ({"hours": "two hours"}, Reason.UNREADABLE_HOURS, '"two hours"'),
    ({"hours": None}, Reason.UNREADABLE_HOURS, "null"),
    ({"hours": -1}, Reason.UNREADABLE_HOURS, "-1"),
    ({"hours": [1]}, Reason.UNREADABLE_HOURS, "[1]"),
    ({"hours": True}, Reason.UNREADABLE_HOURS, "true"),
    ({"hours": 0}, Reason.NO_HOURS, ""),
    ({"hours": "0"}, Reason.NO_HOURS, ""),
    ({"hours": Decimal("24.01")}, Reason.TOO_MANY_HOURS, ""),
    ({"billable": "maybe"}, Reason.UNREADABLE_BILLABLE, '"maybe"'),
    ({"rate": -5}, Reason.UNREADABLE_RATE, "-5"),
    ({"rate": "cheap"}, Reason.UNREADABLE_RATE, '"cheap"'),
    ({"rate": Decimal("95.005")}, Reason.UNREADABLE_RATE, "95.005"),
    ({"rate": 0}, Reason.FREE_OF_CHARGE, ""),
    ({"status": "Invoiced"}, Reason.BILLED_ELSEWHERE, ""),
    ({"status": "invoiced"}, Reason.BILLED_ELSEWHERE, ""),
    ({"client": "INV_CLIENT_123"}, Reason.UNKNOWN_CLIENT, '"INV_CLIENT_123"'),
]


@pytest.mark.parametrize(("raw", "reason", "quoted"), HELD)
def test_what_cannot_be_billed_is_held_with_a_sentence(
    office: Office, raw: dict[str, Any], reason: Reason, quoted: str
) -> None:
    entry = office.entry(**raw)

    assert (entry.state, entry.reason, entry.reason_note) == (EntryState.HELD, reason, quoted)
    assert entry.reason_sentence.endswith(".")
    assert quoted in entry.reason_sentence or not quoted or quoted == "null"
    assert not RemoteRecord.objects.exists()
    assert entry.reason_sentence in explain.explain(entry)


def test_an_unmapped_project_is_held_and_keeps_its_hours(office: Office) -> None:
    item = office.item(who=office.alice)
    WorkItem.objects.update(taiga_project_id=99, project=None)
    entry = office.entry(item)
    assert (entry.reason, entry.raw_hours, entry.project) == (Reason.UNMAPPED_PROJECT, Decimal("4.5"), None)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"is_active": False}, Reason.UNMAPPED_PROJECT),
        ({"active_from": dt.date(2025, 12, 2)}, Reason.UNMAPPED_PROJECT),
        ({"active_to": dt.date(2025, 11, 30)}, Reason.UNMAPPED_PROJECT),
        ({"active_from": dt.date(2025, 12, 1), "active_to": dt.date(2025, 12, 1)}, ""),
    ],
)
def test_a_mapping_counts_on_its_days(office: Office, change: dict[str, Any], reason: str) -> None:
    type(office.mapping).objects.update(**change)
    assert office.entry().reason == reason


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"is_known": False}, Reason.UNKNOWN_CLIENT),
        ({"is_deleted": True}, Reason.UNKNOWN_CLIENT),
        ({"is_archived": True}, ""),
        ({"currency": "USD"}, Reason.CURRENCY),
        ({"currency": ""}, ""),
    ],
)
def test_the_client_must_live_and_share_the_rates_currency(office: Office, change: dict[str, Any], reason: str) -> None:
    Client.objects.update(**change)
    assert office.entry().reason == reason


def test_another_client_typed_on_the_item_pays_when_invoice_ninja_knows_it(office: Office) -> None:
    other = Client.objects.create(ninja_id="client_xyz789", name="Other", currency="EUR", is_known=True)
    entry = office.entry(client="client_xyz789")
    assert (entry.state, entry.reason, entry.client) == (EntryState.HELD, Reason.BRAKE_CLIENT, other)
    entry = attention.confirm_entry(entry, user=office.user)
    assert (entry.state, entry.client) == (EntryState.READY, other)
    assert RemoteRecord.objects.get().desired["project_id"] == ""


def test_no_rate_is_held_until_there_is_one(office: Office) -> None:
    Rate.objects.all().delete()
    entry = office.entry(who=office.carol)
    assert (entry.reason, entry.rate, entry.amount) == (Reason.NO_RATE, None, None)
    assert "Carol" in entry.reason_sentence


@pytest.mark.parametrize(
    "raw",
    [
        {"billable": False},
        {"billable": None},
        {"billable": "no"},
        {"status": "Not Billable"},
        {"status": "non-billable", "billable": True},
    ],
)
def test_what_is_not_billable_is_listed_with_its_hours_and_written_nowhere(office: Office, raw: dict[str, Any]) -> None:
    entry = office.entry(**raw)
    assert (entry.state, entry.raw_hours, entry.amount) == (EntryState.VOID, Decimal("4.5"), None)
    assert not RemoteRecord.objects.exists()


def test_below_the_minimum_is_kept_visible_without_task_or_price(office: Office) -> None:
    RuleSet.objects.update(min_mode="skip", min_billable_hours=Decimal("0.5"))
    entry = office.entry(hours=Decimal("0.1"))
    assert (entry.state, entry.billed_hours, entry.raw_hours) == (EntryState.BELOW_MINIMUM, 0, Decimal("0.1"))
    assert (entry.rate, entry.amount) == (None, None)
    assert not RemoteRecord.objects.exists()


def test_an_open_item_has_no_entry(office: Office) -> None:
    assert entries.evaluate(office.item(closed=False)) is None
    assert not TimeEntry.objects.exists()


@pytest.mark.parametrize(
    ("finished", "day"),
    [
        (datetime(2025, 12, 31, 22, 59, 59, tzinfo=UTC), dt.date(2025, 12, 31)),
        (datetime(2025, 12, 31, 23, 0, 0, tzinfo=UTC), dt.date(2026, 1, 1)),
    ],
)
def test_the_work_date_is_local(office: Office, finished: datetime, day: dt.date) -> None:
    item = office.item(who=office.alice)
    WorkItem.objects.update(finished_at=finished)
    assert office.entry(item).work_date == day


def test_without_a_finished_date_the_first_sight_counts(office: Office) -> None:
    item = office.item()
    WorkItem.objects.update(finished_at=None, closed_seen_at=datetime(2025, 12, 5, 10, tzinfo=UTC))
    assert office.entry(item).work_date == dt.date(2025, 12, 5)


# --- again, in place --------------------------------------------------------------------------------------------------


def test_hours_typed_after_closing_free_the_entry(office: Office) -> None:
    item = office.item(who=office.alice, hours=None)
    first = office.entry(item)
    assert first.state == EntryState.HELD

    again = office.type(item, hours=Decimal("2.6"))

    assert again.pk == first.pk
    assert (again.state, again.billed_hours, again.amount) == (EntryState.READY, Decimal("2.75"), Decimal("261.25"))
    assert again.work_date == dt.date(2025, 12, 1)
    moves = Transition.objects.filter(model="sync.timeentry").order_by("id").values_list("from_state", "to_state")
    assert list(moves) == [("", "held"), ("held", "ready")]


def test_evaluating_twice_changes_nothing(office: Office) -> None:
    item = office.item(who=office.alice)
    before = office.entry(item)
    count = Transition.objects.count()
    again = entries.evaluate(item)
    assert again is not None
    assert (again.pk, again.amount, again.state) == (before.pk, before.amount, before.state)
    assert Transition.objects.count() == count
    assert RemoteRecord.objects.get().revision == 1


def test_changed_hours_are_a_new_revision_of_the_task(office: Office) -> None:
    item = office.item(who=office.alice)
    office.entry(item)
    office.type(item, hours=6)
    record = RemoteRecord.objects.get()
    assert record.revision == 2
    start, end = record.desired["time_log"]
    assert end - start == 6 * 3600


def test_reopened_waits_and_keeps_price_task_and_work_date(office: Office) -> None:
    item = office.item(who=office.alice, hours=Decimal("2.1"))
    office.entry(item)

    reopened = office.reopen(item)
    assert reopened is not None
    assert (reopened.state, reopened.reason) == (EntryState.HELD, Reason.REOPENED)
    assert reopened.amount == Decimal("213.75")
    assert RemoteRecord.objects.get().desired["archived"] is False

    later = datetime(2025, 12, 18, 10, tzinfo=UTC)
    closed = office.close(item, later, hours=Decimal("2.3"))
    assert (closed.pk, closed.cycle, closed.state) == (reopened.pk, 1, EntryState.READY)
    assert (closed.billed_hours, closed.amount) == (Decimal("2.50"), Decimal("237.50"))
    assert closed.work_date == dt.date(2025, 12, 1)


def test_gone_waits_for_a_person(office: Office) -> None:
    item = office.item(who=office.alice)
    office.entry(item)
    WorkItem.objects.update(state=ItemState.GONE)
    entry = entries.evaluate(item)
    assert entry is not None
    assert (entry.state, entry.reason) == (EntryState.HELD, Reason.GONE)


def test_unticking_archives_the_task_and_ticking_restores_it(office: Office) -> None:
    item = office.item(who=office.alice)
    office.entry(item)
    RemoteRecord.objects.update(state=RecordState.SYNCED, remote_id="task1", attempts=1)
    assert office.type(item, billable=False).state == EntryState.VOID
    assert RemoteRecord.objects.get(kind="task").desired["archived"] is True
    assert office.type(item, billable=True).state == EntryState.READY
    assert RemoteRecord.objects.get(kind="task").desired["archived"] is False


def test_not_billable_typed_by_a_person_is_left_as_it_is(office: Office) -> None:
    item = office.item(who=office.alice)
    office.entry(item)
    RemoteRecord.objects.update(state=RecordState.SYNCED, remote_id="task1", attempts=1)
    office.type(item, status="Not Billable")
    assert not RemoteRecord.objects.filter(kind="status").exists()


def test_our_own_invoiced_is_not_taken_for_a_persons(office: Office) -> None:
    item = office.item(who=office.alice)
    office.entry(item)
    assert office.type(item, status="Invoiced").state == EntryState.READY


def test_a_task_that_invoice_ninja_knows_was_not_billed_elsewhere(office: Office) -> None:
    item = office.item(who=office.alice, status="Invoiced")
    entry = entries.evaluate(item, is_known_there=True)
    assert entry is not None
    assert entry.state == EntryState.READY
    again = entries.evaluate(item)  # by a changed rate, when nobody asks Invoice Ninja
    assert again is not None
    assert again.state == EntryState.READY


def test_the_person_is_who_was_assigned_at_the_first_closed_reading(office: Office) -> None:
    item = office.item(who=office.alice)
    office.entry(item)
    WorkItem.objects.update(assignee=office.carol)
    again = entries.evaluate(WorkItem.objects.get())
    assert again is not None
    assert (again.person, again.rate) == (office.alice, Decimal(95))


def test_the_limit_of_hours_is_a_setting(office: Office) -> None:
    Company.objects.update(max_item_hours=Decimal(4))
    assert office.entry().reason == Reason.TOO_MANY_HOURS


# --- the snapshot -----------------------------------------------------------------------------------------------------


def test_facts_are_json_and_name_the_rules_the_rate_and_the_losers(office: Office) -> None:
    facts = office.entry(hours=Decimal("2.1")).facts
    assert facts["rule_set"] == {"id": office.rules.pk, "name": "Standard", "version": 1}
    assert facts["rate"]["source"] == "role"
    assert [loser["source"] for loser in facts["rate"]["losers"]] == ["project"]
    assert facts["hours_words"]["billed"] == "2.25"
    assert (facts["amount"], facts["work_date"], facts["zone"]) == ("213.75", "2025-12-01", "Europe/Brussels")


def test_a_batch_costs_the_same_queries_for_one_and_for_thirty(
    office: Office, django_assert_max_num_queries: Any
) -> None:
    many = [office.entry(office.item(number, who=office.alice)).item_id for number in range(1, 31)]
    with django_assert_max_num_queries(17):
        entries.evaluate_many(many[:1])
    with django_assert_max_num_queries(17):
        entries.evaluate_many(many)


def test_state_since_and_evaluated_at_are_real_time(office: Office) -> None:
    entry = office.entry()
    assert entry.evaluated_at is not None
    assert abs((timezone.now() - entry.evaluated_at).total_seconds()) < 60
    assert entry.state_since is not None
