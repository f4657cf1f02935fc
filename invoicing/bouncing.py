"""A mail that was sent with proof and came back: read with the payments, asked about once, settled by a person.

Invoice Ninja learns of it from its mail provider (Postmark, Mailgun, Brevo) and says so on the invitation, in
`email_status`; over plain SMTP it never does. Nothing is mailed by this.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.urls import reverse
from django.utils.translation import gettext as _

from accounts.models import User
from billing_console import formats
from billing_console.errors import NotAllowed
from invoicing import content
from invoicing.models import Invoice
from sync.hooks import Question
from sync.transitions import record

BOUNCED = ("bounced", "spam")


def sentence_of(invoice: Invoice, invitations: Iterable[Mapping[str, Any]]) -> str:
    """What came back and nobody settled, by the invitations as they were read; "" for nothing."""
    people = {str(contact.get("id")): contact for contact in invoice.client.contacts}
    found = []
    for one in invitations:
        if one.get("status") in BOUNCED and one.get("settled") != (one.get("message") or "-"):
            contact = people.get(one["contact"], {})
            who = contact.get("email") or contact.get("name") or _("a contact")
            found.append(f"{who} ({one['error']})" if one.get("error") else who)
    if not found:
        return ""
    return _(
        "The mail of invoice %(number)s came back from %(who)s. Correct the address in Invoice Ninja and remind the "
        "client, or hand it over in another way; then say here what was done."
    ) % {"number": invoice.number, "who": ", ".join(found)}


def settle(invoice: Invoice, *, user: User, note: str) -> Invoice:
    """A person says what was done about it; another mail that comes back is asked about anew. Locks the invoice.

    Raises NotAllowed without a reason, or where nothing waits.
    """
    reason = note.strip()[:2000]
    if not reason:
        raise NotAllowed(_("Say what was done, in a few words: it stays in the history."))
    with transaction.atomic():
        row = content.lock_invoice(invoice.pk)
        if not row.bounce_sentence:
            raise NotAllowed(_("No mail of %(invoice)s waits for this decision any more.") % {"invoice": row})
        for one in row.invitations or []:
            if one.get("status") in BOUNCED:
                one["settled"] = one.get("message") or "-"
        record(row, row.state, row.state, why=_("came back, settled: %(reason)s") % {"reason": reason}, user=user)
        row.bounce_sentence = ""
        row.save(update_fields=["invitations", "bounce_sentence"])
    return row


def asking() -> QuerySet[Invoice]:
    """The invoices of which a mail came back and nobody said yet what was done."""
    return Invoice.objects.exclude(bounce_sentence="")


def questions() -> list[Question]:
    """Each invoice of which a mail came back, for the page "Needs attention"."""
    rows = asking().select_related("client").order_by("state_since")
    return [
        Question(
            what=f"{invoice.client} {invoice.number}",
            sentence=invoice.bounce_sentence,
            url=reverse("admin:invoicing_invoice_bounced", args=[invoice.pk]),
            verb=_("Say what was done"),
            amount=formats.money(invoice.net, invoice.currency),
            since=invoice.sent_at,
        )
        for invoice in rows[:100]
    ]
