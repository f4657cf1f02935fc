"""May this invoice, as it was just read in Invoice Ninja, be mailed, and to whom? Pure: nobody is called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.translation import gettext as _

from invoicing import receivers
from invoicing.creating_compare import describe, differences, wanted
from invoicing.models import Invoice
from sync.clients.ninja_rows import CANCELLED, DRAFT, REVERSED, SENT, NinjaClient, NinjaInvoice


@dataclass(frozen=True)
class Refused:
    """Why the mail must not go out: `sentence` for a person; `was_sent` when it left by hand already."""

    sentence: str
    was_sent: bool = False
    is_changed: bool = False


def refusal(
    invoice: Invoice,
    there: NinjaInvoice,
    client: NinjaClient,
    *,
    currency: str,
    shown_to: Sequence[str] = (),
    has_called: bool = False,
    late: str = "",
) -> Refused | None:
    """Why the invoice, as just read, must not be mailed; None when it may.

    It must still be a draft there (or sent, where `has_called` says that we asked for its mail before), be exactly what
    was sealed, and in `currency`, the client's of this moment. Its invitations must be the contacts who want mail, each
    with an address (without one the server says "sent" although nothing was), and, where a person looked, `shown_to`.
    `late` says why it is too late for it.
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
    wrong = differences(there, wanted(invoice.remote))
    if wrong:
        return Refused(
            _("Invoice %(number)s was changed in Invoice Ninja since its approval (ours / there: %(differences)s).")
            % {"number": number, "differences": describe(wrong)},
            is_changed=True,
        )
    if why := late or other_currency(invoice, currency) or not_these(receivers.of(there, client), shown_to):
        return Refused(why)
    return None


def other_currency(invoice: Invoice, now: str) -> str:
    """Why nothing is mailed of an invoice whose client has another currency by `now`; "" where it has not.

    Invoice Ninja keeps the amount and prints it in the client's currency of the moment (recordings 823 to 827).
    """
    if now == invoice.currency:
        return ""
    return _("Client %(client)s is in %(now)s by now, but the invoice in %(ours)s. Put it right in Invoice Ninja.") % {
        "client": invoice.client.name,
        "now": now or "?",
        "ours": invoice.currency,
    }


def not_these(would_be: receivers.Receivers, shown_to: Sequence[str]) -> str:
    """Why these people must not be mailed; "" where they may. `shown_to`: what was on screen, nothing where nobody was.

    Pure, so that the question, the check before the call and the reminder judge alike.
    """
    if why := would_be.why_not():
        return why
    if shown_to and sorted(would_be.emails) != sorted(shown_to):
        return _("You were shown %(shown)s, but Invoice Ninja would mail it to %(now)s. Look at it again.") % {
            "shown": ", ".join(shown_to),
            "now": ", ".join(would_be.emails),
        }
    return ""


def receivers_of(there: NinjaInvoice, client: NinjaClient) -> list[tuple[str, str, str]]:
    """Return (invitation id, contact's name, address) of everyone whom Invoice Ninja mails: every invitation."""
    invited = receivers.of(there, client).invited
    return [
        (invitation.id, person.name or _("a contact"), person.email)
        for invitation, person in zip(there.invitations, invited, strict=True)
    ]
