"""What a person does with a draft: take a line off, edit its text, hold, reject, approve, take an approval back.

Each act names what was on screen (of a line: `as_shown.line`; of a draft: its revision), who acts and why; it locks
the draft, checks again and leaves a Transition. A second click finds the state moved on and says so in one sentence.
Nothing here calls a server.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from billing_console.errors import NotAllowed, StaleRevision
from billing_console.formats import money
from billing_console.money import exponent, to_five_cents
from billing_console.reason import reason_of
from billing_console.states import EntryState, InvoiceState, Reason, RecordState
from invoicing import (
    adjusting,
    calculator,
    carrying,
    claim,
    content,
    creating,
    four_eyes,
    guards,
    invoice_dates,
    ordinary,
)
from invoicing.as_shown import Words
from invoicing.books import closed
from invoicing.models import Became, Invoice, InvoiceLine
from invoicing.run import settle_run
from mappings.models import TaxDecision
from sync import entries, reasons
from sync.transitions import advance, record

if TYPE_CHECKING:
    from accounts.models import User


# --- lines --------------------------------------------------------------------------------------------------------


def exclude_line(line: InvoiceLine, *, seen: Words, user: User, reason: str) -> Invoice:
    """Take a line off its draft; its entry waits for the next run. Returns the draft with its new totals.

    A line that was added by hand is removed. Raises NotAllowed without a reason, on a line that is off already, or on
    the last one with work (reject the draft instead).
    """
    return _take_off(line, seen=seen, user=user, reason=reason, hold=Reason.NEXT_RUN)


def hold_line(line: InvoiceLine, *, seen: Words, user: User, reason: str) -> Invoice:
    """Take a line off its draft and hold its entry until somebody releases it. Raises NotAllowed as `exclude_line`."""
    if line.is_manual:
        raise NotAllowed(_("This line was added by hand. Remove it instead; there is no entry to hold."))
    return _take_off(line, seen=seen, user=user, reason=reason, hold=Reason.BY_PERSON)


def _take_off(line: InvoiceLine, *, seen: Words, user: User, reason: str, hold: Reason) -> Invoice:
    reason = reason_of(reason)
    with transaction.atomic():
        claim.lock_work([line.entry.item_id if line.entry else None])
        invoice = guards.lock_draft(line.invoice_id)
        row = guards.lock_line(invoice, line.pk, seen)
        if row.entry is not None:
            if invoice.lines.filter(is_voided=False).count() == 1:
                raise NotAllowed(_("This is the only line. Reject the draft instead."))
            sentence = reasons.sentence(hold, {**row.entry.facts, "ref": row.ref})
            claim.release_entries([row.pk], why=reason, user=user, hold=hold, note=reason, sentence=sentence)
        InvoiceLine.objects.filter(pk=row.pk).update(
            is_voided=True,
            void_reason=reason,
            voided_by=user,
            voided_at=timezone.now(),
            became=Became.REMOVED if row.is_manual else "",
        )
        words = {
            Reason.NEXT_RUN: _("Line %(line)s excluded: %(reason)s"),
            Reason.BY_PERSON: _("Line %(line)s held: %(reason)s"),
        }
        why = words[hold] if row.entry else _("Line %(line)s removed: %(reason)s")
        record(invoice, invoice.state, invoice.state, why=why % {"line": row.notes, "reason": reason}, user=user)
        content.retotal_without(invoice)
        guards.need_money(invoice)
    return invoice


def edit_text(line: InvoiceLine, *, seen: Words, user: User, text: str, reason: str) -> Invoice:
    """Change the printed text of a line, keeping the first one beside it. Hours and money stay as they are.

    Reserved words are made harmless at once, so that what is shown is what is sent. Raises NotAllowed without text
    or reason. Returns the draft with its new revision.
    """
    reason = reason_of(reason)
    words = adjusting.clean_text(text)
    with transaction.atomic():
        invoice = guards.lock_draft(line.invoice_id)
        row = guards.lock_line(invoice, line.pk, seen)
        if words == row.notes:
            return invoice
        original = row.original_notes or row.notes
        is_back = words == original
        InvoiceLine.objects.filter(pk=row.pk).update(
            notes=words,
            original_notes="" if is_back else original,
            edit_reason="" if is_back else reason,
            edited_by=None if is_back else user,
            edited_at=None if is_back else timezone.now(),
        )
        why = _("Text “%(before)s” is now “%(after)s”: %(reason)s") % {
            "before": row.notes,
            "after": words,
            "reason": reason,
        }
        record(invoice, invoice.state, invoice.state, why=why, user=user)
        content.retotal(invoice)
    return invoice


# --- drafts -------------------------------------------------------------------------------------------------------


def hold_draft(invoice: Invoice, *, revision: int, user: User, note: str) -> Invoice:
    """Keep a draft from being approved until somebody frees it. Raises NotAllowed without a note."""
    note = reason_of(note)
    with transaction.atomic():
        row = guards.lock_draft(invoice.pk, revision, states=(InvoiceState.DRAFT,))
        advance(row, InvoiceState.HELD, why=note, user=user, note=note)
    return row


def unhold_draft(invoice: Invoice, *, revision: int, user: User) -> Invoice:
    """Free a held draft for review."""
    with transaction.atomic():
        row = guards.lock_draft(invoice.pk, revision, states=(InvoiceState.HELD,))
        advance(row, InvoiceState.DRAFT, why=_("freed for review"), user=user, note="")
    return row


def reject_draft(invoice: Invoice, *, revision: int, user: User, reason: str) -> Invoice:
    """Throw a draft away: its entries are ready again, as Taiga has them now. Raises NotAllowed without a reason.

    A later run, or this one when it is asked for again, bills them anew, with what people wrote over them, and takes
    the lines along that were added by hand.
    """
    reason = reason_of(reason)
    with transaction.atomic():
        lines = InvoiceLine.objects.filter(invoice=invoice.pk, is_voided=False)
        claim.lock_work(lines.values_list("entry__item_id", flat=True))
        row = guards.lock_draft(invoice.pk, revision)
        if row.state == InvoiceState.HELD:
            advance(row, InvoiceState.DRAFT, why=_("to be rejected"), user=user)
        changed = set(lines.exclude(change_sentence="").values_list("entry__item_id", flat=True))
        why = _("the draft was rejected: %(reason)s") % {"reason": reason}
        claim.release_entries(lines.values_list("pk", flat=True), why=why, user=user)
        carrying.put_off(lines, why, user)
        advance(row, InvoiceState.REJECTED, why=reason, user=user, note=reason, is_stale=False, stale_sentence="")
        if changed:
            entries.evaluate_many(changed - {None}, user=user)
    settle_run(row.run)
    return row


# --- approval -----------------------------------------------------------------------------------------------------


def approve(invoice: Invoice, *, revision: int, user: User | None, day: dt.date | None = None) -> Invoice:
    """Seal the draft as it was reviewed and want it in Invoice Ninja; returns it with dates, terms and seal.

    `day` is the invoice date, a local day of the invoice's zone; None: the one that the company's setting proposes. The
    due date follows by its terms (billing-rules: Terms, dates and text). `user` None: approved by rule. Raises
    StaleRevision for an old revision, NotAllowed with the first of `obstacles_to_approval`, or for a day beyond the
    bounds.
    """
    with transaction.atomic():
        row = guards.lock_draft(invoice.pk, revision, states=(InvoiceState.DRAFT,))
        rows = content.printed_rows(row)
        if sentence := next(iter(obstacles_to_approval(row, rows)), "") or four_eyes.why_not(row, user):
            raise NotAllowed(sentence)
        closed.share()
        dates = invoice_dates.bounds(row)
        row.invoice_date = dates.proposed if day is None else dates.check(day)
        row.due_date, row.terms = row.payment_terms.due_date(row.invoice_date), row.payment_terms.text
        row.seal = calculator.seal(content.content_of(row, content.as_lines(rows)))
        moved = advance(
            row,
            InvoiceState.APPROVED,
            why=_("approved as reviewed") if user else _("approved by rule: no warning"),
            user=user,
            only_if=Q(revision=revision, is_stale=False),
            invoice_date=row.invoice_date,
            due_date=row.due_date,
            terms=row.terms,
            seal=row.seal,
            approved_by=user,
            approved_at=timezone.now(),
        )
        if not moved:
            raise StaleRevision
        creating.request_invoice(row)
        creating.refresh_statuses(row)
    settle_run(row.run)
    return row


def obstacles_to_approval(invoice: Invoice, rows: list[InvoiceLine]) -> list[str]:
    """Sentences why this draft cannot be approved, the most useful first; `rows` are its printed lines."""
    found = obstacles_on_row(invoice)
    if not rows and invoice.net > 0:
        found.append(_("There is nothing to bill on this draft. Reject it."))
    lines = content.as_lines(rows)
    totals = content.stored_totals(invoice, len(lines))
    wrong = calculator.find_contradictions(lines, totals, tax_rate=invoice.tax_rate, currency=invoice.currency)
    if wrong:
        found.append(_("This draft contradicts itself (%(what)s). Refresh it.") % {"what": ", ".join(wrong)})
    for row in rows:
        if row.entry is not None and _is_on_its_way(row):
            found.append(
                _("“%(line)s” is just being written to Invoice Ninja. Wait a moment, then approve.")
                % {"line": row.notes}
            )
            break
        if row.entry is not None and not _is_billable_now(row):
            found.append(
                _("“%(line)s” is not ready in Invoice Ninja any more. Refresh the draft.") % {"line": row.notes}
            )
            break
    return found


def obstacles_on_row(invoice: Invoice) -> list[str]:
    """The same as far as the invoice's own row and its client tell, for lists."""
    found = []
    if invoice.is_stale:
        found.append(_("%(what)s Refresh the draft first.") % {"what": invoice.stale_sentence})
    if invoice.tax_decision == TaxDecision.UNDECIDED:
        found.append(_("Choose the tax for %(client)s in its rule set first.") % {"client": invoice.client})
    if invoice.net <= 0:
        found.append(
            _("There is nothing to bill on this draft: it comes to %(net)s. Reject it, or take the discount off it.")
            % {"net": money(invoice.net, invoice.currency)}
        )
    if invoice.client.rounds_to_five_cents and (theirs := to_five_cents(invoice.gross)) != invoice.gross:
        found.append(
            _(
                "Invoice Ninja rounds the totals of %(client)s to five cents (enable_rappen_rounding), so this invoice "
                "would come to %(theirs)s there, not to %(ours)s. Switch that off in Invoice Ninja, refresh the lists "
                "here, then approve."
            )
            % {
                "client": invoice.client,
                "theirs": money(theirs, invoice.currency),
                "ours": money(invoice.gross, invoice.currency),
            }
        )
    there, here = invoice.client.currency_decimals, exponent(invoice.currency)
    if invoice.client.currency == invoice.currency and there not in (None, here):
        found.append(
            _(
                "Invoice Ninja counts %(currency)s with %(theirs)d decimals, the console with %(ours)d: the client "
                "would be asked for another amount. No invoice in %(currency)s can be approved yet. "
                "Bill %(client)s by hand in Invoice Ninja."
            )
            % {"currency": invoice.currency, "theirs": there, "ours": here, "client": invoice.client}
        )
    if not invoice.client.is_known or invoice.client.is_deleted:
        found.append(
            _("Invoice Ninja has no living client %(client)s. Mend the project's mapping first.")
            % {"client": invoice.client}
        )
    return found


