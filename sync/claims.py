"""The words of the outbox: a claim with its fence, a proof, and how one kind of record is written and looked up."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone

from billing_console.errors import ClaimLost, ConsoleError
from sync.models import RecordKind, RemoteRecord


class NeedsPerson(ConsoleError):
    """Only a person can decide how this goes on; `reason` is a short code."""

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason


class NotThere(ConsoleError):
    """A look-up found nothing under our key: the write was not done."""


def longest_call() -> timedelta:
    """How long a call may take with the wait for the permission to make it: lease that must be left before it."""
    return timedelta(seconds=2 * settings.CALL_DEADLINE_SECONDS)


@dataclass
class Claim:
    """One record, ours until `lease_until` (real time). `wrote`: a call that may change the server has started."""

    record: RemoteRecord
    claim_id: uuid.UUID
    lease_until: datetime
    revision: int
    wrote: bool = False
    _wrote_before: bool = False

    def before_call(self, *, writes: bool = False) -> None:
        """A call is about to start. Raises ClaimLost when less lease is left than it may take, waiting included."""
        if timezone.now() + longest_call() >= self.lease_until:
            raise ClaimLost
        self._wrote_before = self.wrote
        self.wrote = self.wrote or writes

    def was_not_called(self) -> None:
        """The call that was about to start never did, so that nothing of it can be in doubt."""
        self.wrote = self._wrote_before


@dataclass(frozen=True)
class Proof:
    """What was read back: the id there (None: nothing of ours is there), and the facts worth keeping (JSON)."""

    remote_id: str | None
    seen: dict[str, Any]


Work = Callable[[Claim], Proof]
LookUp = Callable[[RemoteRecord], Proof]
InTransaction = Callable[[RemoteRecord], None]


@dataclass(frozen=True)
class Handler:
    """How one kind of record is written, looked up when its outcome is unknown, and what follows its proof.

    `write` and `look_up` call the server outside any transaction; `look_up` only reads, and raises NotThere when the
    write was not done. `lock_first` and `after_sync` run in the transaction that writes the proof, before and after
    it, and call nobody; `after_question` runs, after `lock_first`, in the one that makes the record wait for a person.
    `lock_first` takes the locks that they need: whoever evaluates an item locks it before its records, so that a proof
    must do the same or the two would wait for each other.
    """

    kind: RecordKind
    write: Work
    look_up: LookUp
    after_sync: InTransaction = lambda record: None
    lock_first: InTransaction = lambda record: None
    after_question: InTransaction = lambda record: None
