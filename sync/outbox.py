"""The outbox: claim → commit → call → commit the outcome, for every remote thing of ours (design: A claim is fenced).

A claim writes `claim_id` and `lease_until`; a call starts only while more lease is left than its total deadline, and a
write leaves only while it still runs (`leases`); the outcome is written `WHERE state = 'in_flight' AND claim_id = …`. A
lease that ran out makes the record in doubt, looked at again only when the server must be done too. Leases are judged
by PostgreSQL's clock; waits are real time, never business time.
"""

from __future__ import annotations

import logging
import uuid
from typing import Any, Final

from django.db import OperationalError, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from billing_console import stopping
from billing_console.errors import (
    ClaimLost,
    ConfigError,
    ConsoleError,
    ConsoleFailed,
    Forbidden,
    UpstreamError,
    said_by,
)
from billing_console.states import RecordState
from sync import doorbell, gate, leases
from sync.claims import Claim, Handler, Missing, NeedsPerson, NotThere, Proof
from sync.models import RecordKind, RemoteRecord, Server, WorkItem
from sync.outcomes import (
    ask_person,
    doubt,
    is_first_miss,
    look_up_wait,
    miss_once,
    not_shown,
    postpone,
    prove,
)
from sync.transitions import advance, take
from sync.waits import back_off

logger = logging.getLogger(__name__)

IN_TAIGA = (RecordKind.STATUS, RecordKind.PROVISION)
_DUE_STATES: Final = (RecordState.PENDING, RecordState.RETRY)


def server_of(kind: RecordKind) -> Server:
    """The server that holds what records of `kind` want."""
    return Server.TAIGA if kind in IN_TAIGA else Server.NINJA


def due(kind: RecordKind) -> QuerySet[RemoteRecord]:
    """The records of `kind` that are to be written now."""
    is_due = Q(not_before__isnull=True) | Q(not_before__lte=timezone.now())
    return RemoteRecord.objects.filter(is_due, kind=kind, state__in=_DUE_STATES)


def in_flight(kind: RecordKind) -> QuerySet[RemoteRecord]:
    """The records of `kind` that somebody writes now."""
    return RemoteRecord.objects.filter(leases.runs(), kind=kind, state=RecordState.IN_FLIGHT)


# --- claiming -----------------------------------------------------------------------------------------------------


# As `due` says, behind an open gate (`gate.may_write`). In SQL, because the ORM would need longer to write it
# than the database to do it.
_FIRST_DUE: Final = """
    SELECT id, state FROM sync_remoterecord
    WHERE kind = %(kind)s AND state = ANY(%(from_states)s) AND (not_before IS NULL OR not_before <= %(now)s)
        AND NOT EXISTS (
            SELECT FROM sync_upstreamgate
            WHERE server = %(server)s AND (is_paused OR open_since IS NOT NULL OR resume_at > %(now)s)
        )
    ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED
"""


def claim_next(kind: RecordKind) -> Claim | None:
    """Claim the oldest record of `kind` that is due, or None. Skips rows that another worker is just claiming.

    None, too, where its server may not be written to now: the gate is asked by the statement that claims. And where
    this process is to stop.
    """
    if stopping.is_stopping():
        return None
    claim_id = uuid.uuid4()
    try:
        record = take(
            RemoteRecord,
            _FIRST_DUE,
            {"kind": kind, "server": server_of(kind), "now": timezone.now()},
            from_states=_DUE_STATES,
            to=RecordState.IN_FLIGHT,
            why=_("claimed"),
            claim_id=claim_id,
            lease=leases.length(),
        )
    except OperationalError:  # its answer may be what was lost
        leases.after_the_outage(lambda: _give_back(RemoteRecord.objects.filter(kind=kind), claim_id))
        raise
    if record is None:
        return None
    return Claim(record, claim_id, record.revision, leases.Fence(RemoteRecord, record.pk, claim_id))