def _is_on_its_way(row: InvoiceLine) -> bool:
    """Whether its task is about to be written: a copy's is just taken off the invoice that ended."""
    entry = row.entry
    remote = entry.remote_task if entry is not None and entry.state == EntryState.CLAIMED else None
    return remote is not None and remote.state in ordinary.ON_THEIR_WAY


def _is_billable_now(row: InvoiceLine) -> bool:
    entry = row.entry
    if entry is None or entry.state != EntryState.CLAIMED:
        return False
    remote = entry.remote_task
    return remote is not None and bool(remote.remote_id) and remote.state == RecordState.SYNCED


def withdraw_approval(invoice: Invoice, *, user: User, reason: str) -> Invoice:
    """Take an approval back, while nothing of it can be in Invoice Ninja. Raises NotAllowed once it can.

    Both rows move in one transaction; a worker that claims the record at the same moment wins.
    """
    reason = reason_of(reason)
    with transaction.atomic():
        row = content.lock_invoice(invoice.pk)
        if row.state != InvoiceState.APPROVED:
            raise NotAllowed(guards.moved_on(row))
        if row.remote is not None and not (
            row.remote.state == RecordState.PENDING
            and advance(
                row.remote,
                RecordState.DROPPED,
                why=reason,
                user=user,
                only_if=Q(remote_id__isnull=True, attempts=0),
            )
        ):
            raise NotAllowed(
                _(
                    "It is being created in Invoice Ninja already, so the approval stays. "
                    "Cancel the invoice there instead."
                )
            )
        advance(
            row,
            InvoiceState.DRAFT,
            why=reason,
            user=user,
            seal="",
            invoice_date=None,
            due_date=None,
            approved_by=None,
            approved_at=None,
            revision=row.revision + 1,
        )
        creating.refresh_statuses(row)
    settle_run(row.run)
    return row
