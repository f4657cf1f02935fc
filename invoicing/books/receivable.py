"""What every invoice comes to: asked for, paid, settled, lost, open, with tax; now, or at the end of a day.

Both answer with the same columns, so that a report is written once: `asked` for, `money_paid`, `by_credits`, `written`
off, `rest` (cancelled there), `open` and `due`; amounts in the invoice's currency.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.db.models import Case, DateField, DecimalField, F, OuterRef, QuerySet, Subquery, Sum, Value, When
from django.db.models.functions import Coalesce

from billing_console.money import ZERO
from billing_console.states import InvoiceState
from invoicing.books.facts import RECEIVABLE
from invoicing.models import Fact, Invoice, Posting
from invoicing.payments import OWED

_MONEY = DecimalField(max_digits=14, decimal_places=3)


def owed_now() -> QuerySet[Any]:
    """The invoices on which something is open, as Invoice Ninja last said."""
    rows = Invoice.objects.filter(state__in=OWED, balance__gt=0)
    return rows.annotate(
        asked=F("gross") + F("fees"),
        money_paid=F("paid_to_date") - F("credited"),
        by_credits=F("credited") - F("written_off"),
        written=F("written_off"),
        rest=F("cancelled_rest"),
        open=F("balance"),
        due=F("due_date"),
        stands=F("state"),
    )


def owed_at(day: dt.date) -> QuerySet[Any]:
    """The invoices on which something was open at the end of `day`, by the books."""
    then = Posting.objects.filter(invoice=OuterRef("pk"), day__lte=day).order_by()
    due = then.filter(fact=Fact.ASKED, due_date__isnull=False).order_by("-id").values("due_date")[:1]

    def total(*facts: Fact, takes_away: bool = False) -> Coalesce:
        rows = then.filter(fact__in=facts).values("invoice").annotate(sum=Sum("gross")).values("sum")
        found = Coalesce(Subquery(rows, output_field=_MONEY), Value(ZERO, _MONEY))
        return Coalesce(-found, Value(ZERO, _MONEY)) if takes_away else found

    rows = Invoice.objects.alias(left=total(*RECEIVABLE)).filter(left__gt=0)
    return rows.annotate(
        asked=total(Fact.ASKED, Fact.FEES),
        money_paid=total(Fact.PAID, takes_away=True),
        by_credits=total(Fact.SETTLED, takes_away=True),
        written=total(Fact.WRITTEN_OFF, takes_away=True),
        rest=total(Fact.REST, takes_away=True),
        open=total(*RECEIVABLE),
        due=Subquery(due, output_field=DateField()),
        stands=Case(
            When(asked__gt=F("open"), then=Value(InvoiceState.PARTLY_PAID.value)),
            default=Value(InvoiceState.SENT.value),
        ),
    )


def owed(day: dt.date | None) -> QuerySet[Any]:
    """`owed_at` that day, `owed_now` without one."""
    return owed_now() if day is None else owed_at(day)
