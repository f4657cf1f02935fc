"""Open credits of a client, ours or made by hand in Invoice Ninja, and setting them against an invoice of that client.

On a draft, or before it is sent, the choice is kept and done once the invoice is sent: a credit on a draft would make
it "paid" before the client has it (recordings 1291 and 1292). Amounts are gross, in the invoice's currency.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.db.models import F, Q
from django.utils.translation import gettext as _

from accounts.models import User
from billing_console import formats, money
from billing_console.errors import NotAllowed
from billing_console.states import InvoiceState, RecordState
from invoicing import content, credit_use
from invoicing.models import Credit, CreditUse, Invoice, OpenCredit
from invoicing.run import DEAD
from sync.transitions import record

OURS, THEIRS = "ours", "theirs"
TAKES = (
    InvoiceState.DRAFT,
    InvoiceState.HELD,
    InvoiceState.APPROVED,
    InvoiceState.CREATED,
    InvoiceState.SENDING,
    InvoiceState.SENT,
    InvoiceState.PARTLY_PAID,
)
MOST_SHOWN = 50


@dataclass(frozen=True)
class Offered:
    """One open credit of a client: `left` of it is set against nothing and chosen for nothing."""

    row: Credit | OpenCredit
    kind: str
    left: Decimal

    @property
    def name(self) -> str:
        """Its number, "" until Invoice Ninja gave it one."""
        return self.row.number

    @property
    def date(self) -> Any:
        """Its date."""
        return self.row.credit_date if isinstance(self.row, Credit) else self.row.date

    @property
    def about(self) -> str:
        """Why it was given, or that it was made by hand in Invoice Ninja."""
        return self.row.reason if isinstance(self.row, Credit) else _("made by hand in Invoice Ninja")


def offered(invoice: Invoice) -> list[Offered]:
    """The open credits of its client in its currency, without its own, oldest first; [] where none can be used."""
    if invoice.state not in TAKES or (invoice.state in credit_use.OWED and not invoice.balance):
        return []
    ours = Credit.objects.filter(
        invoice__client=invoice.client_id,
        currency=invoice.currency,
        cause="",
        is_given_up=False,
        used__lt=F("gross"),
        remote__state=RecordState.SYNCED,
    )
    ours = ours.exclude(invoice=invoice.pk).order_by("credit_date", "pk")  # its own stand among its credits
    theirs: Any = OpenCredit.objects.none()
    if invoice.client.currency == invoice.currency:
        theirs = OpenCredit.objects.filter(client=invoice.client_id, is_ours=False).order_by("date", "pk")
    rows = [Offered(row, OURS, money.quantize(row.rest, invoice.currency)) for row in ours[:MOST_SHOWN]]
    rows += [Offered(row, THEIRS, money.quantize(row.balance, invoice.currency)) for row in theirs[:MOST_SHOWN]]
    taken, here = _reserved(rows, invoice)
    found = [replace(one, left=one.left - _exact(taken, one.row, invoice)) for one in rows]
    return [one for one in found if one.left > 0 and _key(one.row) not in here]


def planned(invoice: Invoice) -> list[CreditUse]:
    """Credits that are set against the invoice once it is sent, and did not begin yet."""
    rows = CreditUse.objects.filter(invoice=invoice, is_dropped=False, remote__isnull=True)
    return list(rows.select_related("credit", "chosen_by").order_by("pk"))


def _exact(taken: dict[str, Decimal], row: Credit | OpenCredit, invoice: Invoice) -> Decimal:
    return money.quantize(taken.get(_key(row), money.ZERO), invoice.currency)


def _key(row: Credit | OpenCredit | CreditUse) -> str:
    if isinstance(row, Credit):
        return str(row.pk)
    if isinstance(row, OpenCredit):
        return row.ninja_id
    return str(row.credit_id) if row.credit_id else row.ninja_id


def _reserved(rows: list[Offered], invoice: Invoice) -> tuple[dict[str, Decimal], set[str]]:
    """What of these credits is chosen for other living invoices and not done, and which were chosen for this one."""
    whose = Q(credit__in=[one.row.pk for one in rows if one.kind == OURS])
    whose |= Q(ninja_id__in=[one.row.ninja_id for one in rows if isinstance(one.row, OpenCredit)], credit__isnull=True)
    uses = CreditUse.objects.filter(whose, is_dropped=False).exclude(invoice__state__in=DEAD)
    taken: dict[str, Decimal] = {}
    here = set()
    for use in uses.select_related("remote"):
        if use.invoice_id == invoice.pk:
            here.add(_key(use))
        if use.remote is None or use.remote.state != RecordState.SYNCED:
            taken[_key(use)] = taken.get(_key(use), money.ZERO) + use.amount
    return taken, here


def reserve(invoice: Invoice, kind: str, pk: int, *, shown: str, user: User) -> CreditUse:
    """Set an open credit against the invoice: now where it is sent, or when it is. Locks the invoice.

    `shown` is what was left of it on the screen. Raises NotAllowed where it is not offered (any more), and on a second
    click.
    """
    with transaction.atomic():
        row = content.lock_invoice(invoice.pk)
        credits: Any = OpenCredit.objects if kind == THEIRS else Credit.objects
        credits.select_for_update(of=("self",)).filter(pk=pk).first()  # nobody chooses the same for another invoice
        found = find(row, kind, pk)
        if shown != str(found.left):
            words = {"now": formats.money(found.left, row.currency)}
            raise NotAllowed(_("Of this credit %(now)s is left by now, not what you saw. Look again.") % words)
        return credit_use.plan(found.row, row, amount=most(found, row), user=user)


def find(invoice: Invoice, kind: str, pk: int) -> Offered:
    """The offered credit. Raises NotAllowed where it is not offered any more."""
    for one in offered(invoice):
        if (one.kind, one.row.pk) == (kind, pk):
            return one
    raise NotAllowed(
        _("This credit was chosen for this invoice already, or nothing of it is left. Nothing was done again.")
    )


def most(found: Offered, invoice: Invoice) -> Decimal:
    """At most this is set against it: all that is left where the invoice may still change, else what is owed."""
    return min(found.left, invoice.balance) if invoice.state in credit_use.OWED and invoice.balance else found.left


def free(use: CreditUse, *, user: User) -> None:
    """Take a choice back that did not begin: the credit is open as before. Raises NotAllowed once it began."""
    with transaction.atomic():
        invoice = content.lock_invoice(use.invoice_id)
        row = CreditUse.objects.select_for_update(of=("self",)).get(pk=use.pk)
        if row.is_dropped or row.remote_id is not None:
            raise NotAllowed(_("This is set against the invoice already, or was taken back. Nothing was done again."))
        CreditUse.objects.filter(pk=row.pk).update(is_dropped=True)
        words = {"amount": formats.money(row.amount, invoice.currency), "number": row.number or _("a new credit")}
        why = _("%(amount)s of %(number)s not to be set against it after all") % words
        record(invoice, invoice.state, invoice.state, why=why, user=user)
