"""What stands on the page of one invoice: both sides' numbers, its lines, payments, mails and trail. Reading only."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db.models import Prefetch, Q
from django.utils.translation import gettext as _

from billing_console import clock, formats
from billing_console.money import ZERO
from billing_console.states import InvoiceState
from invoicing import (
    credit_reserving,
    credit_use,
    crediting,
    deviations,
    ending,
    inviting,
    invoice_credit,
    late_proof,
    pausing,
    receivers,
    releasing,
    unapplied,
    writing_off,
)
from invoicing.fees import net_there
from invoicing.models import Credit, CreditUse, Invoice, InvoiceLine, InvoicePdf, Reminder, Sending
from sync import links
from sync.models import RemoteRecord, Transition

LINES_SHOWN = 500


@dataclass(frozen=True)
class Side:
    """One number on both sides; `differs` where Invoice Ninja holds something else, None where it has none yet."""

    name: str
    ours: str
    theirs: str
    differs: bool = False


def context_of(invoice_id: int) -> dict[str, Any]:
    """Everything the page shows; {} for an invoice that does not exist. A constant number of queries."""
    rows = Invoice.objects.select_related("client", "run", "rule_set", "approved_by", "remote")
    printed = InvoiceLine.objects.filter(Q(is_voided=False) | Q(freed_at__isnull=False)).order_by("position", "pk")
    sendings = Sending.objects.select_related("by", "selection").prefetch_related("mails").order_by("-pk")
    reminders = Reminder.objects.select_related("by").order_by("-pk")
    prefetched = (Prefetch("sendings", sendings), Prefetch("reminders", reminders), "payments")
    invoice = rows.prefetch_related(*prefetched).filter(pk=invoice_id).first()
    if invoice is None:
        return {}
    lines = list(printed.filter(invoice=invoice)[: LINES_SHOWN + 1])
    remote = invoice.remote
    trail = Q(model="invoicing.invoice", row_id=invoice.pk)
    if remote is not None:
        trail |= Q(model="sync.remoterecord", row_id=remote.pk)
    pause = pausing.of(invoice)
    owed = invoice.state in (InvoiceState.SENT, InvoiceState.PARTLY_PAID) and bool(invoice.balance)
    return {
        "invoice": invoice,
        "sides": sides_of(invoice, remote),
        "lines": lines[:LINES_SHOWN],
        "has_more_lines": len(lines) > LINES_SHOWN,
        "is_owed": owed,
        "is_overdue": owed and invoice.due_date is not None and invoice.due_date < clock.today(invoice.timezone),
        "came_in_otherwise": unapplied.hint_for(invoice) if owed else "",
        "pause": pause,
        "pause_sentence": pausing.sentence(pause) if pause else "",
        "still_planned": pausing.still_planned(invoice) if pause else "",
        "past_pauses": invoice.reminder_pauses.filter(lifted_at__isnull=False).select_related("by", "lifted_by")[:20],
        **_corrections(invoice),
        "ninja_url": links.ninja_invoice(remote.remote_id if remote else None),
        **_receivers(invoice),
        "was_refused": late_proof.was_refused(invoice),
        "is_allowed": late_proof.waiting().filter(invoice=invoice).exclude(allowed_note="").exists(),
        "deviation": deviations.open_of(invoice),
        "pdf": InvoicePdf.objects.filter(invoice=invoice).defer("content").first(),
        "transitions": Transition.objects.filter(trail).select_related("user").order_by("-id")[:100],
    }


def _receivers(invoice: Invoice) -> dict[str, Any]:
    """Whom Invoice Ninja mails it, and whether that can and must be put right."""
    if invoice.state not in inviting.POSSIBLE:
        return {}
    found = receivers.known(invoice)
    wrong = found.difference() if found.differ else ""
    return {
        "receivers": found.emails,
        "wrong_receivers": wrong,
        "is_said_already": bool(wrong) and wrong in invoice.attention_sentence,
        "is_inviting": inviting.is_on_its_way(invoice),
        "may_invite": not inviting.why_not(invoice),
        "may_leave": inviting.is_stuck(invoice),
    }


def _corrections(invoice: Invoice) -> dict[str, Any]:
    """Its credits, and which of the acts on an invoice that must not exist are open to a person."""
    rows = invoice.credits.select_related("remote", "made_by", "difference__item__project").order_by("pk")
    credits = list(rows.prefetch_related("uses__remote", "uses__invoice"))
    for credit in credits:
        credit.invoice = invoice
    uses = list(
        invoice.credit_uses.select_related("credit__remote", "credit__invoice", "remote", "chosen_by").order_by("pk")
    )
    return {
        "credits": [
            {
                "row": credit,
                "uses": _uses_of(credit, invoice),
                "may_use": not credit_use.why_not(credit),
                "may_give_up": crediting.can_give_up(credit, credit.remote),
            }
            for credit in credits
        ],
        "open_credits": credit_reserving.offered(invoice),
        "planned_credits": [use for use in uses if use.remote is None and not use.is_dropped],
        "other_uses": [use for use in uses if use.credit is None or use.credit.invoice_id != invoice.pk],
        "credit_proposal": invoice_credit.proposal_of(invoice),
        "may_credit": not invoice_credit.why_not(invoice),
        "may_write_off": not writing_off.why_not(invoice, uses),
        "may_accept": not writing_off.why_not_accepted(invoice),
        "may_end": invoice.state in ending.ENDABLE and not ending.why_not(invoice),
        "is_ending": ending.is_ending(invoice),
        "may_keep": ending.is_stuck(invoice),
        "may_free": invoice.state in releasing.ENDED and not releasing.why_not(invoice),
    }


def _uses_of(credit: Credit, invoice: Invoice) -> list[CreditUse]:
    """What became of the credit; what is still to be set against this invoice stands among the open credits."""
    found = [use for use in credit.uses.all() if not use.is_dropped]
    for use in found:
        use.most = formats.money(use.amount, credit.currency)  # type: ignore[attr-defined]
    return [use for use in found if use.remote is not None or use.invoice_id != invoice.pk]


def sides_of(invoice: Invoice, remote: RemoteRecord | None) -> list[Side]:
    """What we sealed beside what Invoice Ninja was last read to hold, amounts in the invoice's currency."""
    seen, currency = (remote.seen if remote else {}), invoice.currency
    amount, tax = _read(seen, "amount"), _read(seen, "total_taxes")
    if amount is not None and tax is not None:
        amount, tax = amount - (_read(seen, "fees") or ZERO), tax - (_read(seen, "fees_tax") or ZERO)

    def side(name: str, ours: Decimal, theirs: Decimal | None) -> Side:
        shown = formats.money(None, currency) if theirs is None else formats.exact_money(theirs, currency)
        return Side(name, formats.exact_money(ours, currency), shown, theirs not in (None, ours))

    def theirs_only(name: str, theirs: Decimal | None) -> Side:
        return Side(name, "–", formats.money(theirs, currency))

    return [
        Side(_("Number"), "–", invoice.number or "–"),
        side(_("Before tax"), invoice.net, None if amount is None or tax is None else net_there(invoice, amount, tax)),
        side(_("Tax"), invoice.tax, tax),
        side(_("With tax"), invoice.gross, amount),
        *([theirs_only(_("Fees by Invoice Ninja itself"), invoice.fees)] if invoice.fees else []),
        theirs_only(_("Paid"), invoice.paid_by_money if invoice.balance is not None else None),
        *([theirs_only(_("Settled by credits"), invoice.settled)] if invoice.settled else []),
        *([theirs_only(_("Written off"), invoice.lost)] if invoice.lost else []),
        theirs_only(_("Open"), invoice.balance),
    ]


def _read(seen: dict[str, Any], name: str) -> Decimal | None:
    return Decimal(seen[name]) if seen.get(name) not in (None, "") else None
