"""Whatever Invoice Ninja calls its things, it fits our columns."""

from __future__ import annotations

from typing import Any

import pytest
from django.apps import apps

from sync.clients import ninja_parse, ninja_parse_invoices
from sync.clients.wire import ShapeError

LONG = "Ä\x00\ud800" + "x" * 5000
CONTACT = {"id": "1", "first_name": LONG, "last_name": LONG, "email": LONG}
CLIENT = {"id": "1", "name": LONG, "contacts": [CONTACT]}
INVITATION = {"id": "1", "message_id": LONG, "email_status": LONG, "email_error": LONG}
INVOICE = {"id": "1", "number": LONG, "po_number": LONG, "status_id": LONG, "invitations": [INVITATION]}

client = ninja_parse.parse_client(CLIENT)
payment = ninja_parse.parse_payment({"id": "1", "status_id": LONG, "number": LONG, "transaction_reference": LONG})
invoice = ninja_parse_invoices.parse_invoice(
    {**INVOICE, "terms": LONG, "tax_name1": LONG, "line_items": [{"tax_name1": LONG}]}
)
company = ninja_parse.parse_company({"id": "1", "company_key": LONG, "settings": {"name": LONG, "tax_name1": LONG}})


@pytest.mark.parametrize(
    ("text", "column"),
    [
        (client.name, "mappings.Client.name"),
        (ninja_parse.parse_client({**CLIENT, "display_name": LONG}).name, "mappings.Client.name"),
        (client.contacts[0].name, "invoicing.ContactMail.name"),
        (client.contacts[0].email, "invoicing.ContactMail.email"),
        (invoice.invitations[0].message_id, "invoicing.ContactMail.message_id_after"),
        (invoice.invitations[0].email_error, "invoicing.ContactMail.error"),
        (invoice.number, "invoicing.Invoice.number"),
        (invoice.number, "invoicing.InvoicePdf.number"),
        (invoice.number, "invoicing.CountedInvoice.number"),
        (invoice.po_number, "invoicing.Invoice.po_number"),
        (invoice.status_id, "invoicing.Invoice.remote_status"),
        (invoice.status_id, "invoicing.CountedInvoice.status"),
        (invoice.terms, "invoicing.Invoice.terms"),
        (invoice.tax_name, "invoicing.Invoice.tax_name"),
        (invoice.lines[0].tax_name, "invoicing.Invoice.tax_name"),
        (payment.number, "invoicing.UnappliedPayment.number"),
        (payment.transaction_reference, "invoicing.UnappliedPayment.reference"),
        (company.tax_name, "mappings.Company.tax_name"),
        (ninja_parse_invoices.parse_credit({"id": "1", "number": LONG}).number, "invoicing.Credit.number"),
        (payment.status_id, "invoicing.Payment.status"),
        (ninja_parse.parse_project({"id": "1", "name": LONG}).name, "mappings.NinjaProject.name"),
        (ninja_parse.parse_product({"id": "1", "product_key": LONG}).product_key, "mappings.Product.product_key"),
        (company.name, "mappings.Company.name"),
        (company.company_key, "sync.UpstreamPin.identity"),
    ],
)
def test_a_text_fits_its_column(text: str, column: str) -> None:
    model, _dot, name = column.rpartition(".")
    longest = apps.get_model(model)._meta.get_field(name).max_length
    assert len(text) == (longest or len(LONG))
    assert text.startswith("Ä\ufffd\ufffdx"[: longest or 4])


@pytest.mark.parametrize("key", ["id", "client_id"])
def test_an_id_is_never_cut(key: str) -> None:
    with pytest.raises(ShapeError, match=f"invoice.{key} is no id"):
        ninja_parse_invoices.parse_invoice({**INVOICE, key: "x" * 65})


def test_a_code_that_is_no_iso_code_is_no_other_currency() -> None:
    rows: dict[str, Any] = {"currencies": [{"id": "1", "code": "EURO", "name": "Euro", "precision": 2}]}
    assert ninja_parse.parse_currencies(rows)[0].code == ""
