"""After the claim: a stale draft, a Difference, or the next cycle; never the same hours twice."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from accounts.models import User
from billing_console.states import DifferenceState, EntryState, ItemState, Reason
from mappings.models import Client, NinjaProject, Rate, RuleSet
from sync import decisions, entries, hooks, supplements
from sync.models import Difference, TimeEntry, WorkItem
from tests.sync.making import Office

pytestmark = pytest.mark.django_db
LATER = datetime(2026, 1, 10, 9, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the holder of the invoice is told; it answers "approved" unless a test says "draft"."""
    sentences: list[str] = []
    monkeypatch.setattr(hooks, "_on_changed", [lambda entry, sentence: sentences.append(sentence) or ""])
    return sentences


def test_four_cycles_bill_what_one_would_have(office: Office) -> None:
    item = office.item(who=office.alice, hours=Decimal("2.1"))
    office.claim(office.entry(item))
    for hours in ("2.2", "2.3", "2.4"):
        office.reopen(item)
        entry = office.close(item, LATER, hours=Decimal(hours))
        if entry.state == EntryState.READY:
            office.claim(entry)
    rows = TimeEntry.objects.order_by("cycle").values_list("cycle", "raw_hours", "billed_hours")
    assert list(rows) == [(1, Decimal("2.1"), Decimal("2.25")), (2, Decimal("0.2"), Decimal("0.25"))]
    assert sum(TimeEntry.objects.values_list("billed_hours", flat=True)) == Decimal("2.50")
    assert not Difference.objects.exists()


def test_the_next_cycle_has_its_own_date_person_and_rate(office: Office) -> None:
    item = office.item(who=office.alice, hours=2)
    office.claim(office.entry(item))
    office.reopen(item)
    item.assignee = office.carol
    second = office.close(item, LATER, hours=3)
    assert (second.cycle, second.state, second.person) == (2, EntryState.READY, office.carol)
    assert (second.raw_hours, second.billed_hours, second.amount) == (1, 1, 50)
    assert str(second.work_date) == "2026-01-10"
    assert second.remote_task is not None
    assert second.remote_task.our_key == "TAIGA-T1-2"


def test_closed_again_with_the_same_hours_is_no_change(office: Office) -> None:
    item = office.item(who=office.alice, hours=2)
    first = office.claim(office.entry(item))
    office.reopen(item)
    assert office.close(item, LATER).pk == first.pk
    assert TimeEntry.objects.count() == 1
    assert not Difference.objects.exists()


def test_closed_again_with_fewer_hours_is_a_difference(office: Office) -> None:
    item = office.item(who=office.alice, hours=3)
    office.claim(office.entry(item))
    office.reopen(item)
    office.close(item, LATER, hours=2)
    difference = Difference.objects.get()
    assert (difference.billed_hours, difference.hours_now, difference.amount) == (3, 2, -95)
    assert TimeEntry.objects.count() == 1


def test_closed_again_with_unreadable_hours_is_a_held_next_cycle(office: Office) -> None:
    item = office.item(who=office.alice, hours=3)
    office.claim(office.entry(item))
    office.reopen(item)
    second = office.close(item, LATER, hours="more")
    assert (second.cycle, second.state, second.reason) == (2, EntryState.HELD, "unreadable_hours")
    freed = office.type(item, hours=4)
    assert (freed.pk, freed.state, freed.billed_hours) == (second.pk, EntryState.READY, 1)


@pytest.mark.parametrize(
    ("typed", "now", "amount"),
    [
        ({"hours": 4}, "4", "190"),
        ({"hours": 1}, "1", "-95"),
        ({"billable": False}, "0", "-190"),
        ({"status": "Not Billable"}, "0", "-190"),
        ({"rate": 100}, "2", "10"),
    ],
)
def test_a_change_while_closed_is_one_open_difference(
    office: Office, typed: dict[str, object], now: str, amount: str
) -> None:
    item = office.item(who=office.alice, hours=2)
    first = office.claim(office.entry(item))

    office.type(item, **typed)
    office.type(item, **typed)

    difference = Difference.objects.get()
    assert difference.state == DifferenceState.OPEN
    assert (difference.billed_hours, difference.hours_now) == (2, Decimal(now))
    assert (difference.amount, difference.currency) == (Decimal(amount), "EUR")
    assert difference.entry == first
    assert "#101" in difference.sentence
    entry = TimeEntry.objects.get()
    assert (entry.state, entry.billed_hours, entry.amount) == ("invoiced", 2, 190)


