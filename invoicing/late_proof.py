"""A mail whose outcome a person is asked for is looked at now and then, and once more right before what they decide.

The proof may come late: a queue stood still, an answer got lost. Then it settles itself, and nothing is mailed twice.
Reads Invoice Ninja, writes nothing there.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.db import OperationalError, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from billing_console import stopping
from billing_console.errors import ConfigError, UpstreamError, said_by
from billing_console.states import InvoiceState
from invoicing import creating, mail_proof, old_copies
from invoicing.mail_proof import Mark, Verdict
from invoicing.models import ContactMail, Invoice, Sending
from sync import gate, leases, upstreams, waits
from sync.clients.invoice_ninja import InvoiceNinjaClient
from sync.clients.ninja_rows import NinjaId, NinjaInvoice
from sync.models import Server
from sync.transitions import advance

logger = logging.getLogger(__name__)

SOONEST, LATEST = timedelta(minutes=1), timedelta(hours=1)


def pause_since(asked_at: datetime | None) -> timedelta:
    """Until the next look at a mail that somebody is asked about since `asked_at`: ever longer, an hour at most."""
    waited = timezone.now() - asked_at if asked_at else timedelta()
    return min(max(waited / 4, SOONEST), LATEST)


def waiting() -> QuerySet[Sending]:
    """The mails that were asked for, and of which a person is asked whether they arrived."""
    newer = Sending.objects.filter(invoice=OuterRef("invoice"), pk__gt=OuterRef("pk"))
    rows = Sending.objects.filter(is_called=True, proven_at__isnull=True, finished_at__isnull=False)
    return rows.filter(~Exists(newer), invoice__state=InvoiceState.ATTENTION)


def unproven(invoice: Invoice) -> Sending | None:
    """The last mail of the invoice that was asked for, where no proof of it was ever found."""
    rows = invoice.sendings.filter(is_called=True, finished_at__isnull=False, proven_at__isnull=True)
    return rows.order_by("-pk").first()


def was_refused(invoice: Invoice) -> bool:
    """Whether what is asked is about a mail that was refused before Invoice Ninja was told to mail: nothing left."""
    if invoice.state != InvoiceState.ATTENTION:
        return False
    last = invoice.sendings.order_by("-pk").first()
    return last is not None and not last.is_called and last.sentence == invoice.attention_sentence


def look(ninja: InvoiceNinjaClient, sending: Sending, there: NinjaInvoice) -> tuple[list[ContactMail], Verdict]:
    """What `there`, as just read, says of the mail: its contacts with their message ids of now (not saved)."""
    mails, marks = list(sending.mails.all()), []
    after = {invitation.id: invitation for invitation in there.invitations}
    for mail in mails:
        known = mail.message_id_after
        if (invitation := after.get(NinjaId(mail.invitation_id))) is not None:
            mail.message_id_after, mail.error = invitation.message_id, invitation.email_error
        marks.append(Mark(mail.email or mail.name, mail.message_id_before, known, mail.message_id_after))
    verdict = mail_proof.verdict(
        ninja, there, marks, after=sending.last_activity, has_money_moved=there.paid_to_date != 0
    )
    return mails, verdict


def names(mails: Iterable[ContactMail]) -> str:
    """Whom the mails were for, by address, in one text."""
    return ", ".join(mail.email or mail.name for mail in mails)


def note(mails: list[ContactMail]) -> None:
    """Keep the message ids that a look found."""
    ContactMail.objects.bulk_update(mails, ["message_id_after", "error"])


def settle_due(limit: int = 50) -> int:
    """Look at every mail that waits for a person and is due; returns how many. Safe in several workers at once."""
    done = 0
    while done < limit and gate.may_call(Server.NINJA) and (sending := _claim_next()):
        done += 1
        try:
            _settle(sending)
        except OperationalError:
            raise  # the database, not this mail
        except Exception as error:
            if not isinstance(error, UpstreamError | ConfigError):
                logger.exception("the late proof of %s could not be looked for", sending)
            failure = said_by(error)
            _look_again(sending, waits.wait_after(failure, sending.attempts))
    return done


def due() -> QuerySet[Sending]:
    """Those to be looked at now that nobody looks at."""
    now = timezone.now()
    rows = waiting().filter(Q(not_before__isnull=True) | Q(not_before__lte=now))
    return rows.filter(leases.is_free())


def claim_first(rows: QuerySet[Sending]) -> Sending | None:
    """Claim the oldest of `rows` that nobody else claims just now, for LEASE_SECONDS; none where we are to stop."""
    if stopping.is_stopping():
        return None
    with transaction.atomic():
        sending = rows.select_for_update(skip_locked=True, of=("self",)).order_by("id").first()
        if sending is not None:
            sending.claim_id, sending.attempts = uuid.uuid4(), sending.attempts + 1
            Sending.objects.filter(pk=sending.pk).update(
                claim_id=sending.claim_id, attempts=sending.attempts, lease_until=leases.end_of()
            )
        return sending


def _claim_next() -> Sending | None:
    return claim_first(due().select_related("invoice__remote", "allowed_by"))


def _settle(sending: Sending) -> None:
    ninja = upstreams.ninja_client(correlation_id=sending.invoice.uuid)
    upstreams.check_pin(Server.NINJA)
    remote = sending.invoice.remote
    if remote is None or remote.remote_id is None:
        raise ValueError(f"invoice {sending.invoice_id} was mailed but is not in Invoice Ninja")
    mails, verdict = look(ninja, sending, old_copies.read_invoice(remote, ninja))
    with transaction.atomic():
        invoice = Invoice.objects.select_for_update(of=("self",)).get(pk=sending.invoice_id)
        ours = waiting().select_for_update(of=("self",), no_key=True).filter(pk=sending.pk, claim_id=sending.claim_id)
        fresh = ours.select_related("allowed_by").first()  # what a person allowed while we read, too
        if fresh is None or invoice.state != InvoiceState.ATTENTION:
            return
        note(mails)
        if verdict.is_proven:
            _prove(fresh, invoice, mails)
        elif fresh.allowed_note:
            # Nobody observed it while it was in our hands: without a status the next poll reads it, deleted too.
            changes: dict[str, Any] = {"attention_sentence": "", "remote_status": ""}
            advance(invoice, InvoiceState.CREATED, why=fresh.allowed_note, user=fresh.allowed_by, **changes)
        else:
            _look_again(fresh, pause_since(fresh.finished_at))


def _prove(sending: Sending, invoice: Invoice, mails: list[ContactMail]) -> None:
    why = _("mailed to %(who)s, proven by message id, late") % {"who": names(mails)}
    now = timezone.now()
    Sending.objects.filter(pk=sending.pk).update(proven_at=now, lease_until=None, sentence=why)
    advance(invoice, InvoiceState.SENT, why=why, user=sending.by, sent_at=now, attention_sentence="")
    creating.refresh_statuses(invoice)


def _look_again(sending: Sending, pause: timedelta) -> None:
    rows = Sending.objects.filter(pk=sending.pk, claim_id=sending.claim_id)
    rows.update(not_before=timezone.now() + pause, lease_until=None)
