"""Moving a row along its map: one conditional UPDATE is the lock, one Transition is the trail.

Works in the caller's transaction (opens none that outlives it) and under READ COMMITTED: when two move the same row,
the second waits for the first, then finds the state gone and moves nothing.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from django.db import connection, models, transaction
from django.db.models import Q
from django.utils import timezone

from billing_console import states
from billing_console.errors import IllegalTransition

if TYPE_CHECKING:
    from accounts.models import User

MAPS: dict[str, states.TransitionMap] = {
    "sync.webhookdelivery": states.DELIVERY,
    "sync.workitem": states.ITEM,
    "sync.timeentry": states.ENTRY,
    "sync.remoterecord": states.RECORD,
    "sync.difference": states.DIFFERENCE,
    "invoicing.invoicerun": states.RUN,
    "invoicing.invoice": states.INVOICE,
    "invoicing.reminder": states.REMINDER,
}

_INSERT = """
INSERT INTO sync_transition (model, row_id, from_state, to_state, user_id, why, claim_id, correlation_id, at)
VALUES (%(model)s, %(row_id)s, %(from_state)s, %(to_state)s, %(user_id)s, %(why)s, %(claim_id)s, %(correlation_id)s,
        %(at)s)
"""


def advance(
    row: models.Model,
    to: str,
    *,
    why: str,
    user: User | None = None,
    only_if: Q | None = None,
    claim: uuid.UUID | None = None,
    correlation_id: uuid.UUID | None = None,
    **changes: Any,
) -> bool:
    """Move `row` from the state it was read in to `to`, with `changes` to other columns; True when we moved it.

    False: somebody else moved it meanwhile, or `only_if` no longer holds; nothing was changed then.
    `claim` is the claim that moves it, for the trail; a new claim is written like any column, as `claim_id=…`.
    Locks the row until the caller's transaction ends. `row` is updated in memory when it moved.
    Raises IllegalTransition when the map has no such arrow.
    """
    label = row._meta.label_lower
    current: str = row.state  # type: ignore[attr-defined]
    if to not in MAPS[label].get(current, frozenset()):
        raise IllegalTransition(label, row.pk, current, to)
    fields = {field.name for field in row._meta.get_fields()}
    if "state_since" in fields:
        changes.setdefault("state_since", timezone.now())
    with transaction.atomic(savepoint=False):  # both or neither; the caller decides about the rest
        rows = type(row)._default_manager.filter(pk=row.pk, state=current)
        if only_if is not None:
            rows = rows.filter(only_if)
        if rows.update(state=to, **changes) != 1:
            return False
        record(
            row,
            current,
            to,
            why=why,
            user=user,
            claim_id=claim or changes.get("claim_id"),
            correlation_id=correlation_id,
        )
    row.state = to  # type: ignore[attr-defined]
    for name, value in changes.items():
        setattr(row, name, value)
    return True


def record(
    row: models.Model,
    from_state: str,
    to_state: str,
    *,
    why: str,
    user: User | None = None,
    claim_id: uuid.UUID | None = None,
    correlation_id: uuid.UUID | None = None,
) -> None:
    """Write the trail of a move that the caller makes itself (a creation, or one statement over many rows)."""
    trail = _trail(row, from_state, to_state, why, user, claim_id, correlation_id)
    # Written as it stands: every move of every row comes through here, and the ORM would take longer than the move.
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, trail)


def record_new(rows: Iterable[models.Model], state: str, *, why: str, user: User | None = None) -> None:
    """Write the trail of rows that were just made, all at once."""
    with connection.cursor() as cursor:
        cursor.executemany(_INSERT, [_trail(row, "", state, why, user) for row in rows])


def _trail(
    row: models.Model,
    from_state: str,
    to_state: str,
    why: str,
    user: User | None,
    claim_id: uuid.UUID | None = None,
    correlation_id: uuid.UUID | None = None,
) -> dict[str, Any]:
    return {
        "model": row._meta.label_lower,
        "row_id": row.pk,
        "from_state": from_state,
        "to_state": to_state,
        "user_id": user.pk if user else None,
        "why": str(why),
        "claim_id": claim_id,
        "correlation_id": correlation_id or getattr(row, "correlation_id", None),
        "at": timezone.now(),
    }


def can_advance(row: models.Model, to: str) -> bool:
    """Whether the map has an arrow from the row's state to `to` (buttons are drawn by it)."""
    return to in MAPS[row._meta.label_lower].get(row.state, frozenset())  # type: ignore[attr-defined]
