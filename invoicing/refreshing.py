"""Drafts that stand already: what Taiga changed is given back, what is new joins, what a person wrote is kept.

Everything here runs in the caller's transaction, which holds the client's row of the run: two builders take turns.
"""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import Count, Exists, OuterRef, Q
from django.utils.translation import gettext as _

from billing_console.states import InvoiceState
from invoicing import carrying, claim, content
from invoicing.models import Invoice, InvoiceLine, InvoiceRun, RunClient
from invoicing.run import DEAD, UNAPPROVED
from mappings.models import RuleSet
from sync.transitions import advance


def live_invoices(run: InvoiceRun, client_ids: Iterable[int]) -> list[Invoice]:
    """The invoices of these clients for the run's period and sequence, but for those that ended."""
    rows = Invoice.objects.filter(
        client__in=list(client_ids), period_start=run.period_start, period_end=run.period_end, sequence=run.sequence
    )
    return list(rows.exclude(state__in=DEAD).order_by("pk"))


def release_changed_lines(row: RunClient) -> set[int]:
    """Give back the entries of this client's unapproved drafts that Taiga changed; returns their items.

    The caller evaluates the items again in the same transaction; what is still billable joins when it is synced.
    The line stays voided, by nobody, until then, so that what a person wrote on it is not lost.
    """
    drafts = [invoice.pk for invoice in live_invoices(row.run, [row.client_id]) if invoice.state in UNAPPROVED]
    changed = InvoiceLine.objects.filter(invoice__in=drafts, is_voided=False).exclude(change_sentence="")
    claim.lock_work(changed.values_list("entry__item_id", flat=True))
    items: set[int] = set()
    for invoice_id in drafts:
        invoice = content.lock_invoice(invoice_id)
        lines = dict(changed.filter(invoice=invoice).values_list("pk", "entry__item_id"))
        if invoice.state not in UNAPPROVED or not lines:
            continue
        why = _("released to be refreshed")
        claim.release_entries(lines, why=why)
        InvoiceLine.objects.filter(pk__in=lines).update(is_voided=True, void_reason=why)
        content.retotal(invoice)
        items |= {item_id for item_id in lines.values() if item_id is not None}
    return items


def _drop_released(invoice: Invoice) -> None:
    """Delete the lines that a refresh released, but for what a person wrote on one whose entry is not back yet."""
    released = InvoiceLine.objects.filter(invoice=invoice, is_voided=True, voided_by__isnull=True, is_waiting=False)
    living = InvoiceLine.objects.filter(entry=OuterRef("entry"), is_voided=False)
    released.filter(Exists(living) | ~carrying.IS_WRITTEN).delete()


def refresh(invoice: Invoice, rule_set: RuleSet) -> tuple[list[Invoice], list[str]]:
    """Let new entries join the (locked) draft and take its rules over; returns it, if it stays, and what to say."""
    if invoice.state not in UNAPPROVED:  # approved while we waited for its lock
        return [invoice], []
    content.apply_rules(invoice, rule_set)
    claim.claim_entries([invoice], why=_("joined when the draft was refreshed"))
    carrying.carry([invoice])
    _drop_released(invoice)
    totals = content.retotal_without(invoice, *content.RULE_FIELDS)
    left = invoice.lines.filter(is_voided=False).aggregate(
        work=Count("pk", filter=Q(entry__isnull=False)),
        by_hand=Count("pk", filter=Q(entry__isnull=True)),
        written=Count("pk", filter=Q(original_amount__isnull=False)),
    )
    # What a person wrote, down to nothing or without any work beside it, stays, for a person to decide.
    if left["by_hand"] or (left["work"] and (totals.net or left["written"])):
        return [invoice], []
    take_away(invoice, _("Nothing is left to bill on this draft."))
    return [], [_("A draft became empty and was taken away.")]


def take_away(invoice: Invoice, why: str) -> None:
    """Reject a draft on which nothing is left; what it still claims (free entries) is ready again."""
    if invoice.state == InvoiceState.HELD:
        advance(invoice, InvoiceState.DRAFT, why=why)
    lines = invoice.lines.filter(is_voided=False)
    claim.release_entries(lines.values_list("pk", flat=True), why=why)
    carrying.put_off(lines, why)
    advance(invoice, InvoiceState.REJECTED, why=why, note=why)
