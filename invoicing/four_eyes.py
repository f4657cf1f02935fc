"""Four eyes: where the company wants it, who touched the money of a client and period cannot approve it.

Who touched it is a set that only grows: every act on an entry before it was claimed, and every change of a draft of the
same client and period, also of one that was rejected since, and also one that was taken back. The trail is what says
so (`Transition`, never changed), not the columns of a line, which keep the last writer only.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from django.db.models import F, Q
from django.utils.translation import gettext as _

from billing_console.formats import moment, time_of_day
from billing_console.states import EntryState
from invoicing.models import Invoice, InvoiceLine
from invoicing.run import UNAPPROVED
from mappings.models import Company
from sync.models import Transition

if TYPE_CHECKING:
    from accounts.models import User

_CLAIMED = (EntryState.CLAIMED, EntryState.INVOICED)
_Key = tuple[Any, ...]


def are_wanted() -> bool:
    """Whether the company wants four eyes."""
    return Company.objects.filter(needs_four_eyes=True).exists()


def why_not(invoice: Invoice, user: User | None) -> str:
    """Why `user` may not approve this draft, "" when nothing speaks against it. None is the console itself."""
    return why_not_many([invoice], user).get(invoice.pk, "") if user is not None else ""


def why_not_many(invoices: Iterable[Invoice], user: Any) -> dict[int, str]:
    """The drafts, by id, that `user` may not approve, each with one sentence; a handful of queries for any number."""
    rows = {invoice.pk: invoice for invoice in invoices}
    if not rows or not are_wanted():
        return {}
    own = Q(edited_by=user.pk) | Q(adjusted_by=user.pk) | Q(voided_by=user.pk)
    sentences: dict[int, str] = {}
    for line in InvoiceLine.objects.filter(own, invoice__in=rows).order_by("position", "pk"):
        invoice = rows[line.invoice_id]
        sentences.setdefault(invoice.pk, _sentence(line, invoice, user.pk))
    for found in (_changes_of_drafts(rows, user), _acts_on_entries(rows, user)):
        for invoice_id, step in found.items():
            sentences.setdefault(invoice_id, _trail_sentence(step, rows[invoice_id]))
    return sentences


def _changes_of_drafts(rows: dict[int, Invoice], user: Any) -> dict[int, Transition]:
    """The first change by `user` of any draft of the same client, currency and period, by the id in `rows`."""
    of_key: dict[_Key, list[int]] = defaultdict(list)
    for invoice in rows.values():
        of_key[_key_of(invoice)].append(invoice.pk)
    peers = Invoice.objects.filter(
        client__in={invoice.client_id for invoice in rows.values()},
        period_start__in={invoice.period_start for invoice in rows.values()},
    )
    keys = {row.pk: _key_of(row) for row in peers.only("client", "currency", "period_start", "period_end")}
    steps = Transition.objects.filter(
        model="invoicing.invoice", row_id__in=keys, user=user.pk, from_state=F("to_state"), to_state__in=UNAPPROVED
    )
    found: dict[int, Transition] = {}
    for step in steps.order_by("id"):
        for invoice_id in of_key.get(keys[step.row_id], ()):
            found.setdefault(invoice_id, step)
    return found


def _acts_on_entries(rows: dict[int, Invoice], user: Any) -> dict[int, Transition]:
    """The first act by `user` on an entry that one of these drafts bills, before it was claimed, by the draft's id."""
    lines = InvoiceLine.objects.filter(invoice__in=rows, is_voided=False, entry__isnull=False)
    steps = Transition.objects.filter(
        model="sync.timeentry", row_id__in=lines.values("entry_id"), user=user.pk
    ).exclude(Q(from_state__in=_CLAIMED) | Q(to_state__in=_CLAIMED) | Q(from_state=""))
    by_entry: dict[int, Transition] = {}
    for step in steps.order_by("id"):
        by_entry.setdefault(step.row_id, step)
    drafts = lines.filter(entry__in=by_entry).values_list("invoice", "entry") if by_entry else ()
    found: dict[int, Transition] = {}
    for invoice_id, entry_id in drafts:
        found.setdefault(invoice_id, by_entry[entry_id])
    return found


def _key_of(invoice: Invoice) -> _Key:
    return invoice.client_id, invoice.currency, invoice.period_start, invoice.period_end


def _trail_sentence(step: Transition, invoice: Invoice) -> str:
    words = {"when": moment(step.at, invoice.timezone), "why": step.why.rstrip(".")[:200]}
    if step.model == "invoicing.invoice":
        return (
            _("You changed a draft of this client and period on %(when)s (%(why)s); another approver must approve.")
            % words
        )
    return _("You decided about an entry on this draft on %(when)s (%(why)s); another approver must approve.") % words


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
