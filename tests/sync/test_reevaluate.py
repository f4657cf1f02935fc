"""A changed mapping, rate, rule or person prices again what it may concern, and nothing that is claimed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.db import OperationalError, transaction

from billing_console.states import EntryState, Reason
from mappings import hooks
from mappings.lookups import new_rule_set_version
from mappings.models import Client, Company, Membership, ProjectMapping, Rate, Role
from sync import entries, reevaluate
from sync.models import RemoteRecord, TimeEntry, WorkItem
from tests.sync.making import Office

pytestmark = pytest.mark.django_db


@pytest.fixture
def commit(django_capture_on_commit_callbacks: Any) -> Callable[[], Any]:
    """A block whose on-commit callbacks run at its end."""
    return lambda: django_capture_on_commit_callbacks(execute=True)


def test_a_rate_that_is_added_frees_what_waited_for_it(office: Office, commit: Callable[[], Any]) -> None:
    Rate.objects.all().delete()
    held = [office.entry(office.item(number, who=office.carol)) for number in (1, 2, 3)]
    assert {entry.reason for entry in held} == {Reason.NO_RATE}
    with commit():
        rate = Rate.objects.create(level="user", person=office.carol, amount=Decimal(60), currency="EUR")
        hooks.changed(rate)
    rows = TimeEntry.objects.values_list("state", "rate", "amount")
    assert set(rows) == {(EntryState.READY, 60, 270)}
    assert RemoteRecord.objects.count() == 3


def test_an_item_that_cannot_be_priced_keeps_nobody_else_back_and_is_read_again(
    office: Office, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    items = [office.entry(office.item(number)).item for number in (1, 2, 3)]
    Rate.objects.update(amount=Decimal(70))
    WorkItem.objects.update(needs_evaluation=True, is_dirty=False)
    real = entries.evaluate_many

    def fail_on_one(ids: list[int], **more: Any) -> Any:
        if items[1].pk in ids:
            raise ZeroDivisionError("nobody thought of this")
        return real(ids, **more)

    monkeypatch.setattr(entries, "evaluate_many", fail_on_one)
    assert reevaluate.evaluate_marked() == 3

    assert list(TimeEntry.objects.order_by("item").values_list("rate", flat=True)) == [70, 75, 70]
    assert not WorkItem.objects.filter(needs_evaluation=True).exists()
    assert list(WorkItem.objects.filter(is_dirty=True)) == [items[1]]
    assert sum("nobody thought" in str(record.exc_info) for record in caplog.records) == 2
    assert reevaluate.evaluate_marked() == 0


def test_a_database_that_goes_away_is_no_items_fault(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    item = office.entry().item
    WorkItem.objects.update(needs_evaluation=True, is_dirty=False)

    def go_away(ids: list[int], **more: Any) -> Any:
        raise OperationalError("the connection is lost")

    monkeypatch.setattr(entries, "evaluate_many", go_away)
    with pytest.raises(OperationalError):
        reevaluate.evaluate_marked()

    item.refresh_from_db()
    assert (item.needs_evaluation, item.is_dirty) == (True, False)


def test_a_saved_row_marks_once(office: Office, commit: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    office.entry()
    marked: list[Any] = []
    mark = reevaluate.mark_affected
    monkeypatch.setattr(reevaluate, "mark_affected", lambda row: marked.append(row) or mark(row))
    rate = Rate.objects.get(role__key="senior_dev")
    rate.amount = Decimal(99)
    with commit():
        rate.save()
        hooks.changed(rate)
    assert marked == [rate]
    assert TimeEntry.objects.get().rate == 99


def test_the_mark_is_in_the_changes_own_transaction(office: Office) -> None:
    office.entry()
    rate = Rate.objects.get(level="project")
    with transaction.atomic():
        rate.save()
        assert WorkItem.objects.get().needs_evaluation
        transaction.set_rollback(True)
    assert not WorkItem.objects.get().needs_evaluation
    rate.save()  # the process dies before any callback runs
    assert WorkItem.objects.get().needs_evaluation
    assert reevaluate.evaluate_marked() == 1
    assert reevaluate.evaluate_marked() == 0


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda office: Rate.objects.filter(role__key="senior_dev").first(), {1}),
        (lambda office: Role.objects.get(key="junior_dev"), {2}),
        (lambda office: Rate.objects.get(level="project"), {1, 2, 3}),
        (lambda office: Membership.objects.get(person=office.alice), {1}),
        (lambda office: office.carol, {2}),
        (lambda office: office.mapping, {1, 2, 3}),
        (lambda office: office.mapping.ninja_project, {1, 2, 3}),
        (lambda office: office.client, {1, 2, 3}),
        (lambda office: office.rules, {1, 2, 3}),
        (lambda office: Company.current(), {1, 2, 3}),
        (lambda office: Client.objects.create(ninja_id="other", currency="EUR"), set()),
    ],
)
def test_what_a_row_may_concern(office: Office, change: Callable[[Office], Any], expected: set[int]) -> None:
    for number, who in ((1, office.alice), (2, office.carol), (3, None)):
        office.entry(office.item(number, who=who))
    office.claim(office.entry(office.item(4, who=office.alice)))
    WorkItem.objects.update(needs_evaluation=False)
    row = change(office)
    WorkItem.objects.update(needs_evaluation=False)
    assert reevaluate.mark_affected(row) == len(expected)
    marked = WorkItem.objects.filter(needs_evaluation=True).values_list("taiga_id", flat=True)
    assert set(marked) == expected


def test_a_project_that_is_mapped_later_takes_what_was_seen_of_it(office: Office, commit: Callable[[], Any]) -> None:
    item = office.item(1, who=office.alice)
    WorkItem.objects.update(taiga_project_id=8, project=None)
    assert office.entry(item).reason == Reason.UNMAPPED_PROJECT
    with commit():
        mapping = ProjectMapping.objects.create(taiga_project_id=8, taiga_project_name="Eight", client=office.client)
        Rate.objects.create(level="project", project=mapping, amount=Decimal(80), currency="EUR")
        hooks.changed(mapping)
    entry = TimeEntry.objects.get()
    assert (entry.state, entry.project, entry.rate) == (EntryState.READY, mapping, 80)


def test_new_rules_round_again_and_leave_the_claimed(office: Office, commit: Callable[[], Any]) -> None:
    office.entry(office.item(1, who=office.alice, hours=Decimal("2.1")))
    office.claim(office.entry(office.item(2, who=office.alice, hours=Decimal("2.1"))))
    with commit():
        new_rule_set_version(None, {"rounding": "hour"})
    rows = TimeEntry.objects.order_by("item__taiga_id").values_list("billed_hours", "facts__rule_set__version")
    assert list(rows) == [(Decimal("3.00"), 2), (Decimal("2.25"), 1)]


def test_a_rate_that_begins_later_moves_nothing_before(office: Office, commit: Callable[[], Any]) -> None:
    entry = office.entry()
    with commit():
        hooks.changed(
            Rate.objects.create(
                level="user",
                person=office.alice,
                amount=Decimal(120),
                currency="EUR",
                valid_from=dt.date(2025, 12, 2),
            )
        )
    again = TimeEntry.objects.get()
    assert again.amount == entry.amount
    assert [loser["reason"] for loser in again.facts["rate"]["losers"]].count("not_yet_valid") == 1


def test_many_cost_no_queries_each_but_for_what_really_moves(
    office: Office, django_assert_max_num_queries: Any
) -> None:
    for number in range(1, 41):
        office.entry(office.item(number, who=office.alice))
    WorkItem.objects.update(needs_evaluation=True)
    with django_assert_max_num_queries(24):
        assert reevaluate.evaluate_marked() == 40
