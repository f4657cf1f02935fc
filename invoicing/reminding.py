"""Reminding a client of one open invoice, once, by hand and with proof.

Invoice Ninja's own schedule owns reminders; this sends one beside it. Asking is a row. The worker reads the invoice
again right before the call: what was paid, cancelled or reminded meanwhile is not reminded. It remembers each contact's
`message_id`, commits that it is about to call, and only then calls. From that commit on nothing mails it again by
itself: either it is proven (`mail_proof`), or a person decides, or the server said that it did nothing. While a person
is asked it is still looked at, and once more right before what they decide.
"""

from __future__ import annotations

import datetime as dt
import logging
import uuid
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import IntegrityError, OperationalError, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import User
from billing_console import clock, formats, stopping
from billing_console.errors import ClaimLost, ConfigError, NotAllowed, UpstreamError, said_by
from billing_console.states import ReminderState
from invoicing import late_proof, mail_proof, old_copies, payments, reminding_rules
from invoicing.mail_proof import Mark
from invoicing.models import Invoice, Reminder
from invoicing.sending import MAX_PROOF_PAUSE_SECONDS, PROOF_PAUSE_SECONDS
from invoicing.sending_checks import receivers_of
from sync import currencies, discovery, doorbell, gate, leases, upstreams, waits
from sync.clients.invoice_ninja import InvoiceNinjaClient
from sync.clients.ninja_rows import NinjaInvoice
from sync.models import Server
from sync.transitions import advance, record

logger = logging.getLogger(__name__)


# --- asking -------------------------------------------------------------------------------------------------------


def request_reminder(
    invoice: Invoice, *, text: str, balance: Decimal, user: User | None, shown_to: Sequence[str] = ()
) -> Reminder:
    """Ask for one reminder, as the person saw the debt (`balance`, gross) and the addresses `shown_to`.

    Locks the invoice.

    Raises NotAllowed when nothing is owed any more, when another amount is open by now, or when it is too early.
    """
    with transaction.atomic():
        locked = Invoice.objects.select_for_update(of=("self",)).select_related("client").get(pk=invoice.pk)
        if why := reminding_rules.why_not(locked, text):
            raise NotAllowed(why)
        if locked.balance != balance:
            raise NotAllowed(
                _("%(invoice)s is not reminded: %(open)s is open by now. Look at it again.")
                % {"invoice": locked, "open": formats.money(locked.balance, locked.currency)}
            )
        try:
            with transaction.atomic():
                reminder = Reminder.objects.create(
                    invoice=locked,
                    text=text,
                    balance=balance,
                    shown_to=list(shown_to),
                    by=user,
                    state_since=timezone.now(),
                )
        except IntegrityError:  # the constraint: one at a time
            raise NotAllowed(reminding_rules.already(locked)) from None
        record(reminder, "", ReminderState.PENDING, why=_("confirmed"), user=user)
        transaction.on_commit(lambda: doorbell.ring("reminders"))
    return reminder


def decide(reminder: Reminder, *, arrived: bool, user: User, note: str) -> bool:
    """A person says what became of a mail whose outcome is unknown. Raises NotAllowed when it waits no more.

    That it did not arrive takes effect when Invoice Ninja was read once more (False until then): the proof may have
    come.
    """
    if not note.strip():
        raise NotAllowed(_("Say how you know, in a few words."))
    with transaction.atomic():
        locked = Reminder.objects.select_for_update(of=("self",)).get(pk=reminder.pk)
        if locked.state != ReminderState.ATTENTION:
            raise NotAllowed(_("This reminder does not wait for a decision any more."))
        if arrived:
            return advance(locked, ReminderState.SENT, why=note, user=user, sentence=note)
        if locked.allowed_note:
            raise NotAllowed(_("That was said already. Invoice Ninja is read once more; wait a moment."))
        sentence = _("It did not leave (%(note)s); Invoice Ninja is read once more.") % {"note": note}
        changes: dict[str, Any] = {"allowed_by": user, "allowed_note": note, "sentence": sentence, "not_before": None}
        Reminder.objects.filter(pk=locked.pk).update(**changes)
        transaction.on_commit(lambda: doorbell.ring("reminders"))
    return False


# --- the worker's part --------------------------------------------------------------------------------------------


def remind_due(limit: int = 200) -> int:
    """Send or prove every due reminder; returns how many were looked at. Safe in several workers at once."""
    done = 0
    while done < limit and gate.may_call(Server.NINJA) and (reminder := _claim_next()):
        done += 1
        try:
            _step(reminder)
        except OperationalError:
            raise  # the database, not this mail
        except Exception as error:
            if not isinstance(error, UpstreamError | ConfigError | ClaimLost):
                logger.exception("%s could not be sent", reminder)
            failure = said_by(error)
            _wait(reminder, waits.wait_after(failure, reminder.attempts), failure.sentence)
    return done


