"""More hours after the claim, decided by a person: the next cycle bills them, or gives them away.

Billing-rules, More hours later: a supplement *is* the next cycle of the item, so that nothing else ever bills the
same hours. Nothing here calls a server.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from django.db import transaction
from django.utils.translation import gettext as _

from billing_console import money
from billing_console.errors import IllegalTransition, NotAllowed, StaleRevision
from billing_console.reason import reason_of
from billing_console.states import DifferenceState, EntryState, ItemState
from mappings.models import Client
from sync import attributes, brakes, entries, words
from sync.cycles import Judgement
from sync.models import Difference, TimeEntry, WorkItem
from sync.reevaluate import UNCLAIMED
from sync.transitions import advance
from sync.world import World

if TYPE_CHECKING:
    from accounts.models import User


def preview(difference: Difference) -> tuple[TimeEntry | None, str]:
    """The next cycle as it would be now (unsaved), or None and the sentence why there is none. Writes nothing."""
    with transaction.atomic():
        items, by_item, world = entries.lock_and_load([difference.item_id])
        try:
            return _check(items[difference.item_id], by_item[difference.item_id], world), ""
        except NotAllowed as error:
            return None, error.sentence


def preview_after_credit(difference: Difference) -> TimeEntry | None:
    """What is billed to the client now, once all is given back to the one who was billed (unsaved); None for nothing.

    Priced as if the Difference were credited, and rolled back. Only where somebody named another client in Taiga.
    A cycle that waits already is the one that bills it.
    """
    if difference.payer_now_id is None:
        return None
    with transaction.atomic():
        items, by_item, world = entries.lock_and_load([difference.item_id])
        savepoint = transaction.savepoint()
        Difference.objects.filter(pk=difference.pk).update(state=DifferenceState.CREDITED)
        try:
            return _bill_anew(items[difference.item_id], by_item[difference.item_id], world)
        finally:
            transaction.savepoint_rollback(savepoint)


def bill_after_credit(difference: Difference, *, user: User, note: str) -> TimeEntry | None:
    """The next cycle for the client whom somebody named in Taiga, once the (locked) Difference is credited.

    None where the item is open, or nothing is left to bill: a later closing bills it. Who decided has said who pays.
    A cycle that waits already bills it.
    """
    if difference.payer_now_id is None:
        return None
    items, by_item, world = entries.lock_and_load([difference.item_id])
    item, rows = items[difference.item_id], by_item[difference.item_id]
    if _bill_anew(item, rows, world) is None:
        return None
    if not _waits(item, rows):
        return entries.open_cycle(item, rows, world, user, why=note, confirmed=_answered(item))
    TimeEntry.objects.filter(pk=rows[-1].pk).update(is_confirmed=True, confirmed_value=rows[-1].confirmed_value)
    return entries.evaluate(item, user=user)


def supplement(difference: Difference, *, mark: str, user: User, note: str) -> TimeEntry:
    """Let the next cycle of the item bill what came to it: ready for the next run, as any cycle.

    `mark` is what the person saw. Raises NotAllowed, StaleRevision, and IllegalTransition on a second click.
    """
    return _open(difference, mark=mark, user=user, note=note, is_given=False)


def write_off(difference: Difference, *, mark: str, user: User, note: str) -> TimeEntry:
    """Give the additional hours away: a cycle of its own, written off with its amount, never billed."""
    return _open(difference, mark=mark, user=user, note=note, is_given=True)


def lock_open(difference: Difference, mark: str) -> Difference:
    """The Difference, locked, still open and as the person saw it. Call with its item locked."""
    row = Difference.objects.select_for_update(of=("self",)).select_related("item", "entry").get(pk=difference.pk)
    check_open(row)
    if row.mark != mark:
        raise StaleRevision(_("Taiga changed again since you looked: here is what it says now. Nothing was done."))
    return row


def check_open(row: Difference) -> None:
    """Raises IllegalTransition, with the sentence for a second click, when the Difference was decided."""
    if row.state != DifferenceState.OPEN:
        raise IllegalTransition(
            "sync.difference",
            row.pk,
            row.state,
            DifferenceState.OPEN,
            _("This was decided already: it is “%(state)s”. Nothing was done again.")
            % {"state": row.get_state_display()},
        )


def _open(difference: Difference, *, mark: str, user: User, note: str, is_given: bool) -> TimeEntry:
    reason = reason_of(note)
    with transaction.atomic():
        items, by_item, world = entries.lock_and_load([difference.item_id])
        row = lock_open(difference, mark)
        item, earlier = items[row.item_id], by_item[row.item_id]
        _check(item, earlier, world)
        entry = entries.open_cycle(item, earlier, world, user, why=reason, is_given=is_given, confirmed=_answered(item))
        to = DifferenceState.WRITTEN_OFF if is_given else DifferenceState.SUPPLEMENTED
        advance(row, to, why=reason, user=user, reason=reason)
    return entry


def _check(item: WorkItem, earlier: list[TimeEntry], world: World) -> TimeEntry:
    """The next cycle as it would be, unsaved. Raises NotAllowed where there is none."""
    if item.state != ItemState.CLOSED:
        raise NotAllowed(
            _("#%(ref)s is not closed in Taiga. Once it is closed again, the next cycle bills what came to it.")
            % {"ref": item.ref}
        )
    if not earlier or not (earlier[-1].state in entries.CLAIMED or entries.is_given_away(earlier[-1])):
        raise NotAllowed(_("The item has an unbilled cycle already: what changes is priced there."))
    entry, judgement = entries.next_cycle(item, earlier, world, confirmed=_answered(item))
    billed = judgement.columns["billed_hours"]
    if judgement.state in (EntryState.VOID, EntryState.BELOW_MINIMUM) or billed is None or billed <= money.ZERO:
        raise NotAllowed(_("There are no more hours than were billed, so there is nothing for a next cycle to bill."))
    return _priced(entry, judgement)


def _bill_anew(item: WorkItem, rows: list[TimeEntry], world: World) -> TimeEntry | None:
    """What bills the item from here on: the cycle that waits, priced again with what was answered, else the next one
    (unsaved). None where there is nothing to bill."""
    if not _waits(item, rows):
        try:
            return _check(item, rows, world)
        except NotAllowed:
            return None
    entry = rows[-1]
    tokens = sorted({*entries.confirmed_tokens(entry), *_answered(item).split()})
    entry.is_confirmed, entry.confirmed_value = True, " ".join(tokens)
    judgement = entries.judge_again(item, rows, world, entries.typed_at_of(entry))
    if judgement.state not in entries.WAITING:
        return None
    return _priced(entry, judgement)


def _priced(entry: TimeEntry, judgement: Judgement) -> TimeEntry:
    """The entry as it was judged, unsaved."""
    for name, value in judgement.columns.items():
        setattr(entry, name, value)
    entry.state, entry.reason = judgement.state, judgement.reason
    return entry


def _waits(item: WorkItem, rows: list[TimeEntry]) -> bool:
    """Whether the last of the item's entries is priced, and not claimed."""
    return item.state == ItemState.CLOSED and bool(rows) and rows[-1].state in UNCLAIMED


def _answered(item: WorkItem) -> str:
    """What is not asked again: who decides has seen what a person wrote before, and which client the item names."""
    tokens = []
    with contextlib.suppress(attributes.Unreadable):
        tokens.append(words.said_token(attributes.parse_hours(item.attributes.get(attributes.HOURS))))
    typed = attributes.parse_client(item.attributes.get(attributes.CLIENT))
    client = Client.objects.filter(ninja_id=typed).first() if typed else None
    if client is not None:
        tokens.append(brakes.client_token(client))
    return " ".join(tokens)
