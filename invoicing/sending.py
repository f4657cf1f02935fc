"""Mailing an invoice once, with proof (design: The remote writes, row "send").

Asking is a row: the invoice goes to `sending` with a `Sending` beside it. The worker checks the invoice there against
the seal, remembers each contact's `message_id`, commits that it is about to call, and only then calls. From that commit
on nothing mails it again by itself: either it is proven (`mail_proof`), or a person decides (and `late_proof` still
looks), or the server said that it did nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import OperationalError, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import User
from billing_console.errors import ClaimLost, ConfigError, ConsoleError, NotAllowed, UpstreamError, said_by
from billing_console.states import InvoiceState, RecordState
from invoicing import creating, deviations, late_mails, late_proof, mail_proof, marking, old_copies, receivers
from invoicing.mail_proof import Verdict
from invoicing.models import ContactMail, Invoice, Selection, Sending
from invoicing.sending_checks import receivers_of, refusal
from sync import currencies, discovery, doorbell, gate, leases, upstreams, waits
from sync.clients.invoice_ninja import InvoiceNinjaClient
from sync.clients.ninja_rows import SENT, NinjaClient, NinjaInvoice
from sync.models import Server
from sync.transitions import advance

logger = logging.getLogger(__name__)

PROOF_PAUSE_SECONDS = 2.0
MAX_PROOF_PAUSE_SECONDS = 60.0


# --- asking -------------------------------------------------------------------------------------------------------


def request_sending(
    invoice: Invoice,
    *,
    seal: str,
    user: User | None,
    selection: Selection | None = None,
    shown_to: Sequence[str] = (),
) -> Sending:
    """Ask for one invoice to be mailed, as the person saw it (`seal`, and the addresses `shown_to`). Locks the invoice.

    Raises NotAllowed when it is not in a state to be sent, or was sealed anew since the person looked.
    """
    with transaction.atomic():
        locked = lock_sendable(invoice, seal)
        advance(locked, InvoiceState.SENDING, why=_("send confirmed"), user=user)
        sending = Sending.objects.create(
            invoice=locked, by=user, selection=selection, seal=seal, shown_to=list(shown_to)
        )
        transaction.on_commit(lambda: doorbell.ring("sendings"))
    return sending


def lock_sendable(invoice: Invoice, seal: str) -> Invoice:
    """The invoice, locked until the caller's transaction ends, if it can be sent as the person saw it (`seal`).

    Raises NotAllowed with the reason when it cannot.
    """
    locked = Invoice.objects.select_for_update(of=("self",)).select_related("remote", "client").get(pk=invoice.pk)
    if locked.state != InvoiceState.CREATED:
        raise NotAllowed(
            _("%(invoice)s is not sent: it is “%(state)s” by now.")
            % {"invoice": locked, "state": locked.get_state_display()}
        )
    if locked.seal != seal:
        raise NotAllowed(_("%(invoice)s is not sent: it was changed since you looked at it.") % {"invoice": locked})
    if not is_written(locked):
        raise NotAllowed(_("%(invoice)s is not sent: it is just being changed in Invoice Ninja.") % {"invoice": locked})
    return locked


def is_written(invoice: Invoice) -> bool:
    """Whether Invoice Ninja is proven to hold the invoice as it is sealed now."""
    remote = invoice.remote
    return remote is not None and remote.state == RecordState.SYNCED and remote.synced_revision == remote.revision


def decide(invoice: Invoice, *, was_sent: bool, user: User, note: str) -> bool:
    """A person says what became of a mail whose outcome is unknown: it arrived, or it may be sent again.

    Where a mail was asked for, the second takes effect when Invoice Ninja was read once more (False until then): the
    proof may have come. Raises NotAllowed when the invoice no longer waits for that decision.
    """
    to = InvoiceState.SENT if was_sent else InvoiceState.CREATED
    # Nobody observed it while it was in our hands: without a status the next poll reads it, deleted or cancelled too.
    sent_at: dict[str, Any] = {"sent_at": timezone.now()} if was_sent else {"remote_status": ""}
    with transaction.atomic():
        locked = Invoice.objects.select_for_update(of=("self",)).get(pk=invoice.pk)
        if locked.state != InvoiceState.ATTENTION:
            raise NotAllowed(_("%(invoice)s does not wait for a decision any more.") % {"invoice": locked})
        if not note.strip():
            raise NotAllowed(_("Say how you know, in a few words."))
        marking.retire(locked, user=user, why=note)
        if not was_sent and (mail := late_proof.waiting().filter(invoice=locked).first()) is not None:
            if mail.allowed_note:
                raise NotAllowed(_("That was said already. Invoice Ninja is read once more; wait a moment."))
            Sending.objects.filter(pk=mail.pk).update(allowed_by=user, allowed_note=note, not_before=None)
            sentence = _("It may be sent again (%(note)s), once Invoice Ninja was read once more.") % {"note": note}
            Invoice.objects.filter(pk=locked.pk).update(attention_sentence=sentence)
            transaction.on_commit(lambda: doorbell.ring("sendings"))
            return False
        advance(locked, to, why=note, user=user, attention_sentence="", **sent_at)
        if was_sent:
            creating.refresh_statuses(locked)
        return True


# --- the worker's part --------------------------------------------------------------------------------------------


def send_due(limit: int = 200) -> int:
    """Send or prove every due sending; returns how many were looked at. Safe in several workers at once."""
    done = late_proof.settle_due()
    while done < limit and gate.may_call(Server.NINJA) and (sending := _claim_next()):
        done += 1
        try:
            _step(sending)
        except OperationalError:
            raise  # the database, not this mail
        except Exception as error:
            if not isinstance(error, UpstreamError | ConfigError | ClaimLost):
                logger.exception("%s could not be sent", sending)
            _postpone(sending, said_by(error))
    if done:
        doorbell.ring("payments")  # once for all: what Invoice Ninja says of them is read in one list
    return done


def due() -> QuerySet[Sending]:
    """The sendings that are to be looked at now and that nobody looks at.

    While writing is paused only those whose mail was asked for: their proof is looked for, nothing new is mailed.
    """
    now = timezone.now()
    rows = Sending.objects.filter(Q(not_before__isnull=True) | Q(not_before__lte=now), finished_at__isnull=True)
    rows = rows.filter(leases.is_free())
    return rows if gate.may_write(Server.NINJA) else rows.filter(is_called=True)


def in_flight() -> QuerySet[Sending]:
    """The sendings that somebody looks at now."""
    return Sending.objects.filter(leases.runs(), finished_at__isnull=True)


def _claim_next() -> Sending | None:
    """Claim the oldest open sending that is due, one with a lapsed lease too: `is_called` says how far it came."""
    return late_proof.claim_first(due().select_related("invoice__remote", "invoice__client"))


def _step(sending: Sending) -> None:
    fence = leases.Fence(Sending, sending.pk, sending.claim_id)
    ninja = upstreams.ninja_client(correlation_id=sending.invoice.uuid, fence=fence)
    upstreams.check_pin(Server.NINJA)
    invoice = sending.invoice
    if invoice.remote is None or invoice.remote.remote_id is None:
        raise ValueError(f"invoice {invoice.pk} is being sent but is not in Invoice Ninja")
    there = old_copies.read_invoice(invoice.remote, ninja)
    if sending.is_called:
        _look_for_proof(sending, ninja, there)
        return
    contacts = ninja.client(there.client_id)
    # A call of ours that a person judged not to have arrived has marked the invoice as sent all the same.
    earlier = late_proof.unproven(invoice)
    if earlier is not None:
        mails, verdict = late_proof.look(ninja, earlier, there)
        if verdict.is_proven:  # it left at the first time after all: one mail is enough
            late_proof.note(mails)
            earlier.proven_at = timezone.now()
            earlier.save(update_fields=["proven_at"])
            who = {"who": late_proof.names(mails)}
            _finish(sending, InvoiceState.SENT, _("mailed to %(who)s before, proven by message id; not again") % who)
            return
    has_called = there.status_id == SENT and earlier is not None
    refused = refusal(
        invoice,
        there,
        contacts,
        currency=currencies.code_of(ninja, contacts),
        shown_to=sending.shown_to,
        has_called=has_called,
        late=late_mails.too_late(sending.asked_at, invoice.timezone),
    )
    if refused is not None:
        if refused.is_changed:
            deviations.note(invoice, there)
        _keep_receivers(invoice, there, contacts)
        _finish(sending, InvoiceState.SENT if refused.was_sent else InvoiceState.ATTENTION, refused.sentence)
        return
    sending.last_activity = mail_proof.last_activity(ninja, there.id)
    with leases.taken_back(
        fence, lambda: _take_back(sending, lease_until=None), f"mailing invoice {sending.invoice_id}"
    ):
        _call(sending, ninja, there, contacts)


def _keep_receivers(invoice: Invoice, there: NinjaInvoice, client: NinjaClient) -> None:
    """Let the next question show whom it was just read to reach."""
    Invoice.objects.filter(pk=invoice.pk).update(invitations=receivers.as_kept(there, invoice.invitations))
    discovery.keep_contacts(client)


def _commit_to_calling(sending: Sending, there: NinjaInvoice, client: NinjaClient) -> bool:
    """Write down, before the call, that it is made and what the message ids were. False: the claim is lost."""
    before = {str(invitation.id): invitation.message_id for invitation in there.invitations}
    now = timezone.now()
    with transaction.atomic():
        ours = Sending.objects.filter(leases.runs(), pk=sending.pk, claim_id=sending.claim_id, is_called=False)
        if not ours.update(is_called=True, called_at=now, last_activity=sending.last_activity):
            return False
        ContactMail.objects.bulk_create(
            ContactMail(
                sending=sending, invitation_id=invitation, name=name, email=email, message_id_before=before[invitation]
            )
            for invitation, name, email in receivers_of(there, client)
        )
    sending.is_called, sending.called_at = True, now
    return True


def _call(sending: Sending, ninja: InvoiceNinjaClient, there: NinjaInvoice, client: NinjaClient) -> None:
    # Do not retry here, whatever happens: once it is committed only the proof, or a person, settles it.
    try:
        with ninja.slot():  # before the commit: what waits for its slot was not called, and is never in doubt
            if not _commit_to_calling(sending, there, client):
                return
            ninja.send_email(there.id)
    except UpstreamError as error:
        logger.warning("mailing invoice %s: %s", there.number, error)
        if error.is_surely_not_done:
            _take_back(sending)
            raise  # and it is tried again, as if we had not tried
        if error.is_permanent and not error.is_outcome_unknown:
            _finish(sending, InvoiceState.ATTENTION, _("The mail was not sent. %(why)s") % {"why": error.sentence})
        else:
            _wait_for_proof(sending, error.sentence)
        return
    _look_for_proof(sending, ninja, ninja.invoice(there.id))


def _take_back(sending: Sending, **changes: Any) -> None:
    """Nothing was done of the call that was committed, or none was made: it is as if we had not tried."""
    with transaction.atomic():
        ours = Sending.objects.filter(pk=sending.pk, claim_id=sending.claim_id, finished_at__isnull=True)
        if ours.update(is_called=False, called_at=None, **changes):
            sending.mails.all().delete()
    sending.is_called = False


def _look_for_proof(sending: Sending, ninja: InvoiceNinjaClient, there: NinjaInvoice) -> None:
    """Sent when it is proven for every contact; attention when it is not after SEND_PROOF_SECONDS."""
    mails, verdict = late_proof.look(ninja, sending, there)
    with transaction.atomic():
        # Locking the sending keeps a sleeper, who read the invitations long ago, from writing after who finished it.
        if not _lock_ours(sending):
            return
        late_proof.note(mails)
        _judge(sending, there, mails, verdict)


def _judge(sending: Sending, there: NinjaInvoice, mails: list[ContactMail], verdict: Verdict) -> None:
    if verdict.is_proven:
        sending.proven_at = timezone.now()
        _finish(
            sending, InvoiceState.SENT, _("mailed to %(who)s, proven by message id") % {"who": late_proof.names(mails)}
        )
    elif sending.called_at and timezone.now() - sending.called_at > timedelta(seconds=settings.SEND_PROOF_SECONDS):
        _finish(
            sending,
            InvoiceState.ATTENTION,
            _(
                "Invoice Ninja was asked to mail invoice %(number)s, but there is no proof that it left. %(why)s "
                "Look there or ask the client, then say whether it arrived; it is not mailed again by itself."
            )
            % {"number": there.number, "why": verdict.why},
        )
    else:
        _wait_for_proof(sending, _("Waiting for the proof that the mail left."))


def _lock_ours(sending: Sending) -> bool:
    rows = Sending.objects.select_for_update(of=("self",), no_key=True)
    return bool(rows.filter(pk=sending.pk, claim_id=sending.claim_id, finished_at__isnull=True).values_list("pk"))


def _wait_for_proof(sending: Sending, sentence: str) -> None:
    pause = min(PROOF_PAUSE_SECONDS * 2 ** min(sending.attempts - 1, 5), MAX_PROOF_PAUSE_SECONDS)
    Sending.objects.filter(pk=sending.pk, claim_id=sending.claim_id, finished_at__isnull=True).update(
        not_before=timezone.now() + timedelta(seconds=pause), lease_until=None, sentence=sentence
    )


def _postpone(sending: Sending, error: ConsoleError) -> None:
    """Look at it again later: `is_called` says whether that may mail, so nothing is mailed twice by it."""
    Sending.objects.filter(pk=sending.pk, claim_id=sending.claim_id, finished_at__isnull=True).update(
        not_before=timezone.now() + waits.wait_after(error, sending.attempts),
        lease_until=None,
        sentence=error.sentence,
    )


def _finish(sending: Sending, to: str, sentence: str) -> None:
    """Write the outcome, unless the claim was lost meanwhile. Locks the sending and its invoice."""
    now = timezone.now()
    with transaction.atomic():
        ours = Sending.objects.filter(pk=sending.pk, claim_id=sending.claim_id, finished_at__isnull=True).update(
            finished_at=now,
            lease_until=None,
            not_before=now + late_proof.SOONEST,
            sentence=sentence,
            proven_at=sending.proven_at,
        )
        if not ours:
            return
        invoice = Invoice.objects.select_for_update(of=("self",)).get(pk=sending.invoice_id)
        if invoice.state != InvoiceState.SENDING:
            return
        if to == InvoiceState.SENT:
            advance(invoice, to, why=sentence, user=sending.by, sent_at=now, attention_sentence="")
            creating.refresh_statuses(invoice)
        else:
            advance(invoice, to, why=sentence, attention_sentence=sentence)
