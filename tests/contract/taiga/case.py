"""One recorded exchange and the state in which it is repeated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.contract.taiga.lab import RECORDINGS, Lab

Arrange = Callable[[Lab], dict[str, Any] | None]


@dataclass(frozen=True)
class Case:
    """A recording, the state it needs, and what the answer alone does not show.

    arrange: sets the state; may answer what was redacted in the request (authorization, body, path).
    loose: keys of the answer that may differ. check: the trap's effect, afterwards. mode: how webhooks are sent.
    """

    recording: str
    arrange: Arrange
    loose: frozenset[str] = frozenset()
    check: Callable[[Lab], None] | None = None
    mode: str = "inline"


def named(number: int) -> str:
    """The file name of a recording, without .json."""
    return next(RECORDINGS.glob(f"{number:03}-*.json")).stem


def case(
    number: int,
    arrange: Arrange,
    loose: str = "",
    check: Callable[[Lab], None] | None = None,
    mode: str = "inline",
) -> Case:
    """A case by the number of its recording; `loose` are keys, blank between them."""
    return Case(named(number), arrange, frozenset(loose.split()), check, mode)


def people(changes: Callable[[Lab], dict[str, Any]] | None = None) -> Arrange:
    """Only people; `changes` gives what was redacted."""

    def arrange(lab: Lab) -> dict[str, Any] | None:
        lab.people()
        return changes(lab) if changes else None

    return arrange


def after(*numbers: int, then: Callable[[Lab], dict[str, Any] | None] | None = None) -> Arrange:
    """Client Alpha as it was set up, and what the real server had answered in these recordings."""

    def arrange(lab: Lab) -> dict[str, Any] | None:
        lab.alpha()
        lab.load(*(named(number) for number in numbers))
        return then(lab) if then else None

    return arrange


def staffed(*numbers: int, then: Callable[[Lab], dict[str, Any] | None] | None = None) -> Arrange:
    """The two projects with their people, without attributes, webhooks and sprints."""

    def arrange(lab: Lab) -> dict[str, Any] | None:
        lab.projects()
        lab.load(*(named(number) for number in numbers))
        return then(lab) if then else None

    return arrange
