"""What the doctor says: one plain sentence with its severity, and the place where a person puts it right. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

ERROR, WARNING, OK = "error", "warning", "ok"
SEVERITIES: Final = (ERROR, WARNING, OK)
CONSOLE, TAIGA, NINJA = "console", "taiga", "invoice_ninja"


@dataclass(frozen=True)
class Place:
    """A page: of the console by the name of its address and `args`, of a server by its path below the server's root."""

    where: str
    path: str
    args: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Finding:
    """`code` and `subject` together are one thing that is looked at: a check says each of them at most once.

    error: hours or money go wrong or stand still. warning: something will be awkward. `details` are quoted lines.
    """

    severity: str
    code: str
    sentence: str
    place: Place | None = None
    details: tuple[str, ...] = ()
    subject: str = ""


def error(code: str, sentence: str, place: Place | None = None, **more: Any) -> Finding:
    """Hours or money go wrong or stand still until somebody acts."""
    return Finding(ERROR, code, sentence, place, **more)


def warning(code: str, sentence: str, place: Place | None = None, **more: Any) -> Finding:
    """It works, but something will be awkward."""
    return Finding(WARNING, code, sentence, place, **more)


def ok(code: str, sentence: str, place: Place | None = None, **more: Any) -> Finding:
    """Looked at, and right."""
    return Finding(OK, code, sentence, place, **more)
