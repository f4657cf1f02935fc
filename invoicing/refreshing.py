"""Drafts that stand already: what Taiga changed is given back, what is new joins, what a person wrote is kept.

Everything here runs in the caller's transaction, which holds the client's row of the run: two builders take turns.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db.models import Count, Q
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from billing_console.states import InvoiceState
from invoicing import claim, content
from invoicing.adjusting import figures
from invoicing.models import Invoice, InvoiceLine, InvoiceRun, RunClient
from invoicing.run import DEAD, UNAPPROVED
from mappings.models import RuleSet
from sync.transitions import advance

EDITS = ("notes", "original_notes", "edit_reason", "edited_by_id", "edited_at")
ADJUSTMENTS = (
    *("billed_hours", "rate", "amount", "original_hours", "original_rate", "original_amount"),
    *("adjust_reason", "adjusted_by_id", "adjusted_at"),
)


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


def _restore_edits(invoice: Invoice) -> None:
    """Carry what a person wrote over from a released line to the line of the same entry, then drop the released one.

    A text always; hours and rate only where Taiga says again what they were written over. Otherwise the new line says
    what no longer holds, for the person to write it again or not. What has no new line yet waits for it.
    """
    released = list(
        InvoiceLine.objects.filter(invoice=invoice, is_voided=True, voided_by__isnull=True).select_related(
            "adjusted_by"
        )
    )
    if not released:
        return
    old = {line.entry_id: line for line in released if _is_touched(line)}
    back = InvoiceLine.objects.filter(invoice=invoice, is_voided=False, entry__in=old)
    for line in back:
        changes = _carried(old.pop(line.entry_id), line, invoice.currency)
        InvoiceLine.objects.filter(pk=line.pk).update(**changes)
    waiting = {line.pk for line in old.values()}
    InvoiceLine.objects.filter(pk__in=[line.pk for line in released if line.pk not in waiting]).delete()


def _is_touched(line: InvoiceLine) -> bool:
    return bool(line.original_notes or line.is_adjusted or line.dropped_sentence)


def _carried(old: InvoiceLine, new: InvoiceLine, currency: str) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    if old.original_notes:
        changes = {name: getattr(old, name) for name in EDITS} | {"original_notes": new.notes}
    if not old.is_adjusted:
        return changes | {"dropped_sentence": old.dropped_sentence}
    first = (old.original_hours, old.original_rate, old.original_amount)
    if first == (new.billed_hours, new.rate, new.amount):
        return changes | {name: getattr(old, name) for name in ADJUSTMENTS}
    sentence = _("%(who)s had written %(figures)s: %(reason)s. Taiga changed the line since; write it again if needed.")
    return changes | {
        "dropped_sentence": sentence
        % {
            "who": old.adjusted_by or _("Somebody"),
            "figures": figures(old.billed_hours, old.rate, old.amount, currency),
            "reason": old.adjust_reason.rstrip("."),
        }
    }


def refresh(invoice: Invoice, rule_set: RuleSet) -> tuple[list[Invoice], list[str]]:
    """Let new entries join the (locked) draft and take its rules over; returns it, if it stays, and what to say."""
    if invoice.state not in UNAPPROVED:  # approved while we waited for its lock
        return [invoice], []
    content.apply_rules(invoice, rule_set)
    claim.claim_entries([invoice], why=_("joined when the draft was refreshed"))
    _restore_edits(invoice)
    invoice.is_stale = invoice.lines.filter(is_voided=False).exclude(change_sentence="").exists()
    if not invoice.is_stale:
        invoice.stale_sentence = ""
    totals = content.retotal(invoice, "is_stale", "stale_sentence", *content.RULE_FIELDS)
    left = invoice.lines.filter(is_voided=False).aggregate(
        work=Count("pk", filter=Q(entry__isnull=False)),
        by_hand=Count("pk", filter=Q(entry__isnull=True)),
        written=Count("pk", filter=Q(original_amount__isnull=False)),
    )
    # What a person wrote down to nothing stays, for a person to decide.
    if left["work"] and (totals.net or left["by_hand"] or left["written"]):
        return [invoice], []
    take_away(invoice, _("Nothing is left to bill on this draft."))
    sentences = [_("A draft became empty and was taken away.")]
    if left["by_hand"]:
        sentence = ngettext(
            "%(count)d line that was added by hand went with it.",
            "%(count)d lines that were added by hand went with it.",
            left["by_hand"],
        )
        sentences.append(sentence % {"count": left["by_hand"]})
    return [], sentences


def take_away(invoice: Invoice, why: str) -> None:
    """Reject a draft on which nothing is left; what it still claims (free entries) is ready again."""
    if invoice.state == InvoiceState.HELD:
        advance(invoice, InvoiceState.DRAFT, why=why)
    claim.release_entries(invoice.lines.filter(is_voided=False).values_list("pk", flat=True), why=why)
    invoice.lines.filter(is_voided=False).update(is_voided=True, void_reason=why)
    advance(invoice, InvoiceState.REJECTED, why=why, note=why)
