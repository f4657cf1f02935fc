"""The drafts of one client of one run: made, filled, refreshed, or taken away when nothing is left to bill.

Everything here runs in the caller's transaction, which holds the client's row of the run: two builders take turns.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.db.models import Count, F, Q, QuerySet, Sum
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from billing_console.formats import money
from billing_console.states import EntryState, InvoiceState, RecordState
from invoicing import claim, content
from invoicing.adjusting import figures
from invoicing.models import Invoice, InvoiceLine, InvoiceRun, RunClient
from invoicing.run import DEAD, UNAPPROVED
from mappings.models import Grouping
from sync.models import TimeEntry
from sync.transitions import advance, record

EDITS = ("notes", "original_notes", "edit_reason", "edited_by_id", "edited_at")
ADJUSTMENTS = (
    *("billed_hours", "rate", "amount", "original_hours", "original_rate", "original_amount"),
    *("adjust_reason", "adjusted_by_id", "adjusted_at"),
)


@dataclass
class Outcome:
    """What building came to: drafts that hold something, and sentences for the run's page."""

    invoices: list[Invoice] = field(default_factory=list)
    sentences: list[str] = field(default_factory=list)

    @property
    def sentence(self) -> str:
        """All sentences as one text."""
        return " ".join(self.sentences)


class _NothingToBill(Exception):
    """A draft whose total is 0 is not made; its claim is rolled back with it."""


def synced(period_end: object) -> QuerySet[TimeEntry]:
    """Ready entries before `period_end` (local day, exclusive) whose task is proven in Invoice Ninja."""
    return TimeEntry.objects.filter(
        state=EntryState.READY,
        work_date__lt=period_end,
        remote_task__state=RecordState.SYNCED,
        remote_task__synced_revision=F("remote_task__revision"),
    )


def unsynced(period_end: object) -> QuerySet[TimeEntry]:
    """Ready entries before `period_end` (local day, exclusive) that stay out: their task is not proven yet."""
    proven = Q(remote_task__state=RecordState.SYNCED, remote_task__synced_revision=F("remote_task__revision"))
    return TimeEntry.objects.filter(state=EntryState.READY, work_date__lt=period_end).exclude(proven)


# --- building -----------------------------------------------------------------------------------------------------


def build_drafts(row: RunClient) -> Outcome:
    """Refresh the client's unapproved drafts of this run, then make the missing ones (one per currency and group)."""
    run, outcome = row.run, Outcome()
    live = _live_invoices(row)
    for invoice in live:
        if invoice.state in UNAPPROVED:
            _refresh(content.lock_invoice(invoice.pk), row, outcome)
        else:
            outcome.invoices.append(invoice)
    taken = {(invoice.currency, invoice.group_key) for invoice in live}
    by_project = row.rule_set.grouping == Grouping.PROJECT
    for currency, project_id, amount in _groups(row, by_project=by_project):
        group_key = str(project_id or "") if by_project else ""
        if (currency, group_key) in taken:
            _note_approved(row, currency, amount, outcome)
        elif amount:
            _make(row, currency, group_key, outcome)
        else:
            outcome.sentences.append(_("Entries that come to 0.00 make no invoice."))
    waiting = unsynced(run.period_end).filter(client=row.client_id).count()
    if waiting:
        outcome.sentences.append(
            ngettext(
                "%(count)d entry is not in Invoice Ninja yet and stays out.",
                "%(count)d entries are not in Invoice Ninja yet and stay out.",
                waiting,
            )
            % {"count": waiting}
        )
    return outcome


def _live_invoices(row: RunClient) -> list[Invoice]:
    run = row.run
    rows = Invoice.objects.filter(
        client=row.client_id, period_start=run.period_start, period_end=run.period_end, sequence=run.sequence
    )
    return list(rows.exclude(state__in=DEAD).order_by("pk"))