def due() -> QuerySet[Reminder]:
    """The reminders to be looked at now that nobody looks at.

    While writing is paused only those whose mail was asked for: their proof is looked for, nothing new is mailed. Those
    that a person is asked about too, now and then.
    """
    now = timezone.now()
    states = [ReminderState.SENDING, ReminderState.ATTENTION]
    states += [ReminderState.PENDING] if gate.may_write(Server.NINJA) else []
    rows = Reminder.objects.filter(Q(not_before__isnull=True) | Q(not_before__lte=now), state__in=states)
    return rows.filter(leases.is_free())


def in_flight() -> QuerySet[Reminder]:
    """The reminders that somebody looks at now."""
    states = (ReminderState.PENDING, ReminderState.SENDING)
    return Reminder.objects.filter(leases.runs(), state__in=states)


def _claim_next() -> Reminder | None:
    """Claim the oldest one that is due, one with a lapsed lease too: its state says how far it came.

    None where this process is to stop.
    """
    if stopping.is_stopping():
        return None
    with transaction.atomic():
        rows = due().select_for_update(skip_locked=True, of=("self",))
        rows = rows.select_related("invoice__remote", "invoice__client", "by", "allowed_by")
        reminder = rows.order_by("id").first()
        if reminder is not None:
            reminder.claim_id, reminder.attempts = uuid.uuid4(), reminder.attempts + 1
            Reminder.objects.filter(pk=reminder.pk).update(
                claim_id=reminder.claim_id, attempts=reminder.attempts, lease_until=leases.end_of()
            )
        return reminder


def _step(reminder: Reminder) -> None:
    fence = leases.Fence(Reminder, reminder.pk, reminder.claim_id)
    ninja = upstreams.ninja_client(correlation_id=reminder.uuid, fence=fence)
    upstreams.check_pin(Server.NINJA)
    remote = reminder.invoice.remote
    if remote is None or remote.remote_id is None:
        raise ValueError(f"invoice {reminder.invoice_id} is to be reminded but is not in Invoice Ninja")
    there = old_copies.read_invoice(remote, ninja)
    if reminder.state in (ReminderState.SENDING, ReminderState.ATTENTION):
        _look_for_proof(reminder, ninja, there)
        return
    payments.observe_invoices([there])  # what was just read is what everybody sees from now on
    reminder.invoice.refresh_from_db()
    client = ninja.client(there.client_id)
    currency = currencies.code_of(ninja, client)
    if refused := reminding_rules.refusal(reminder, there, client, currency=currency):
        discovery.keep_contacts(client)
        _finish(reminder, ReminderState.REFUSED, refused)
    else:
        reminder.last_activity = mail_proof.last_activity(ninja, there.id)
        with leases.taken_back(fence, lambda: _give_back(reminder), f"reminding of invoice {reminder.invoice_id}"):
            _call(reminder, ninja, there, receivers_of(there, client))


def _commit_to_calling(reminder: Reminder, there: NinjaInvoice, contacts: list[tuple[str, str, str]]) -> bool:
    """Write down, before the call, that it is made and what the message ids were. False: the claim is lost."""
    before = {str(invitation.id): invitation.message_id for invitation in there.invitations}
    now = timezone.now()
    mails = [
        {"invitation": invitation, "name": name, "email": email, "before": before[invitation], "after": "", "error": ""}
        for invitation, name, email in contacts
    ]
    is_ours = Q(claim_id=reminder.claim_id) & leases.runs()
    return advance(
        reminder,
        ReminderState.SENDING,
        why=_("Invoice Ninja is asked to mail it"),
        user=reminder.by,
        only_if=is_ours,
        claim=reminder.claim_id,
        called_at=now,
        reminded_at=clock.now(),
        last_activity=reminder.last_activity,
        mails=mails,
    )


def _call(
    reminder: Reminder, ninja: InvoiceNinjaClient, there: NinjaInvoice, contacts: list[tuple[str, str, str]]
) -> None:
    # Do not retry here, whatever happens: once it is committed only the proof, or a person, settles it.
    try:
        with ninja.slot():  # before the commit: what waits for its slot was not called, and is never in doubt
            if not _commit_to_calling(reminder, there, contacts):
                return
            ninja.send_email(there.id, f"email_template_{reminder.text}")
    except UpstreamError as error:
        logger.warning("reminding of invoice %s: %s", there.number, error)
        if error.is_surely_not_done:
            _take_back(reminder)
            raise  # and it is tried again, as if we had not tried
        if not error.is_outcome_unknown:
            later = _("Invoice Ninja was busy and did nothing; nobody was reminded. Remind again later.")
            sentence = _("The mail was not sent. %(why)s") % {"why": error.sentence} if error.is_permanent else later
            _finish(reminder, ReminderState.REFUSED, sentence)
        else:
            _wait(reminder, _pause(reminder), error.sentence)
        return
    _look_for_proof(reminder, ninja, ninja.invoice(there.id))


