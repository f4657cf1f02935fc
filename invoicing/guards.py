"""What every act on a draft asks first: is it still what was on screen, is the line still there, is there a reason?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _

from billing_console import shown
from billing_console.errors import NotAllowed, StaleRevision
from billing_console.formats import moment, money
from invoicing import as_shown, content
from invoicing.models import Invoice, InvoiceLine
from invoicing.run import UNAPPROVED
from sync.models import Transition


def lock_draft(invoice_id: int, revision: int | None = None, states: tuple[str, ...] = UNAPPROVED) -> Invoice:
    """The draft, locked. Raises NotAllowed when it moved on, StaleRevision when its content changed meanwhile.

    Without a `revision` only its state counts: whoever writes on one line compares that line (`lock_line`).
    """
    invoice = content.lock_invoice(invoice_id)
    if invoice.state not in states:
        raise NotAllowed(moved_on(invoice))
    if revision not in (None, invoice.revision):
        raise StaleRevision
    return invoice


def lock_line(invoice: Invoice, line_id: int, seen: Mapping[str, Any]) -> InvoiceLine:
    """A printed line of the (locked) draft, with its entry, which is what the person saw of it.

    Raises NotAllowed when it left the draft, StaleRevision, with old and new, when it is another one by now.
    """
    row = invoice.lines.select_related("entry").filter(pk=line_id).first()
    if row is None or row.is_voided:
        raise NotAllowed(_("This line is not on the draft any more."))
    shown.require_same(seen, as_shown.line(row))
    return row


def need_money(invoice: Invoice) -> None:
    """A person's act may not leave a draft that bills nothing. Raises NotAllowed, so that the act is undone."""
    if invoice.net <= 0:
        raise NotAllowed(
            _("The draft would come to %(net)s. It must stay above zero; reject the draft to bill nothing.")
            % {"net": money(invoice.net, invoice.currency)}
        )


def moved_on(invoice: Invoice) -> str:
    """One sentence on what happened to an invoice since the page was shown."""
    last = (
        Transition.objects.filter(model=invoice._meta.label_lower, row_id=invoice.pk, to_state=invoice.state)
        .select_related("user")
        .first()
    )
    words = {"invoice": invoice, "state": invoice.get_state_display().lower()}
    if last is None or last.user is None:
        return _("%(invoice)s is %(state)s already; nothing was changed.") % words
    when = moment(last.at, invoice.timezone)
    return _("%(invoice)s is %(state)s already, by %(who)s on %(when)s; nothing was changed.") % {
        **words,
        "who": last.user.get_full_name() or last.user.get_username(),
        "when": when,
    }
