"""What a person wrote over a line, for the questions that later changes in Taiga ask (A person's word)."""

from __future__ import annotations

from decimal import Decimal

from billing_console import money
from sync.brakes import plain
from sync.hooks import Printed
from sync.models import Difference


def said_token(raw_hours: Decimal) -> str:
    """What is remembered when a person confirms a change after somebody's word: other hours ask again."""
    return f"said={plain(raw_hours)}"


def facts_of(line: Printed) -> dict[str, str]:
    """Who wrote what over what, and why, as facts for `reasons`."""
    return {
        "who": line.who,
        "first": f"{line.first_hours:.2f} h × {plain(line.first_rate or money.ZERO)}",
        "said": f"{line.hours:.2f} h × {plain(line.rate)}",
        "said_why": line.reason.rstrip("."),
    }


def facts_of_credit(taken: Difference) -> dict[str, str]:
    """The same of hours that a person credited because they were wrong."""
    return {
        "who": taken.taken_by,
        "first": f"{taken.billed_hours:.2f} h",
        "said": f"{taken.billed_hours - (taken.taken_hours or money.ZERO):.2f} h",
        "said_why": taken.reason.rstrip("."),
    }
