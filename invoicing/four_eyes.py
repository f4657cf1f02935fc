"""Four eyes: where the company wants it, who changed a draft cannot approve it.

A change is what still shows on the draft: a text, hours or a rate written anew, a line added, taken off or held.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from django.db.models import Q
from django.utils.translation import gettext as _

from billing_console.formats import time_of_day
from invoicing.models import Invoice, InvoiceLine
from mappings.models import Company

if TYPE_CHECKING:
    from accounts.models import User


def why_not(invoice: Invoice, user: User | None) -> str:
    """Why `user` may not approve this draft, "" when nothing speaks against it. None is the console itself."""
    return why_not_many([invoice], user).get(invoice.pk, "") if user is not None else ""


def why_not_many(invoices: Iterable[Invoice], user: Any) -> dict[int, str]:
    """The drafts, by id, that `user` may not approve, each with one sentence: two queries, however many there are."""
    rows = {invoice.pk: invoice for invoice in invoices}
    if not rows or not Company.objects.filter(needs_four_eyes=True).exists():
        return {}
    own = Q(edited_by=user.pk) | Q(adjusted_by=user.pk) | Q(voided_by=user.pk)
    sentences: dict[int, str] = {}
    for line in InvoiceLine.objects.filter(own, invoice__in=rows).order_by("position", "pk"):
        invoice = rows[line.invoice_id]
        sentences.setdefault(invoice.pk, _sentence(line, invoice, user.pk))
    return sentences


def _sentence(line: InvoiceLine, invoice: Invoice, user_id: int) -> str:
    acts = (
        (line.voided_by_id, line.voided_at),
        (line.adjusted_by_id, line.adjusted_at),
        (line.edited_by_id, line.edited_at),
    )
    at = next((at for who, at in acts if who == user_id), None)
    words = {
        "line": f"#{line.ref}" if line.ref is not None else f"“{line.notes}”",
        "time": time_of_day(at, invoice.timezone) if at else "",
    }
    if at is None:
        return _("You changed line %(line)s; another approver must approve.") % words
    return _("You edited line %(line)s at %(time)s; another approver must approve.") % words
