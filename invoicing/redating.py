"""An invoice that is sent on a later day gets that day's date: sealed anew, and changed in Invoice Ninja with proof.

Asking is a row, as everywhere: the invoice stays `created`, its record wants a new revision, and sending waits until
that is read back (billing-rules: Terms, dates and text; design: The remote writes, row "change an invoice").
"""

from __future__ import annotations

from datetime import date

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import User
from billing_console import clock
from billing_console.errors import NotAllowed
from billing_console.states import InvoiceState
from invoicing import content, creating, sending
from invoicing.creating_compare import DATES
from invoicing.models import Invoice
from sync.transitions import record


def new_date(invoice: Invoice) -> date | None:
    """The business date in the invoice's zone when it is later than the invoice date of one not yet sent, else None."""
    if invoice.state != InvoiceState.CREATED or invoice.invoice_date is None:
        return None
    today = clock.today(invoice.timezone)
    return today if today > invoice.invoice_date else None


def redate(invoice: Invoice, *, seal: str, user: User) -> Invoice:
    """Give an invoice that is not yet sent today's date, due N calendar days later, and seal it anew.

    `seal` is what the person saw. Locks the invoice and its record. Raises NotAllowed when it is not in a state to be
    changed, was sealed anew since the person looked, has today's date already, or is just being written.
    """
    with transaction.atomic():
        row = content.lock_invoice(invoice.pk)
        words = {"invoice": row, "state": row.get_state_display()}
        if row.state != InvoiceState.CREATED:
            raise NotAllowed(_("%(invoice)s keeps its date: it is “%(state)s” by now.") % words)
        if row.seal != seal:
            raise NotAllowed(_("%(invoice)s keeps its date: it was changed since you looked at it.") % words)
        today = new_date(row)
        if today is None:
            raise NotAllowed(_("%(invoice)s has today's date already.") % words)
        if row.remote is None or not sending.is_written(row):
            raise NotAllowed(
                _("%(invoice)s is just being written to Invoice Ninja. Wait a moment, then do it again.") % words
            )
        before = row.invoice_date
        row.invoice_date, row.due_date = today, row.payment_terms.due_date(today)
        row.seal, row.revision = content.seal_of(row), row.revision + 1
        row.approved_by, row.approved_at = user, timezone.now()
        row.save(update_fields=["invoice_date", "due_date", "seal", "revision", "approved_by", "approved_at"])
        why = _("dated %(now)s instead of %(before)s, sealed anew") % {"before": before, "now": today}
        record(row, row.state, row.state, why=why, user=user)
        # What stands there now is kept, so that an edit by hand is told from the date that we replace.
        was = {key: row.remote.desired[key] for key in DATES}
        creating.want(row.remote, {**creating.desired_invoice(row), "was": was}, why=why)
    return row