def test_the_difference_follows_and_closes_by_itself(office: Office) -> None:
    item = office.item(who=office.alice, hours=2)
    office.claim(office.entry(item))
    office.type(item, hours=4)
    office.type(item, hours=5)
    assert Difference.objects.get().hours_now == 5
    office.type(item, hours=2)
    assert Difference.objects.get().state == DifferenceState.CLOSED
    office.type(item, hours=6)
    assert Difference.objects.filter(state=DifferenceState.OPEN).count() == 1


def test_a_difference_that_was_ignored_does_not_come_back_by_itself(office: Office) -> None:
    item = office.item(who=office.alice, hours=2)
    office.claim(office.entry(item))
    office.type(item, hours=4)
    Difference.objects.update(state=DifferenceState.IGNORED)
    entries.evaluate(item)
    assert Difference.objects.count() == 1
    office.type(item, hours=5)
    assert Difference.objects.filter(state=DifferenceState.OPEN).count() == 1


def test_more_hours_that_a_person_left_are_not_billed_by_the_next_closing(office: Office) -> None:
    item = office.item(who=office.alice, hours=2)
    office.claim(office.entry(item))
    office.type(item, hours=4)
    Difference.objects.update(state=DifferenceState.IGNORED)
    office.reopen(item)
    office.close(item, LATER)
    entries.evaluate(item)

    assert TimeEntry.objects.count() == 1
    assert [row.state for row in Difference.objects.all()] == ["ignored"]

    office.reopen(item)
    office.close(item, LATER, hours=5)

    assert TimeEntry.objects.count() == 1
    assert [(row.state, row.hours_now) for row in Difference.objects.order_by("pk")] == [("ignored", 4), ("open", 5)]


def test_closing_again_closes_the_open_difference(office: Office) -> None:
    item = office.item(who=office.alice, hours=2)
    office.claim(office.entry(item))
    office.type(item, hours=3)
    office.reopen(item)
    second = office.close(item, LATER)
    assert Difference.objects.get().state == DifferenceState.CLOSED
    assert (second.cycle, second.billed_hours) == (2, 1)


def test_later_rules_and_rates_touch_nothing_that_is_claimed(office: Office, told: list[str]) -> None:
    item = office.item(who=office.alice, hours=Decimal("2.1"))
    first = office.claim(office.entry(item))
    Rate.objects.update(amount=200)
    RuleSet.objects.update(rounding="hour")
    entries.evaluate(item)
    again = TimeEntry.objects.get()
    assert (again.facts, again.amount, again.rate) == (first.facts, Decimal("213.75"), 95)
    assert not Difference.objects.exists()
    assert told == []


