"""What people give back at the desk: a credit on an invoice, and open credits set against the client's next draft."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from invoicing import credit_reserving, invoice_credit
from invoicing.credit_asked import Asked, Typed, sums_of
from invoicing.credit_left import left_of
from invoicing.credit_offer import CREDITABLE
from invoicing.models import CreditMeaning, Invoice
from tests.machine import rest
from tests.machine.lines import key_of, number_of

if TYPE_CHECKING:
    from tests.machine.desk import Desk

WHY = "as agreed"
HOURS = (Decimal("0.25"), Decimal("0.5"), Decimal(100))
AMOUNTS = (Decimal("3.33"), Decimal("20.00"), Decimal(10000))


def credit(desk: Desk) -> bool:
    """A line of an invoice is credited, some of it or all: its hours were wrong, or it is goodwill."""
    invoices = list(Invoice.objects.filter(state__in=CREDITABLE).order_by("pk"))
    if not invoices:
        return False
    invoice = desk.dice.choice(invoices)
    left = left_of(invoice)
    rows = [row for row in left.lines.values() if row.line.entry_id is not None and row.hours > 0 and row.amount > 0]
    if not rows:
        return False
    row = desk.dice.choice(rows)
    meaning = desk.dice.choice((CreditMeaning.HOURS, CreditMeaning.GOODWILL))
    if meaning == CreditMeaning.HOURS:
        typed = Typed(hours=str(min(desk.dice.choice(HOURS), row.hours)))
    else:
        typed = Typed(amount=str(min(desk.dice.choice(AMOUNTS), row.amount)))
    against = desk.dice.choice(["", *(str(one.pk) for one in invoice_credit.invoices_to_set_against(invoice))])
    asked = Asked(meaning=meaning, lines={row.line.pk: typed}, against=against)
    sums = sums_of(asked, left)
    mark = invoice_credit.mark_of(asked, left, sums)
    invoice_credit.request_credit(invoice, asked, mark=mark, user=rest.somebody(), note=WHY)
    (given,) = [one for one in sums.lines if one.line is not None]
    number, key = number_of(row.line), key_of(row.line)
    desk.ledger.give_back(number, key, given.taken if meaning == CreditMeaning.HOURS else None, given.amount)
    desk.office.calm()
    return True


def use_open_credit(desk: Desk) -> bool:
    """An open credit of the client is set against a draft, and used when that is sent."""
    if (draft := desk.draft()) is None or not (offered := credit_reserving.offered(draft)):
        return False
    one = desk.dice.choice(offered)
    credit_reserving.reserve(draft, one.kind, one.row.pk, shown=str(one.left), user=rest.somebody())
    return True
