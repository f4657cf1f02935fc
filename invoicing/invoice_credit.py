"""A person credits an invoice that is in Invoice Ninja: chosen lines, a per cent, or an amount; what was wrong, or
goodwill (billing-rules: What was billed, What came in otherwise).

One credit of ours, made and used by the same writes as every other. Where the hours were wrong, each item gets a
credited Difference, so that what stands billed of it falls, and what Taiga still says is asked, never billed by itself.
Goodwill leaves the work as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import User
from billing_console import formats, money
from billing_console.errors import NotAllowed
from billing_console.reason import reason_of
from billing_console.states import DifferenceState
from billing_console.values import number_of
from invoicing import content, credit_use, crediting, ending, four_eyes
from invoicing.credit_asked import Asked, sums_of
from invoicing.credit_left import CreditLine, Left, Sums, left_of, nothing_left
from invoicing.credit_offer import CREDITABLE
from invoicing.credit_use import OWED
from invoicing.models import Credit, CreditedPart, CreditMeaning, CreditProposal, Invoice
from invoicing.typed import as_sent_back
from sync import doorbell, entries, hooks, settled, standing
from sync.models import Difference, TimeEntry
from sync.transitions import record

MOST_OTHERS = 50


def why_not(invoice: Invoice, left: Left | None = None) -> str:
    """Why nothing of the invoice can be credited, "" where it can. `left` is asked for where it is known."""
    words = {"invoice": invoice, "state": invoice.get_state_display()}
    if invoice.state not in CREDITABLE:
        return _("The invoice %(invoice)s is “%(state)s”: it can be credited once it is in Invoice Ninja.") % words
    if ending.is_ending(invoice):
        return _("%(invoice)s is just being cancelled.") % words
    if left is not None and (left.net <= 0 or left.gross <= 0):
        return nothing_left()
    return ""


def mark_of(asked: Asked, left: Left, sums: Sums) -> str:
    """What was on the screen: what is credited, and what was left of the invoice. Anything else is another question."""
    parts = ";".join(f"{row.line.pk if row.line else ''}:{row.taken}:{row.amount}" for row in sums.lines)
    return f"{sums.gross}|{left.mark}|{asked.meaning}|{asked.against}|{parts}"


def invoices_to_set_against(invoice: Invoice) -> QuerySet[Invoice]:
    """This invoice, and other open ones of its client in its currency, oldest first: of which something is owed."""
    rows = Invoice.objects.filter(client=invoice.client_id, currency=invoice.currency, state__in=OWED, balance__gt=0)
    return rows.select_related("client").order_by("invoice_date", "pk")


def request_credit(invoice: Invoice, asked: Asked, *, mark: str, user: User, note: str) -> Credit | None:
    """Want this credit in Invoice Ninja, and set against the chosen invoice; None where it is only proposed.

    Where the company wants four eyes, one approver proposes it, and another, who touched no draft of the client and
    period, confirms the very same.

    `mark` is what the person saw (`mark_of`), the note is required. Locks the items of the lines, then the invoice.
    Raises NotAllowed with a sentence, also where it comes to something else by now, and on a second click.
    """
    reason = reason_of(note)
    with transaction.atomic():
        items = set()
        if asked.meaning == CreditMeaning.HOURS:
            rows = invoice.lines.filter(is_voided=False, entry__isnull=False)
            rows = rows.filter(pk__in=asked.lines) if asked.lines else rows
            items = set(rows.values_list("entry__item_id", flat=True))
            entries.lock_and_load(items)
        target = _target(invoice, asked.against)
        row = content.lock_invoice(invoice.pk)
        left = left_of(row)
        if why := why_not(row, left):
            raise NotAllowed(why)
        sums = sums_of(asked, left)
        if mark != mark_of(asked, left, sums):
            raise NotAllowed(_stale(mark, sums, row))
        if four_eyes.are_wanted() and not _is_seconded(row, mark, user):
            _propose(row, asked, mark, sums, user, reason)
            return None
        credit = crediting.make(row, sums, user=user, reason=reason, meaning=CreditMeaning(asked.meaning))
        if target is not None:
            amount = min(sums.gross, (row if target.pk == row.pk else target).balance or money.ZERO)
            credit_use.plan(credit, target, amount=amount, user=user, note=reason)
        changed = _give_hours_back(credit, sums, user, reason) if asked.meaning == CreditMeaning.HOURS else set()
        words = {
            "amount": formats.money(sums.gross, row.currency),
            "what": CreditMeaning(asked.meaning).label,
            "reason": reason,
        }
        why = _("%(amount)s with tax to be credited. %(what)s: %(reason)s") % words
        record(row, row.state, row.state, why=why, user=user)
        if changed:
            entries.evaluate_many(changed, user=user)
        transaction.on_commit(lambda: doorbell.ring("invoices"))
    return credit


def needs_proposal(invoice: Invoice, mark: str) -> bool:
    """Whether confirming this only proposes it: four eyes are wanted, and nobody proposed the very same."""
    return four_eyes.are_wanted() and not CreditProposal.objects.filter(invoice=invoice, mark=mark).exists()


def proposal_of(invoice: Invoice) -> CreditProposal | None:
    """The credit that waits for another approver."""
    return CreditProposal.objects.filter(invoice=invoice).select_related("proposed_by").first()


def _is_seconded(invoice: Invoice, mark: str, user: User) -> bool:
    """Whether another approver proposed the very same; it is done then. Raises NotAllowed for the same person."""
    proposal = proposal_of(invoice)
    if proposal is None or proposal.mark != mark:
        return False
    if proposal.proposed_by_id == user.pk:
        raise NotAllowed(
            _("%(who)s proposed that already; another approver must confirm it.") % {"who": proposal.proposed_by}
        )
    if why := four_eyes.why_not(invoice, user):
        raise NotAllowed(why)
    proposal.delete()
    return True


def _propose(invoice: Invoice, asked: Asked, mark: str, sums: Sums, user: User, reason: str) -> None:
    what: dict[str, Any] = {"asked": asked.fields, "mark": mark, "gross": sums.gross, "reason": reason}
    CreditProposal.objects.update_or_create(invoice=invoice, defaults={**what, "proposed_by": user})
    words = {"amount": formats.money(sums.gross, invoice.currency), "reason": reason}
    why = _("a credit of %(amount)s with tax proposed: %(reason)s") % words
    record(invoice, invoice.state, invoice.state, why=why, user=user)


def _target(invoice: Invoice, against: str) -> Invoice | None:
    if not against:
        return None
    number = number_of(against)
    found = invoices_to_set_against(invoice).filter(pk=number).first() if number is not None else None
    if found is None:
        raise NotAllowed(_("Nothing is owed any more on the invoice that you chose. Choose another, or leave it open."))
    return found


def _stale(mark: str, sums: Sums, invoice: Invoice) -> str:
    shown, now = as_sent_back(mark.partition("|")[0], invoice.currency), formats.money(sums.gross, invoice.currency)
    if shown == now:
        return _(
            "Something of this invoice changed since you looked, %(now)s is credited still. Look again, then do it."
        ) % {"now": now}
    return _("%(was)s was to be credited when you looked, %(now)s is now. Look again. Nothing was done.") % {
        "was": shown,
        "now": now,
    }


def _give_hours_back(credit: Credit, sums: Sums, user: User, reason: str) -> set[int]:
    """What stands billed of each item falls by its hours; returns the items. They are locked."""
    parts = {part.line_id: part for part in CreditedPart.objects.filter(credit=credit)}
    rows = [row for row in sums.lines if row.line is not None and row.line.entry_id is not None and row.taken]
    taken: Mapping[int, TimeEntry] = TimeEntry.objects.select_related("item").in_bulk(
        [row.line.entry_id for row in rows if row.line]
    )
    for row in rows:
        difference = _taken(taken[row.line.entry_id], row, credit, user, reason)  # type: ignore[index, union-attr]
        CreditedPart.objects.filter(pk=parts[row.line.pk].pk).update(difference=difference)  # type: ignore[union-attr]
    return {entry.item_id for entry in taken.values()}


def _taken(entry: TimeEntry, row: CreditLine, credit: Credit, user: User, reason: str) -> Difference:
    """The credited Difference of one line: so many hours less of its entry."""
    all_of_item = list(TimeEntry.objects.filter(item=entry.item_id).order_by("cycle"))
    pieces = settled.stand(
        all_of_item, standing.credited_of(entry.item_id), hooks.printed([one.pk for one in all_of_item])
    )
    piece = next(piece for piece in pieces if piece.entry_id == entry.pk)
    words = {
        "ref": entry.item.ref,
        "hours": formats.hours(row.taken),
        "invoice": credit.invoice.number,
    }
    columns: dict[str, Any] = {
        "billed_hours": piece.hours,
        "hours_now": settled.settled_hours(pieces) - row.taken,
        "amount": -row.amount,
        "currency": credit.currency,
        "taken_hours": row.taken,
        "taken_by": str(user),
        "credited_at": timezone.now(),
        "sentence": _("%(hours)s of #%(ref)s were credited on %(invoice)s, because they were wrong.") % words,
        "reason": reason,
    }
    difference = Difference.objects.create(
        item=entry.item, entry=entry, state=DifferenceState.CREDITED, noticed_at=timezone.now(), **columns
    )
    record(difference, "", DifferenceState.CREDITED, why=reason, user=user, correlation_id=entry.item.correlation_id)
    return difference
