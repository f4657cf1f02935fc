"""An invoice was changed by hand in Invoice Ninja: a person takes that over, or has ours written again. Both are kept.

Taking over copies lines, dates, tax and texts as far as our lines can say them, seals them anew, and has the worker
compare once more; nothing is written there. Writing again is a complete PUT of what was sealed, of exactly the state
that the person saw. Either way the invoice can be sent once it was read back and is equal.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import User
from billing_console import money
from billing_console.errors import NotAllowed
from billing_console.reason import reason_of
from billing_console.states import EntryState, InvoiceState, Reason, RecordState
from invoicing import adjusting, content, creating, extras, four_eyes, marking, snapshots
from invoicing import claim as claims
from invoicing.books import closed
from invoicing.models import Became, Decision, Deviation, Invoice, InvoiceLine
from mappings.models import TaxDecision
from mappings.rules import ONE_DAY
from sync import entries, reasons, stories, writeback
from sync.clients.ninja_rows import DRAFT, SENT
from sync.models import RecordKind, RemoteRecord, TimeEntry
from sync.transitions import advance, record

NOT_SENT = (InvoiceState.APPROVED, InvoiceState.CREATED, InvoiceState.ATTENTION)


@dataclass(frozen=True)
class Choice:
    """What a person may do about a deviation; each with the sentences that speak against it, none where it may."""

    against_adopting: list[str]
    against_overwriting: list[str]


def choice(deviation: Deviation) -> Choice:
    """What may be done about `deviation`, by the rows as they are now. A handful of queries."""
    invoice = deviation.invoice
    common = _stale(deviation, invoice)
    if deviation.stolen:
        common.append(
            _("%(tasks)s is on another invoice in Invoice Ninja. Take it off that one there, then compare again.")
            % {"tasks": ", ".join(deviation.stolen)}
        )
    if deviation.theirs["currency"] != invoice.currency:
        common.append(
            _("Its client is in %(currency)s there by now. Put the currency back there, then compare again.")
            % {"currency": deviation.theirs["currency"]}
        )
    overwriting = [] if common else _against_overwriting(deviation, invoice)
    return Choice(common or _against_adopting(deviation, invoice), common or overwriting)


def adopt(deviation: Deviation, *, user: User, reason: str, meaning: str = "") -> Invoice:
    """Take over what Invoice Ninja holds, as the person saw it; sealed anew and compared once more by the worker.

    Lines that vanished give their entries back: held until the next run. What the lines now say beside their entries
    stands as adjustments; where hours are other ones than were priced, `meaning` says what that means. Locks items,
    entries, the invoice and its record. Raises NotAllowed with what speaks against.
    """
    reason = reason_of(reason)
    with transaction.atomic():
        row, deviation = _lock(deviation)
        _refuse(choice(deviation).against_adopting)
        if needs_another(deviation, user):
            raise NotAllowed(_("Four eyes: another approver must take it over. Propose it first."))
        theirs = deviation.theirs
        why = _("taken over from Invoice Ninja: %(reason)s") % {"reason": reason}
        before = row.net
        _take_over_lines(row, theirs, user=user, why=why, meaning=meaning)
        _take_over_head(row, theirs)
        content.retotal(row)
        row.seal = content.seal_of(row)
        row.approved_by, row.approved_at = user, timezone.now()
        row.save()
        why += " " + _("(before tax %(before)s, now %(now)s %(currency)s)") % {
            "before": before,
            "now": row.net,
            "currency": row.currency,
        }
        _settle(row, deviation, Decision.ADOPTED, {}, user=user, reason=reason, why=why)
        # What waits of these items, or is asked, is measured against what is printed now.
        lines = row.lines.filter(is_voided=False, entry__isnull=False)
        entries.evaluate_many(list(lines.values_list("entry__item_id", flat=True)), user=user)
    return row


def needs_another(deviation: Deviation, user: User) -> bool:
    """Whether two approvers are needed for this adoption, and `user` would be the first: adopting is approving anew."""
    return four_eyes.are_wanted() and deviation.proposed_by_id in (None, user.pk)


def propose(deviation: Deviation, *, user: User, reason: str) -> Deviation:
    """Want theirs taken over, for another approver to do. Raises NotAllowed with what speaks against, and if done."""
    reason = reason_of(reason)
    with transaction.atomic():
        row, deviation = _lock(deviation)
        _refuse(choice(deviation).against_adopting)
        if deviation.proposed_by is not None:
            raise NotAllowed(
                _("%(who)s proposed that already; another approver must take it over.") % {"who": deviation.proposed_by}
            )
        deviation.proposed_by, deviation.proposed_at, deviation.proposal = user, timezone.now(), reason
        deviation.save(update_fields=["proposed_by", "proposed_at", "proposal"])
        why = _("to be taken over from Invoice Ninja: %(reason)s") % {"reason": reason}
        record(row, row.state, row.state, why=why, user=user)
    return deviation


def overwrite(deviation: Deviation, *, user: User, reason: str) -> Invoice:
    """Have what was sealed written over what the person saw there. Locks as `adopt`. Raises NotAllowed likewise."""
    reason = reason_of(reason)
    with transaction.atomic():
        row, deviation = _lock(deviation)
        _refuse(choice(deviation).against_overwriting)
        why = _("written to Invoice Ninja again: %(reason)s") % {"reason": reason}
        _settle(
            row,
            deviation,
            Decision.OVERWRITTEN,
            {"over": deviation.theirs},
            user=user,
            reason=reason,
            why=why,
        )
    return row


# --- what speaks against ------------------------------------------------------------------------------------------


def _stale(deviation: Deviation, invoice: Invoice) -> list[str]:
    if deviation.decision != Decision.OPEN:
        return [_("This was settled already: %(what)s.") % {"what": deviation.get_decision_display()}]
    remote = invoice.remote
    if remote is None or deviation.seal != invoice.seal:
        return [_("%(invoice)s was changed here since. Compare again.") % {"invoice": invoice}]
    if remote.state not in (RecordState.SYNCED, RecordState.ATTENTION):
        return [_("%(invoice)s is just being written to Invoice Ninja. Wait a moment.") % {"invoice": invoice}]
    return []


def _against_overwriting(deviation: Deviation, invoice: Invoice) -> list[str]:
    if invoice.state not in NOT_SENT:
        return [
            _("It is %(state)s: the client has what stands in Invoice Ninja.")
            % {"state": invoice.get_state_display().lower()}
        ]
    status = deviation.theirs["status"]
    is_ours = status == SENT and invoice.sendings.filter(is_called=True).exists()
    if status != DRAFT and not is_ours:
        return [_("It is no draft any more in Invoice Ninja, so it is not overwritten.")]
    return []


def _against_adopting(deviation: Deviation, invoice: Invoice) -> list[str]:
    """Everything about their side that our lines cannot say."""
    theirs, currency = deviation.theirs, invoice.currency
    if invoice.state not in (*NOT_SENT, InvoiceState.SENT) or theirs["status"] not in (DRAFT, SENT):
        return [_("Money came in, or it ended: only invoices that are open are taken over. This is for your notes.")]
    found = []
    if theirs["client_id"] != invoice.client.ninja_id:
        found.append(_("It belongs to another client there."))
    if not theirs["date"] or not theirs["due_date"] or theirs["due_date"] < theirs["date"]:
        found.append(_("It needs an invoice date and a due date that is not before it."))
    elif theirs["date"] != str(invoice.invoice_date) and closed.is_closed(date.fromisoformat(theirs["date"])):
        found.append(_("Its invoice date there lies in a closed month. Give it a later one, then compare again."))
    found += _against_lines(theirs["lines"], deviation.ours["lines"], currency)
    typed = [
        f"{extras.LABELS[name]}: {extras.in_words(name, theirs['extras'].get(name, ''))}"
        for name in extras.differing(deviation.ours.get("extras", {}), theirs.get("extras", {}))
        if name not in (extras.PO_NUMBER, extras.EXCHANGE_RATE)
    ]
    if typed:
        found.append(
            _("The console has no place for what it asks for besides (%(what)s). Take that off, then compare again.")
            % {"what": "; ".join(typed)}
        )
    net = money.total(Decimal(line["amount"]) for line in theirs["lines"])
    tax = money.tax_amount(net, Decimal(theirs["tax_rate"]))
    if (tax, money.gross_amount(net, tax, currency)) != (Decimal(theirs["tax"]), Decimal(theirs["gross"])):
        found.append(
            _(
                "Its total does not follow from its lines and one tax (a discount, a second tax or a surcharge?). "
                "Make these lines of their own there, then compare again."
            )
        )
    if net <= 0:
        found.append(_("Nothing is left to bill on it. Cancel or delete it instead."))
    return found


def _against_lines(theirs: list[dict[str, str]], ours: list[dict[str, str]], currency: str) -> list[str]:
    found = []
    known = {line["task_id"] for line in ours if line["task_id"]}
    tasks = [line["task_id"] for line in theirs if line["task_id"]]
    strange = {task for task in tasks if task not in known}
    if strange:
        rows = RemoteRecord.objects.filter(kind=RecordKind.TASK, remote_id__in=strange)
        names = sorted(rows.values_list("our_key", flat=True)) or [_("a task that is not of this invoice")]
        found.append(
            _("%(tasks)s was put on it by hand. Take that line off there; the next run bills it.")
            % {"tasks": ", ".join(names)}
        )
    if len(tasks) != len(set(tasks)):
        found.append(_("A task stands on it twice."))
    products = {line["task_id"]: line["product_key"] for line in ours if "product_key" in line}
    for position, line in enumerate(theirs, 1):
        quantity, cost, amount = (Decimal(line[name]) for name in ("quantity", "cost", "amount"))
        is_fine = quantity == money.quantize_hours(quantity) and cost == money.quantize(cost, currency)
        if not is_fine or amount != money.line_amount(quantity, cost, currency):
            found.append(
                _("Line %(position)d has more decimals than are printed, or a discount or tax of its own.")
                % {"position": position}
            )
        if line["task_id"] and line.get("product_key", "") != products.get(line["task_id"], ""):
            found.append(
                _("Line %(position)d has another product there (%(product)s). Put that right, then compare again.")
                % {"position": position, "product": line["product_key"] or _("none")}
            )
        if not line["notes"].strip():
            found.append(_("Line %(position)d has no text.") % {"position": position})
    return found


def _refuse(sentences: list[str]) -> None:
    if sentences:
        raise NotAllowed(" ".join(sentences))


def changes_hours(deviation: Deviation) -> bool:
    """Whether a line of ours has other hours there, so that who takes it over says what that means."""
    ours, theirs = deviation.ours["lines"], deviation.theirs["lines"]
    return any(
        mine is not None
        and their is not None
        and ours[mine]["task_id"]
        and Decimal(ours[mine]["quantity"]) != Decimal(theirs[their]["quantity"])
        for mine, their in snapshots.pair_lines(ours, theirs)
    )


# --- taking over --------------------------------------------------------------------------------------------------


def _lock(deviation: Deviation) -> tuple[Invoice, Deviation]:
    """Items, entries, then the invoice: the order in which everybody takes them; then the deviation as it is now."""
    lines = InvoiceLine.objects.filter(invoice=deviation.invoice_id, is_voided=False)
    items = lines.filter(entry__isnull=False).values_list("entry__item_id", flat=True)
    claims.lock_work(stories.with_family(list(items)))
    row = content.lock_invoice(deviation.invoice_id)
    found = Deviation.objects.select_for_update(of=("self",)).get(pk=deviation.pk)
    found.invoice = row
    return row, found


def _settle(
    row: Invoice,
    deviation: Deviation,
    decision: Decision,
    more: dict[str, Any],
    *,
    user: User,
    reason: str,
    why: str,
) -> None:
    """Want the invoice there as it is sealed now, move it on, and keep who decided what and why."""
    assert row.remote is not None
    marking.retire(row, user=user, why=why)
    creating.want(row.remote, {**creating.desired_invoice(row), **more}, why=why, user=user)
    if row.state == InvoiceState.ATTENTION:
        advance(row, InvoiceState.CREATED, why=why, user=user, attention_sentence="")
    else:
        record(row, row.state, row.state, why=why, user=user)
    changes = {"decision": decision, "decided_at": timezone.now(), "decided_by": user, "reason": reason}
    Deviation.objects.filter(pk=deviation.pk).update(**changes)


def _take_over_head(row: Invoice, theirs: snapshots.Snapshot) -> None:
    row.invoice_date, row.due_date = date.fromisoformat(theirs["date"]), date.fromisoformat(theirs["due_date"])
    row.payment_days, row.is_end_of_month = (row.due_date - row.invoice_date).days, False
    row.po_number = theirs.get("extras", {}).get(extras.PO_NUMBER, "")
    row.terms, row.footer, row.public_notes = theirs["terms"], theirs["footer"], theirs["public_notes"]
    row.tax_rate = Decimal(theirs["tax_rate"])
    row.tax_decision = TaxDecision.TAX if row.tax_rate else TaxDecision.NO_TAX
    row.tax_name = theirs["tax_name"] if row.tax_rate else ""


def _take_over_lines(row: Invoice, theirs: snapshots.Snapshot, *, user: User, why: str, meaning: str) -> None:
    rows = content.printed_rows(row)
    ours = snapshots.ours_of(creating.desired_invoice(row))["lines"]
    gone = []
    for mine, their in snapshots.pair_lines(ours, theirs["lines"]):
        if their is None:
            gone.append(rows[mine])  # type: ignore[index]
        else:
            line = rows[mine] if mine is not None else _line_by_hand(row)
            _take_over_line(line, theirs["lines"][their], their + 1, user=user, why=why, meaning=meaning)
    _release(gone, user=user, why=why)


def _line_by_hand(row: Invoice) -> InvoiceLine:
    """A line of theirs that none of our entries is behind; it counts for the last day of the period."""
    return InvoiceLine(invoice=row, raw_hours=money.ZERO, work_date=row.period_end - ONE_DAY)


def _take_over_line(
    line: InvoiceLine, theirs: dict[str, str], position: int, *, user: User, why: str, meaning: str
) -> None:
    """The line says what theirs says, and who said so; what it said first stays beside it."""
    quantity, cost, amount = (Decimal(theirs[name]) for name in ("quantity", "cost", "amount"))
    is_new = line.pk is None
    if not is_new and line.notes != theirs["notes"]:
        line.original_notes = line.original_notes or line.notes
        line.edit_reason, line.edited_by, line.edited_at = why, user, timezone.now()
    if is_new:
        line.adjust_reason, line.adjusted_by, line.adjusted_at = why, user, timezone.now()
    elif (line.billed_hours, line.rate) != (quantity, cost):
        for name, value in adjusting.marks_of(line, quantity, cost, user, why, meaning or line.meaning).items():
            setattr(line, name, value)
    line.position, line.notes = position, theirs["notes"]
    line.billed_hours, line.rate, line.amount = quantity, cost, amount
    line.save()


def _release(lines: list[InvoiceLine], *, user: User, why: str) -> None:
    """The lines are off; their entries wait for the next run, and Taiga's status follows."""
    if not lines:
        return
    rows = InvoiceLine.objects.filter(pk__in=[line.pk for line in lines])
    rows.update(is_voided=True, void_reason=why, voided_by=user)
    rows.filter(entry__isnull=True).update(became=Became.REMOVED)
    for line in lines:
        if line.entry is not None:
            _put_off(line.entry, user=user, why=why)


def _put_off(entry: TimeEntry, *, user: User, why: str) -> None:
    sentence = reasons.sentence(Reason.NEXT_RUN, {**entry.facts, "ref": entry.item.ref})
    changes: dict[str, Any] = {"reason": Reason.NEXT_RUN, "reason_note": why, "reason_sentence": sentence}
    if entry.state == EntryState.INVOICED:
        advance(entry, EntryState.READY, why=why, user=user)
    advance(entry, EntryState.HELD, why=why, user=user, **changes)
    writeback.request_status(entry.item)
