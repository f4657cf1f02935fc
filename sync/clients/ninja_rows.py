"""Invoice Ninja's rows as the console knows them: frozen, typed, every time in UTC, amounts exact.

Amounts and rates are in the currency of the client. Ids are text, and the same text is reused for every
kind of row, so an id says nothing without its kind. `raw` is the row as it came (fractions as Decimal); it
may hold secrets and is kept out of every repr. Pure: no network, no database, no settings.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NewType

from sync.clients.wire import JsonObject

NinjaId = NewType("NinjaId", str)

# The longest text of a kind that our columns hold; what Invoice Ninja has is cut to it where it is read, so that no
# name can keep an invoice from being written. An id is never cut: it would be another one's.
ID, NAME, COMPANY, KEY, NUMBER, ADDRESS, TAX, STATUS = 64, 255, 200, 200, 191, 320, 50, 4

DRAFT, SENT, PARTIAL, PAID, CANCELLED, REVERSED = "1", "2", "3", "4", "5", "6"


def _raw() -> Any:
    return field(repr=False, compare=False)


@dataclass(frozen=True)
class NinjaPing:
    """Who the token belongs to, and the server's version ("" if it does not say)."""

    company_name: str
    user_name: str
    version: str


@dataclass(frozen=True)
class NinjaCompany:
    """The company of the token. `company_key` is what identifies an installation, ids do not.

    `tax_name` and `tax_rate` (percent) are the first of its settings; the server puts them on no invoice by itself.
    """

    id: NinjaId
    company_key: str
    name: str
    settings: JsonObject = field(repr=False)
    tax_name: str
    tax_rate: Decimal
    is_task_locked_when_invoiced: bool
    updates_products: bool
    raw: JsonObject = _raw()


@dataclass(frozen=True)
class NinjaCurrency:
    """A currency; `precision` is its number of decimals (EUR 2, JPY 0)."""

    id: NinjaId
    code: str
    name: str
    precision: int


@dataclass(frozen=True)
class NinjaContact:
    """A client's contact. `email` is trimmed; "" gets no mail, and the server does not say so."""

    id: NinjaId
    first_name: str
    last_name: str
    email: str
    gets_mail: bool
    is_primary: bool

    @property
    def name(self) -> str:
        """First and last name, as much as a column of names holds."""
        return f"{self.first_name} {self.last_name}".strip()[:NAME]


@dataclass(frozen=True)
class NinjaClient:
    """A client. `currency_id`, `payment_terms` (days), `task_rate` and `rounds_to_five_cents` are "" or None where the
    client has no setting of its own and the company's counts."""

    id: NinjaId
    name: str
    number: str
    currency_id: str
    payment_terms: str
    task_rate: Decimal | None
    rounds_to_five_cents: bool | None
    public_notes: str
    vat_number: str
    contacts: tuple[NinjaContact, ...]
    balance: Decimal
    paid_to_date: Decimal
    is_deleted: bool
    archived_at: dt.datetime | None
    updated_at: dt.datetime | None
    raw: JsonObject = _raw()


@dataclass(frozen=True)
class NinjaProject:
    """A project; `task_rate` 0 means that it has none of its own."""

    id: NinjaId
    client_id: NinjaId
    name: str
    number: str
    task_rate: Decimal
    is_deleted: bool
    archived_at: dt.datetime | None
    updated_at: dt.datetime | None
    raw: JsonObject = _raw()


@dataclass(frozen=True)
class NinjaProduct:
    """A product of the price list."""

    id: NinjaId
    product_key: str
    notes: str
    price: Decimal
    is_deleted: bool
    archived_at: dt.datetime | None
    raw: JsonObject = _raw()


@dataclass(frozen=True)
class NinjaTaxRate:
    """A tax rate in percent."""

    id: NinjaId
    name: str
    rate: Decimal
    is_deleted: bool
    archived_at: dt.datetime | None
    raw: JsonObject = _raw()


@dataclass(frozen=True)
class NinjaTask:
    """A task. `time_log` is the JSON *text* of its segments; `invoice_id` is "" while it is not invoiced.

    What a POST answers is what the server was told, not what it stored: read the task again.
    """

    id: NinjaId
    number: str
    client_id: NinjaId
    project_id: NinjaId
    invoice_id: NinjaId
    assigned_user_id: NinjaId
    status_id: NinjaId
    description: str
    rate: Decimal
    time_log: str
    custom_values: tuple[str, str, str, str]
    is_deleted: bool
    archived_at: dt.datetime | None
    created_at: dt.datetime | None
    updated_at: dt.datetime | None
    raw: JsonObject = _raw()


