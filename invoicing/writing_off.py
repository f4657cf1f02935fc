"""Write off the rest of an invoice: bank costs, goodwill, a bad debt (billing-rules: What came in otherwise).

A credit document of ours over the rest, without tax, set against the invoice: the one way of Invoice Ninja that books
no money (recordings 1363 to 1369). Made and used by the same writes as every credit; nobody is mailed. What was
cancelled there after money came in needs no document: a person only says what it is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from accounts.models import User
from billing_console import clock, formats, money
from billing_console.errors import NotAllowed
from billing_console.reason import reason_of
from billing_console.states import InvoiceState, RecordState
from invoicing import content, creating, credit_use, crediting, ending
from invoicing.credit_use import OWED
from invoicing.models import Credit, CreditUse, Invoice, WriteOffCause
from invoicing.typed import as_sent_back, number
from sync import doorbell
from sync.transitions import advance, record

TEXT = "Rest of invoice {number}, written off"  # printed for clients: not translated


def why_not(invoice: Invoice, uses: Iterable[CreditUse] | None = None) -> str:
    """Why nothing of the invoice can be written off, "" where it can. `uses` are all credits that are set against it,
    where they are known."""
    if invoice.state not in OWED or not invoice.balance:
        return _("Nothing is owed on %(invoice)s, so there is no rest to write off.") % {"invoice": invoice}
    if invoice.cancelled_rest:
        return _("A rest of %(invoice)s was cancelled in Invoice Ninja. Decide that first.") % {"invoice": invoice}
    if ending.is_ending(invoice):
        return _("%(invoice)s is just being cancelled.") % {"invoice": invoice}
    uses = invoice.credit_uses.select_related("credit__remote", "remote") if uses is None else uses
    read = {payment.ninja_id for payment in invoice.payments.all()}
    if any(_is_on_its_way(use, read) for use in uses):
        return _(
            "A credit of %(invoice)s is on its way to Invoice Ninja, or its use was not read back yet. Wait until "
            "it is, then look again: nothing was done again."
        ) % {"invoice": invoice}
    return ""


def _is_on_its_way(use: CreditUse, read: Collection[str]) -> bool:
    """Whether what is owed is about to change by it, or has changed and was not read yet."""
    if use.is_dropped or (use.credit is not None and use.credit.is_given_up):
        return False
    if use.remote is None:
        return use.credit is None or use.credit.remote.state != RecordState.SYNCED or use.credit.rest > 0
    return use.remote.state != RecordState.SYNCED or use.remote.remote_id not in read


def request_write_off(invoice: Invoice, *, amount: str, cause: str, balance: str, user: User, note: str) -> Credit:
    """Want `amount` of the open rest written off, at most all of it; locks the invoice.

    `amount` and `balance` are gross texts in the invoice's currency, the balance as the person saw it; `cause` is a
    WriteOffCause, the note is required. Raises NotAllowed with a sentence, also on a second click and where something
    else is owed by now.
    """
    reason, wanted = reason_of(note), number(amount, money.exponent(invoice.currency))
    chosen = _cause(cause)
    with transaction.atomic():
        row = content.lock_invoice(invoice.pk)
        if why := why_not(row):
            raise NotAllowed(why)
        owed = row.balance or money.ZERO
        if balance != str(owed):
            words = {"was": as_sent_back(balance, row.currency), "now": formats.money(owed, row.currency)}
            raise NotAllowed(_("%(was)s was open when you looked, %(now)s is now. Look again.") % words)
        if not 0 < wanted <= owed:
            words = {"owed": formats.money(owed, row.currency)}
            raise NotAllowed(_("Write off more than nothing and at most what is open, %(owed)s.") % words)
        text = TEXT.format(number=row.number)
        credit = Credit(
            invoice=row,
            cause=chosen,
            lines=[{"notes": text, "hours": "1", "rate": str(wanted), "amount": str(wanted)}],
            currency=row.currency,
            net=wanted,
            gross=wanted,
            credit_date=clock.today(row.timezone),
            reason=reason,
            made_by=user,
        )
        crediting.want(credit, user=user)
        credit_use.plan(credit, row, amount=wanted, user=user)
        words = {"amount": formats.money(wanted, row.currency), "cause": str(chosen.label), "reason": reason}
        why = _("%(amount)s to be written off, %(cause)s: %(reason)s") % words
        record(row, row.state, row.state, why=why, user=user)
        transaction.on_commit(lambda: doorbell.ring("invoices"))
    return credit


def why_not_accepted(invoice: Invoice) -> str:
    """Why no cancelled rest of the invoice waits for a person's word, "" where one does."""
    if not invoice.cancelled_rest or invoice.rest_cause:
        return _("No rest of %(invoice)s waits for this decision any more.") % {"invoice": invoice}
    return ""


def accept_cancelled(invoice: Invoice, *, cause: str, rest: str, user: User, note: str) -> Invoice:
    """Say that what was cancelled in Invoice Ninja after money came in is written off; locks the invoice.

    `rest` is the amount that the person saw. Nothing is written there. Raises NotAllowed as `request_write_off`.
    """
    reason, chosen = reason_of(note), _cause(cause)
    with transaction.atomic():
        row = content.lock_invoice(invoice.pk)
        if why := why_not_accepted(row):
            raise NotAllowed(why)
        if rest != str(row.cancelled_rest):
            words = {"was": as_sent_back(rest, row.currency), "now": formats.money(row.cancelled_rest, row.currency)}
            raise NotAllowed(_("%(was)s was cancelled when you looked, %(now)s is now. Look again.") % words)
        words = {
            "amount": formats.money(row.cancelled_rest, row.currency),
            "cause": str(chosen.label),
            "reason": reason,
        }
        why = _("%(amount)s written off, cancelled in Invoice Ninja, %(cause)s: %(reason)s") % words
        facts: dict[str, Any] = {"rest_cause": chosen, "attention_sentence": ""}
        if row.state in OWED and not row.balance:
            advance(row, InvoiceState.PAID, why=why, user=user, **facts)
            creating.refresh_statuses(row)
        else:
            Invoice.objects.filter(pk=row.pk).update(**facts)
            record(row, row.state, row.state, why=why, user=user)
    return row


def _cause(cause: str) -> WriteOffCause:
    try:
        return WriteOffCause(cause)
    except ValueError:
        raise NotAllowed(_("Say what it is: bank costs, goodwill, or a bad debt.")) from None
