"""Marking an invoice as sent without a mail: it goes out on paper, or through a portal, and must be owed all the same.

Asking is a remote write of its own in the outbox, and the invoice is `sending` meanwhile, so that nothing else sends
it. Invoice Ninja is read before (still our sealed draft?) and after; the same write twice does no harm, so an unknown
outcome is looked up and written again where it was not done. No mail leaves by this.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import User
from billing_console.errors import NotAllowed
from billing_console.states import InvoiceState, RecordState
from invoicing import claim as claims
from invoicing import creating, deviations, old_copies
from invoicing.creating_compare import describe, differences, facts_of, wanted
from invoicing.models import Invoice, InvoiceLine
from sync import doorbell, outbox, upstreams
from sync.claims import Claim, Handler, NeedsPerson, NotThere, Proof
from sync.clients.ninja_rows import CANCELLED, DRAFT, REVERSED, NinjaInvoice
from sync.models import RecordKind, RemoteRecord, Server
from sync.transitions import advance, record

FINISHED = (RecordState.SYNCED, RecordState.DROPPED, RecordState.ATTENTION)


def request_mark(locked: Invoice, *, user: User, reason: str) -> RemoteRecord:
    """Ask for one invoice to be marked as sent. `locked` comes from `sending.lock_sendable`, in the same transaction.

    Raises NotAllowed without a reason.
    """
    if not reason.strip():
        raise NotAllowed(_("Say how it reaches the client, in a few words: it stays in the history."))
    if locked.remote is None:
        raise ValueError(f"invoice {locked.pk} is not in Invoice Ninja")
    why = _("to be marked as sent without a mail: %(reason)s") % {"reason": reason.strip()}
    advance(locked, InvoiceState.SENDING, why=why, user=user)
    desired = {"invoice_id": locked.remote.remote_id, "seal": locked.seal, "by": user.pk, "reason": reason.strip()}
    row = record_of(locked)
    if row is None:
        row = RemoteRecord.objects.create(
            server=Server.NINJA,
            kind=RecordKind.MARK_SENT,
            our_key=locked.key,
            remote_id=locked.remote.remote_id,
            desired=desired,
            correlation_id=locked.uuid,
        )
        record(row, "", RecordState.PENDING, why=why, user=user)
    else:
        changes: dict[str, Any] = {"desired": desired, "revision": row.revision + 1, "attempts": 0, "not_before": None}
        advance(row, RecordState.PENDING, why=why, user=user, remote_id=locked.remote.remote_id, **changes)
    transaction.on_commit(lambda: doorbell.ring("marks"))
    return row


def record_of(invoice: Invoice) -> RemoteRecord | None:
    """The write that marks this invoice as sent, where somebody asked for one."""
    return RemoteRecord.objects.filter(kind=RecordKind.MARK_SENT, our_key=invoice.key).first()


def retire(invoice: Invoice, *, user: User, why: str) -> None:
    """A person decided otherwise: a mark that waits for a decision is not written any more. Invoice locked by caller.

    Raises NotAllowed while it is being written.
    """
    row = record_of(invoice)
    if row is None or row.state in (RecordState.SYNCED, RecordState.DROPPED):
        return
    if row.state not in FINISHED:
        raise NotAllowed(_("%(invoice)s is just being marked as sent. Wait a moment.") % {"invoice": invoice})
    advance(row, RecordState.PENDING, why=why, user=user, reason="", sentence="")
    advance(row, RecordState.DROPPED, why=why, user=user)


# --- calling ------------------------------------------------------------------------------------------------------


def mark_due(limit: int = 200) -> int:
    """Mark every invoice that is due; returns how many records were handled. Safe in several workers."""
    return outbox.drain(HANDLER, limit)


def write_mark(claim: Claim) -> Proof:
    """1. GET: still a draft there, equal to the seal; 2. bulk mark_sent; 3. GET: sent. What is sent already is left."""
    remote = claim.record
    upstreams.check_pin(Server.NINJA)
    ninja = upstreams.ninja_client(correlation_id=remote.correlation_id, attempt=remote.attempts, fence=claim.fence)
    there = old_copies.read_invoice(remote, ninja)
    proof = _proof_of(there, by_hand=remote.attempts == 1)
    _compare(remote, there, is_sent=proof is not None)
    if proof is None:
        ninja.mark_invoice_sent(there.id)
        proof = _proof_of(ninja.invoice(there.id), by_hand=False)
    if proof is None:
        raise NeedsPerson(
            "not_marked",
            _("Invoice Ninja did not mark invoice %(number)s as sent. Look there, then try again.")
            % {"number": there.number},
        )
    return proof


def look_up_mark(remote: RemoteRecord) -> Proof:
    """Whether it is sent there by now. Raises NotThere when it is not."""
    ninja = upstreams.ninja_client(correlation_id=remote.correlation_id, attempt=remote.attempts)
    proof = _proof_of(old_copies.read_invoice(remote, ninja), by_hand=False)
    if proof is None:
        raise NotThere
    return proof


def _proof_of(there: NinjaInvoice, *, by_hand: bool) -> Proof | None:
    """Proof of an invoice that is sent (paid too); None for a draft. Raises NeedsPerson for one that ended."""
    if there.is_deleted or there.status_id in (CANCELLED, REVERSED):
        raise NeedsPerson(
            "ended_there",
            _("Invoice %(number)s was deleted or cancelled in Invoice Ninja.") % {"number": there.number or there.id},
        )
    return None if there.status_id == DRAFT else Proof(there.id, {**facts_of(there), "by_hand": by_hand})


def _compare(remote: RemoteRecord, there: NinjaInvoice, *, is_sent: bool) -> None:
    """Keep what differs from the seal for a person; raises NeedsPerson for a draft, which is then not marked."""
    invoice = Invoice.objects.select_related("remote").get(remote__our_key=remote.our_key)
    wrong = differences(there, wanted(invoice.remote)) if invoice.remote else {}
    if not wrong:
        return
    deviations.note(invoice, there)
    if not is_sent:
        raise NeedsPerson(
            "differs_there",
            _("Invoice %(number)s was changed in Invoice Ninja since its approval (ours / there: %(differences)s).")
            % {"number": there.number, "differences": describe(wrong)},
        )


# --- after the proof ----------------------------------------------------------------------------------------------


def _lock_first(remote: RemoteRecord) -> None:
    lines = InvoiceLine.objects.filter(invoice__remote__our_key=remote.our_key, is_voided=False)
    claims.lock_work(lines.values_list("entry__item_id", flat=True))
    Invoice.objects.select_for_update(of=("self",), no_key=True).filter(remote__our_key=remote.our_key).first()


def _after_sync(remote: RemoteRecord) -> None:
    """The invoice is sent, by the person who asked, for the reason that was given."""
    invoice = Invoice.objects.get(remote__our_key=remote.our_key)
    if invoice.state not in (InvoiceState.SENDING, InvoiceState.ATTENTION):
        return
    seen, desired = remote.seen, remote.desired
    words = _("was sent by hand in Invoice Ninja meanwhile") if seen["by_hand"] else desired["reason"]
    advance(
        invoice,
        InvoiceState.SENT,
        why=_("marked as sent without a mail: %(reason)s") % {"reason": words},
        user=User.objects.filter(pk=desired["by"]).first(),
        sent_at=timezone.now(),
        attention_sentence="",
        number=seen["number"] or invoice.number,
        remote_status=seen["status_id"],
        balance=Decimal(seen["balance"]),
    )
    creating.refresh_statuses(invoice)
    transaction.on_commit(lambda: doorbell.ring("payments"))


def _after_question(remote: RemoteRecord) -> None:
    """The invoice waits for the same person as its write."""
    invoice = Invoice.objects.get(remote__our_key=remote.our_key)
    if invoice.state == InvoiceState.SENDING:
        sentence = RemoteRecord.objects.values_list("sentence", flat=True).get(pk=remote.pk)
        advance(invoice, InvoiceState.ATTENTION, why=sentence, attention_sentence=sentence)


HANDLER = Handler(RecordKind.MARK_SENT, write_mark, look_up_mark, _after_sync, _lock_first, _after_question)