@dataclass(frozen=True)
class NinjaLine:
    """A line of an invoice or credit. `line_total` is the server's cost × quantity, not rounded.

    `type_id`: 1 product, 2 task, 3 and 4 fee of a payment, 5 late fee, 6 expense. `more_taxes` are the second and
    third (name, percent).
    """

    task_id: NinjaId
    product_key: str
    notes: str
    quantity: Decimal
    cost: Decimal
    line_total: Decimal
    gross_line_total: Decimal
    tax_amount: Decimal
    tax_name: str
    tax_rate: Decimal
    more_taxes: tuple[tuple[str, Decimal], ...]
    discount: Decimal
    type_id: str
    raw: JsonObject = _raw()


@dataclass(frozen=True)
class NinjaInvitation:
    """One contact's copy of an invoice. Only `message_id` proves that a mail went out. `key` and `link` are secrets:
    who has one sees the invoice.
    """

    id: NinjaId
    contact_id: NinjaId
    message_id: str
    email_status: str
    email_error: str
    sent_at: dt.datetime | None
    viewed_at: dt.datetime | None
    opened_at: dt.datetime | None
    updated_at: dt.datetime | None
    link: str = field(repr=False)
    key: str = field(repr=False)


@dataclass(frozen=True)
class NinjaInvoice:
    """An invoice. `status_id`: 1 draft, 2 sent, 3 partly paid, 4 paid, 5 cancelled, 6 reversed.

    The balance of a draft is 0. `tax_name` and `tax_rate` (percent) are the first of the invoice level, `more_taxes`
    the second and third. `partial` is a deposit that the client is asked for first, by `partial_due_date`. `discount`
    is an amount where `is_amount_discount`, else per cent.
    `reminded_on` are the days on which the server's own schedule sent reminder 1, 2, 3 and the last one;
    `next_reminder_at` is when it sends the next mail.
    """

    id: NinjaId
    number: str
    client_id: NinjaId
    project_id: NinjaId
    status_id: str
    amount: Decimal
    balance: Decimal
    paid_to_date: Decimal
    total_taxes: Decimal
    tax_name: str
    tax_rate: Decimal
    more_taxes: tuple[tuple[str, Decimal], ...]
    discount: Decimal
    is_amount_discount: bool
    partial: Decimal
    partial_due_date: dt.date | None
    surcharges: tuple[Decimal, Decimal, Decimal, Decimal]
    exchange_rate: Decimal
    uses_inclusive_taxes: bool
    date: dt.date | None
    due_date: dt.date | None
    last_sent_on: dt.date | None
    reminded_on: tuple[dt.date | None, dt.date | None, dt.date | None, dt.date | None]
    next_reminder_at: dt.datetime | None
    po_number: str
    terms: str
    footer: str
    public_notes: str
    private_notes: str
    is_auto_bill_enabled: bool
    lines: tuple[NinjaLine, ...]
    invitations: tuple[NinjaInvitation, ...]
    is_deleted: bool
    archived_at: dt.datetime | None
    created_at: dt.datetime | None
    updated_at: dt.datetime | None
    raw: JsonObject = _raw()


@dataclass(frozen=True)
class NinjaAllocation:
    """What part of a payment went to one invoice, or came from one credit (the other id is "")."""

    invoice_id: NinjaId
    credit_id: NinjaId
    amount: Decimal
    refunded: Decimal


@dataclass(frozen=True)
class NinjaPayment:
    """A payment. `status_id`: 1 pending, 2 cancelled, 3 failed, 4 completed, 5 partly refunded, 6 refunded."""

    id: NinjaId
    number: str
    client_id: NinjaId
    amount: Decimal
    applied: Decimal
    refunded: Decimal
    status_id: str
    type_id: str
    currency_id: str
    exchange_rate: Decimal
    date: dt.date | None
    transaction_reference: str
    allocations: tuple[NinjaAllocation, ...]
    is_deleted: bool
    archived_at: dt.datetime | None
    created_at: dt.datetime | None
    updated_at: dt.datetime | None
    raw: JsonObject = _raw()


@dataclass(frozen=True)
class NinjaCredit:
    """A credit. `status_id`: 1 draft, 2 sent, 3 partly applied, 4 applied."""

    id: NinjaId
    number: str
    client_id: NinjaId
    status_id: str
    amount: Decimal
    balance: Decimal
    paid_to_date: Decimal
    total_taxes: Decimal
    date: dt.date | None
    public_notes: str
    private_notes: str
    lines: tuple[NinjaLine, ...]
    is_deleted: bool
    archived_at: dt.datetime | None
    created_at: dt.datetime | None
    updated_at: dt.datetime | None
    raw: JsonObject = _raw()
