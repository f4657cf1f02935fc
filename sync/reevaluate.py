"""Pricing again what a changed mapping, rate, rule or person may concern: marked in the change's own transaction.

The mark is a column, so nothing is lost when a process dies; up to `AT_ONCE` items are priced right after the commit,
for the page that made the change, the rest by the worker.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

from django.db import OperationalError, models, transaction
from django.db.models import Exists, OuterRef, Q

from billing_console.states import EntryState
from mappings.models import (
    Client,
    Company,
    Membership,
    NinjaProject,
    Person,
    ProjectMapping,
    Rate,
    RateLevel,
    Role,
    RuleSet,
)
from sync import doorbell, entries
from sync.marks import mark_dirty
from sync.models import FoundBy, TimeEntry, WorkItem

logger = logging.getLogger(__name__)

AT_ONCE: Final = 200
BATCH: Final = 100
# Discovery stores these without `save()`, so that no signal tells of them; it holds clients locked, which an evaluation
# refers to, and so may not wait for items in its own transaction.
STORED_IN_BULK: Final = (Client, Membership)
UNCLAIMED: Final = (EntryState.HELD, EntryState.READY, EntryState.VOID, EntryState.BELOW_MINIMUM)


def mark_affected(row: models.Model) -> int:
    """Mark the items whose unclaimed entries `row` may concern, in two statements; returns how many.

    Runs in the caller's transaction: the mark is committed with the change or not at all. Locks these items, in the
    order in which every evaluation locks them.
    """
    find = _SCOPES.get(type(row))
    if find is None:
        return 0
    mine = TimeEntry.objects.filter(find(row), item=OuterRef("pk"), state__in=UNCLAIMED)
    with transaction.atomic():
        locked = WorkItem.objects.select_for_update(no_key=True).filter(Exists(mine)).order_by("pk")
        return WorkItem.objects.filter(pk__in=list(locked.values_list("pk", flat=True))).update(needs_evaluation=True)


def evaluate_marked(limit: int = 1000) -> int:
    """Price marked items again, in batches with a transaction each; returns how many. Safe in several workers.

    Where a batch cannot be priced, each is tried alone, so that one keeps nobody else back: it is read again, and what
    fails there too has a sentence under *Needs attention*.
    """
    done = 0
    while done < limit and (count := _evaluate_batch(min(BATCH, limit - done))):
        done += count
    return done


def _evaluate_batch(most: int) -> int:
    ids: list[int] = []
    try:
        with transaction.atomic():
            marked = WorkItem.objects.select_for_update(skip_locked=True, no_key=True).filter(needs_evaluation=True)
            ids = list(marked.order_by("pk").values_list("pk", flat=True)[:most])
            if ids:
                _evaluate(ids)
    except OperationalError:
        raise  # the database, not an item
    except Exception:
        logger.exception("%d items could not be priced together", len(ids))
        for pk in ids:
            _evaluate_alone(pk)
    return len(ids)


def _evaluate(ids: list[int]) -> None:
    # Lowered first: a change that comes while we price waits for our lock and raises it again.
    if WorkItem.objects.filter(pk__in=ids, needs_evaluation=True).update(needs_evaluation=False):
        entries.evaluate_many(ids)


def _evaluate_alone(pk: int) -> None:
    try:
        with transaction.atomic():
            _evaluate([pk])
    except OperationalError:
        raise
    except Exception:
        logger.exception("item %s could not be priced again", pk)
        with transaction.atomic():
            WorkItem.objects.filter(pk=pk).update(needs_evaluation=False)
            item = WorkItem.objects.get(pk=pk)
            mark_dirty(item.kind, item.taiga_id, found_by=FoundBy.SWEEP, project_id=item.taiga_project_id)


def on_saved(sender: Any, instance: models.Model, **kwargs: Any) -> None:
    """Signal receiver: a row of mappings was saved or deleted."""
    mark_affected(instance)


def on_changed(row: models.Model) -> None:
    """Hook of mappings, after the commit: price a page's worth of what was marked at once, ring for the rest."""
    if isinstance(row, STORED_IN_BULK):
        mark_affected(row)
    if evaluate_marked(AT_ONCE) >= AT_ONCE:
        doorbell.ring("items")


def scope_of(row: models.Model) -> Q:
    """The entries that a row of mappings, stored or not, may concern: a filter over TimeEntry."""
    return _SCOPES[type(row)](row)


# --- which entries a row may concern ----------------------------------------------------------------------------------


def _of_mapping(row: Any) -> Q:
    return Q(project=row.pk) | Q(item__taiga_project_id=row.taiga_project_id)


def _of_client(row: Any) -> Q:
    return Q(client=row.pk) | Q(project__client=row.pk) | Q(reason="unknown_client")


def _of_rule_set(row: Any) -> Q:
    if row.client_id is not None:
        return _of_client(row.client)
    return Q(client__isnull=True) | ~Q(client__rule_sets__is_current=True)


def _of_membership(row: Any) -> Q:
    return Q(person=row.person_id, item__taiga_project_id=row.taiga_project_id)


def _of_role(row: Any) -> Q:
    return Q(person__memberships__role_key=row.key)


def _of_rate(row: Any) -> Q:
    match row.level:
        case RateLevel.PROJECT:
            return Q(project=row.project_id)
        case RateLevel.CLIENT:
            return Q(client=row.client_id) | Q(project__client=row.client_id)
        case RateLevel.ROLE:
            return _of_role(row.role)
        case RateLevel.USER_IN_PROJECT:
            return Q(person=row.person_id, project=row.project_id)
    return Q(person=row.person_id)


_SCOPES: Final[dict[type[models.Model], Callable[[Any], Q]]] = {
    ProjectMapping: _of_mapping,
    Client: _of_client,
    NinjaProject: lambda row: Q(project__ninja_project=row.pk),
    Company: lambda row: Q(),
    RuleSet: _of_rule_set,
    Person: lambda row: Q(person=row.pk),
    Membership: _of_membership,
    Role: _of_role,
    Rate: _of_rate,
}
WATCHED: Final = tuple(_SCOPES)
