"""What a person does to an entry that waits: state checked, reason kept, the second click told why not."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from billing_console.errors import IllegalTransition, NotAllowed
from billing_console.states import EntryState, Reason, RecordState
from sync import attention, entries
from sync.models import RemoteRecord, TimeEntry, Transition, WorkItem
from tests.sync.making import Office

pytestmark = pytest.mark.django_db


def last_move(entry: TimeEntry) -> Transition:
    return Transition.objects.filter(model="sync.timeentry", row_id=entry.pk).latest("id")


def test_hold_and_release(office: Office) -> None:
    entry = office.entry()
    held = attention.hold_entry(entry, user=office.user, note="ask the client")
    assert (held.state, held.reason, held.reason_note) == (EntryState.HELD, Reason.BY_PERSON, "ask the client")
    assert (last_move(entry).user, last_move(entry).why) == (office.user, "ask the client")
    with pytest.raises(IllegalTransition, match="held"):
        attention.hold_entry(entry, user=office.user, note="again")

    # Nothing that is evaluated takes a person's hold away, but the price follows.
    office.type(entry.item, hours=6)
    row = TimeEntry.objects.get()
    assert (row.state, row.reason, row.reason_note, row.billed_hours) == ("held", "by_person", "ask the client", 6)

    released = attention.release_entry(entry, user=office.user)
    assert (released.state, released.amount) == (EntryState.READY, Decimal(570))
    with pytest.raises(IllegalTransition):
        attention.release_entry(entry, user=office.user)


def test_released_it_stays_held_for_what_is_still_wrong(office: Office) -> None:
    entry = office.entry(hours="two hours")
    attention.hold_entry(entry, user=office.user, note="why?")
    released = attention.release_entry(entry, user=office.user)
    assert (released.state, released.reason) == (EntryState.HELD, Reason.UNREADABLE_HOURS)


def test_unusual_hours_are_confirmed_for_that_number_only(office: Office) -> None:
    entry = office.entry(hours=30)
    confirmed = attention.confirm_entry(entry, user=office.user)
    assert (confirmed.state, confirmed.billed_hours) == (EntryState.READY, 30)
    assert office.type(entry.item, hours="30.0").state == EntryState.READY
    asked = office.type(entry.item, hours=31)
    assert (asked.state, asked.reason) == (EntryState.HELD, Reason.TOO_MANY_HOURS)


def test_free_of_charge_is_confirmed(office: Office) -> None:
    entry = attention.confirm_entry(office.entry(rate=0, hours=30), user=office.user)
    assert entry.reason == Reason.FREE_OF_CHARGE
    entry = attention.confirm_entry(entry, user=office.user)
    assert (entry.state, entry.rate, entry.amount) == (EntryState.READY, 0, 0)
    assert RemoteRecord.objects.get().desired["rate"] == "0.00"


def test_billed_elsewhere_is_excluded_after_one_confirmation(office: Office) -> None:
    entry = office.entry(status="Invoiced")
    excluded = attention.confirm_entry(entry, user=office.user)
    assert (excluded.state, excluded.reason) == (EntryState.EXCLUDED, Reason.BILLED_ELSEWHERE)
    assert excluded.raw_hours == Decimal("4.5")
    assert entries.evaluate(entry.item) == excluded
    assert TimeEntry.objects.get().state == EntryState.EXCLUDED
    included = attention.include_entry(excluded, user=office.user, note="not billed after all")
    assert included.state == EntryState.READY


def test_released_from_billed_elsewhere_it_is_billed_here(office: Office) -> None:
    entry = office.entry(status="Invoiced")
    assert attention.release_entry(entry, user=office.user).state == EntryState.READY
    assert office.type(entry.item, hours=5).state == EntryState.READY


def test_confirming_asks_for_something_to_confirm(office: Office) -> None:
    with pytest.raises(IllegalTransition, match="nothing to confirm"):
        attention.confirm_entry(office.entry(), user=office.user)


@pytest.mark.parametrize(
    ("act", "state"),
    [(attention.exclude_entry, EntryState.EXCLUDED), (attention.write_off_entry, EntryState.WRITTEN_OFF)],
)
def test_a_final_word_takes_the_task_back_and_can_be_taken_back(
    office: Office, act: Callable[..., TimeEntry], state: str
) -> None:
    entry = office.entry()
    RemoteRecord.objects.update(state=RecordState.SYNCED, remote_id="task1", attempts=1)
    gone = act(entry, user=office.user, note="goodwill")
    assert (gone.state, gone.reason_note, gone.amount) == (state, "goodwill", Decimal("427.50"))
    assert RemoteRecord.objects.get(kind="task").desired["archived"] is True
    with pytest.raises(IllegalTransition):
        act(entry, user=office.user, note="goodwill")

    office.type(entry.item, hours=9)  # a person's word stands
    assert TimeEntry.objects.get().state == state

    back = attention.include_entry(entry, user=office.user)
    assert (back.state, back.billed_hours) == (EntryState.READY, 9)
    assert RemoteRecord.objects.get(kind="task").desired["archived"] is False


@pytest.mark.parametrize("act", [attention.hold_entry, attention.exclude_entry, attention.write_off_entry])
def test_a_reason_is_required(office: Office, act: Callable[..., TimeEntry]) -> None:
    with pytest.raises(NotAllowed):
        act(office.entry(), user=office.user, note="  ")


@pytest.mark.parametrize(
    "act",
    [
        attention.hold_entry,
        attention.release_entry,
        attention.exclude_entry,
        attention.include_entry,
        attention.write_off_entry,
        attention.confirm_entry,
    ],
)
@pytest.mark.parametrize("state", ["claimed", "invoiced"])
def test_what_an_invoice_holds_is_left_alone(office: Office, act: Callable[..., TimeEntry], state: str) -> None:
    entry = office.claim(office.entry(), state)
    before = Transition.objects.count()
    with pytest.raises(IllegalTransition) as refused:
        act(entry, user=office.user, note="x")
    assert refused.value.sentence.endswith(".")
    assert TimeEntry.objects.get().state == state
    assert Transition.objects.count() == before


def test_a_put_off_stands_until_it_is_released_or_something_else_is_wrong(office: Office) -> None:
    entry = office.entry()
    TimeEntry.objects.update(state="held", reason=Reason.NEXT_RUN, reason_note="later")
    entries.evaluate(entry.item)
    row = TimeEntry.objects.get()
    assert (row.state, row.reason, row.reason_note) == ("held", Reason.NEXT_RUN, "later")
    assert office.type(entry.item, hours="?").reason == Reason.UNREADABLE_HOURS
    TimeEntry.objects.update(state="held", reason=Reason.NEXT_RUN)
    entry.item.attributes["hours"] = 2
    entry.item.save()
    assert attention.release_entry(TimeEntry.objects.get(), user=office.user).state == EntryState.READY


def test_a_task_on_a_foreign_invoice_holds_its_entry_until_it_is_released(office: Office) -> None:
    entry = office.entry()
    RemoteRecord.objects.update(state=RecordState.ATTENTION, reason=Reason.INVOICED_BY_HAND, remote_id="task1")
    entries.evaluate(entry.item)
    row = TimeEntry.objects.get()
    assert (row.state, row.reason) == ("held", Reason.INVOICED_BY_HAND)
    assert attention.release_entry(row, user=office.user).state == EntryState.READY
    assert RemoteRecord.objects.get().state == RecordState.PENDING  # and looked at again before it is billed


# --- trying again -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "then"),
    [
        (RecordState.ATTENTION, RecordState.PENDING),
        (RecordState.RETRY, RecordState.PENDING),
        (RecordState.IN_DOUBT, RecordState.IN_DOUBT),
    ],
)
def test_a_stuck_write_is_tried_again_and_a_doubtful_one_only_looked_up(office: Office, state: str, then: str) -> None:
    entry = office.entry()
    RemoteRecord.objects.update(state=state)
    record = RemoteRecord.objects.get()
    attention.try_again(record, user=office.user)
    assert RemoteRecord.objects.get().state == then
    attention.try_again(TimeEntry.objects.get(pk=entry.pk), user=office.user)
    assert WorkItem.objects.get().is_dirty


@pytest.mark.parametrize("state", [RecordState.PENDING, RecordState.SYNCED])
def test_there_is_nothing_to_try_on_a_write_that_is_well(office: Office, state: str) -> None:
    office.entry()
    RemoteRecord.objects.update(state=state)
    with pytest.raises(IllegalTransition, match="nothing to try"):
        attention.try_again(RemoteRecord.objects.get(), user=office.user)


def test_an_item_is_read_again(office: Office) -> None:
    item = office.item()
    attention.try_again(item, user=office.user)
    row = WorkItem.objects.get()
    assert (row.is_dirty, row.marked_by) == (True, "person")


def test_somebody_faster_is_named(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = office.entry()
    real = entries.confirmed_tokens

    def other_thing_in_the_middle(*args: Any) -> Any:
        TimeEntry.objects.update(state="claimed")
        return real(*args)

    stale = TimeEntry.objects.get()
    other_thing_in_the_middle(entry)
    with pytest.raises(IllegalTransition):
        attention.hold_entry(stale, user=office.user, note="too late")
