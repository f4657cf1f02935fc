"""An ended invoice billed again as it was: a draft of its own with the same lines, to the cent.

Hours, rates, amounts, texts, what a person wrote over them and lines by hand are copied, and so are tax and terms. A
refresh of the draft takes over what Taiga and the rules say since.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from django.utils.translation import gettext as _

from billing_console.errors import NotAllowed
from billing_console.formats import money
from billing_console.states import InvoiceState
from invoicing import content
from invoicing.models import Became, Invoice, InvoiceLine
from invoicing.run import DEAD
from sync.transitions import record

if TYPE_CHECKING:
    from accounts.models import User

_KEY = ("client", "currency", "period_start", "period_end", "group_key")
_HEAD = (*_KEY, "run", "timezone", *content.RULE_FIELDS, "po_number")
_OWN = ("id", "invoice", "is_voided", "void_reason", "voided_by", "voided_at", "freed_at", "is_waiting", "became")
_LINE = tuple(field.name for field in InvoiceLine._meta.concrete_fields if field.name not in _OWN)


def copy(ended: Invoice, lines: Sequence[InvoiceLine], *, user: User | None, why: str) -> Invoice:
    """A new draft with copies of these (voided) lines of the ended invoice; it comes to the same, or nothing is done.

    Raises NotAllowed where the copy would come to another amount, and where the period has another invoice by now.
    """
    head = {name: getattr(ended, name) for name in _HEAD}
    key = Invoice.objects.filter(**{name: head[name] for name in _KEY}, sequence=ended.sequence)
    if (other := key.exclude(state__in=DEAD).first()) is not None:
        raise NotAllowed(
            _("%(other)s has another invoice or draft of the same period by now. Price the hours anew instead.")
            % {"other": other}
        )
    draft = Invoice.objects.create(**head, sequence=ended.sequence)
    record(
        draft,
        "",
        InvoiceState.DRAFT,
        why=_("billed again as %(number)s was: %(why)s") % {"number": ended.number, "why": why},
        user=user,
    )
    InvoiceLine.objects.bulk_create(
        InvoiceLine(invoice=draft, **{name: getattr(line, name) for name in _LINE}) for line in lines
    )
    InvoiceLine.objects.filter(pk__in=[line.pk for line in lines if line.is_manual]).update(became=Became.CARRIED)
    totals = content.retotal(draft)
    expected = sum((line.amount for line in lines), start=totals.net * 0)
    if totals.net != expected:
        raise NotAllowed(
            _("The copy would come to %(now)s instead of %(before)s. Price the hours anew instead.")
            % {"now": money(totals.net, draft.currency), "before": money(expected, draft.currency)}
        )
    return draft
