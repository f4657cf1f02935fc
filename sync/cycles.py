"""What is fixed for one billing cycle of an item before it is priced, and what pricing it came to."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from billing_console import money
from mappings.models import Person
from sync.hooks import Printed


@dataclass(frozen=True)
class Cycle:
    """What is fixed for the cycle that is judged, and what came before it.

    `confirmed` are the tokens a person confirmed; `is_known_there`: Invoice Ninja was asked and holds a task of this
    item; `is_pushed`: we wanted one there ourselves. `typed_at`: when the hours were typed, as far as anybody told us.
    `was_billed`: it was billed once, so whatever a brake would ask has been answered. `word`: what a person wrote over
    the line of an earlier cycle, as facts; `own_word`: what one wrote over a line of this cycle, on no draft now.
    `billed_to`: the client whom earlier cycles stand billed to, where Taiga names another one since and nobody decided.
    """

    first_closed_at: dt.datetime
    person: Person | None
    confirmed: frozenset[str] = frozenset()
    raw_before: Decimal = money.ZERO
    billed_before: Decimal = money.ZERO
    is_known_there: bool = False
    is_pushed: bool = False
    typed_at: dt.datetime | None = None
    was_billed: bool = False
    word: Mapping[str, str] = field(default_factory=dict)
    own_word: Printed | None = None
    billed_to: str = ""


@dataclass
class Judgement:
    """`state` and `reason` of the entry, its columns, and the facts that explain them (JSON values only)."""

    state: str
    reason: str
    columns: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
