"""The end of an invoice in Invoice Ninja, and its proof: a draft is deleted, a sent one cancelled, a paid one left.

A revision of the invoice's own record: whoever sends or dates anew waits until it is written. Deleting sets the tasks
free, cancelling leaves them linked; either way each task's own record proves that it names this invoice no more.
"""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _

from accounts.models import User
from billing_console.states import InvoiceState
from invoicing import old_copies, releasing
from invoicing.creating_compare import facts_of
from invoicing.models import Invoice
from sync import upstreams
from sync.claims import Claim, NeedsPerson, NotThere, Proof
from sync.clients.ninja_rows import CANCELLED, DRAFT, REVERSED, NinjaInvoice
from sync.models import RemoteRecord
from sync.transitions import advance, can_advance

END = "ended"
PAID_THERE, SENT_THERE = "paid_there", "sent_there"


def is_to_end(remote: RemoteRecord) -> bool:
    """Whether what is wanted of the invoice is its end."""
    return bool(remote.desired.get(END))


def write_end(claim: Claim) -> Proof:
    """Read the invoice, delete or cancel it unless it ended already, read it back."""
    remote = claim.record
    ninja = upstreams.ninja_client(correlation_id=remote.correlation_id, attempt=remote.attempts, fence=claim.fence)
    found = old_copies.read_invoice(remote, ninja)
    if not has_ended(found):
        _check_may_end(found, remote)
        if found.status_id == DRAFT:
            ninja.delete_invoice(found.id)
        else:
            ninja.cancel_invoice(found.id)
        found = ninja.invoice(found.id)
    return _prove(found)


def look_up_end(remote: RemoteRecord) -> Proof:
    """What became of an end whose outcome is unknown. Raises NotThere when the invoice still lives."""
    ninja = upstreams.ninja_client(correlation_id=remote.correlation_id)
    found = old_copies.read_invoice(remote, ninja)
    if not has_ended(found):
        raise NotThere
    return _prove(found)


def after_end(remote: RemoteRecord) -> None:
    """The invoice is cancelled here too and its entries are free. Runs in the transaction that writes the proof."""
    invoice = Invoice.objects.get(remote=remote)
    wish: dict[str, Any] = remote.desired[END]
    user = User.objects.filter(pk=wish["user"]).first()
    if can_advance(invoice, InvoiceState.CANCELLED):
        advance(
            invoice,
            InvoiceState.CANCELLED,
            why=wish["note"],
            user=user,
            note=wish["note"],
            remote_status=remote.seen["status_id"],
            balance=0,
        )
    releasing.free_lines(invoice, user=user, why=wish["note"], again=wish.get("again", releasing.Again.ANEW))


def has_ended(found: NinjaInvoice) -> bool:
    """Whether the invoice there is deleted, cancelled or reversed."""
    return found.is_deleted or found.status_id in (CANCELLED, REVERSED)


def _check_may_end(found: NinjaInvoice, remote: RemoteRecord) -> None:
    if found.paid_to_date > 0:
        raise NeedsPerson(
            PAID_THERE,
            _(
                "Money came in on invoice %(number)s meanwhile, so it is not cancelled. Keep it, "
                "or give the money back in Invoice Ninja first and try again."
            )
            % {"number": found.number},
        )
    if found.status_id != DRAFT and remote.desired[END]["was_draft"] and remote.reason != SENT_THERE:
        raise NeedsPerson(
            SENT_THERE,
            _(
                "Invoice %(number)s was sent in Invoice Ninja meanwhile, so it was not deleted. Keep it; "
                "if you try again, it is cancelled although the client has it."
            )
            % {"number": found.number},
        )


def _prove(found: NinjaInvoice) -> Proof:
    if not has_ended(found):
        raise NeedsPerson(
            "not_ended",
            _("Invoice Ninja answered, but invoice %(number)s still lives there. Look at it there, then try again.")
            % {"number": found.number},
        )
    if found.paid_to_date > 0:
        raise NeedsPerson(
            PAID_THERE,
            _(
                "Invoice %(number)s ended in Invoice Ninja although money came in. Restore it there and keep it, "
                "or give the money back there and try again."
            )
            % {"number": found.number},
        )
    return Proof(found.id, facts_of(found) | {"is_deleted": found.is_deleted})
