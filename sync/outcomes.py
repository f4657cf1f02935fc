"""What became of a claimed record is written down, `WHERE state = 'in_flight' AND claim_id = …`.

Each raises ClaimLost, and changes nothing, when the claim is no longer ours.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from billing_console.errors import ClaimLost, ConsoleError
from billing_console.states import RecordState
from sync.claims import Claim, Handler, Missing, Proof
from sync.models import RemoteRecord
from sync.transitions import advance
from sync.waits import wait_after


def settle(claim: Claim, to: str, why: str, **changes: Any) -> None:
    """Move the claimed record to `to` and end the claim."""
    moved = advance(
        claim.record,
        to,
        why=why,
        only_if=Q(claim_id=claim.claim_id),
        claim=claim.claim_id,
        claim_id=None,
        lease_until=None,
        **changes,
    )
    if not moved:
        raise ClaimLost


def prove(
    record: RemoteRecord, proof: Proof, revision: int, *, claim: Claim | None = None, only_if: Q | None = None
) -> None:
    """Write down that the server holds `revision` of the record; a newer one that came meanwhile is pending again.

    Without a claim the record is in doubt, or a person adopts it. Raises ClaimLost when it moved on meanwhile, or
    `only_if` no longer holds.
    """
    changes: dict[str, Any] = {
        "remote_id": proof.remote_id,
        "seen": proof.seen,
        "seen_at": timezone.now(),
        "synced_revision": revision,
        "not_before": None,
        "missed_at": None,
        "reason": "",
        "sentence": "",
        "attempts": 0,
    }
    if claim is not None:
        settle(claim, RecordState.SYNCED, _("read back and equal"), read_back="revision", **changes)
    elif not advance(
        record, RecordState.SYNCED, why=_("looked up and equal"), only_if=only_if, read_back="revision", **changes
    ):
        raise ClaimLost
    if record.revision > revision:
        advance(record, RecordState.PENDING, why=_("a newer revision waits"))


def keep_id(claim: Claim, remote_id: str) -> None:
    """Remember the id that the server gave the thing it has just made: whatever it shows later, it was made.

    Not once the claim was lost: another may have made the one that counts.
    """
    claim.record.remote_id = remote_id
    ours = RemoteRecord.objects.filter(pk=claim.record.pk, claim_id=claim.claim_id, state=RecordState.IN_FLIGHT)
    ours.update(remote_id=remote_id)


def postpone(claim: Claim, error: ConsoleError) -> None:
    """Nothing was done: it is tried again, later and later."""
    settle(
        claim,
        RecordState.RETRY,
        type(error).__name__,
        not_before=timezone.now() + wait_after(error, claim.record.attempts),
        sentence=error.sentence,
    )


def doubt(claim: Claim, error: ConsoleError) -> None:
    """It may have been done: it is looked up."""
    settle(
        claim,
        RecordState.IN_DOUBT,
        type(error).__name__,
        not_before=timezone.now() + look_up_wait(),
        missed_at=None,
        sentence=error.sentence,
    )


def miss_once(claim: Claim, question: Missing) -> None:
    """Not shown for the first time: it is looked for once more, some time later, before anybody is asked."""
    state = RecordState.IN_DOUBT if claim.wrote else RecordState.RETRY
    wait = timezone.now() + look_up_wait()
    settle(claim, state, question.reason, not_before=wait, missed_at=timezone.now(), sentence=not_shown())


def is_first_miss(record: RemoteRecord) -> bool:
    """Whether it is to be looked for once more before anything follows; a wait of 0 s leaves that out."""
    return record.missed_at is None and settings.LOOK_UP_AFTER_SECONDS > 0


def not_shown() -> str:
    """What is said while something is missing for the first time."""
    return _(
        "The server does not show what must be there, or may be. An old copy of it may have answered (a replica, a "
        "cache), so nothing is concluded yet: it is looked for once more, some time later."
    )


def ask_person(claim: Claim, handler: Handler, reason: str, sentence: str) -> None:
    """Only a person can decide how this goes on."""
    with transaction.atomic():
        handler.lock_first(claim.record)
        settle(claim, RecordState.ATTENTION, reason, reason=reason, sentence=sentence, not_before=None)
        handler.after_question(claim.record)


def look_up_wait() -> timedelta:
    """How long (real time) a server may still be at what nobody waits for: it is looked up after it."""
    return timedelta(seconds=settings.LOOK_UP_AFTER_SECONDS)
