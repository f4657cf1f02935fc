"""What only a person can know: that a thing is right as it stands there, or that a difference does not matter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from billing_console.errors import IllegalTransition, NotAllowed
from billing_console.states import DifferenceState, RecordState
from sync.models import Difference, RemoteRecord
from sync.transitions import advance

if TYPE_CHECKING:
    from accounts.models import User


def adopt_record(record: RemoteRecord, *, user: User, note: str) -> None:
    """Take over what the server holds as what we want; nothing is written there. The note is required.

    Only for a record that waits for a person and whose thing is known there. Raises NotAllowed, IllegalTransition.
    """
    reason = _required(note)
    with transaction.atomic():
        row = RemoteRecord.objects.select_for_update(of=("self",)).get(pk=record.pk)
        if row.state != RecordState.ATTENTION or not row.remote_id:
            raise NotAllowed(
                _("Only a thing that waits for a decision, and is known in %(server)s, can be taken over.")
                % {"server": row.get_server_display()}
            )
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


def ignore_difference(difference: Difference, *, user: User, note: str) -> None:
    """Leave what was billed as it is. The note is required. Raises NotAllowed, IllegalTransition on a second click."""
    reason = _required(note)
    if not advance(difference, DifferenceState.IGNORED, why=reason, user=user, reason=reason):
        raise IllegalTransition("sync.difference", difference.pk, difference.state, DifferenceState.IGNORED)


def _required(note: str) -> str:
    if not note.strip():
        raise NotAllowed(_("Say why: the reason is kept in the history."))
    return note.strip()