def test_an_unapproved_draft_is_told_and_nothing_else_happens(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(hooks, "_on_changed", [lambda entry, sentence: told.append(sentence) or "draft"])
    item = office.item(who=office.alice, hours=2)
    office.claim(office.entry(item), "claimed")
    office.type(item, hours=3)
    assert told == ["#101 changed in Taiga: hours 2 → 3."]
    assert not Difference.objects.exists()
    assert TimeEntry.objects.get().billed_hours == 2


def test_what_changed_is_said_in_words(office: Office, told: list[str]) -> None:
    item = office.item(who=office.alice, hours=2)
    office.claim(office.entry(item))
    office.type(item, billable=False, rate=80)
    assert Difference.objects.get().sentence == "#101 changed in Taiga: billable yes → no; hourly rate nothing → 80."


@pytest.mark.parametrize("state", [ItemState.OPEN, ItemState.GONE])
def test_reopened_or_gone_after_the_claim_is_told_and_is_no_difference(
    office: Office, told: list[str], state: str
) -> None:
    item = office.item(who=office.alice, hours=2)
    office.claim(office.entry(item))
    WorkItem.objects.update(state=state)
    entries.evaluate(item)
    assert len(told) == 1
    assert not Difference.objects.exists()


def test_hours_taken_below_the_earlier_cycles_stand_as_a_difference(office: Office) -> None:
    item = office.item(who=office.alice, hours=2)
    first = office.claim(office.entry(item))
    office.reopen(item)
    second = office.close(item, LATER, hours=3)
    assert second.state == EntryState.READY
    again = office.type(item, hours=1)
    assert (again.pk, again.state, again.billed_hours) == (second.pk, EntryState.BELOW_MINIMUM, 0)
    difference = Difference.objects.get()
    assert (difference.entry, difference.hours_now, difference.amount) == (first, 1, -95)


@pytest.fixture
def hotel(office: Office) -> Client:
    """A second client, also known to Invoice Ninja."""
    client = Client.objects.create(ninja_id="client_hotel1", name="Hotel NV", currency="EUR", is_known=True)
    NinjaProject.objects.create(ninja_id="proj_hotel", client=client, name="Hotel", is_known=True)
    return client


def map_to(office: Office, client: Client) -> None:
    office.mapping.client, office.mapping.ninja_project = client, client.ninja_projects.get()
    office.mapping.save()


@pytest.mark.parametrize("is_closed_again", [True, False])
def test_hours_now_do_not_depend_on_who_pays(office: Office, hotel: Client, is_closed_again: bool) -> None:
    """Billing-rules, What was billed: 4.50 h billed, the project mapped to another client, then 6.50 h."""
    item = office.item(who=office.alice, hours=Decimal("4.5"))
    office.claim(office.entry(item))
    map_to(office, hotel)

    if is_closed_again:
        office.reopen(item)
        second = office.close(item, LATER, hours=Decimal("6.5"))
        assert (second.cycle, second.client, second.billed_hours, second.amount) == (2, hotel, 2, 190)
        assert not Difference.objects.exists()
    else:
        office.type(item, hours=Decimal("6.5"))
        difference = Difference.objects.get()
        assert (difference.billed_hours, difference.hours_now, difference.amount) == (
            Decimal("4.5"),
            Decimal("6.5"),
            190,
        )
        assert difference.payer_now is None
        assert TimeEntry.objects.count() == 1


def test_a_merge_alone_offers_no_credit(office: Office, hotel: Client) -> None:
    item = office.item(who=office.alice)
    office.claim(office.entry(item))
    map_to(office, hotel)
    office.reopen(item)
    office.close(item, LATER)
    assert not Difference.objects.exists()
    assert TimeEntry.objects.count() == 1


def test_after_a_merge_fewer_hours_give_back_only_the_hours_that_are_gone(office: Office, hotel: Client) -> None:
    item = office.item(who=office.alice, hours=Decimal("4.5"))
    office.claim(office.entry(item))
    map_to(office, hotel)
    office.type(item, hours=Decimal("3.5"))
    assert (Difference.objects.get().hours_now, Difference.objects.get().amount) == (Decimal("3.5"), -95)


def test_another_client_on_the_item_itself_asks_for_all_of_it(office: Office, hotel: Client) -> None:
    item = office.item(who=office.alice, hours=8)
    billed = office.claim(office.entry(item)).client
    office.type(item, client=hotel.ninja_id)
    difference = Difference.objects.get()
    assert (difference.hours_now, difference.amount, difference.payer_now) == (0, -760, hotel)
    assert difference.sentence == f"#101 changed in Taiga: client {billed} → {hotel}."


def test_credited_whole_the_hours_are_billed_to_the_right_client(office: Office, hotel: Client) -> None:
    """Billing-rules, What was billed: 8.00 h billed to the wrong one and credited whole: 8.00 h to the right one."""
    item = office.item(who=office.alice, hours=8)
    office.claim(office.entry(item))
    office.type(item, client=hotel.ninja_id)
    Difference.objects.update(state=DifferenceState.CREDITED)
    office.reopen(item)
    second = office.close(item, LATER)
    assert (second.cycle, second.client, second.billed_hours, second.amount) == (2, hotel, 8, 760)
    assert not Difference.objects.filter(state=DifferenceState.OPEN).exists()


def test_left_with_the_client_who_was_billed_later_hours_go_to_the_new_one(office: Office, hotel: Client) -> None:
    item = office.item(who=office.alice, hours=8)
    office.claim(office.entry(item))
    office.type(item, client=hotel.ninja_id)
    Difference.objects.update(state=DifferenceState.IGNORED)
    office.reopen(item)
    second = office.close(item, LATER, hours=10)
    assert (second.cycle, second.client, second.billed_hours, second.amount) == (2, hotel, 2, 190)
    assert not Difference.objects.filter(state=DifferenceState.OPEN).exists()


def test_another_client_while_a_later_cycle_waits_asks_for_what_was_billed(
    office: Office, hotel: Client, admin_user: User
) -> None:
    """The later hours wait for the answer; given back to the first client, all of it is billed to the one named."""
    item = office.item(who=office.alice, hours=8)
    first = office.claim(office.entry(item))
    office.reopen(item)
    second = office.close(item, LATER, hours=10)
    assert (second.state, second.billed_hours) == (EntryState.READY, 2)

    second = office.type(item, client=hotel.ninja_id)

    difference = Difference.objects.get()
    assert (difference.entry, difference.billed_hours, difference.hours_now) == (first, 8, 0)
    assert (difference.amount, difference.payer_now) == (-760, hotel)
    assert difference.sentence == f"#101 changed in Taiga: client {first.client} → {hotel}."
    assert (second.state, second.reason, second.client) == (EntryState.HELD, Reason.BILLED_TO_ANOTHER, hotel)
    assert second.reason_sentence == (
        f"Earlier hours of #101 were billed to {first.client}, and Taiga names {hotel} since. Decide first under "
        f"Differences whether they are given back and billed to {hotel}, or stay with {first.client}; the 2.00 h that "
        "came later wait for it."
    )

    offered = supplements.preview_after_credit(difference)
    assert offered is not None
    assert (offered.pk, offered.client, offered.billed_hours, offered.amount) == (second.pk, hotel, 10, 950)
    Difference.objects.update(state=DifferenceState.CREDITED)
    billed = supplements.bill_after_credit(difference, user=admin_user, note="Hotel pays")
    assert billed is not None
    assert (billed.pk, billed.state, billed.billed_hours, billed.amount) == (second.pk, EntryState.READY, 10, 950)


def test_left_with_the_client_who_was_billed_the_cycle_that_waits_goes_on(
    office: Office, hotel: Client, admin_user: User
) -> None:
    item = office.item(who=office.alice, hours=8)
    office.claim(office.entry(item))
    office.reopen(item)
    office.close(item, LATER, hours=10)
    office.type(item, client=hotel.ninja_id)

    decisions.ignore_difference(Difference.objects.get(), user=admin_user, note="agreed with both")

    second = TimeEntry.objects.get(cycle=2)
    assert (second.state, second.client, second.billed_hours, second.amount) == (EntryState.HELD, hotel, 2, 190)
    assert second.reason == Reason.BRAKE_CLIENT  # whether the hours that wait are for the client named is still asked
    assert entries.evaluate(WorkItem.objects.get()) == second
    assert not Difference.objects.filter(state=DifferenceState.OPEN).exists()


def test_named_again_as_billed_the_question_closes_and_the_cycle_that_waits_goes_on(
    office: Office, hotel: Client
) -> None:
    item = office.item(who=office.alice, hours=8)
    office.claim(office.entry(item))
    office.reopen(item)
    office.close(item, LATER, hours=10)
    office.type(item, client=hotel.ninja_id)

    second = office.type(item, client="")

    assert (second.state, second.client, second.amount) == (EntryState.READY, office.mapping.client, 190)
    assert Difference.objects.get().state == DifferenceState.CLOSED


def test_hours_that_come_back_while_a_later_cycle_waits_close_the_difference(office: Office) -> None:
    item = office.item(who=office.alice, hours=2)
    office.claim(office.entry(item))
    office.reopen(item)
    office.close(item, LATER, hours=3)
    office.type(item, hours=1)
    again = office.type(item, hours=3)
    assert (again.state, again.billed_hours) == (EntryState.READY, 1)
    assert Difference.objects.get().state == DifferenceState.CLOSED
