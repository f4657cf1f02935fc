"""What stands of every invoice now, against what the books have of it: one statement, and only what differs.

Amounts are in the invoice's currency, days are local days of the invoice.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from decimal import Decimal
from typing import Any, Final

from django.db import connection

from billing_console.states import InvoiceState
from invoicing.models import Fact

# In Invoice Ninja and alive; and those of them that the client was asked for.
THERE: Final = (
    InvoiceState.CREATED,
    InvoiceState.SENDING,
    InvoiceState.ATTENTION,
    InvoiceState.SENT,
    InvoiceState.PARTLY_PAID,
    InvoiceState.PAID,
)
ASKED: Final = (InvoiceState.SENT, InvoiceState.PARTLY_PAID, InvoiceState.PAID)
REVENUE: Final = (Fact.INVOICED, Fact.TAX, Fact.CREDITED)
RECEIVABLE: Final = (Fact.ASKED, Fact.FEES, Fact.PAID, Fact.SETTLED, Fact.WRITTEN_OFF, Fact.REST)

# A line without a work date counts for the last day of the period. What the server has as paid and no payment of ours
# explains yet is the part '' of what is paid. Of credits only those give something back that Invoice Ninja holds.
_STATEMENT: Final = """
WITH there AS (
    SELECT * FROM invoicing_invoice WHERE state = ANY(%(there)s)
), asked AS (
    SELECT * FROM there WHERE state = ANY(%(asked)s)
), parts AS (
    SELECT p.invoice_id, p.ninja_id, p.paid_on, p.amount - p.refunded - p.by_credit AS money,
           p.by_credit - p.by_write_off AS settled, p.by_write_off AS lost
    FROM invoicing_payment p JOIN asked ON asked.id = p.invoice_id
    WHERE NOT p.is_deleted
), now (invoice_id, fact, key, own_day, at, net, tax, gross, hours, documents, due_date) AS (
    SELECT there.id, 'invoiced', to_char(coalesce(line.work_date, there.period_end - 1), 'YYYY-MM'),
           there.invoice_date, NULL::timestamptz, sum(line.amount), 0, sum(line.amount),
           coalesce(sum(line.billed_hours) FILTER (WHERE line.entry_id IS NOT NULL), 0), 0, NULL::date
    FROM there JOIN invoicing_invoiceline line ON line.invoice_id = there.id AND NOT line.is_voided
    GROUP BY there.id, 3, there.invoice_date
UNION ALL
    SELECT id, 'tax', '', invoice_date, NULL, 0, tax, gross - net, 0, 1, NULL FROM there
UNION ALL
    SELECT credit.invoice_id, 'credited', credit.uuid::text, credit.credit_date, NULL,
           -credit.net, -credit.tax, -credit.gross, 0, 1, NULL
    FROM invoicing_credit credit JOIN there ON there.id = credit.invoice_id
    JOIN sync_remoterecord record ON record.id = credit.remote_id
    WHERE credit.cause = '' AND NOT credit.is_given_up AND record.remote_id IS NOT NULL
UNION ALL
    SELECT id, 'asked', '', NULL, sent_at, 0, 0, gross, 0, 0, due_date FROM asked
UNION ALL
    SELECT id, 'fees', '', NULL, NULL, 0, 0, fees, 0, 0, NULL FROM asked
UNION ALL
    SELECT invoice_id, 'paid', ninja_id, paid_on, NULL, 0, 0, -money, 0, 0, NULL FROM parts
UNION ALL
    SELECT id, 'paid', '', NULL, NULL, 0, 0,
           coalesce((SELECT sum(money) FROM parts WHERE invoice_id = asked.id), 0) - paid_to_date + credited, 0, 0, NULL
    FROM asked
UNION ALL
    SELECT invoice_id, 'settled', ninja_id, paid_on, NULL, 0, 0, -settled, 0, 0, NULL FROM parts
UNION ALL
    SELECT invoice_id, 'written_off', ninja_id, paid_on, NULL, 0, 0, -lost, 0, 0, NULL FROM parts
UNION ALL
    SELECT id, 'rest', '', NULL, NULL, 0, 0, -cancelled_rest, 0, 0, NULL FROM asked
), booked AS (
    SELECT invoice_id, fact, key, sum(net) AS net, sum(tax) AS tax, sum(gross) AS gross, sum(hours) AS hours,
           sum(documents) AS documents,
           (array_agg(day ORDER BY id DESC))[1] AS day,
           (array_agg(fact_day ORDER BY id DESC))[1] AS fact_day,
           (array_agg(due_date ORDER BY id DESC))[1] AS due_date
    FROM invoicing_posting GROUP BY invoice_id, fact, key
), compared AS (
    SELECT invoice_id, fact, key, now.own_day, now.at, now.due_date, booked.day, booked.fact_day,
           booked.due_date AS booked_due_date, coalesce(now.net, 0) AS net, coalesce(now.tax, 0) AS tax,
           coalesce(now.gross, 0) AS gross, coalesce(now.hours, 0) AS hours, coalesce(now.documents, 0) AS documents,
           coalesce(booked.net, 0) AS booked_net, coalesce(booked.tax, 0) AS booked_tax,
           coalesce(booked.gross, 0) AS booked_gross, coalesce(booked.hours, 0) AS booked_hours,
           coalesce(booked.documents, 0) AS booked_documents
    FROM now FULL JOIN booked USING (invoice_id, fact, key)
)
SELECT invoice_id, fact, key, own_day, at, due_date, day, fact_day, net, tax, gross, hours, documents,
       booked_net, booked_tax, booked_gross, booked_hours, booked_documents
FROM compared
WHERE (net, tax, gross, hours, documents) <> (booked_net, booked_tax, booked_gross, booked_hours, booked_documents)
   OR due_date <> booked_due_date
   OR (fact IN ('invoiced', 'tax') AND own_day <> fact_day)
ORDER BY invoice_id, fact, key
"""


_NAMES: Final = ("invoice_id", "fact", "key", "own_day", "at", "due_date", "booked_day", "booked_fact_day")


@dataclass(frozen=True)
class Sums:
    """What a fact comes to; a minus takes away."""

    net: Decimal
    tax: Decimal
    gross: Decimal
    hours: Decimal
    documents: int

    def __sub__(self, other: Sums) -> Sums:
        return Sums(*(mine - theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True)))

    def __neg__(self) -> Sums:
        return Sums(*(-value for value in astuple(self)))

    def __bool__(self) -> bool:
        return any(astuple(self))


@dataclass(frozen=True)
class Change:
    """One fact of one invoice that is other than booked.

    `own_day` is its own date where it has one, `at` the real time when it happened where that is known; `booked_day`
    and `booked_fact_day` are those of its last posting, None where there is none.
    """

    invoice_id: int
    fact: str
    key: str
    own_day: dt.date | None
    at: dt.datetime | None
    due_date: dt.date | None
    booked_day: dt.date | None
    booked_fact_day: dt.date | None
    now: Sums
    booked: Sums


def differences(limit: int) -> Iterator[Change]:
    """The facts that are not as booked, at most `limit`, in the order of their invoices."""
    values: dict[str, Any] = {"there": [*THERE], "asked": [*ASKED], "limit": limit}
    with connection.cursor() as cursor:
        cursor.execute(f"{_STATEMENT} LIMIT %(limit)s", values)
        rows = cursor.fetchall()
    for row in rows:
        names: dict[str, Any] = dict(zip(_NAMES, row, strict=False))
        yield Change(**names, now=Sums(*row[8:13]), booked=Sums(*row[13:]))
