"""What a person wrote stays with the work until it is billed or taken back (billing-rules: A person's word).

Hours, rate and text that were written over a line stay on that line when it leaves its draft, whatever the reason; the
next line of the same entry takes them over. Where Taiga changed the figures meanwhile, the entry was asked about first
(`Reason.SAID_OTHERWISE`), and the new line says what had been written. A line that was added by hand belongs to the
client: it waits, and the client's next draft takes it along. Everything here runs in the caller's transaction, which
holds the drafts. Amounts are before tax, in the invoice's currency.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.utils import timezone
from django.utils.translation import gettext as _

from invoicing.adjusting import figures
from invoicing.models import Became, Invoice, InvoiceLine

if TYPE_CHECKING:
    from accounts.models import User

TEXT = ("notes", "original_notes", "edit_reason", "edited_by_id", "edited_at")
FIGURES = (
    *("billed_hours", "rate", "amount", "original_hours", "original_rate", "original_amount"),
    *("meaning", "adjust_reason", "adjusted_by_id", "adjusted_at"),
)
BY_HAND = ("notes", "billed_hours", "rate", "amount", "adjust_reason", "adjusted_by_id", "adjusted_at", "raw_hours")
IS_WRITTEN = ~Q(original_notes="") | Q(original_amount__isnull=False) | ~Q(dropped_sentence="")


def carry(invoices: Sequence[Invoice]) -> None:
    """Let the new lines of these drafts say what people wrote, and take along what waits by hand for their clients.

    Two queries where nobody wrote anything. Locks the waiting lines.
    """
    _carry_words([invoice.pk for invoice in invoices])
    _take_along(invoices)


def put_off(lines: QuerySet[InvoiceLine], why: str, user: User | None = None) -> None:
    """Take these printed lines off their invoice; those that were added by hand wait for the client's next draft."""
    ids = list(lines.values_list("pk", flat=True))
    rows = InvoiceLine.objects.filter(pk__in=ids)
    rows.update(is_voided=True, void_reason=why, voided_by=user, voided_at=timezone.now())
    rows.filter(entry__isnull=True).update(is_waiting=True)


def waiting() -> QuerySet[InvoiceLine]:
    """Lines that were added by hand and wait for a draft of their client, oldest first, with their invoices."""
    rows = InvoiceLine.objects.filter(is_waiting=True).select_related("invoice__client", "adjusted_by")
    return rows.order_by("work_date", "pk")


def _carry_words(invoice_ids: list[int]) -> None:
    earlier = InvoiceLine.objects.filter(entry=OuterRef("entry"), is_voided=True).order_by("-pk")
    fresh = InvoiceLine.objects.filter(~IS_WRITTEN, invoice__in=invoice_ids, is_voided=False, entry__isnull=False)
    pairs = dict(
        fresh.annotate(last=Subquery(earlier.values("pk")[:1])).filter(last__isnull=False).values_list("pk", "last")
    )
    if not pairs:
        return
    written = InvoiceLine.objects.filter(IS_WRITTEN).select_related("adjusted_by").in_bulk(pairs.values())
    wanted = [pk for pk, last in pairs.items() if last in written]
    for line in InvoiceLine.objects.filter(pk__in=wanted).select_related("invoice"):
        changes = _carried(written[pairs[line.pk]], line)
        if changes:
            InvoiceLine.objects.filter(pk=line.pk).update(**changes)


def _carried(old: InvoiceLine, new: InvoiceLine) -> dict[str, Any]:
    """What the new line takes over: a text always, figures where they were written over what it says now."""
    changes: dict[str, Any] = {}
    if old.original_notes:
        changes = {name: getattr(old, name) for name in TEXT} | {"original_notes": new.notes}
    if not old.is_adjusted:
        return changes | ({"dropped_sentence": old.dropped_sentence} if old.dropped_sentence else {})
    if (old.original_hours, old.original_rate, old.original_amount) == (new.billed_hours, new.rate, new.amount):
        return changes | {name: getattr(old, name) for name in FIGURES}
    if (old.billed_hours, old.rate) == (new.billed_hours, new.rate):
        return changes  # Taiga says now what the person had written
    sentence = _("%(who)s had written %(figures)s: %(reason)s. Taiga changed the line since; write it again if needed.")
    return changes | {
        "dropped_sentence": sentence
        % {
            "who": old.adjusted_by or _("Somebody"),
            "figures": figures(old.billed_hours, old.rate, old.amount, new.invoice.currency),
            "reason": old.adjust_reason.rstrip("."),
        }
    }


def _take_along(invoices: Sequence[Invoice]) -> None:
    by_client: dict[tuple[int, str], list[Invoice]] = {}
    for invoice in invoices:
        by_client.setdefault((invoice.client_id, invoice.currency), []).append(invoice)
    clients = {client_id for client_id, _currency in by_client}
    rows = waiting().filter(invoice__client__in=clients).select_for_update(of=("self",), no_key=True)
    for row in rows:
        drafts = by_client.get((row.invoice.client_id, row.invoice.currency), [])
        drafts = [draft for draft in drafts if row.work_date is None or row.work_date < draft.period_end]
        if drafts:
            same_group = [draft for draft in drafts if draft.group_key == row.invoice.group_key]
            _join(row, (same_group or drafts)[0])


def _join(row: InvoiceLine, draft: Invoice) -> None:
    """A copy of the waiting line stands on the draft; the line itself stays where it was taken off."""
    InvoiceLine.objects.create(
        invoice=draft,
        work_date=row.work_date,
        is_late=row.work_date is not None and row.work_date < draft.period_start,
        **{name: getattr(row, name) for name in BY_HAND},
    )
    InvoiceLine.objects.filter(pk=row.pk).update(is_waiting=False, became=Became.CARRIED)
