"""Did a mail that was asked for leave? (design: The remote writes, row "send")

Only an invitation's `message_id` changes with a mail that left: with the mail server down everything else looks as if
(recordings 1481 to 1485). But the receipt of a payment, of a refund or of a used credit changes it too (697 to 717).
So a mail is proven by a new id of each contact, and an activity "invoice mailed" since the call, and no receipt mailed
since. Activities are counted by their numbers, so that no clock matters. Calls Invoice Ninja, reads no row of ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.translation import gettext as _

from sync.clients.invoice_ninja import InvoiceNinjaClient
from sync.clients.ninja_activities import MAILED, PAID, RECEIPT_MAILED, REFUNDED
from sync.clients.ninja_rows import NinjaId, NinjaInvoice


@dataclass(frozen=True)
class Mark:
    """The message id of one contact's invitation: before the call, at the last look ("" for none), and now."""

    who: str
    before: str
    at_last_look: str
    now: str

    @property
    def is_new(self) -> bool:
        """Whether a mail to this contact left since the call, of whatever kind."""
        return bool(self.now) and self.now != self.before


@dataclass(frozen=True)
class Verdict:
    """Whether the mail is proven; else `why` says what is missing, in a sentence."""

    is_proven: bool
    why: str = ""


def last_activity(ninja: InvoiceNinjaClient, invoice_id: NinjaId) -> int:
    """The number of the newest activity of the invoice, 0 for none: what is newer came after the call."""
    return max((row.number for row in ninja.invoice_activities(invoice_id)), default=0)


def verdict(
    ninja: InvoiceNinjaClient, there: NinjaInvoice, marks: Sequence[Mark], *, after: int, has_money_moved: bool
) -> Verdict:
    """What `there`, as just read, and the activities newer than `after` say of the mail.

    `has_money_moved`: something was paid, credited or given back since the call, as far as the invoice itself tells.
    """
    missing = [mark.who for mark in marks if not mark.is_new]
    if missing or not marks:
        return Verdict(False, _("Invoice Ninja has no new message id for %(who)s.") % {"who": ", ".join(missing)})
    since = [row for row in ninja.invoice_activities(there.id) if row.number > after]
    if not any(row.kind == MAILED for row in since):
        return Verdict(False, _("Some mail left since, but Invoice Ninja did not note that it was the invoice's."))
    payments = {row.payment_id for row in since if row.kind in (PAID, REFUNDED) and row.payment_id}
    if any(_has_receipt(ninja, payment_id, after) for payment_id in sorted(payments)):
        return Verdict(
            False, _("The receipt of a payment or refund was mailed since, so the new message id is its own.")
        )
    # A receipt is noted a moment after its mail: with money about, only what two looks found the same counts.
    if (payments or has_money_moved) and any(mark.now != mark.at_last_look for mark in marks):
        return Verdict(False, _("A payment came in meanwhile; it is looked once more whether its receipt was mailed."))
    return Verdict(True)


def _has_receipt(ninja: InvoiceNinjaClient, payment_id: NinjaId, after: int) -> bool:
    return any(row.kind == RECEIPT_MAILED and row.number > after for row in ninja.payment_activities(payment_id))
