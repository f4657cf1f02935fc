"""The machine finds each fault of which an hour was billed twice, or lost: its fix is taken out, and a month fails.

The one use of patching: each row puts one function back to what it did before it was mended. The seed was looked for
among the first ones, by the acts that the row names; with the fix in its place the same months end well.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from billing_console.states import InvoiceState
from invoicing import carrying, copying, refreshing, releasing
from invoicing.models import Invoice, InvoiceLine
from mappings.models import Client, RuleSet
from sync import claimed, pricing, settled
from sync.models import TimeEntry, WorkItem
from sync.settled import Piece
from sync.world import World
from tests.machine.office import Office
from tests.machine.words import Words
from tests.machine.years import months

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.django_db(transaction=True)]


def what_was_priced(patch: pytest.MonkeyPatch) -> None:
    """1. What was billed is read from the priced entry, not from the printed line."""

    def piece_of(entry: TimeEntry, printed: Any) -> Piece:
        return Piece(entry.pk, entry.billed_hours or settled.money.ZERO, entry.rate or settled.money.ZERO, entry.amount)

    patch.setattr(settled, "piece_of", piece_of)


def hours_of_no_client(patch: pytest.MonkeyPatch) -> None:
    """2. Where another client pays, an item has no hours now, also once all was given back to the first one."""

    def new_payer(item: WorkItem, last: TimeEntry, pieces: list[Piece], world: World) -> Client | None:
        client = pricing.client_of(item, world)
        return client if client is not None and client.pk != last.client_id else None

    patch.setattr(claimed, "_new_payer", new_payer)


def copy_without_lines_by_hand(patch: pytest.MonkeyPatch) -> None:
    """3. What is billed again is what was worked, and nothing beside it."""
    original = copying.copy

    def copy(ended: Invoice, lines: list[InvoiceLine], **facts: Any) -> Invoice:
        return original(ended, [line for line in lines if line.entry_id is not None], **facts)

    patch.setattr(copying, "copy", copy)


def copy_at_todays_rules(patch: pytest.MonkeyPatch) -> None:
    """3. What is billed again is priced by the rules of that day, unasked."""
    original = releasing.free_lines

    def free_lines(invoice: Invoice, *, again: str, **facts: Any) -> int:
        return original(invoice, again=releasing.Again.ANEW if again == releasing.Again.COPY else again, **facts)

    patch.setattr(releasing, "free_lines", free_lines)


def words_that_are_not_carried(patch: pytest.MonkeyPatch) -> None:
    """4. What a person wrote over a line is forgotten when it is put off."""
    patch.setattr(carrying, "_carried", lambda old, new: {})


def drafts_of_work_alone(patch: pytest.MonkeyPatch) -> None:
    """5. A refresh takes a draft away that has no work on it any more, and its lines by hand with it."""
    original = refreshing.refresh

    def refresh(invoice: Invoice, rule_set: RuleSet) -> tuple[list[Invoice], list[str]]:
        kept = original(invoice, rule_set)
        lines = invoice.lines.filter(is_voided=False)
        if not lines.filter(entry__isnull=False).exists() and invoice.state == InvoiceState.DRAFT:
            lines.update(is_voided=True)
            refreshing.take_away(invoice, "nothing left")
            return [], ["A draft became empty and was taken away."]
        return kept

    patch.setattr(refreshing, "refresh", refresh)


@dataclass(frozen=True)
class Row:
    """A fix, on how many tasks people do what on the draft and once it was mailed, the seed, and what is found."""

    take_out: Callable[[pytest.MonkeyPatch], None]
    tasks: int
    on_drafts: tuple[str, ...]
    after: tuple[str, ...]
    seed: int
    says: str


NOT_ASKED, LOST = "h are neither billed nor offered nor asked about", "a line by hand is lost"
ROWS = [
    Row(what_was_priced, 1, ("write",), ("correct", "correct", "correct"), 2, NOT_ASKED),
    Row(hours_of_no_client, 1, (), ("rehome", "reopen_one", "answer", "correct"), 1, NOT_ASKED),
    Row(copy_without_lines_by_hand, 1, ("add_by_hand",), ("cancel",), 3, LOST),
    Row(copy_at_todays_rules, 2, (), ("change_rules", "cancel"), 2, "not billed again as it was"),
    Row(words_that_are_not_carried, 2, ("write", "put_off"), (), 5, "a person's word is forgotten"),
    Row(drafts_of_work_alone, 1, ("add_by_hand", "reopen"), (), 1, LOST),
]


class Told(Words):
    """A month in which people do exactly these acts, one after the other; the seed decides on what, and how much."""

    before = when_created = ()

    def people_act(self, acts: tuple[str, ...], count: int) -> None:
        for act in acts:
            super().people_act((act,), 1)


def play(office: Office, row: Row) -> None:
    """Such a month, then one in which nothing is said: both balance, and each hour and cent is where it must be."""
    told = Told(office, row.seed)
    told.days, told.on_drafts, told.after = (3, 14)[: row.tasks], row.on_drafts, row.after
    try:
        for period in months((2026, 1), 2):
            told.play(period)
            assert told.balance(period) == {}, period
            told.on_drafts = told.after = ()
    finally:
        office.clocks.close()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.take_out.__name__}-{row.seed}")
def test_the_machine_finds_the_fault_whose_fix_is_taken_out(
    office: Callable[[], Office], row: Row, monkeypatch: pytest.MonkeyPatch
) -> None:
    play(office(), row)
    with monkeypatch.context() as patch:
        row.take_out(patch)
        with pytest.raises(AssertionError) as found:
            play(office(), row)
    assert row.says in str(found.value)
