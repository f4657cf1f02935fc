"""Exchanges that follow each other on one server: a stand-in is asked the same in the same order, and each is compared.

What one exchange did is the state of the next, so amounts, balances and activities are those that the stand-in came to
by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sandbox.clock import Clock
from sandbox.memory import Memory
from sandbox.ninja.app import InvoiceNinja
from tests.contract.invoice_ninja.comparing import differences
from tests.contract.invoice_ninja.recording import recordings
from tests.contract.invoice_ninja.sending import send
from tests.contract.invoice_ninja.world import Arrange, expect_id

Step = int | Callable[[InvoiceNinja], Any]


@dataclass(frozen=True)
class Story:
    """`steps` are recordings by number, and what happened between them unrecorded; `start` is the state before.

    at_once: exchanges within a second of the one before. ignore: fields by recording whose value is another's doing.
    """

    name: str
    start: Arrange
    steps: tuple[Step, ...]
    at_once: frozenset[int] = frozenset()
    ignore: dict[int, frozenset[str]] = field(default_factory=dict)

    @property
    def numbers(self) -> list[int]:
        """The recordings of it, in order."""
        return [step for step in self.steps if isinstance(step, int)]


def steps(*parts: str | Step) -> tuple[Step, ...]:
    """Steps from texts like `"718-721 723"` and the calls between them."""
    found: list[Step] = []
    for part in parts:
        if not isinstance(part, str):
            found.append(part)
            continue
        for piece in part.split():
            first, _, last = piece.partition("-")
            found += range(int(first), int(last or first) + 1)
    return tuple(found)


def play(story: Story) -> dict[int, list[str]]:
    """What differs, by recording."""
    ninja = InvoiceNinja(Memory("ninja"), Clock())
    story.start(ninja)
    found: dict[int, list[str]] = {}
    for step in story.steps:
        if not isinstance(step, int):
            step(ninja)
            continue
        recording = recordings()[step]
        ninja.clock.set(recording.at)
        if step not in story.at_once:
            ninja.store.guard.clear()
        expect_id(ninja, recording)
        response = send(ninja, recording)
        found[step] = differences(recording, response, story.ignore.get(step, frozenset()))
        if ninja.broken:
            found[step].append(ninja.broken)
            ninja.broken = ""
    return found