def _groups(row: RunClient, *, by_project: bool) -> list[tuple[str, int | None, Decimal]]:
    columns = ["currency", "project_id"] if by_project else ["currency"]
    grouped = synced(row.run.period_end).filter(client=row.client_id).order_by(*columns)
    rows = grouped.values(*columns).annotate(amount=Sum("amount"))
    return [(found["currency"], found.get("project_id"), found["amount"]) for found in rows]


def _make(row: RunClient, currency: str, group_key: str, outcome: Outcome) -> None:
    run = row.run
    invoice = Invoice(
        run=run,
        client=row.client,
        currency=currency,
        period_start=run.period_start,
        period_end=run.period_end,
        timezone=run.timezone,
        group_key=group_key,
        sequence=run.sequence,
    )
    content.apply_rules(invoice, row.rule_set)
    try:
        with transaction.atomic():
            invoice.save()
            record(invoice, "", InvoiceState.DRAFT, why=_("built by the run"), user=run.started_by)
            claim.claim_entries(invoice, why=_("claimed by the run"), user=run.started_by)
            if content.retotal(invoice).net == 0:
                raise _NothingToBill
    except _NothingToBill:
        return
    outcome.invoices.append(invoice)


def _refresh(invoice: Invoice, row: RunClient, outcome: Outcome) -> None:
    if invoice.state not in UNAPPROVED:  # approved while we waited for its lock
        outcome.invoices.append(invoice)
        return
    content.apply_rules(invoice, row.rule_set)
    claim.claim_entries(invoice, why=_("joined when the draft was refreshed"))
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
        outcome.invoices.append(invoice)
        return
    take_away(invoice, _("Nothing is left to bill on this draft."))
    outcome.sentences.append(_("A draft became empty and was taken away."))
    if left["by_hand"]:
        sentence = ngettext(
            "%(count)d line that was added by hand went with it.",
            "%(count)d lines that were added by hand went with it.",
            left["by_hand"],
        )
        outcome.sentences.append(sentence % {"count": left["by_hand"]})


def take_away(invoice: Invoice, why: str) -> None:
    """Reject a draft on which nothing is left; what it still claims (free entries) is ready again."""
    if invoice.state == InvoiceState.HELD:
        advance(invoice, InvoiceState.DRAFT, why=why)
    claim.release_entries(invoice.lines.filter(is_voided=False).values_list("pk", flat=True), why=why)
    invoice.lines.filter(is_voided=False).update(is_voided=True, void_reason=why)
    advance(invoice, InvoiceState.REJECTED, why=why, note=why)


def _note_approved(row: RunClient, currency: str, amount: Decimal, outcome: Outcome) -> None:
    outcome.sentences.append(
        _("The invoice is approved already: %(amount)s that came later waits for the next run.")
        % {"amount": money(amount, currency)}
    )


# --- refreshing ---------------------------------------------------------------------------------------------------


def release_changed_lines(row: RunClient) -> set[int]:
    """Give back the entries of this client's unapproved drafts that Taiga changed; returns their items.

    The caller evaluates the items again in the same transaction; what is still billable joins when it is synced.
    The line stays voided, by nobody, until then, so that what a person wrote on it is not lost.
    """
    drafts = [invoice.pk for invoice in _live_invoices(row) if invoice.state in UNAPPROVED]
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


# --- what a run leaves out ----------------------------------------------------------------------------------------


def left_out(run: InvoiceRun) -> dict[str, int]:
    """Entries of the run's clients and time that are on no draft: how many by state, and `unsynced` of the ready."""
    rows = TimeEntry.objects.filter(client__in=run.clients.values("client"), work_date__lt=run.period_end)
    states = (EntryState.HELD, EntryState.BELOW_MINIMUM, EntryState.READY)
    counts = dict(rows.filter(state__in=states).values_list("state").annotate(count=Count("pk")).order_by())
    not_proven = unsynced(run.period_end).filter(client__in=run.clients.values("client")).count()
    return {**{state.value: counts.get(state.value, 0) for state in states}, "unsynced": not_proven}
