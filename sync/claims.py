"""The words of the outbox: a claim with its fence, a proof, and how one kind of record is written and looked up."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from billing_console.errors import ConsoleError
from sync.leases import Fence
from sync.models import RecordKind, RemoteRecord


class NeedsPerson(ConsoleError):
    """Only a person can decide how this goes on; `reason` is a short code."""

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason


class Missing(NeedsPerson):
    """What is known to have been there is not shown. A person is asked when it is missing again, some time later.

    A replica that lags, a cache or a restored copy of the server answers for a while as it was before.
    """


class NotThere(ConsoleError):
    """A look-up found nothing under our key: the write was not done."""


@dataclass(frozen=True)
class Claim:
    """One record, ours while its lease runs; every client that a handler calls with is given the `fence`."""

    record: RemoteRecord
    claim_id: uuid.UUID
    revision: int
    fence: Fence

    @property
    def wrote(self) -> bool:
        """Whether the bytes of a call that may change the server were about to leave."""
        return self.fence.wrote


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

    `makes_another`: the server makes a second thing of a second write, and refuses none. Then what was never seen there
    must be missing twice, some time apart, before it is written again.
    """

    kind: RecordKind
    write: Work
    look_up: LookUp
    after_sync: InTransaction = lambda record: None
    lock_first: InTransaction = lambda record: None
    after_question: InTransaction = lambda record: None
    makes_another: bool = False
