"""May this invoice, as it was just read in Invoice Ninja, be mailed, and to whom? Pure: nobody is called."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.translation import gettext as _

from invoicing.creating_compare import describe, differences
from invoicing.models import Invoice
from sync.clients.ninja_rows import CANCELLED, DRAFT, REVERSED, SENT, NinjaClient, NinjaInvoice


@dataclass(frozen=True)
class Refused:
    """Why the mail must not go out: `sentence` for a person; `was_sent` when it left by hand already."""

    sentence: str
    was_sent: bool = False
    is_changed: bool = False


def refusal(invoice: Invoice, there: NinjaInvoice, client: NinjaClient, *, has_called: bool = False) -> Refused | None:
    """Why the invoice, as just read, must not be mailed; None when it may.

    It must still be a draft there (or sent, where `has_called` says that we asked for its mail before), be exactly what
    was sealed, and every contact who gets mail must have an address: without one the server says "sent" although
    nothing was.
    """
    number = there.number or there.id
    if there.is_deleted or there.status_id in (CANCELLED, REVERSED):
        return Refused(_("Invoice %(number)s was deleted or cancelled in Invoice Ninja.") % {"number": number})
    if there.status_id != DRAFT and not (has_called and there.status_id == SENT):
        return Refused(
            _("Invoice %(number)s was sent by hand in Invoice Ninja; it is not mailed again.") % {"number": number},
            was_sent=True,
        )
    if invoice.remote is None:
        raise ValueError(f"invoice {invoice.pk} is not in Invoice Ninja")
    wrong = differences(there, invoice.remote.desired)
    if wrong:
        return Refused(
            _("Invoice %(number)s was changed in Invoice Ninja since its approval (ours / there: %(differences)s).")
            % {"number": number, "differences": describe(wrong)},
            is_changed=True,
        )
    if invoice.client.currency != invoice.currency:
        return Refused(
            _("Client %(client)s is in %(now)s by now, but the invoice in %(ours)s. Put it right in Invoice Ninja.")
            % {"client": client.name, "now": invoice.client.currency, "ours": invoice.currency}
        )
    receivers = receivers_of(there, client)
    without = [name for _invitation, name, email in receivers if not email]
    if without or not receivers:
        who = ", ".join(without) or _("nobody")
        return Refused(
            _("Client %(client)s: %(who)s has no e-mail address. Add it in Invoice Ninja, then send again.")
            % {"client": client.name, "who": who}
        )
    return None


def receivers_of(there: NinjaInvoice, client: NinjaClient) -> list[tuple[str, str, str]]:
    """Return (invitation id, contact's name, address) of everyone who would get the mail."""
    contacts = {contact.id: contact for contact in client.contacts}
    found: list[tuple[str, str, str]] = []
    for invitation in there.invitations:
        contact = contacts.get(invitation.contact_id)
        if contact is None or contact.gets_mail:
            name = f"{contact.first_name} {contact.last_name}".strip() if contact else ""
            found.append((invitation.id, name or _("a contact"), contact.email if contact else ""))
    return found
