"""What became of a mail, as 5.10.42 tells it: message ids, activities, receipts, and what it calls a repetition."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.ninja_api import Api

DUPLICATE = {"message": "Duplicate request"}


@pytest.fixture
def api() -> Api:
    made = Api()
    made.seed()
    return made


def email(api: Api, invoice: str, template: str = "invoice") -> Any:
    return api.post("/emails", {"entity": "invoice", "entity_id": invoice, "template": f"email_template_{template}"})


def kinds(api: Api, row_id: str, entity: str = "invoice") -> list[int]:
    rows = api.post("/activities/entity", {"entity": entity, "entity_id": row_id})
    return [row["activity_type_id"] for row in rows]


def message_id(api: Api, invoice: str) -> str:
    return str(api.get(f"/invoices/{invoice}")["invitations"][0]["message_id"])


def pay(api: Api, invoice: str, amount: int = 30, **more: Any) -> str:
    api.ninja.store.guard.clear()
    body = {"client_id": "client_abc123", "amount": amount, "invoices": [{"invoice_id": invoice, "amount": amount}]}
    return str(api.post("/payments", {**body, **more})["id"])


def test_a_mail_by_emails_writes_5_and_6_on_a_draft_and_6_alone_on_a_sent_one(api: Api) -> None:
    invoice = api.invoice()["id"]
    sent = email(api, invoice)
    assert (sent["status_id"], kinds(api, invoice)) == ("2", [6, 5, 4])
    first = message_id(api, invoice)

    for template in ("reminder1", "reminder_endless", "custom1"):
        email(api, invoice, template)

    assert kinds(api, invoice) == [6, 6, 6, 6, 5, 4]
    assert message_id(api, invoice) not in ("", first)
    assert api.get(f"/invoices/{invoice}")["reminder1_sent"] == ""


def test_emails_of_several_invoices_at_once_are_no_duplicates(api: Api) -> None:
    for number in range(4):
        assert email(api, api.invoice(number=f"N{number}")["id"])["status_id"] == "2"


@pytest.mark.parametrize("action", ["email", "mark_sent", "cancel", "delete", "archive"])
def test_a_bulk_action_on_another_invoice_within_the_second_is_refused_and_does_nothing(api: Api, action: str) -> None:
    one, other = api.invoice(mark_sent=True)["id"], api.invoice(mark_sent=True)
    api.post("/invoices/bulk", {"action": action, "ids": [one]})

    answer = api.json("POST", "/invoices/bulk", {"action": action, "ids": [other["id"]]})

    assert (api.status, answer) == (400, DUPLICATE)
    assert api.get(f"/invoices/{other['id']}") == other


def test_servers_of_2026_refuse_a_repetition_with_429(api: Api) -> None:
    api.seed({"switches": {"duplicate_status": 429}})
    api.post("/invoices/bulk", {"action": "mark_sent", "ids": [api.invoice()["id"]]})

    answer = api.json("POST", "/invoices/bulk", {"action": "mark_sent", "ids": [api.invoice()["id"]]})

    assert (api.status, answer) == (429, DUPLICATE)


def test_with_the_mail_server_down_only_the_empty_message_id_tells(api: Api) -> None:
    api.seed({"switches": {"mail_mode": "down"}})
    invoice = api.invoice()["id"]

    sent = email(api, invoice)

    assert (sent["status_id"], sent["last_sent_date"]) == ("2", "2026-01-02")
    assert sent["invitations"][0]["sent_date"] != ""
    assert kinds(api, invoice) == [6, 5, 4]
    assert (sent["invitations"][0]["email_error"], message_id(api, invoice)) == ("", "")
    assert api.ninja.state()["mails"] == []
    api.seed({"switches": {"mail_mode": "sync"}})
    email(api, invoice)
    assert message_id(api, invoice) != ""


def test_a_draft_without_an_address_stays_a_draft_and_has_a_last_sent_date(api: Api) -> None:
    client = api.post("/clients", {"name": "Mute", "contacts": [{"first_name": "No", "email": "x@x.example"}]})
    contact = client["contacts"][0]
    api.put(f"/clients/{client['id']}", {"contacts": [{**contact, "email": ""}]})
    invoice = api.invoice(client_id=client["id"])["id"]

    answer = email(api, invoice)

    assert (answer["status_id"], answer["last_sent_date"]) == ("1", "2026-01-02")


@pytest.mark.parametrize(
    ("more", "is_mailed"), [({"email_receipt": False}, False), ({"email_receipt": True}, True), ({}, True)]
)
def test_a_payment_mails_a_receipt_unless_it_is_forbidden(api: Api, more: dict[str, Any], is_mailed: bool) -> None:
    invoice = api.invoice()["id"]
    email(api, invoice)
    before = message_id(api, invoice)

    payment = pay(api, invoice, **more)

    assert (message_id(api, invoice) != before) is is_mailed
    assert kinds(api, invoice) == [10, 6, 5, 4]
    assert kinds(api, payment, "payment") == ([10, 138] if is_mailed else [10])


@pytest.mark.parametrize("more", [{}, {"email_receipt": True}])
def test_a_refund_mails_a_receipt_only_where_it_is_asked_for(api: Api, more: dict[str, Any]) -> None:
    invoice = api.invoice()["id"]
    payment = pay(api, invoice, email_receipt=False)
    before = message_id(api, invoice)

    body = {"id": payment, "amount": 10, "invoices": [{"invoice_id": invoice, "amount": 10}]}
    api.post("/payments/refund", {**body, **more})

    assert (message_id(api, invoice) != before) is bool(more)
    assert kinds(api, invoice) == [40, 10, 5, 4]
    assert kinds(api, payment, "payment") == ([40, 138, 10] if more else [40, 10])


def test_a_use_of_a_credit_mails_the_client_unless_it_is_forbidden(api: Api) -> None:
    invoice = api.invoice()["id"]
    email(api, invoice)
    lines = [{"quantity": 1, "cost": 20, "notes": "less"}]
    for more, left in (({}, 1), ({"email_receipt": False}, 1)):
        credit = api.post("/credits", {"client_id": "client_abc123", "line_items": lines})["id"]
        api.ninja.store.guard.clear()
        parts = {"credits": [{"credit_id": credit, "amount": 20}], "invoices": [{"invoice_id": invoice, "amount": 20}]}
        api.post("/payments", {"client_id": "client_abc123", "amount": 0, **parts, **more})
        assert [mail["template"] for mail in api.ninja.state()["mails"]].count("payment") == left
        assert kinds(api, credit, "credit") == [14]
    assert kinds(api, invoice)[:2] == [10, 10]


def test_an_idempotency_key_is_taken_once_whatever_the_amount(api: Api) -> None:
    invoice = api.invoice(mark_sent=True)["id"]
    pay(api, invoice, 20, idempotency_key="our-key")
    for amount in (20, 21):
        api.ninja.store.guard.clear()
        body = {"client_id": "client_abc123", "amount": amount, "idempotency_key": "our-key"}
        answer = api.json("POST", "/payments", {**body, "invoices": [{"invoice_id": invoice, "amount": amount}]})
        assert api.status == 422
        assert answer["errors"] == {"idempotency_key": ["The idempotency key has already been taken."]}
    assert len(api.get("/payments")) == 1
