"""Reading Invoice Ninja's JSON into rows; raises ShapeError where a field is not as documented.

Pure: no network, no database, no settings.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

from billing_console import money
from sync.clients.ninja_rows import (
    NinjaAllocation,
    NinjaClient,
    NinjaCompany,
    NinjaContact,
    NinjaCredit,
    NinjaCurrency,
    NinjaId,
    NinjaInvitation,
    NinjaInvoice,
    NinjaLine,
    NinjaPayment,
    NinjaPing,
    NinjaProduct,
    NinjaProject,
    NinjaTask,
    NinjaTaxRate,
)
from sync.clients.wire import Row, ShapeError, as_list, as_object

LARGEST = 18  # more digits before the point than any amount has


def _key(row: Row) -> NinjaId:
    text = row.text("id")
    if not text:
        raise ShapeError(f"{row.what}.id is missing")
    return NinjaId(text)


def _ref(row: Row, key: str) -> NinjaId:
    """Return the id of another row, "" where there is none."""
    return NinjaId(row.text(key))


def _number(row: Row, key: str) -> Decimal:
    """Return an amount, rate or quantity without what the server's binary fractions left of it; 0 for none.

    Every number of Invoice Ninja is read by this, so that no comparison or sum meets 43.294999999999995.
    """
    number = row.decimal(key)
    if number.adjusted() > LARGEST:
        raise ShapeError(f"{row.what}.{key} is no amount")
    return money.from_binary(number)


def parse_ping(data: object, version: str) -> NinjaPing:
    """Read the answer to a ping."""
    row = Row(data, "ping")
    return NinjaPing(row.text("company_name"), row.text("user_name"), version)


def parse_company(data: object) -> NinjaCompany:
    """Read a company with all its settings."""
    row = Row(data, "company")
    settings = row.object("settings")
    key = row.text("company_key")
    if not key:
        raise ShapeError("company.company_key is missing")
    return NinjaCompany(
        id=_key(row),
        company_key=key,
        name=Row(settings, "company.settings").text("name"),
        settings=settings,
        tax_name=Row(settings, "company.settings").text("tax_name1"),
        tax_rate=_number(Row(settings, "company.settings"), "tax_rate1") if settings.get("tax_rate1") else Decimal(0),
        is_task_locked_when_invoiced=row.flag("invoice_task_lock"),
        updates_products=row.flag("update_products"),
        raw=row.raw,
    )


def parse_currencies(data: object) -> list[NinjaCurrency]:
    """Read the currencies out of the server's fixed lists."""
    found: list[NinjaCurrency] = []
    for item in as_list(as_object(data, "statics").get("currencies"), "statics.currencies"):
        row = Row(item, "currency")
        found.append(NinjaCurrency(_key(row), row.text("code"), row.text("name"), row.integer("precision")))
    return found


def _contact(data: object) -> NinjaContact:
    row = Row(data, "contact")
    return NinjaContact(
        id=_key(row),
        first_name=row.text("first_name"),
        last_name=row.text("last_name"),
        # A client made without a contact gets one whose address is a single space.
        email=row.text("email").strip(),
        gets_mail=row.flag("send_email"),
        is_primary=row.flag("is_primary"),
    )


def five_cents(settings: dict[str, Any]) -> bool | None:
    """Whether these settings round totals to five cents (recordings 792 to 798); None where they say nothing."""
    value = settings.get("enable_rappen_rounding")
    return None if value in (None, "") else str(value).lower() in ("true", "1")


def parse_client(data: object) -> NinjaClient:
    """Read a client with its contacts."""
    row = Row(data, "client")
    settings = Row(row.object("settings"), "client.settings")
    has_rate = settings.raw.get("default_task_rate") not in (None, "")
    return NinjaClient(
        id=_key(row),
        name=row.text("display_name") or row.text("name"),
        number=row.text("number"),
        currency_id=settings.text("currency_id"),
        payment_terms=settings.text("payment_terms"),
        task_rate=_number(settings, "default_task_rate") if has_rate else None,
        rounds_to_five_cents=five_cents(settings.raw),
        public_notes=row.text("public_notes"),
        vat_number=row.text("vat_number"),
        contacts=tuple(_contact(item) for item in row.objects("contacts")),
        balance=_number(row, "balance"),
        paid_to_date=_number(row, "paid_to_date"),
        is_deleted=row.flag("is_deleted"),
        archived_at=row.epoch("archived_at"),
        updated_at=row.epoch("updated_at"),
        raw=row.raw,
    )


