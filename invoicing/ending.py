"""Cancel and bill again: an invoice that must not exist is ended in Invoice Ninja, its hours are set free.

Asking is a row: the invoice keeps its state until Invoice Ninja proves the end. What was paid, or credited, is never
ended here (design: The remote writes, rows "mark sent · cancel" and "delete an invoice never sent").
"""

from __future__ import annotations

from django.db import transaction
from django.utils.translation import gettext as _

from accounts.models import User
from billing_console.errors import NotAllowed
from billing_console.reason import reason_of
from billing_console.states import InvoiceState, RecordState
from invoicing import content, creating, releasing
from invoicing.ending_writes import END, is_to_end
from invoicing.models import Invoice
from sync.models import RemoteRecord
from sync.transitions import record

ENDABLE = (InvoiceState.CREATED, InvoiceState.SENT)


def request_end(invoice: Invoice, *, seal: str, user: User, note: str, again: str = releasing.Again.ANEW) -> Invoice:
    """Want the invoice ended in Invoice Ninja and its lines billed again as `again` says, or written off.

    `seal` is what the person saw, the note is required.
    Locks the invoice and its record. Raises NotAllowed where it cannot be, and on a second click.
    """
    reason = reason_of(note)
    with transaction.atomic():
        row = content.lock_invoice(invoice.pk)
        if why := why_not(row):
            raise NotAllowed(why)
        if row.seal != seal:
            raise NotAllowed(_("%(invoice)s was changed since you looked at it. Look again.") % {"invoice": row})
        remote = _lock_record(row)
        was_draft = row.state == InvoiceState.CREATED
        wish = {"user": user.pk, "note": reason, "was_draft": was_draft, "again": str(releasing.Again(again))}
        creating.want(remote, {**remote.desired, END: wish}, why=reason)
        record(row, row.state, row.state, why=_("to be cancelled: %(reason)s") % {"reason": reason}, user=user)
    return row


def keep(invoice: Invoice, *, user: User, note: str) -> Invoice:
    """Let an invoice live whose end waits for a person. Raises NotAllowed when none does."""
    reason = reason_of(note)
    with transaction.atomic():
        row = content.lock_invoice(invoice.pk)
        if not is_stuck(row):
            raise NotAllowed(_("%(invoice)s does not wait for this decision any more.") % {"invoice": row})
        remote = _lock_record(row)
        creating.want(remote, {key: value for key, value in remote.desired.items() if key != END}, why=reason)
        record(row, row.state, row.state, why=_("kept: %(reason)s") % {"reason": reason}, user=user)
    return row


def why_not(invoice: Invoice) -> str:
    """Why this invoice cannot be ended here, "" where it can: one sentence for a person."""
    words = {"invoice": invoice, "state": invoice.get_state_display(), "number": invoice.number}
    if invoice.state in (InvoiceState.PARTLY_PAID, InvoiceState.PAID) or releasing.has_money(invoice):
        return _("Money came in on %(number)s: it is not cancelled here. Credit what is wrong on it.") % words
    if invoice.state not in ENDABLE:
        return _("%(invoice)s is “%(state)s”: only what is created or sent can be cancelled.") % words
    if is_ending(invoice):
        return _("%(invoice)s is just being cancelled. Nothing was done again.") % words
    if invoice.remote is None or invoice.remote.state != RecordState.SYNCED:
        return _("%(invoice)s is just being written to Invoice Ninja. Wait a moment, then do it again.") % words
    return releasing.credit_sentence(invoice)


def is_ending(invoice: Invoice) -> bool:
    """Whether its end is wanted and not yet proven."""
    remote = invoice.remote
    return remote is not None and is_to_end(remote) and remote.state != RecordState.SYNCED


def is_stuck(invoice: Invoice) -> bool:
    """Whether its end waits for a person, who may keep it."""
    return is_ending(invoice) and invoice.remote is not None and invoice.remote.state == RecordState.ATTENTION


def _lock_record(invoice: Invoice) -> RemoteRecord:
    return RemoteRecord.objects.select_for_update(of=("self",)).get(invoice=invoice)
