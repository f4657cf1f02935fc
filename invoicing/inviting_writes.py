"""The invitations of an invoice in Invoice Ninja put right, and their proof: exactly the contacts who want mail.

A revision of the invoice's own record: whoever sends, dates anew or ends it waits until it is written. The list that is
sent is complete and never empty, because an empty one loses people (recordings 642 to 660). Before the call the invoice
must be what was sealed, in its own currency, and the contacts those that were on screen: the same PUT also calculates
the invoice anew (826) and takes its tasks back. After it the invitations are read back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _

from accounts.models import User
from billing_console.states import InvoiceState
from invoicing import creating_checks, old_copies, receivers
from invoicing.creating_compare import describe, differences, facts_of, wanted
from invoicing.models import Invoice
from invoicing.sending_checks import other_currency
from sync import currencies, discovery, upstreams
from sync.claims import Claim, NeedsPerson, NotThere, Proof
from sync.clients.invoice_ninja import InvoiceNinjaClient
from sync.clients.ninja_rows import CANCELLED, REVERSED, NinjaId, NinjaInvoice
from sync.models import RemoteRecord
from sync.transitions import advance

INVITE = "invite"


def is_to_invite(remote: RemoteRecord) -> bool:
    """Whether what is wanted of the invoice is that other people are invited."""
    return bool(remote.desired.get(INVITE))


def write_invitations(claim: Claim) -> Proof:
    """1. GET invoice and client, and compare; 2. PUT the complete list, unless it is so already; 3. GET."""
    remote = claim.record
    ninja = upstreams.ninja_client(correlation_id=remote.correlation_id, attempt=remote.attempts, fence=claim.fence)
    found = old_copies.read_invoice(remote, ninja)
    contacts = _contacts(remote.desired)
    _check(remote, ninja, found, contacts)
    if _invited(found) != contacts:
        creating_checks.check_tasks_free(remote, ninja, besides=found.id)
        ninja.set_invitations(found.id, [NinjaId(contact) for contact in contacts])
        found = ninja.invoice(found.id)
    return _prove(found, contacts)


def look_up_invitations(remote: RemoteRecord) -> Proof:
    """What became of a change whose outcome is unknown. Raises NotThere when the old people are invited still."""
    ninja = upstreams.ninja_client(correlation_id=remote.correlation_id)
    found = old_copies.read_invoice(remote, ninja)
    contacts = _contacts(remote.desired)
    if _invited(found) != contacts:
        raise NotThere
    return _prove(found, contacts)


def after_inviting(remote: RemoteRecord) -> None:
    """Keep whom Invoice Ninja mails now; an invoice that waited for it can be sent. In the proof's transaction."""
    invoice = Invoice.objects.get(remote=remote)
    wish: dict[str, Any] = remote.desired[INVITE]
    invitations = [{"contact": contact} for contact in remote.seen["invited"]]
    if invoice.state == InvoiceState.ATTENTION:
        user = User.objects.filter(pk=wish["by"]).first()
        why = _("the receivers are right in Invoice Ninja")
        changes: dict[str, Any] = {"attention_sentence": "", "remote_status": "", "invitations": invitations}
        advance(invoice, InvoiceState.CREATED, why=why, user=user, **changes)
    else:
        Invoice.objects.filter(pk=invoice.pk).update(invitations=invitations)
    # Done once: what is wanted of the invoice next says nothing of these people any more.
    done = {key: value for key, value in remote.desired.items() if key != INVITE}
    RemoteRecord.objects.filter(pk=remote.pk, revision=remote.revision).update(desired=done)


def _check(remote: RemoteRecord, ninja: InvoiceNinjaClient, found: NinjaInvoice, contacts: list[str]) -> None:
    """Raises NeedsPerson for an invoice that is not what was sealed, or people who are not those that were seen."""
    number = {"number": found.number or found.id}
    if found.is_deleted or found.status_id in (CANCELLED, REVERSED):
        raise NeedsPerson("ended_there", _("Invoice %(number)s was deleted or cancelled in Invoice Ninja.") % number)
    client = ninja.client(found.client_id)
    discovery.keep_contacts(client)
    invoice = Invoice.objects.select_related("client").get(remote=remote)
    if why := other_currency(invoice, currencies.code_of(ninja, client)):
        raise NeedsPerson("other_currency", why)
    if wrong := differences(found, wanted(remote)):
        raise NeedsPerson(
            creating_checks.DIFFERS_THERE,
            _("Invoice %(number)s was changed in Invoice Ninja since its approval (ours / there: %(differences)s).")
            % {**number, "differences": describe(wrong)},
        )
    if receivers.ids_of(receivers.of(found, client).wanted) != contacts:
        raise NeedsPerson(
            "other_contacts",
            _("Other contacts of %(client)s want mail by now. Open the invoice and look at its receivers again.")
            % {"client": client.name},
        )


def _prove(found: NinjaInvoice, contacts: list[str]) -> Proof:
    if _invited(found) != contacts:
        raise NeedsPerson(
            "not_invited",
            _("Invoice Ninja answered, but invoice %(number)s would still be mailed to others. Look at it there.")
            % {"number": found.number or found.id},
        )
    return Proof(found.id, facts_of(found))


def _contacts(desired: Mapping[str, Any]) -> list[str]:
    contacts: list[str] = desired[INVITE]["contacts"]
    return contacts


def _invited(found: NinjaInvoice) -> list[str]:
    return sorted(invitation.contact_id for invitation in found.invitations)
