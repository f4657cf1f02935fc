"""The end of the second one under a key of ours in Invoice Ninja, and its proof: a revision of the record that is kept.

It took the tasks along; those are given back to the invoice that is kept.
"""

from __future__ import annotations

import logging

from django.utils.translation import gettext as _

from billing_console.errors import Forbidden, Rejected
from invoicing import twins
from invoicing.creating_checks import prove_invoice, stolen_tasks
from invoicing.creating_compare import change_body, differences, facts_of, figures_of, wanted
from invoicing.ending_writes import PAID_THERE, has_ended
from sync.claims import NeedsPerson, NotThere, Proof
from sync.clients.invoice_ninja import InvoiceNinjaClient
from sync.clients.ninja_rows import DRAFT, SENT, NinjaCredit, NinjaId, NinjaInvoice
from sync.models import RemoteRecord

logger = logging.getLogger(__name__)


def write_end_of_invoice(remote: RemoteRecord, ninja: InvoiceNinjaClient) -> Proof:
    """Read the other one, delete or cancel it unless it ended already, read it back; then ours has its tasks again."""
    other = ninja.invoice(_other_of(remote))
    if not has_ended(other):
        _check_ours(other.private_notes, remote, other.number)
        if other.paid_to_date > 0:
            raise NeedsPerson(PAID_THERE, _paid(other.number))
        if other.status_id == DRAFT:
            ninja.delete_invoice(other.id)
        else:
            ninja.cancel_invoice(other.id)
        other = ninja.invoice(other.id)
        if not has_ended(other):
            raise NeedsPerson("not_ended", _lives(other.number))
    kept = ninja.invoice(NinjaId(remote.remote_id or ""))
    if _is_to_link(kept, remote, ninja):
        try:
            ninja.update_invoice(kept.id, change_body(wanted(remote), kept))
        except (Rejected, Forbidden) as refused:  # one that was sent may be locked there; it is what it was
            logger.warning("the tasks of %s could not be linked again: %s", kept.number, refused)
        kept = ninja.invoice(kept.id)
    return _proof(kept, remote, ninja)


def look_up_end_of_invoice(remote: RemoteRecord, ninja: InvoiceNinjaClient) -> Proof:
    """What became of it. Raises NotThere while the other one lives, or has tasks of ours."""
    if not has_ended(ninja.invoice(_other_of(remote))):
        raise NotThere
    kept = ninja.invoice(NinjaId(remote.remote_id or ""))
    if _is_to_link(kept, remote, ninja):
        raise NotThere
    return _proof(kept, remote, ninja)


def _is_to_link(kept: NinjaInvoice, remote: RemoteRecord, ninja: InvoiceNinjaClient) -> bool:
    if kept.is_deleted or kept.status_id not in (DRAFT, SENT) or differences(kept, wanted(remote)):
        return False
    return bool(stolen_tasks(kept, remote, ninja))


def _proof(kept: NinjaInvoice, remote: RemoteRecord, ninja: InvoiceNinjaClient) -> Proof:
    if kept.status_id == DRAFT and not kept.is_deleted:
        return prove_invoice(kept, remote, ninja)
    return Proof(kept.id, facts_of(kept) | figures_of(kept, remote.desired["currency"]))


def write_end_of_credit(remote: RemoteRecord, ninja: InvoiceNinjaClient) -> None:
    """Delete the other credit unless it is deleted already, and read it back."""
    if is_credit_ended(remote, ninja):
        return
    other = ninja.credit(_other_of(remote))
    _check_ours(other.private_notes, remote, other.number)
    if _is_used(other):
        raise NeedsPerson(
            "used_there",
            _(
                "Credit %(number)s in Invoice Ninja, the second one for one decision, was used there already. Delete "
                "its payment there, then try again."
            )
            % {"number": other.number},
        )
    ninja.delete_credit(other.id)
    if not is_credit_ended(remote, ninja):
        raise NeedsPerson("not_ended", _lives(other.number))


def is_credit_ended(remote: RemoteRecord, ninja: InvoiceNinjaClient) -> bool:
    """Whether the other credit is deleted in Invoice Ninja."""
    return ninja.credit(_other_of(remote)).is_deleted


def _is_used(credit: NinjaCredit) -> bool:
    """A draft has no rest yet (1201); one that is sent has what is left of it."""
    return credit.status_id != DRAFT and credit.balance != credit.amount


def _other_of(remote: RemoteRecord) -> NinjaId:
    return NinjaId(remote.desired[twins.WISH]["id"])


def _check_ours(notes: str, remote: RemoteRecord, number: str) -> None:
    """An id is not enough: it bears our key, or it is left alone."""
    if remote.our_key not in notes or _other_of(remote) == remote.remote_id:
        raise NeedsPerson(
            "not_ours",
            _("%(number)s in Invoice Ninja does not bear our key any more. It was left alone; look at it there.")
            % {"number": number},
        )


def _paid(number: str) -> str:
    return _(
        "Money came in on %(number)s, the second invoice for the same work, so it is not ended. Give the money back in "
        "Invoice Ninja, or move it to the other invoice there, then try again."
    ) % {"number": number}


def _lives(number: str) -> str:
    return _("Invoice Ninja answered, but %(number)s still lives there. Look at it there, then try again.") % {
        "number": number
    }
