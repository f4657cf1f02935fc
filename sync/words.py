"""What a person wrote over a line, for the questions that later changes in Taiga ask (A person's word)."""

from __future__ import annotations

from decimal import Decimal

from billing_console import money
from sync.brakes import plain
from sync.hooks import Printed


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
