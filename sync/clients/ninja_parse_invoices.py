"""Reading Invoice Ninja's invoices and credits into rows; raises ShapeError where a field is not as documented.

Pure: no network, no database, no settings.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from sync.clients.ninja_rows import NAME, NUMBER, STATUS, TAX, NinjaCredit, NinjaInvitation, NinjaInvoice, NinjaLine
from sync.clients.ninja_values import id_of, number, ref
from sync.clients.wire import Row, ShapeError


def _more_taxes(row: Row) -> tuple[tuple[str, Decimal], ...]:
    return tuple((row.text(f"tax_name{n}"), number(row, f"tax_rate{n}")) for n in (2, 3))


def _line(data: object) -> NinjaLine:
    row = Row(data, "line")
    return NinjaLine(
        task_id=ref(row, "task_id"),
        product_key=row.text("product_key"),
        notes=row.text("notes"),
        quantity=number(row, "quantity"),
        cost=number(row, "cost"),
        line_total=number(row, "line_total"),
        gross_line_total=number(row, "gross_line_total"),
        tax_amount=number(row, "tax_amount"),
        tax_name=row.text("tax_name1", TAX),
        tax_rate=number(row, "tax_rate1"),
        more_taxes=_more_taxes(row),
        discount=number(row, "discount"),
        type_id=row.text("type_id"),
        raw=row.raw,
    )


def _invitation(data: object) -> NinjaInvitation:
    row = Row(data, "invitation")
    return NinjaInvitation(
        id=id_of(row),
        contact_id=ref(row, "client_contact_id"),
        message_id=row.text("message_id", NAME),
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
        id=id_of(row),
        number=row.text("number", NUMBER),
        client_id=ref(row, "client_id"),
        project_id=ref(row, "project_id"),
        status_id=row.text("status_id", STATUS),
        amount=number(row, "amount"),
        balance=number(row, "balance"),
        paid_to_date=number(row, "paid_to_date"),
        total_taxes=number(row, "total_taxes"),
        tax_name=row.text("tax_name1", TAX),
        tax_rate=number(row, "tax_rate1"),
        more_taxes=_more_taxes(row),
        discount=number(row, "discount"),
        is_amount_discount=row.flag("is_amount_discount"),
        partial=number(row, "partial"),
        partial_due_date=row.day("partial_due_date"),
        surcharges=(
            number(row, "custom_surcharge1"),
            number(row, "custom_surcharge2"),
            number(row, "custom_surcharge3"),
            number(row, "custom_surcharge4"),
        ),
        exchange_rate=number(row, "exchange_rate"),
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
        po_number=row.text("po_number", NUMBER),
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


def parse_credit(data: object) -> NinjaCredit:
    """Read a credit with its lines."""
    row = Row(data, "credit")
    return NinjaCredit(
        id=id_of(row),
        number=row.text("number", NUMBER),
        client_id=ref(row, "client_id"),
        status_id=row.text("status_id", STATUS),
        amount=number(row, "amount"),
        balance=number(row, "balance"),
        paid_to_date=number(row, "paid_to_date"),
        total_taxes=number(row, "total_taxes"),
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
