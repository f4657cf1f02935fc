"""Standing drafts under a rule that groups otherwise than they were made: split by project, or put together.

Lines move with all that a person wrote on them, the excluded ones too; entries stay claimed. What a person held stays
held. Everything here runs in the caller's transaction, which holds the client's row of the run.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from decimal import Decimal

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from billing_console.states import InvoiceState
from invoicing import content, refreshing
from invoicing.models import Invoice, InvoiceLine, InvoiceRun, RunClient
from invoicing.run import DEAD, UNAPPROVED
from mappings.models import Grouping
from sync.transitions import advance, record_new


def regroup(row: RunClient, living: Sequence[Invoice]) -> list[str]:
    """Group the client's drafts among `living` as its rules say now; returns what to say, nothing where they fit.

    `living` are all invoices of the client in the run's period that did not end; an approved one stays as it is, and
    what would belong on it stays where it stands. Locks the drafts. Call `live_invoices` again where it says something.
    """
    if not any(_is_unfit(invoice, row) for invoice in living):
        return []
    kept = {(invoice.currency, invoice.group_key) for invoice in living if invoice.state not in UNAPPROVED}
    drafts = [content.lock_invoice(invoice.pk) for invoice in living if invoice.state in UNAPPROVED]
    by_currency: dict[str, list[Invoice]] = defaultdict(list)
    for draft in drafts:
        if draft.state in UNAPPROVED:  # else approved while we waited for its lock
            by_currency[draft.currency].append(draft)
        else:
            kept.add((draft.currency, draft.group_key))
    sentences = []
    for currency, some in by_currency.items():
        approved = {key for of, key in kept if of == currency}
        if row.rule_set.grouping == Grouping.PROJECT:
            sentences += _split(row, some, approved)
        elif "" not in approved:
            sentences += _put_together(some)
    return sentences


def covered(run: InvoiceRun, client_ids: Iterable[int]) -> set[tuple[int, str]]:
    """Clients and currencies whose approved invoice of the run was for all projects: after it the run makes no other.

    Whatever the rules say now, what comes later waits for the next run or a supplement.
    """
    rows = Invoice.objects.filter(
        client__in=list(client_ids),
        period_start=run.period_start,
        period_end=run.period_end,
        sequence=run.sequence,
        group_key="",
        rule_set__grouping=Grouping.CLIENT,
    )
    return set(rows.exclude(state__in=(*DEAD, *UNAPPROVED)).values_list("client", "currency"))


def _is_unfit(invoice: Invoice, row: RunClient) -> bool:
    """Whether the draft may be grouped otherwise; one for a client may hold nothing that has a project."""
    if invoice.state not in UNAPPROVED:
        return False
    if row.rule_set.grouping == Grouping.CLIENT:
        return invoice.group_key != ""
    return invoice.group_key == "" and invoice.lines.filter(entry__project__isnull=False).exists()


# --- one becomes several ---


def _split(row: RunClient, drafts: list[Invoice], approved: set[str]) -> list[str]:
    by_key = {draft.group_key: draft for draft in drafts}
    mixed = by_key.get("")
    if mixed is None:
        return []
    lines: dict[str, list[int]] = defaultdict(list)
    amounts: dict[str, Decimal] = {}
    by_hand: list[int] = []
    for line in mixed.lines.select_related("entry"):
        key = str(line.entry.project_id or "") if line.entry else None
        key = "" if key in approved else key
        if key is None:
            by_hand.append(line.pk)
            continue
        lines[key].append(line.pk)
        if line.voided_by_id is None:  # what a person took off makes no draft
            amounts[key] = amounts.get(key, Decimal(0)) + line.amount
    if not any(amounts):
        return []
    if "" not in amounts:  # the draft itself, with its lines by hand, is that of the project with the most money
        largest = max(amounts, key=lambda key: (amounts[key], -int(key)))
        if largest in by_key:
            lines[largest] += by_hand
        else:
            mixed.group_key = largest
            mixed.save(update_fields=["group_key"])
            by_key[largest] = mixed
    for key in sorted(amounts, key=lambda key: int(key or 0)):
        if key == mixed.group_key:
            continue
        if key not in by_key:
            by_key[key] = _make(row, mixed, key)
        InvoiceLine.objects.filter(pk__in=lines[key]).update(invoice=by_key[key])
        _hold_like(by_key[key], mixed)
    return [
        ngettext(
            "One invoice per project now: a draft of several projects became that of %(count)d project.",
            "One invoice per project now: a draft became %(count)d drafts, one for each project.",
            len(amounts),
        )
        % {"count": len(amounts)}
    ]


def _make(row: RunClient, mixed: Invoice, group_key: str) -> Invoice:
    made = content.new_draft(row.run, row.client, row.rule_set, mixed.currency, group_key)
    made.save()
    record_new([made], InvoiceState.DRAFT, why=_("split from a draft: one invoice per project"))
    return made


# --- several become one ---


def _put_together(drafts: list[Invoice]) -> list[str]:
    target = next((draft for draft in drafts if draft.group_key == ""), drafts[0])
    others = [draft for draft in drafts if draft is not target]
    if target.group_key:
        target.group_key = ""
        target.save(update_fields=["group_key"])
    if not others:
        return []
    InvoiceLine.objects.filter(invoice__in=others).update(invoice=target)
    for other in others:
        _hold_like(target, other)
        refreshing.take_away(other, _("Its lines are on one draft now: one invoice per client."))
    return [
        _("One invoice per client now: %(count)d drafts, one for each project, became one.") % {"count": len(drafts)}
    ]


def _hold_like(draft: Invoice, held: Invoice) -> None:
    if held.state == InvoiceState.HELD and draft.state == InvoiceState.DRAFT:
        advance(draft, InvoiceState.HELD, why=_("held, as the draft its lines come from"), note=held.note)