def expire_leases(kind: RecordKind) -> int:
    """Make every record of `kind` whose lease ran out in doubt; its worker is dead, asleep or cut off."""
    expired = RemoteRecord.objects.filter(leases.has_ended(), kind=kind, state=RecordState.IN_FLIGHT)
    count = 0
    for record in expired[:1000]:
        count += advance(
            record,
            RecordState.IN_DOUBT,
            why=_("the lease ran out before an outcome was written"),
            only_if=Q(claim_id=record.claim_id) & leases.has_ended(),
            claim=record.claim_id,
            lost_at=timezone.now(),
            missed_at=None,
            not_before=timezone.now() + look_up_wait(),
            sentence=_(
                "The worker that wrote this has not said in time what became of it: it stopped, or it is only slow. "
                "It is looked up before anything is repeated."
            ),
        )
    return count


def _give_back(rows: QuerySet[RemoteRecord], claim_id: uuid.UUID) -> None:
    """Nothing was written under this claim: while it is still its own, whoever has it need not be waited for."""
    for record in rows.filter(state=RecordState.IN_FLIGHT, claim_id=claim_id):
        advance(
            record,
            RecordState.RETRY,
            why=_("nothing was written: its worker slept or was stopped, or the database was away"),
            only_if=Q(claim_id=claim_id),
            claim=claim_id,
            claim_id=None,
            lease_until=None,
            not_before=timezone.now() + back_off(record.attempts),
        )


def lock_item(record: RemoteRecord) -> None:
    """Lock the record's item until the caller's transaction ends, as everybody who evaluates it does first.

    `record.item` is the item as it is now.
    """
    if record.item_id is not None:
        record.item = WorkItem.objects.select_for_update(no_key=True).get(pk=record.item_id)


# --- the loop -----------------------------------------------------------------------------------------------------


def write_one(claim: Claim, handler: Handler) -> None:
    """Do the claimed work and write its outcome; never raises for what an upstream did, nor for a fault of our own.

    A failure before the first writing call, or one of which the server says that it did nothing, is tried again;
    a failure after it leaves the record in doubt.
    """
    try:
        _write(claim, handler)
    except (ClaimLost, OperationalError) as error:
        # Whoever expires the lease decides, and looks it up; but who wrote nothing need not be looked up.
        logger.warning("claim %s on %s was lost before its outcome was written", claim.claim_id, claim.record)
        _give_back_unwritten(claim)
        if isinstance(error, OperationalError):
            raise
        doorbell.ring("payments")  # what it wrote after all, beside another, is found at once
    except BaseException:  # it is stopped, or has no memory even to say what went wrong
        _give_back_unwritten(claim)
        raise


def _give_back_unwritten(claim: Claim) -> None:
    if not claim.wrote:
        rows = RemoteRecord.objects.filter(pk=claim.record.pk)
        leases.after_the_outage(lambda: _give_back(rows, claim.claim_id))


def _write(claim: Claim, handler: Handler) -> None:
    try:
        proof = handler.write(claim)
    except NeedsPerson as question:
        if isinstance(question, Missing) and is_first_miss(claim.record):
            miss_once(claim, question)
        else:
            ask_person(claim, handler, question.reason, question.sentence)
    except UpstreamError as error:
        if error.is_outcome_unknown or (claim.wrote and error.is_read):
            doubt(claim, error)
        elif error.is_permanent and error.status in (400, 422):
            ask_person(claim, handler, "refused", error.sentence)
        elif isinstance(error, Forbidden):
            ask_person(claim, handler, "not_allowed", error.sentence)  # a right is missing: repeating gives nobody one
        else:
            postpone(claim, error)
    except ConfigError as error:
        postpone(claim, error)
    except (ClaimLost, OperationalError):
        raise
    except Exception:
        logger.exception("%s could not be written", claim.record)
        _fail(claim)
    else:
        _settle_proof(claim, handler, proof)


