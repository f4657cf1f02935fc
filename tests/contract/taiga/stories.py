"""Exchanges that follow each other on one server: the stand-in is asked the same in order, each answer is compared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.contract.taiga.case import named
from tests.contract.taiga.compare import differences, header_differences
from tests.contract.taiga.lab import Lab, read_recording

Step = int | Callable[[Lab], Any]


@dataclass(frozen=True)
class Story:
    """`steps` are recordings by number, and what happened between them unrecorded.

    loose: keys that may differ, by recording (blank between them). partial: recordings of which keys were cut away.
    changes: what was redacted in a request.
    """

    name: str
    steps: tuple[Step, ...]
    loose: dict[int, str] = field(default_factory=dict)
    partial: frozenset[int] = frozenset()
    changes: dict[int, Callable[[Lab], dict[str, Any]]] = field(default_factory=dict)

    @property
    def numbers(self) -> list[int]:
        """The recordings of it, in order."""
        return [step for step in self.steps if isinstance(step, int)]


def steps(*parts: str | Step) -> tuple[Step, ...]:
    """Steps from texts like `"506-518 523"` and the calls between them."""
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
    lab = Lab()
    try:
        lab.clear()
        return {step: _compared(lab, story, step) for step in story.steps if not _done(lab, step)}  # type: ignore[misc]
    finally:
        lab.stop()


def _done(lab: Lab, step: Step) -> bool:
    if isinstance(step, int):
        return False
    step(lab)
    return True


def _compared(lab: Lab, story: Story, number: int) -> list[str]:
    recorded = read_recording(named(number))
    changes = story.changes.get(number)
    answer = lab.send(recorded, changes(lab) if changes else {})
    expected = recorded["response"]
    if answer.status_code != expected["status"]:
        return [f"status {answer.status_code}, recorded {expected['status']}: {answer.text[:300]} {lab.app.broken}"]
    is_json = (expected["headers"].get("Content-Type") or "").startswith("application/json")
    body = answer.json() if is_json or isinstance(expected["body"], dict) else answer.text
    if number in story.partial:
        body = _cut(expected["body"], body)
    loose = frozenset(story.loose.get(number, "").split())
    found = differences(expected["body"], body, loose)
    if number not in story.partial:  # of a list that was cut the count is another
        found += header_differences(expected["headers"], answer.headers)
    lab.app.drain()
    return found


def _cut(recorded: Any, answered: Any) -> Any:
    """Of an answer the keys that were kept of the recorded one, at the top and in the rows of a list."""
    if isinstance(recorded, dict) and isinstance(answered, dict):
        return {key: value for key, value in answered.items() if key in recorded}
    if isinstance(recorded, list) and isinstance(answered, list) and recorded:
        return [_cut(recorded[0], row) for row in answered]
    return answered
