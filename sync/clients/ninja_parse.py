"""Reading Invoice Ninja's JSON into rows; raises ShapeError where a field is not as documented.

Pure: no network, no database, no settings.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from sync.clients.ninja_rows import (
    ADDRESS,
    COMPANY,
    KEY,
    NAME,
    NUMBER,
    STATUS,
    TAX,
    NinjaAllocation,
    NinjaClient,
    NinjaCompany,
    NinjaContact,
    NinjaCurrency,
    NinjaPayment,
    NinjaPing,
    NinjaProduct,
    NinjaProject,
    NinjaTask,
    NinjaTaxRate,
)
from sync.clients.ninja_values import id_of, number, ref
from sync.clients.wire import Row, ShapeError, as_list, as_object

ISO_CODE = 3  # letters


def parse_ping(data: object, version: str) -> NinjaPing:
    """Read the answer to a ping."""
    row = Row(data, "ping")
    return NinjaPing(row.text("company_name"), row.text("user_name"), version)


def parse_company(data: object) -> NinjaCompany:
    """Read a company with all its settings."""
    row = Row(data, "company")
    settings = row.object("settings")
    key = row.text("company_key", KEY)
    if not key:
        raise ShapeError("company.company_key is missing")
    return NinjaCompany(
        id=id_of(row),
        company_key=key,
        name=Row(settings, "company.settings").text("name", COMPANY),
        settings=settings,
        tax_name=Row(settings, "company.settings").text("tax_name1", TAX),
        tax_rate=number(Row(settings, "company.settings"), "tax_rate1") if settings.get("tax_rate1") else Decimal(0),
        is_task_locked_when_invoiced=row.flag("invoice_task_lock"),
        updates_products=row.flag("update_products"),
        raw=row.raw,
    )


def parse_currencies(data: object) -> list[NinjaCurrency]:
    """Read the currencies out of the server's fixed lists."""
    found: list[NinjaCurrency] = []
    for item in as_list(as_object(data, "statics").get("currencies"), "statics.currencies"):
        row = Row(item, "currency")
        code = row.text("code")
        code = code if len(code) == ISO_CODE else ""  # one that is cut would be another currency
        found.append(NinjaCurrency(id_of(row), code, row.text("name"), row.integer("precision")))
    return found


def _contact(data: object) -> NinjaContact:
    row = Row(data, "contact")
    return NinjaContact(
        id=id_of(row),
        first_name=row.text("first_name"),
        last_name=row.text("last_name"),
        # A client made without a contact gets one whose address is a single space.
        email=row.text("email").strip()[:ADDRESS],
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
        id=id_of(row),
        name=row.text("display_name", NAME) or row.text("name", NAME),
        number=row.text("number"),
        currency_id=settings.text("currency_id"),
        payment_terms=settings.text("payment_terms"),
        task_rate=number(settings, "default_task_rate") if has_rate else None,
        rounds_to_five_cents=five_cents(settings.raw),
        public_notes=row.text("public_notes"),
        vat_number=row.text("vat_number"),
        contacts=tuple(_contact(item) for item in row.objects("contacts")),
        balance=number(row, "balance"),
        paid_to_date=number(row, "paid_to_date"),
        is_deleted=row.flag("is_deleted"),
        archived_at=row.epoch("archived_at"),
        updated_at=row.epoch("updated_at"),
        raw=row.raw,
    )


def parse_project(data: object) -> NinjaProject:
    """Read a project."""
    row = Row(data, "project")
    return NinjaProject(
        id=id_of(row),
        client_id=ref(row, "client_id"),
        name=row.text("name", NAME),
        number=row.text("number"),
        task_rate=number(row, "task_rate"),
        is_deleted=row.flag("is_deleted"),
        archived_at=row.epoch("archived_at"),
        updated_at=row.epoch("updated_at"),
        raw=row.raw,
    )


def parse_product(data: object) -> NinjaProduct:
    """Read a product."""
    row = Row(data, "product")
    return NinjaProduct(
        id=id_of(row),
        product_key=row.text("product_key", NAME),
        notes=row.text("notes"),
        price=number(row, "price"),
        is_deleted=row.flag("is_deleted"),
        archived_at=row.epoch("archived_at"),
        raw=row.raw,
    )


def parse_tax_rate(data: object) -> NinjaTaxRate:
    """Read a tax rate."""
    row = Row(data, "tax rate")
    return NinjaTaxRate(
        id=id_of(row),
        name=row.text("name"),
        rate=number(row, "rate"),
        is_deleted=row.flag("is_deleted"),
        archived_at=row.epoch("archived_at"),
        raw=row.raw,
    )


def parse_task(data: object) -> NinjaTask:
    """Read a task."""
    row = Row(data, "task")
    return NinjaTask(
        id=id_of(row),
        number=row.text("number"),
        client_id=ref(row, "client_id"),
        project_id=ref(row, "project_id"),
        invoice_id=ref(row, "invoice_id"),
        assigned_user_id=ref(row, "assigned_user_id"),
        status_id=ref(row, "status_id"),
        description=row.text("description"),
        rate=number(row, "rate"),
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


def _allocation(data: object) -> NinjaAllocation:
    row = Row(data, "paymentable")
    return NinjaAllocation(
        ref(row, "invoice_id"), ref(row, "credit_id"), number(row, "amount"), number(row, "refunded")
    )


def parse_payment(data: object) -> NinjaPayment:
    """Read a payment with what it was applied to."""
    row = Row(data, "payment")
    return NinjaPayment(
        id=id_of(row),
        number=row.text("number", NUMBER),
        client_id=ref(row, "client_id"),
        amount=number(row, "amount"),
        applied=number(row, "applied"),
        refunded=number(row, "refunded"),
        status_id=row.text("status_id", STATUS),
        type_id=row.text("type_id"),
        currency_id=row.text("currency_id"),
        exchange_rate=number(row, "exchange_rate"),
        date=row.day("date"),
        transaction_reference=row.text("transaction_reference", NAME),
        allocations=tuple(_allocation(item) for item in row.objects("paymentables")),
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
