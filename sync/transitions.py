"""Moving a row along its map: one conditional UPDATE is the lock, one Transition is the trail.

Works in the caller's transaction (opens none that outlives it) and under READ COMMITTED: when two move the same row,
the second waits for the first, then finds the state gone and moves nothing.
"""

from __future__ import annotations

import datetime as dt
import re
import uuid
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from django.core.exceptions import EmptyResultSet
from django.db import connection, models
from django.db.models import Q
from django.utils import timezone

from billing_console import states
from billing_console.errors import IllegalTransition

if TYPE_CHECKING:
    from accounts.models import User

Row = TypeVar("Row", bound=models.Model)

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
# The move and its trail in one statement: both or neither, also where no transaction is open.
_MOVE = """
WITH moved AS ({update} RETURNING {wanted}), trail AS (
    INSERT INTO sync_transition (model, row_id, from_state, to_state, user_id, why, claim_id, correlation_id, at)
    SELECT %(model)s, %(row_id)s, %(from_state)s, %(to_state)s, %(user_id)s, %(why)s, %(claim_id)s, %(correlation_id)s,
           %(at)s
    FROM moved
)
TABLE moved
"""
_TAKE = """
WITH first AS MATERIALIZED ({first}), moved AS (
    UPDATE {table} SET state = %(to_state)s, state_since = %(at)s, claim_id = %(claim_id)s,
        lease_until = clock_timestamp() + %(lease)s, attempts = attempts + 1
    FROM first WHERE {table}.id = first.id
    RETURNING {table}.*, first.state AS from_state
), trail AS (
    INSERT INTO sync_transition (model, row_id, from_state, to_state, user_id, why, claim_id, correlation_id, at)
    SELECT %(model)s, id, from_state, %(to_state)s, NULL, %(why)s, %(claim_id)s, correlation_id, %(at)s
    FROM moved
)
TABLE moved
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
    read_back: str = "state",
    **changes: Any,
) -> bool:
    """Move `row` from the state it was read in to `to`, with `changes` to other columns; True when we moved it.

    False: somebody else moved it meanwhile, or `only_if` no longer holds; nothing was changed then.
    `claim` is the claim that moves it, for the trail; a new claim is written like any column, as `claim_id=…`.
    Locks the row until the caller's transaction ends. `row` is updated in memory when it moved, with the column
    `read_back` as the database has it now.
    Raises IllegalTransition when the map has no such arrow.
    """
    label = row._meta.label_lower
    current: str = row.state  # type: ignore[attr-defined]
    if to not in MAPS[label].get(current, frozenset()):
        raise IllegalTransition(label, row.pk, current, to)
    if hasattr(row, "state_since"):
        changes.setdefault("state_since", timezone.now())
    rows = type(row)._default_manager.filter(pk=row.pk, state=current)
    if only_if is not None:
        rows = rows.filter(only_if)
    trail = _trail(row, current, to, why, user, claim or changes.get("claim_id"), correlation_id)
    moved = _move(rows, {"state": to, **changes}, trail, read_back)
    if moved is None:
        return False
    setattr(row, read_back, moved)
    row.state = to  # type: ignore[attr-defined]
    for name, value in changes.items():
        setattr(row, name, value)
    return True


def take(
    model: type[Row],
    first: str,
    values: Mapping[str, Any],
    *,
    from_states: Collection[str],
    to: str,
    why: str,
    claim_id: uuid.UUID,
    lease: dt.timedelta,
) -> Row | None:
    """Claim the row that `first` gives, in one statement: move it to `to`, count the attempt and write the trail.

    `first` is SQL that selects and locks the id of one row and its state, which is one of `from_states`, with the named
    `values`. The claim holds for `lease`, by PostgreSQL's clock. Gives the row as it is now, or None where `first` gave
    none.
    Raises IllegalTransition when the map lacks one of the arrows.
    """
    label = model._meta.label_lower
    for state in from_states:
        if to not in MAPS[label].get(state, frozenset()):
            raise IllegalTransition(label, None, state, to)
    trail = {"model": label, "to_state": to, "why": str(why), "claim_id": claim_id, "at": timezone.now()}
    statement = _TAKE.format(first=first, table=model._meta.db_table)
    rows = model._default_manager.raw(statement, {**values, **trail, "from_states": list(from_states), "lease": lease})
    return next(iter(rows), None)


def _move(rows: models.QuerySet, changes: dict[str, Any], trail: dict[str, Any], wanted: str) -> Any:
    """Update the one row of `rows` and write its trail; returns its column `wanted`, or None where there is no row."""
    query: Any = rows.query.chain(models.sql.UpdateQuery)
    query.add_update_values(changes)
    try:
        update, given = query.get_compiler(connection=connection).as_sql()
    except EmptyResultSet:
        return None  # a condition that nothing can fulfil
    names = iter(range(len(given)))
    update = re.sub("%s", lambda _match: f"%(given{next(names)})s", update)
    column = connection.ops.quote_name(rows.model._meta.get_field(wanted).column)
    values = {f"given{number}": value for number, value in enumerate(given)}
    with connection.cursor() as cursor:
        cursor.execute(_MOVE.format(update=update, wanted=column), {**trail, **values})
        found = cursor.fetchone()
    return found[0] if found else None


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
