"""What only a person can know: that a thing is right as it stands there, or that a difference does not matter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from billing_console.errors import NotAllowed
from billing_console.reason import reason_of
from billing_console.states import DifferenceState, RecordState
from sync import entries, push, supplements
from sync.models import Difference, RecordKind, RemoteRecord
from sync.outbox import IN_TAIGA
from sync.transitions import advance

if TYPE_CHECKING:
    from accounts.models import User


def lock(pk: Any) -> RemoteRecord | None:
    """The record as it is now, locked after what comes before it in the order of the house; None where it is gone."""
    record = RemoteRecord.objects.filter(pk=pk).first()
    if record is None:
        return None
    push.HANDLER.lock_first(record)
    return RemoteRecord.objects.select_for_update(of=("self",)).select_related("item").get(pk=pk)


def adopt_record(record: RemoteRecord, *, user: User, note: str) -> None:
    """Leave a task in Invoice Ninja, or a status, attribute or webhook in Taiga, as it is there; nothing is written.

    The note is required. Only for what waits for a person, and a task only where it is known there. An invoice must
    equal what was approved. Raises NotAllowed, IllegalTransition.
    """
    reason = reason_of(note)
    with transaction.atomic():
        row = lock(record.pk)
        if row is None or not can_adopt(row):
            raise NotAllowed(_("Only a known task, or a thing in Taiga, that waits for a decision can be taken over."))
        advance(
            row,
            RecordState.SYNCED,
            why=reason,
            user=user,
            synced_revision=row.revision,
            seen_at=timezone.now(),
            reason="",
            sentence="",
        )
        if row.kind == RecordKind.TASK:
            push.HANDLER.after_sync(row)


def can_adopt(record: RemoteRecord) -> bool:
    """Whether a person may say that it is right as it is there."""
    is_known = record.kind in IN_TAIGA or (record.kind == RecordKind.TASK and bool(record.remote_id))
    return is_known and record.state == RecordState.ATTENTION


def ignore_difference(difference: Difference, *, user: User, note: str, mark: str = "") -> None:
    """Leave what was billed as it is. The note is required; `mark` is what the person saw.

    Raises NotAllowed, StaleRevision when Taiga changed since, IllegalTransition on a second click.
    """
    reason = reason_of(note)
    with transaction.atomic():
        entries.lock_and_load([difference.item_id])
        row = supplements.lock_open(difference, mark or difference.mark)
        advance(row, DifferenceState.IGNORED, why=reason, user=user, reason=reason)
        entries.evaluate(row.item, user=user)  # a cycle that waited for this goes on


def _required(note: str) -> str:
    if not note.strip():
        raise NotAllowed(_("Say why: the reason is kept in the history."))
    return note.strip()
