"""The stand-in's mails, payments and credits."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.sandbox.ninja_api import Api


@pytest.fixture
def api() -> Api:
    api = Api()
    api.seed()
    return api


def proof(api: Api, invoice_id: str) -> list[str]:
    return [invitation["message_id"] for invitation in api.get(f"/invoices/{invoice_id}")["invitations"]]


def mails(api: Api) -> list[Any]:
    found: list[Any] = api.json("GET", "/sandbox/state.json")["mails"]
    return found


def test_an_emailed_invoice_is_sent_and_the_mail_is_remembered(api: Api) -> None:
    invoice = api.invoice(number="2026-1")["id"]

    sent = api.bulk("email", invoice)[0]

    assert (sent["status_id"], sent["last_sent_date"]) == ("2", "2026-01-02")
    told = [(m["to"], m["subject"], m["invoice_id"], m["at"], m["message_id"]) for m in mails(api)]
    subject = "New invoice 2026-1 from Sandbox BV"
    assert told == [("ann@website.example", subject, invoice, "2026-01-02 09:00:00", proof(api, invoice)[0])]


def test_another_mail_has_another_message_id_and_keeps_the_first_sent_date(api: Api) -> None:
    invoice = api.invoice()["id"]
    first = api.bulk("email", invoice)[0]["invitations"][0]
    api.at("2026-01-05T09:00:00Z")

    second = api.bulk("email", invoice)[0]["invitations"][0]

    assert second["message_id"] != first["message_id"]
    assert second["sent_date"] == first["sent_date"] == "2026-01-02 09:00:00"


def test_without_an_address_everything_looks_sent_but_the_message_id(api: Api) -> None:
    client = api.post("/clients", {"name": "NoMail"})
    assert client["contacts"][0]["email"] == " "
    invoice = api.invoice(client_id=client["id"])["id"]

    sent = api.bulk("email", invoice)[0]

    assert (sent["status_id"], sent["last_sent_date"]) == ("2", "2026-01-02")
    assert [(i["sent_date"], i["message_id"]) for i in sent["invitations"]] == [("2026-01-02 09:00:00", "")]
    assert mails(api) == []


def test_queued_mail_gets_its_message_id_later(api: Api) -> None:
    api.seed({"switches": {"mail_mode": "queued", "mail_delay_seconds": 0.2}})
    invoice = api.invoice()["id"]

    assert api.bulk("email", invoice)[0]["invitations"][0]["message_id"] == ""
    assert proof(api, invoice) == [""]
    time.sleep(0.25)
    assert proof(api, invoice) != [""]


def test_a_queue_that_stands_still_goes_on_when_told(api: Api) -> None:
    api.seed({"switches": {"mail_mode": "queued", "mail_delay_seconds": None}})
    invoice = api.invoice()["id"]
    api.bulk("email", invoice)
    assert proof(api, invoice) == [""]

    api.seed({"run_mail_queue": True})

    assert proof(api, invoice) != [""]


def test_only_contacts_who_want_mail_get_an_invitation(api: Api) -> None:
    contacts = [{"email": "a@x.example"}, {"email": "b@x.example", "send_email": False}]
    client = api.post("/clients", {"name": "Two", "contacts": contacts})["id"]

    sent = api.bulk("email", api.invoice(client_id=client)["id"])[0]

    assert len(sent["invitations"]) == 1
    assert [mail["to"] for mail in mails(api)] == ["a@x.example"]


def test_without_a_pdf_engine_the_mail_fails_after_the_invoice_was_marked_sent(api: Api) -> None:
    api.seed({"company": {"settings": {"pdf_email_attachment": True}}})
    invoice = api.invoice()["id"]

    answer = api.json("POST", "/invoices/bulk", {"action": "email", "ids": [invoice]})

    assert (api.status, answer) == (500, {"message": "Unable to generate the raw PDF"})
    assert api.get(f"/invoices/{invoice}")["status_id"] == "2"
    assert mails(api) == []


def test_a_pdf_is_made_of_an_invitation_and_changes_nothing(api: Api) -> None:
    invoice = api.invoice()
    path = f"/invoice/{invoice['invitations'][0]['key']}/download"
    before = api.ninja.state()
    assert api.json("GET", path) == {"message": "Unable to generate the raw PDF"}
    api.seed({"switches": {"pdf_engine": True}})

    first, second = api.call("GET", path), api.call("GET", path)

    assert (first.status_code, first.mimetype) == (200, "application/pdf")
    assert first.headers["Content-Disposition"] == f"attachment; filename=Invoice_{invoice['number']}.pdf"
    assert first.get_data().startswith(b"%PDF-")
    assert first.get_data() == second.get_data()
    assert {name: rows for name, rows in api.ninja.state().items() if name != "switches"} == {
        name: rows for name, rows in before.items() if name != "switches"
    }
    assert api.json("GET", "/invoice/unknown/download") == {"message": "no record found"}


def test_a_mail_within_a_reminders_day_is_the_reminder(api: Api) -> None:
    reminder = {"enable_reminder1": True, "num_days_reminder1": 3, "schedule_reminder1": "after_due_date"}
    api.seed({"company": {"settings": reminder}})
    invoice = api.invoice(due_date="2026-01-05", date="2026-01-02", mark_sent=True)
    assert invoice["next_send_date"] == "2026-01-08 05:00:00"
    api.at("2026-01-08T09:00:00Z")

    api.bulk("email", invoice["id"])

    assert [mail["template"] for mail in mails(api)] == ["reminder1"]


def test_a_part_of_the_money_then_the_rest(api: Api) -> None:
    invoice = api.invoice(mark_sent=True)["id"]
    part = {"client_id": "client_abc123", "amount": 30, "invoices": [{"invoice_id": invoice, "amount": 30}]}
    rest = {**part, "amount": 70, "invoices": [{"invoice_id": invoice, "amount": 70}]}

    api.post("/payments", part)
    partly = api.get(f"/invoices/{invoice}")
    api.post("/payments", rest)
    paid = api.get(f"/invoices/{invoice}?include=payments")

    assert (partly["status_id"], partly["balance"], partly["paid_to_date"]) == ("3", 70, 30)
    assert (paid["status_id"], paid["balance"], paid["paid_to_date"]) == ("4", 0, 100)
    assert [payment["amount"] for payment in paid["payments"]] == [30, 70]


def test_a_receipt_changes_the_message_id_of_the_invoices_invitation(api: Api) -> None:
    invoice = api.invoice()["id"]
    before = api.bulk("email", invoice)[0]["invitations"][0]["message_id"]

    api.post("/payments", {"client_id": "client_abc123", "invoices": [{"invoice_id": invoice, "amount": 1}]})

    assert proof(api, invoice) != [before]
    assert [mail["template"] for mail in mails(api)] == ["invoice", "payment"]


def test_a_deleted_payment_is_owed_again_though_its_answer_denies_the_deletion(api: Api) -> None:
    invoice = api.bulk("mark_paid", api.invoice()["id"])[0]["id"]
    payment = api.get("/payments")[0]
    assert (payment["transaction_reference"], payment["amount"]) == ("Manual entry", 100)

    assert api.json("DELETE", f"/payments/{payment['id']}")["data"]["is_deleted"] is False

    assert api.get(f"/payments/{payment['id']}")["is_deleted"] is True
    again = api.get(f"/invoices/{invoice}")
    assert (again["status_id"], again["balance"], again["paid_to_date"]) == ("2", 100, 0)


def test_a_refund_opens_the_invoice_by_as_much(api: Api) -> None:
    invoice = api.bulk("mark_paid", api.invoice()["id"])[0]["id"]
    payment = api.get("/payments")[0]["id"]

    body = {"id": payment, "amount": 40, "invoices": [{"invoice_id": invoice, "amount": 40}]}
    refunded = api.post("/payments/refund", body)

    assert (refunded["status_id"], refunded["refunded"]) == ("5", 40)
    open_again = api.get(f"/invoices/{invoice}")
    assert (open_again["status_id"], open_again["balance"]) == ("3", 40)


def test_money_without_an_invoice_is_put_on_one_later_and_its_amount_never_changes(api: Api) -> None:
    """Recordings 1265 to 1279 and 1336."""
    invoice = api.bulk("mark_sent", api.invoice()["id"])[0]["id"]
    payment = api.post("/payments", {"client_id": "client_abc123", "amount": 130})["id"]
    assert api.get(f"/payments/{payment}")["applied"] == 0

    part = {"invoice_id": invoice, "amount": 60}
    applied = api.json("PUT", f"/payments/{payment}", {"amount": 500, "invoices": [part]})["data"]
    assert (applied["amount"], applied["applied"], len(applied["paymentables"])) == (130, 60, 1)
    assert api.get(f"/invoices/{invoice}")["balance"] == 40

    refused = api.json("PUT", f"/payments/{payment}", {"invoices": [part]})
    assert (api.status, refused["errors"]) == (422, {"invoices": ["Amount cannot be greater than invoice balance"]})
    other = api.bulk("mark_sent", api.invoice()["id"])[0]["id"]
    too_much = {"invoices": [{"invoice_id": other, "amount": 80}]}
    refused = api.json("PUT", f"/payments/{payment}", too_much)
    assert refused["errors"] == {"invoices": ["Insufficient applied amount remaining to cover payment."]}


def test_what_is_on_invoices_is_refunded_by_what_these_name(api: Api) -> None:
    """Recordings 1297 and 1299."""
    invoice = api.bulk("mark_sent", api.invoice()["id"])[0]["id"]
    part = {"invoice_id": invoice, "amount": 40}
    payment = api.post("/payments", {"client_id": "client_abc123", "amount": 80, "invoices": [part]})["id"]

    refused = api.json("POST", "/payments/refund", {"id": payment, "amount": 40})
    assert api.status == 422
    assert refused["errors"]["id"][0].startswith("Attempting to refund a payment with invoices attached")

    body = {"id": payment, "amount": 10, "invoices": [{"invoice_id": invoice, "amount": 4}]}
    assert api.post("/payments/refund", body)["refunded"] == 4


def test_deleting_a_paid_invoice_takes_its_payment_along_and_restoring_brings_both_back(api: Api) -> None:
    invoice = api.bulk("mark_paid", api.invoice()["id"])[0]["id"]

    api.bulk("delete", invoice)
    gone = api.get("/payments")[0]
    api.bulk("restore", invoice)
    back = api.get("/payments")[0]

    assert (gone["is_deleted"], gone["amount"], gone["paymentables"]) == (True, 0, [])
    assert (back["is_deleted"], back["amount"], len(back["paymentables"])) == (False, 100, 1)


def test_what_changed_since_is_found_in_whole_seconds_of_the_stand_ins_clock(api: Api) -> None:
    invoice = api.invoice(mark_sent=True)
    since = invoice["updated_at"]
    assert api.get(f"/invoices?updated_at={since + 1}") == []
    api.at("2026-01-02T09:00:01Z")

    api.bulk("mark_paid", invoice["id"])

    assert [row["updated_at"] for row in api.get(f"/invoices?updated_at={since + 1}")] == [since + 1]
    assert len(api.get(f"/payments?updated_at={since + 1}&sort=updated_at|asc")) == 1


def test_a_credit_is_applied_once(api: Api) -> None:
    invoice = api.invoice(mark_sent=True)["id"]
    lines = [{"quantity": 1, "cost": 75, "notes": "1.00 h less"}]
    credit = api.post("/credits", {"client_id": "client_abc123", "private_notes": "bc-c1;", "line_items": lines})
    assert (credit["status_id"], credit["balance"]) == ("1", 0)
    body = {
        "client_id": "client_abc123",
        "amount": 0,
        "credits": [{"credit_id": credit["id"], "amount": 75}],
        "invoices": [{"invoice_id": invoice, "amount": 75}],
    }

    api.post("/payments", body)
    api.ninja.store.guard.clear()
    again = api.json("POST", "/payments", body)

    assert again["errors"]["credits.0.credit_id"] == ["Insufficient balance on credit."]
    used = api.get(f"/credits/{credit['id']}")
    assert (used["status_id"], used["balance"], used["paid_to_date"]) == ("4", 0, 75)
    left = api.get(f"/invoices/{invoice}")
    assert (left["status_id"], left["balance"]) == ("3", 25)
    assert len(api.get("/credits?private_notes=nothing-like-it")) == 1


def _credited(api: Api, invoice: str, part: int, of_invoice: int, **body: Any) -> dict[str, Any]:
    lines = [{"quantity": 1, "cost": 75, "notes": "1.00 h less"}]
    credit = api.post("/credits", {"client_id": "client_abc123", "line_items": lines})["id"]
    parts = {
        "credits": [{"credit_id": credit, "amount": part}],
        "invoices": [{"invoice_id": invoice, "amount": of_invoice}],
    }
    return {**api.post("/payments", {"client_id": "client_abc123", **body, **parts}), "credit": credit}


@pytest.mark.parametrize("body", [{"amount": 0}, {}])
def test_what_a_credit_leaves_open_of_an_invoice_counts_as_money(api: Api, body: dict[str, Any]) -> None:
    payment = _credited(api, api.invoice(mark_sent=True)["id"], 10, 30, **body)
    assert (payment["amount"], payment["applied"]) == (20, 20)  # recordings 1224 and 1468


def test_a_deleted_payment_gives_its_credit_back_as_status_2(api: Api) -> None:
    invoice = api.invoice(mark_sent=True)["id"]
    payment = _credited(api, invoice, 30, 30, amount=0)

    api.json("DELETE", f"/payments/{payment['id']}")

    credit, owed = api.get(f"/credits/{payment['credit']}"), api.get(f"/invoices/{invoice}")
    assert (credit["status_id"], credit["balance"], credit["paid_to_date"]) == ("2", 75, 0)  # recording 1230
    assert (owed["balance"], owed["paid_to_date"]) == (100, 0)
