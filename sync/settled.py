"""What stands billed of an item, piece by piece, and what a change of its hours or rate takes off or adds. Pure.

Every cycle is a piece. What an invoice prints counts, not what was priced; where a person wrote other hours on purpose,
the hours that were waived or added are settled too (billing-rules: What was billed). Hours that are taken away come off
the newest piece first, and off what was waived before anything is given back; where a person credited a line because
its hours were wrong, they come off its own piece. What was credited already is gone from the pieces, so nothing is
credited twice, and hours that come back after a credit are billed again. Hours are Decimal billed hours, amounts are
before tax in the item's currency.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from billing_console import money
from billing_console.states import EntryState
from sync.hooks import Printed
from sync.models import Difference, TimeEntry


@dataclass(frozen=True)
class Piece:
    """Hours of one entry as they stand billed, at the printed rate and amount.

    `is_given`: given away (written off), so nobody owes or gets back anything. `waived`: hours that a person left out
    on purpose, negative for hours that were added on purpose. `is_said`: a person wrote hours or rate.
    """

    entry_id: int
    hours: Decimal
    rate: Decimal
    amount: Decimal
    is_given: bool = False
    waived: Decimal = money.ZERO
    is_said: bool = False

    @property
    def settled(self) -> Decimal:
        """The hours that nobody has to bill or give back any more."""
        return self.hours + self.waived


@dataclass(frozen=True)
class Delta:
    """One part of a change: `hours` at `rate` come to `amount`, with the sign of the money: + is billed more, − given
    back. What is given back of a piece is what was billed less what stays, rounded (0.75 → 0.25 h at 99.99: 49.99)."""

    entry_id: int
    hours: Decimal
    rate: Decimal
    amount: Decimal


def stand(entries: Sequence[TimeEntry], credited: Iterable[Difference], printed: Mapping[int, Printed]) -> list[Piece]:
    """The pieces of an item's cycles (in order) after its credited Differences (in order of their making).

    `printed` is what their lines say, by entry id.
    """
    pieces: list[Piece] = []
    rest = list(entries)
    for difference in credited:
        while rest and rest[0].cycle <= difference.entry.cycle:
            pieces.append(piece_of(rest.pop(0), printed))
        if difference.payer_now_id is not None:
            pieces = as_printed(pieces)
        pieces = (
            _after(pieces, difference.hours_now, difference.rate_now, difference.currency)
            if difference.taken_hours is None
            else _without(pieces, difference.entry_id, difference.taken_hours, difference.currency)
        )
    return pieces + [piece_of(entry, printed) for entry in rest]


def piece_of(entry: TimeEntry, printed: Mapping[int, Printed]) -> Piece:
    """An entry as its line bills it, as it was given away, or, without a line, as it was priced."""
    line = printed.get(entry.pk)
    if entry.state == EntryState.WRITTEN_OFF:
        return Piece(entry.pk, entry.billed_hours or money.ZERO, entry.rate or money.ZERO, money.ZERO, is_given=True)
    if line is not None and line.is_living:
        return Piece(entry.pk, line.hours, line.rate, line.amount, waived=line.waived, is_said=line.is_said)
    return Piece(entry.pk, entry.billed_hours or money.ZERO, entry.rate or money.ZERO, entry.amount or money.ZERO)


def as_printed(pieces: Iterable[Piece]) -> list[Piece]:
    """The pieces by what their lines print alone, whatever a person meant by them: another client is billed for none
    of it, so all of it is given back, hours that were added on purpose too."""
    return [replace(piece, waived=money.ZERO) for piece in pieces]


def hours_of(pieces: Iterable[Piece]) -> Decimal:
    """The hours that stand billed (or given away), as printed."""
    return money.total(piece.hours for piece in pieces)


def settled_hours(pieces: Iterable[Piece]) -> Decimal:
    """The same with what was waived on purpose, and without what was added on purpose."""
    return money.total(piece.settled for piece in pieces)


def moved_hours(pieces: Sequence[Piece], hours_now: Decimal) -> Decimal:
    """Hours to bill more (+) or to give back (−) when the item has `hours_now`; 0 where all is settled.

    Hours that were given away are not given back: nobody was billed for them.
    """
    more = hours_now - settled_hours(pieces)
    return more if more >= 0 else _asked_for(_keep(pieces, hours_now)) - _asked_for(pieces)


def deltas(pieces: Sequence[Piece], hours_now: Decimal, rate_now: Decimal | None, currency: str) -> list[Delta]:
    """What it takes to come from `pieces` to `hours_now` at `rate_now` (None: each piece keeps its rate).

    Parts that come to nothing are left out.
    """
    found = []
    kept = _keep(pieces, hours_now)
    for before, after in reversed(list(zip(pieces, kept, strict=True))):
        gone = before.hours - after.hours
        if gone and not before.is_given:
            stays = _amount_of(before, after.hours, before.rate, currency)
            found.append(Delta(before.entry_id, -gone, before.rate, stays - before.amount))
    if rate_now is not None:
        for before, piece in zip(pieces, kept, strict=True):
            if piece.hours and not piece.is_given and piece.rate != rate_now:
                stays = _amount_of(before, piece.hours, piece.rate, currency)
                change = money.line_amount(piece.hours, rate_now, currency) - stays
                found.append(Delta(piece.entry_id, piece.hours, rate_now - piece.rate, change))
    more = hours_now - settled_hours(pieces)
    if more > 0 and pieces:
        rate = pieces[-1].rate if rate_now is None else rate_now
        found.append(Delta(pieces[-1].entry_id, more, rate, money.line_amount(more, rate, currency)))
    return [delta for delta in found if delta.amount]


def total(parts: Iterable[Delta]) -> Decimal:
    """What a change comes to, with its sign."""
    return money.total(part.amount for part in parts)


def _asked_for(pieces: Iterable[Piece]) -> Decimal:
    """The printed hours that somebody was billed for."""
    return hours_of(piece for piece in pieces if not piece.is_given)


def _keep(pieces: Sequence[Piece], hours_now: Decimal) -> list[Piece]:
    """The pieces without the settled hours above `hours_now`, taken off the newest first; amounts are not touched.

    What was waived goes first: it was never billed, so nothing is given back for it.
    """
    gone = settled_hours(pieces) - hours_now
    kept = []
    for piece in reversed(pieces):
        taken = max(min(gone, piece.settled), money.ZERO)
        gone -= taken
        of_waived = min(taken, max(piece.waived, money.ZERO))
        kept.append(replace(piece, hours=piece.hours - (taken - of_waived), waived=piece.waived - of_waived))
    return kept[::-1]


def _after(pieces: Sequence[Piece], hours_now: Decimal, rate_now: Decimal | None, currency: str) -> list[Piece]:
    """The pieces once a credit of this change was given."""
    found = []
    for before, piece in zip(pieces, _keep(pieces, hours_now), strict=True):
        rate = piece.rate if rate_now is None or piece.is_given else rate_now
        amount = before.amount if piece.is_given else _amount_of(before, piece.hours, rate, currency)
        found.append(replace(piece, rate=rate, amount=amount))
    return found


def _without(pieces: Sequence[Piece], entry_id: int, hours: Decimal, currency: str) -> list[Piece]:
    """The pieces once a person credited `hours` of one of them."""
    return [
        replace(piece, hours=piece.hours - hours, amount=_amount_of(piece, piece.hours - hours, piece.rate, currency))
        if piece.entry_id == entry_id and not piece.is_given
        else piece
        for piece in pieces
    ]


def _amount_of(piece: Piece, hours: Decimal, rate: Decimal, currency: str) -> Decimal:
    """What `hours` of the piece at `rate` come to: what was billed, where neither changes."""
    return piece.amount if (hours, rate) == (piece.hours, piece.rate) else money.line_amount(hours, rate, currency)