def parse_project(data: object) -> NinjaProject:
    """Read a project."""
    row = Row(data, "project")
    return NinjaProject(
        id=_key(row),
        client_id=_ref(row, "client_id"),
        name=row.text("name"),
        number=row.text("number"),
        task_rate=_number(row, "task_rate"),
        is_deleted=row.flag("is_deleted"),
        archived_at=row.epoch("archived_at"),
        updated_at=row.epoch("updated_at"),
        raw=row.raw,
    )


def parse_product(data: object) -> NinjaProduct:
    """Read a product."""
    row = Row(data, "product")
    return NinjaProduct(
        id=_key(row),
        product_key=row.text("product_key"),
        notes=row.text("notes"),
        price=_number(row, "price"),
        is_deleted=row.flag("is_deleted"),
        archived_at=row.epoch("archived_at"),
        raw=row.raw,
    )


def parse_tax_rate(data: object) -> NinjaTaxRate:
    """Read a tax rate."""
    row = Row(data, "tax rate")
    return NinjaTaxRate(
        id=_key(row),
        name=row.text("name"),
        rate=_number(row, "rate"),
        is_deleted=row.flag("is_deleted"),
        archived_at=row.epoch("archived_at"),
        raw=row.raw,
    )


def parse_task(data: object) -> NinjaTask:
    """Read a task."""
    row = Row(data, "task")
    return NinjaTask(
        id=_key(row),
        number=row.text("number"),
        client_id=_ref(row, "client_id"),
        project_id=_ref(row, "project_id"),
        invoice_id=_ref(row, "invoice_id"),
        assigned_user_id=_ref(row, "assigned_user_id"),
        status_id=_ref(row, "status_id"),
        description=row.text("description"),
        rate=_number(row, "rate"),
        time_log=row.text("time_log"),
        custom_values=(
            row.text("custom_value1"),
            row.text("custom_value2"),
            row.text("custom_value3"),
            row.text("custom_value4"),
        ),
        is_deleted=row.flag("is_deleted"),
        archived_at=row.epoch("archived_at"),
        created_at=row.epoch("created_at"),
        updated_at=row.epoch("updated_at"),
        raw=row.raw,
    )


def _line(data: object) -> NinjaLine:
    row = Row(data, "line")
    return NinjaLine(
        task_id=_ref(row, "task_id"),
        product_key=row.text("product_key"),
        notes=row.text("notes"),
        quantity=_number(row, "quantity"),
        cost=_number(row, "cost"),
        line_total=_number(row, "line_total"),
        gross_line_total=_number(row, "gross_line_total"),
        tax_amount=_number(row, "tax_amount"),
        tax_name=row.text("tax_name1"),
        tax_rate=_number(row, "tax_rate1"),
        discount=_number(row, "discount"),
        type_id=row.text("type_id"),
        raw=row.raw,
    )


def _invitation(data: object) -> NinjaInvitation:
    row = Row(data, "invitation")
    return NinjaInvitation(
        id=_key(row),
        contact_id=_ref(row, "client_contact_id"),
        message_id=row.text("message_id"),
        email_status=row.text("email_status"),
        email_error=row.text("email_error"),
        sent_at=row.optional_instant("sent_date"),
        viewed_at=row.optional_instant("viewed_date"),
        opened_at=row.optional_instant("opened_date"),
        updated_at=row.epoch("updated_at"),
        link=row.text("link"),
        key=row.text("key"),
    )


def _next_reminder(row: Row) -> dt.datetime | None:
    """When the schedule mails next, UTC. A time that cannot be read is none: it is no reason to refuse the row."""
    try:
        return row.optional_instant("next_send_date")
    except ShapeError:
        return None