def _give_back(reminder: Reminder) -> None:
    reminder.state = ReminderState.SENDING  # which it is where the commit came through; else nothing is moved
    _take_back(reminder, lease_until=None)
    reminder.refresh_from_db(fields=["state"])


def _take_back(reminder: Reminder, **more: Any) -> None:
    """Nothing was done of the call that was committed: it waits again as it did before."""
    if reminder.state == ReminderState.SENDING:
        why, is_ours = _("nothing was done of it; it is tried again"), Q(claim_id=reminder.claim_id)
        changes: dict[str, Any] = {"called_at": None, "reminded_at": None, "mails": [], **more}
        advance(reminder, ReminderState.PENDING, why=why, only_if=is_ours, claim=reminder.claim_id, **changes)


def _look_for_proof(reminder: Reminder, ninja: InvoiceNinjaClient, there: NinjaInvoice) -> None:
    """Sent when it is proven for every contact; attention when it is not after SEND_PROOF_SECONDS."""
    after, marks = {str(invitation.id): invitation for invitation in there.invitations}, []
    for mail in reminder.mails:
        known = mail["after"]
        if (invitation := after.get(mail["invitation"])) is not None:
            mail["after"], mail["error"] = invitation.message_id, invitation.email_error
        marks.append(Mark(mail["email"] or mail["name"], mail["before"], known, mail["after"]))
    has_money_moved = there.balance != reminder.balance
    verdict = mail_proof.verdict(ninja, there, marks, after=reminder.last_activity, has_money_moved=has_money_moved)
    ours = Reminder.objects.filter(pk=reminder.pk, claim_id=reminder.claim_id, state=reminder.state)
    if not ours.update(mails=reminder.mails):
        return
    payments.observe_invoices([there])
    is_asked = reminder.state == ReminderState.ATTENTION
    if verdict.is_proven:
        late = _("mailed to %(who)s, proven by message id, late")
        words = late if is_asked else _("mailed to %(who)s, proven by message id")
        _finish(reminder, ReminderState.SENT, words % {"who": ", ".join(mark.who for mark in marks)})
    elif is_asked:
        _apply_decision(reminder)
    elif reminder.called_at and timezone.now() - reminder.called_at > timedelta(seconds=settings.SEND_PROOF_SECONDS):
        _finish(
            reminder,
            ReminderState.ATTENTION,
            _(
                "Invoice Ninja was asked to remind of invoice %(number)s, but there is no proof that it left. %(why)s "
                "Look there or ask the client, then say whether it arrived; it is not mailed again by itself."
            )
            % {"number": there.number, "why": verdict.why},
            not_before=timezone.now() + late_proof.SOONEST,
        )
    else:
        _wait(reminder, _pause(reminder), _("Waiting for the proof that the mail left."))


def _apply_decision(reminder: Reminder) -> None:
    """No proof has come: what a person said, while it was read too, holds now; else it waits for them."""
    with transaction.atomic():
        rows = Reminder.objects.select_for_update(of=("self",), no_key=True).select_related("allowed_by")
        said = rows.get(pk=reminder.pk)
        if said.allowed_note:
            _finish(reminder, ReminderState.REFUSED, said.allowed_note, by=said.allowed_by)
        else:
            _wait(reminder, late_proof.pause_since(reminder.state_since), reminder.sentence)


def _pause(reminder: Reminder) -> timedelta:
    seconds = PROOF_PAUSE_SECONDS * 2 ** min(max(reminder.attempts - 1, 0), 5)
    return timedelta(seconds=min(seconds, MAX_PROOF_PAUSE_SECONDS))


def _wait(reminder: Reminder, pause: timedelta, sentence: str) -> None:
    """Look again later; the state says whether the mail was asked for. Nothing happens once the claim is lost."""
    rows = Reminder.objects.filter(pk=reminder.pk, claim_id=reminder.claim_id, state=reminder.state)
    rows.update(not_before=timezone.now() + pause, lease_until=None, sentence=sentence)


def _finish(
    reminder: Reminder, to: str, sentence: str, *, by: User | None = None, not_before: dt.datetime | None = None
) -> None:
    """Write the outcome, unless the claim was lost meanwhile."""
    changes: dict[str, Any] = {"lease_until": None, "not_before": not_before, "sentence": sentence}
    is_ours = Q(claim_id=reminder.claim_id)
    advance(reminder, to, why=sentence, user=by or reminder.by, only_if=is_ours, claim=reminder.claim_id, **changes)
