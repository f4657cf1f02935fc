"""Putting right whom Invoice Ninja mails an invoice: who may ask for it when, and how it is given up.

Asking is a row: a revision of the invoice's own record, written and proven by `inviting_writes`.
"""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction
from django.utils.translation import gettext as _

from accounts.models import User
from billing_console.errors import NotAllowed
from billing_console.states import InvoiceState, RecordState
from invoicing import content, creating, receivers
from invoicing.inviting_writes import INVITE, is_to_invite
from invoicing.models import Invoice
from sync.models import RemoteRecord
from sync.transitions import record

POSSIBLE = (InvoiceState.CREATED, InvoiceState.ATTENTION, InvoiceState.SENT, InvoiceState.PARTLY_PAID)


def why_not(invoice: Invoice) -> str:
    """Why the invitations of this invoice are not put right now; "" where they may be. Two queries."""
    words = {"invoice": invoice, "state": invoice.get_state_display()}
    if invoice.state not in POSSIBLE:
        return _("%(invoice)s is “%(state)s”: nobody is mailed it.") % words
    remote = invoice.remote
    if remote is None or remote.state not in (RecordState.SYNCED, RecordState.ATTENTION):
        return _("%(invoice)s is just being written to Invoice Ninja. Wait a moment, then do it again.") % words
    if remote.state == RecordState.ATTENTION and not is_to_invite(remote):
        return _("%(invoice)s waits for another decision in Invoice Ninja first.") % words
    if invoice.state == InvoiceState.ATTENTION:
        last = invoice.sendings.order_by("-pk").first()
        if last is None or last.is_called:
            return _("Say first whether the mail of %(invoice)s arrived.") % words
    if invoice.reminders.filter(state__in=("pending", "sending", "attention")).exists():
        return _("A reminder of %(invoice)s is on its way, or waits for a decision.") % words
    return "" if receivers.known(invoice).differ else _("The receivers of %(invoice)s are right.") % words


def request_invitations(invoice: Invoice, *, contacts: Sequence[str], user: User) -> Invoice:
    """Want exactly `contacts` (Invoice Ninja's ids, as they were on screen) invited. Locks the invoice and its record.

    Raises NotAllowed where it cannot be, when other people want mail by now, and on a second click.
    """
    with transaction.atomic():
        row = content.lock_invoice(invoice.pk)
        if why := why_not(row):
            raise NotAllowed(why)
        wanted = receivers.known(row).wanted
        if receivers.ids_of(wanted) != sorted(contacts):
            raise NotAllowed(_("Other contacts want mail by now. Look again."))
        why = _("to be mailed to %(who)s alone") % {"who": ", ".join(person.email or person.name for person in wanted)}
        remote = RemoteRecord.objects.select_for_update(of=("self",)).get(invoice=row)
        creating.want(
            remote, {**remote.desired, INVITE: {"contacts": sorted(contacts), "by": user.pk}}, why=why, user=user
        )
        record(row, row.state, row.state, why=why, user=user)
    return row


def leave(invoice: Invoice, *, user: User) -> Invoice:
    """Give up a change of the invitations that waits for a person. Raises NotAllowed when none does."""
    with transaction.atomic():
        row = content.lock_invoice(invoice.pk)
        if not is_stuck(row):
            raise NotAllowed(_("%(invoice)s does not wait for this decision any more.") % {"invoice": row})
        remote = RemoteRecord.objects.select_for_update(of=("self",)).get(invoice=row)
        why = _("the receivers are left as they are")
        creating.want(
            remote, {key: value for key, value in remote.desired.items() if key != INVITE}, why=why, user=user
        )
        record(row, row.state, row.state, why=why, user=user)
    return row


def is_stuck(invoice: Invoice) -> bool:
    """Whether a change of its invitations waits for a person, who may give it up."""
    remote = invoice.remote
    return remote is not None and is_to_invite(remote) and remote.state == RecordState.ATTENTION


def is_on_its_way(invoice: Invoice) -> bool:
    """Whether a change of its invitations is being written, and nobody is asked about it."""
    remote = invoice.remote
    return (
        remote is not None
        and is_to_invite(remote)
        and remote.state not in (RecordState.SYNCED, RecordState.DROPPED, RecordState.ATTENTION)
    )