def _settle_proof(claim: Claim, handler: Handler, proof: Proof) -> None:
    attempts = claim.record.attempts
    try:
        with transaction.atomic():
            handler.lock_first(claim.record)
            prove(claim.record, proof, claim.revision, claim=claim)
            handler.after_sync(claim.record)
    except (ClaimLost, OperationalError):
        raise
    except Exception:
        logger.exception("the proof of %s could not be written", claim.record)
        # In memory it has moved; the transaction was undone.
        claim.record.state, claim.record.attempts = RecordState.IN_FLIGHT, attempts
        _fail(claim)


def _fail(claim: Claim) -> None:
    """A fault of our own: this record waits with a sentence, and every other goes on."""
    (doubt if claim.wrote else postpone)(claim, ConsoleFailed())


def look_up_doubtful(handler: Handler, limit: int = 100) -> int:
    """Look at records in doubt whose server must be done by now; returns how many were settled."""
    due = RemoteRecord.objects.filter(
        kind=handler.kind, state=RecordState.IN_DOUBT, not_before__lte=timezone.now()
    ).select_related("item")
    settled = 0
    for record in due.order_by("not_before")[:limit]:
        if stopping.is_stopping():
            break
        # Moving the wait is a small claim of its own: two workers do not look at the same record, and who sleeps
        # after his look-up settles nothing once the record was in doubt anew.
        reserved_until = timezone.now() + look_up_wait()
        rows = RemoteRecord.objects.filter(pk=record.pk, state=RecordState.IN_DOUBT, not_before=record.not_before)
        if rows.update(not_before=reserved_until):
            settled += _settle_doubt(record, handler, Q(not_before=reserved_until))
    return settled


def _settle_doubt(record: RemoteRecord, handler: Handler, ours: Q) -> bool:
    revision = record.revision
    changes: dict[str, Any]
    try:
        proof = handler.look_up(record)
    except NotThere:
        if handler.makes_another and record.remote_id is None and is_first_miss(record):
            return _look_once_more(record, ours)
        changes = {"not_before": None, "missed_at": None}
        if handler.makes_another:
            changes["lost_at"] = timezone.now()
        why = _("looked up: not there, so it is written again")
        return advance(record, RecordState.PENDING, why=why, only_if=ours, **changes)
    except NeedsPerson as question:
        if isinstance(question, Missing) and is_first_miss(record):
            return _look_once_more(record, ours)
        changes = {"reason": question.reason, "sentence": question.sentence, "not_before": None}
        with transaction.atomic():
            handler.lock_first(record)
            moved = advance(record, RecordState.ATTENTION, why=question.reason, only_if=ours, **changes)
            if moved:
                handler.after_question(record)
        return moved
    except OperationalError:
        raise
    except Exception as error:
        if not isinstance(error, ConsoleError):
            logger.exception("%s could not be looked up", record)
        _stay_in_doubt(record, ours, error)
        return False
    try:
        with transaction.atomic():
            handler.lock_first(record)
            prove(record, proof, revision, only_if=ours)
            handler.after_sync(record)
    except ClaimLost:
        return False
    except OperationalError:
        raise
    except Exception as error:
        logger.exception("what was found of %s could not be written", record)
        _stay_in_doubt(record, ours, error)
        return False
    return True


def _look_once_more(record: RemoteRecord, ours: Q) -> bool:
    rows = RemoteRecord.objects.filter(ours, pk=record.pk, state=RecordState.IN_DOUBT)
    rows.update(missed_at=timezone.now(), sentence=not_shown())
    return False


def _stay_in_doubt(record: RemoteRecord, ours: Q, error: Exception) -> None:
    rows = RemoteRecord.objects.filter(ours, pk=record.pk, state=RecordState.IN_DOUBT)
    rows.update(sentence=said_by(error).sentence)


def drain(handler: Handler, limit: int = 200) -> int:
    """Expire leases, look up what is in doubt, then write what is due, one after the other; returns how many.

    Stops where the server's gate is closed: what is due stays due, and no attempt is used up.
    """
    expire_leases(handler.kind)
    done = look_up_doubtful(handler) if gate.may_call(server_of(handler.kind)) else 0
    while done < limit and (claim := claim_next(handler.kind)):
        write_one(claim, handler)
        done += 1
    return done
