"""What stands billed of an item, piece by piece, and what a change of its hours or rate takes off or adds. Pure.

Every cycle is a piece. Hours that are taken away come off the newest piece first; what was credited already is gone
from the pieces, so nothing is credited twice, and hours that come back after a credit are billed again. Hours are
Decimal billed hours, amounts are before tax in the item's currency.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from billing_console import money
from billing_console.states import EntryState
from sync.models import Difference, TimeEntry


@dataclass(frozen=True)
class Piece:
    """Hours of one entry as they stand; `is_given`: given away (written off), so nobody owes or gets back anything."""

    entry_id: int
    hours: Decimal
    rate: Decimal
    amount: Decimal
    is_given: bool = False


@dataclass(frozen=True)
class Delta:
    """One part of a change: `hours` × `rate` = `amount`, with the sign of the money: + is billed more, − given back."""

    entry_id: int
    hours: Decimal
    rate: Decimal
    amount: Decimal


def stand(entries: Sequence[TimeEntry], credited: Iterable[Difference]) -> list[Piece]:
    """The pieces of an item's cycles (in order) after its credited Differences (in order of their making)."""
    pieces: list[Piece] = []
    rest = list(entries)
    for difference in credited:
        while rest and rest[0].cycle <= difference.entry.cycle:
            pieces.append(piece_of(rest.pop(0)))
        pieces = _after(pieces, difference.hours_now, difference.rate_now, difference.currency)
    return pieces + [piece_of(entry) for entry in rest]


def piece_of(entry: TimeEntry) -> Piece:
    """An entry as it was billed, or given away."""
    is_given = entry.state == EntryState.WRITTEN_OFF
    amount = money.ZERO if is_given else entry.amount or money.ZERO
    return Piece(entry.pk, entry.billed_hours or money.ZERO, entry.rate or money.ZERO, amount, is_given)


def hours_of(pieces: Iterable[Piece]) -> Decimal:
    """The hours that stand billed (or given away)."""
    return money.total(piece.hours for piece in pieces)


def deltas(pieces: Sequence[Piece], hours_now: Decimal, rate_now: Decimal | None, currency: str) -> list[Delta]:
    """What it takes to come from `pieces` to `hours_now` at `rate_now` (None: each piece keeps its rate).

    Parts that come to nothing are left out.
    """
    found = []
    kept = _keep(pieces, hours_now)
    for before, after in reversed(list(zip(pieces, kept, strict=True))):
        gone = before.hours - after.hours
        if gone and not before.is_given:
            back = money.line_amount(gone, before.rate, currency) if after.hours else before.amount
            found.append(Delta(before.entry_id, -gone, before.rate, -back))
    if rate_now is not None:
        for piece in kept:
            if piece.hours and not piece.is_given and piece.rate != rate_now:
                change = money.line_amount(piece.hours, rate_now - piece.rate, currency)
                found.append(Delta(piece.entry_id, piece.hours, rate_now - piece.rate, change))
    more = hours_now - hours_of(pieces)
    if more > 0 and pieces:
        rate = pieces[-1].rate if rate_now is None else rate_now
        found.append(Delta(pieces[-1].entry_id, more, rate, money.line_amount(more, rate, currency)))
    return [delta for delta in found if delta.amount]


def total(parts: Iterable[Delta]) -> Decimal:
    """What a change comes to, with its sign."""
    return money.total(part.amount for part in parts)


def _keep(pieces: Sequence[Piece], hours_now: Decimal) -> list[Piece]:
    """The pieces without the hours above `hours_now`, taken off the newest first; amounts are not touched."""
    gone = hours_of(pieces) - hours_now
    kept = []
    for piece in reversed(pieces):
        taken = max(min(gone, piece.hours), money.ZERO)
        gone -= taken
        kept.append(replace(piece, hours=piece.hours - taken))
    return kept[::-1]


def _after(pieces: Sequence[Piece], hours_now: Decimal, rate_now: Decimal | None, currency: str) -> list[Piece]:
    """The pieces once a credit of this change was given."""
    found = []
    for before, piece in zip(pieces, _keep(pieces, hours_now), strict=True):
        rate = piece.rate if rate_now is None or piece.is_given else rate_now
        is_same = piece.hours == before.hours and rate == before.rate
        amount = before.amount if is_same or piece.is_given else money.line_amount(piece.hours, rate, currency)
        found.append(replace(piece, rate=rate, amount=amount))
    return found
