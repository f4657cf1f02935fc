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
from sandbox.ninja.data import currency_ids
from tests.contract.invoice_ninja.comparing import differences
from tests.contract.invoice_ninja.recording import Tables, recordings
from tests.contract.invoice_ninja.sending import post, send
from tests.contract.invoice_ninja.world import Arrange, a_client, expect_id, make, newer

EURO = currency_ids()["EUR"]
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


def reminding(number: int, **more: Any) -> Arrange:
    """The state before `number` (from 889 on), whose company reminds of each invoice after ten days."""
    reminder = {"enable_reminder1": True, "num_days_reminder1": 10, "schedule_reminder1": "after_invoice_date"}
    return newer(number, settings=reminder, **more)


def in_euro(row_id: str, name: str, number: str) -> Tables:
    """A client of the company, not shown before, with the one contact Ann."""
    tables = a_client(row_id, name=name, display_name=name, number=number, settings={"currency_id": EURO})
    person = {"id": row_id, "first_name": "Ann", "last_name": name.split()[0]}
    tables["clients"][row_id]["contacts"][0] |= person
    return tables


def bulk_on(table: str, action: str, row_id: str) -> Step:
    """A bulk action that was not recorded."""

    def step(ninja: InvoiceNinja) -> None:
        ninja.store.guard.clear()
        post(ninja, f"/{table}/bulk", {"action": action, "ids": [row_id]})

    return step


def sent_invoice(row_id: str, client_id: str, amount: float, *, number: str, is_draft: bool = False) -> Arrange:
    """An invoice of one line that was made, and sent unless it is a draft, unrecorded."""
    body = {"client_id": client_id, "number": number, "line_items": [{"quantity": 1, "cost": amount, "notes": "Work"}]}
    return lambda ninja: make(ninja, "invoices", row_id, body, "" if is_draft else "?mark_sent=true")