def parse_invoice(data: object) -> NinjaInvoice:
    """Read an invoice with its lines and invitations."""
    row = Row(data, "invoice")
    return NinjaInvoice(
        id=_key(row),
        number=row.text("number"),
        client_id=_ref(row, "client_id"),
        project_id=_ref(row, "project_id"),
        status_id=row.text("status_id"),
        amount=_number(row, "amount"),
        balance=_number(row, "balance"),
        paid_to_date=_number(row, "paid_to_date"),
        total_taxes=_number(row, "total_taxes"),
        tax_name=row.text("tax_name1"),
        tax_rate=_number(row, "tax_rate1"),
        discount=_number(row, "discount"),
        uses_inclusive_taxes=row.flag("uses_inclusive_taxes"),
        date=row.day("date"),
        due_date=row.day("due_date"),
        last_sent_on=row.day("last_sent_date"),
        reminded_on=(
            row.day("reminder1_sent"),
            row.day("reminder2_sent"),
            row.day("reminder3_sent"),
            row.day("reminder_last_sent"),
        ),
        next_reminder_at=_next_reminder(row),
        po_number=row.text("po_number"),
        terms=row.text("terms"),
        footer=row.text("footer"),
        public_notes=row.text("public_notes"),
        private_notes=row.text("private_notes"),
        is_auto_bill_enabled=row.flag("auto_bill_enabled"),
        lines=tuple(_line(item) for item in row.objects("line_items")),
        invitations=tuple(_invitation(item) for item in row.objects("invitations")),
        is_deleted=row.flag("is_deleted"),
        archived_at=row.epoch("archived_at"),
        created_at=row.epoch("created_at"),
        updated_at=row.epoch("updated_at"),
        raw=row.raw,
    )


def _allocation(data: object) -> NinjaAllocation:
    row = Row(data, "paymentable")
    return NinjaAllocation(
        _ref(row, "invoice_id"), _ref(row, "credit_id"), _number(row, "amount"), _number(row, "refunded")
    )


def parse_payment(data: object) -> NinjaPayment:
    """Read a payment with what it was applied to."""
    row = Row(data, "payment")
    return NinjaPayment(
        id=_key(row),
        number=row.text("number"),
        client_id=_ref(row, "client_id"),
        amount=_number(row, "amount"),
        applied=_number(row, "applied"),
        refunded=_number(row, "refunded"),
        status_id=row.text("status_id"),
        type_id=row.text("type_id"),
        currency_id=row.text("currency_id"),
        exchange_rate=_number(row, "exchange_rate"),
        date=row.day("date"),
        transaction_reference=row.text("transaction_reference"),
        allocations=tuple(_allocation(item) for item in row.objects("paymentables")),
        is_deleted=row.flag("is_deleted"),
        archived_at=row.epoch("archived_at"),
        created_at=row.epoch("created_at"),
        updated_at=row.epoch("updated_at"),
        raw=row.raw,
    )


def parse_credit(data: object) -> NinjaCredit:
    """Read a credit with its lines."""
    row = Row(data, "credit")
    return NinjaCredit(
        id=_key(row),
        number=row.text("number"),
        client_id=_ref(row, "client_id"),
        status_id=row.text("status_id"),
        amount=_number(row, "amount"),
        balance=_number(row, "balance"),
        paid_to_date=_number(row, "paid_to_date"),
        total_taxes=_number(row, "total_taxes"),
        date=row.day("date"),
        public_notes=row.text("public_notes"),
        private_notes=row.text("private_notes"),
        lines=tuple(_line(item) for item in row.objects("line_items")),
        is_deleted=row.flag("is_deleted"),
        archived_at=row.epoch("archived_at"),
        created_at=row.epoch("created_at"),
        updated_at=row.epoch("updated_at"),
        raw=row.raw,
    )


def parse_pdf(content: bytes) -> bytes:
    """A whole PDF, as it came; raises ShapeError for anything else. Its last line tells that nothing was cut off."""
    if not content.startswith(b"%PDF-") or b"%%EOF" not in content[-1024:]:
        raise ShapeError("a whole PDF was expected")
    return content
