"""The Invoice Ninja client against the stand-in: success, every error, every trap of its methods."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from billing_console import errors
from sync.clients import ninja_lists
from sync.clients.invoice_ninja import InvoiceNinjaClient
from sync.clients.ninja_rows import CANCELLED, DRAFT, PAID, PARTIAL, SENT
from tests.sync.clients.standins import NINJA_TOKEN

LOG = '[[1764597600,1764601200,"",true]]'
KEY = "bc-0b7b3a52-7d1c-4f5e-9a39-3a5f0a0c7d11;"


def task_body(world, number="TAIGA-T1-1", **fields):
    return {
        "client_id": world.CLIENT,
        "project_id": world.PROJECT,
        "number": number,
        "description": "Payment",
        "time_log": LOG,
        "rate": Decimal("95.00"),
        **fields,
    }


def invoice_body(world, *task_ids, **fields):
    lines = [
        {
            "type_id": "2",
            "task_id": task_id,
            "product_key": "Consulting",
            "notes": "Task",
            "quantity": Decimal("4.50"),
            "cost": Decimal("95.00"),
        }
        for task_id in task_ids
    ]
    return {
        "client_id": world.CLIENT,
        "date": "2026-01-02",
        "due_date": "2026-02-01",
        "private_notes": KEY,
        "tax_name1": "VAT",
        "tax_rate1": Decimal("21"),
        "line_items": lines,
        **fields,
    }


def make_invoice(world, **fields):
    client = world.client()
    task = client.create_task(task_body(world))
    return client, task, client.create_invoice(invoice_body(world, task.id, **fields))


# --- The installation ---


def test_a_ping_names_the_company_and_the_version(ninja):
    ping = ninja.client().ping()
    assert ping.company_name == "Agency"
    assert ping.version == "5.10.17"


def test_a_bad_token_is_unauthorized_and_never_quoted(ninja):
    with pytest.raises(errors.Unauthorized) as caught:
        ninja.client("no-such-token").ping()
    assert caught.value.status == 403
    assert "no-such-token" not in repr(caught.value) + caught.value.sentence + caught.value.body_excerpt


def test_the_company_is_known_by_its_key(ninja):
    company = ninja.client().company()
    assert company.company_key
    assert (company.name, company.is_task_locked_when_invoiced) == ("Agency", False)
    assert company.settings["currency_id"] == "3"


def test_currencies_have_their_decimals(ninja):
    by_code = {row.code: row for row in ninja.client().currencies()}
    assert (by_code["EUR"].id, by_code["EUR"].precision) == ("3", 2)
    assert by_code["JPY"].precision == 0


# --- What tasks and invoices refer to ---


def test_clients_have_a_currency_and_contacts_with_trimmed_addresses(ninja):
    client = ninja.client()
    acme, beta = sorted(client.clients(), key=lambda row: row.name)
    assert (acme.id, acme.name, acme.currency_id, acme.is_deleted) == (ninja.CLIENT, "Acme", "3", False)
    assert [(row.email, row.gets_mail) for row in acme.contacts] == [("ann@acme.example", True)]
    assert [row.email for row in beta.contacts] == [""]
    assert client.client(ninja.CLIENT) == acme


def test_lists_leave_out_the_deleted_unless_asked(ninja):
    ninja.do("POST", "/clients/bulk", {"action": "delete", "ids": [ninja.OTHER]})
    client = ninja.client()
    assert [row.id for row in client.clients()] == [ninja.CLIENT]
    deleted = client.clients(status="deleted")
    assert [(row.id, row.is_deleted) for row in deleted] == [(ninja.OTHER, True)]


def test_projects_of_one_client(ninja):
    (project,) = ninja.client().projects(ninja.CLIENT)
    assert (project.id, project.client_id, project.task_rate) == (ninja.PROJECT, ninja.CLIENT, 75)
    assert len(ninja.client().projects()) == 2


def test_products_and_tax_rates(ninja):
    (product,) = ninja.client().products()
    assert (product.product_key, product.price) == ("Consulting", 75)
    (rate,) = ninja.client().tax_rates()
    assert (rate.name, rate.rate) == ("VAT", 21)


@pytest.mark.parametrize("missing", ["VolejRejNm", "garbage", "12"])
def test_a_missing_record_is_not_found_although_the_server_says_400(ninja, missing):
    client = ninja.client()
    for read in (client.client, client.task, client.invoice):
        with pytest.raises(errors.NotFound) as caught:
            read(missing)
        assert caught.value.status == 400


def test_an_empty_id_never_becomes_the_list(ninja):
    client = ninja.client()
    for read in (client.client, client.task, client.invoice):
        with pytest.raises(ValueError, match="missing"):
            read("")
    for act in (client.archive_task, client.delete_invoice, client.send_email):
        with pytest.raises(ValueError, match="missing"):
            act("")


# --- Tasks ---


def test_a_task_is_made_and_read_back_exactly(ninja):
    client = ninja.client()
    made = client.create_task(task_body(ninja))
    read = client.task(made.id)
    assert (read.number, read.client_id, read.project_id) == ("TAIGA-T1-1", ninja.CLIENT, ninja.PROJECT)
    assert (read.rate, read.invoice_id, read.is_deleted, read.archived_at) == (Decimal(95), "", False, None)
    assert read.time_log == LOG
    assert isinstance(read.rate, Decimal)


def test_a_taken_number_is_rejected_by_field(ninja):
    client = ninja.client()
    client.create_task(task_body(ninja))
    for number in ("TAIGA-T1-1", "taiga-t1-1"):
        with pytest.raises(errors.Rejected) as caught:
            client.create_task(task_body(ninja, number))
        assert caught.value.fields == {"number": ["The number has already been taken."]}
        assert not caught.value.is_outcome_unknown


def test_a_task_is_found_by_its_number_to_the_letter(ninja):
    client = ninja.client()
    made = client.create_task(task_body(ninja, "TAIGA-T1-1"))
    client.create_task(task_body(ninja, "TAIGA-T1-10"))
    assert [row.id for row in client.find_tasks("TAIGA-T1-1")] == [made.id]
    assert client.find_tasks("taiga-t1-1") == []
    assert client.find_tasks("TAIGA-T1") == []
    ninja.do("POST", "/tasks/bulk", {"action": "delete", "ids": [made.id]})
    assert [row.is_deleted for row in client.find_tasks("TAIGA-T1-1")] == [True]


@pytest.mark.parametrize("number", ["", " ", None])
def test_an_empty_number_would_find_everything_and_is_refused(ninja, number):
    with pytest.raises(ValueError, match="number is missing"):
        ninja.client().find_tasks(number)


def test_a_project_of_another_client_replaces_the_client_and_shows_in_the_answer(ninja):
    client = ninja.client()
    made = client.create_task(task_body(ninja, project_id=ninja.OTHER_PROJECT))
    assert client.task(made.id).client_id == ninja.OTHER


def test_an_unknown_project_is_dropped_and_shows_in_the_answer(ninja):
    client = ninja.client()
    assert client.task(client.create_task(task_body(ninja, project_id="garbage")).id).project_id == ""


def test_an_unknown_client_is_rejected_by_field(ninja):
    with pytest.raises(errors.Rejected) as caught:
        ninja.client().create_task(task_body(ninja, client_id="garbage", project_id=""))
    assert caught.value.fields == {"client_id": ["The selected client id is invalid."]}


def test_a_rate_of_zero_sticks_only_in_an_update(ninja):
    client = ninja.client()
    made = client.create_task(task_body(ninja, rate=Decimal(0)))
    assert client.task(made.id).rate == 75
    client.update_task(made.id, task_body(ninja, rate=Decimal(0)))
    assert client.task(made.id).rate == 0


@pytest.mark.parametrize(
    "body",
    [
        {"number": "N-1"},
        {"time_log": LOG},
        {"number": "", "time_log": LOG},
        {"number": " N-1", "time_log": LOG},
        {"number": "N" * 192, "time_log": LOG},
        {"number": "N-1", "time_log": [[1, 2]]},
        {"number": "N-1", "time_log": "nonsense"},
        {"number": "N-1", "time_log": '{"a": 1}'},
        {"number": "N-1", "time_log": "[[1]]"},
        {"number": "N-1", "time_log": '[["1", "2"]]'},
        {"number": "N-1", "time_log": "[[1.5, 2]]"},
        {"number": "N-1", "time_log": "[" + ",".join(["[1764597600,1764601200]"] * 4000) + "]"},
        {"number": "N-1", "time_log": LOG, "description": "é" * 40_000},
    ],
    ids=range(13),
)
def test_a_body_that_the_server_would_spoil_is_not_sent(ninja, body):
    calls = []
    client = ninja.client(calls=calls)
    with pytest.raises(ValueError):
        client.update_task("any", body)
    with pytest.raises(ValueError):
        client.create_task(body)
    assert calls == []


def test_an_update_keeps_number_and_time_log(ninja):
    client = ninja.client()
    made = client.create_task(task_body(ninja))
    client.update_task(made.id, {"number": "TAIGA-T1-1", "time_log": LOG, "description": "Changed"})
    read = client.task(made.id)
    assert (read.number, read.time_log, read.description, read.rate) == ("TAIGA-T1-1", LOG, "Changed", 95)


def test_archive_and_restore(ninja):
    client = ninja.client()
    made = client.create_task(task_body(ninja))
    assert client.archive_task(made.id).archived_at is not None
    assert client.tasks() == []
    assert client.restore_task(made.id).archived_at is None
    assert [row.id for row in client.tasks()] == [made.id]


def test_an_id_that_a_bulk_action_skips_is_not_found(ninja):
    client = ninja.client()
    for act in (client.archive_task, client.restore_task, client.mark_invoice_sent, client.delete_invoice):
        with pytest.raises(errors.NotFound) as caught:
            act("garbage")
        assert caught.value.status == 200


def test_a_deleted_task_cannot_be_changed(ninja):
    client = ninja.client()
    made = client.create_task(task_body(ninja))
    ninja.do("POST", "/tasks/bulk", {"action": "delete", "ids": [made.id]})
    with pytest.raises(errors.Rejected) as caught:
        client.update_task(made.id, task_body(ninja))
    assert "Record is deleted" in caught.value.sentence


def test_tasks_of_a_client_or_project_and_those_not_invoiced(ninja):
    client = ninja.client()
    first = client.create_task(task_body(ninja, "N-1"))
    second = client.create_task(task_body(ninja, "N-2"))
    other = client.create_task(task_body(ninja, "N-3", client_id=ninja.OTHER, project_id=ninja.OTHER_PROJECT))
    client.create_invoice(invoice_body(ninja, first.id))
    assert [row.id for row in client.tasks(ninja.CLIENT)] == [first.id, second.id]
    assert [row.id for row in client.tasks(project_id=ninja.OTHER_PROJECT)] == [other.id]
    assert [row.id for row in client.tasks(ninja.CLIENT, is_uninvoiced_only=True)] == [second.id]


def test_lists_are_whole_over_all_pages(ninja, monkeypatch):
    monkeypatch.setattr(ninja_lists, "PAGE_SIZE", 3)
    calls = []
    client = ninja.client(calls=calls)
    numbers = [client.create_task(task_body(ninja, f"N-{number}")).number for number in range(8)]
    calls.clear()
    assert [row.number for row in client.tasks()] == numbers
    assert [call.path for call in calls] == [
        f"/tasks?status=active&sort=id|asc&per_page={size}&page={page}"
        for size, page in ((3, 1), (3, 2), (1, 3), (3, 3), (1, 6))
    ]


# --- Invoices ---


def test_an_invoice_links_its_tasks_and_taxes_its_net(ninja):
    client, task, made = make_invoice(ninja)
    read = client.invoice(made.id)
    assert (read.status_id, read.amount, read.total_taxes, read.balance) == (
        *(DRAFT, Decimal("517.28"), Decimal("89.78"), Decimal(0)),
    )
    assert (read.date, read.due_date) == (date(2026, 1, 2), date(2026, 2, 1))
    assert (read.tax_name, read.tax_rate, read.private_notes) == ("VAT", 21, KEY)
    (line,) = read.lines
    assert (line.task_id, line.quantity, line.cost, line.line_total) == (task.id, Decimal("4.5"), 95, Decimal("427.5"))
    assert client.task(task.id).invoice_id == made.id


def test_an_invoice_is_found_by_its_whole_key(ninja):
    client, _, made = make_invoice(ninja)
    assert [row.id for row in client.find_invoices(KEY)] == [made.id]
    assert client.find_invoices(KEY.upper()) == []
    assert client.find_invoices("bc-0b7b3a52%;") == []
    client.delete_invoice(made.id)
    assert [row.is_deleted for row in client.find_invoices(KEY)] == [True]
    with pytest.raises(ValueError, match="key is missing"):
        client.find_invoices("")


@pytest.mark.parametrize(
    "change",
    [
        {"date": "02.01.2026"},
        {"date": "2026-1-2"},
        {"date": "20260102"},
        {"due_date": "2026-02-30"},
        {"due_date": "2025-12-31"},
        {"date": date(2026, 1, 2)},
        {"line_items": None},
        {"client_id": ""},
    ],
)
def test_an_invoice_that_the_server_would_spoil_is_not_sent(ninja, change):
    calls = []
    with pytest.raises(ValueError):
        ninja.client(calls=calls).create_invoice({**invoice_body(ninja), **change})
    assert calls == []


@pytest.mark.parametrize("missing", ["line_items", "date", "due_date"])
def test_an_update_of_an_invoice_must_be_complete(ninja, missing):
    body = invoice_body(ninja)
    del body[missing]
    with pytest.raises(ValueError, match="must carry"):
        ninja.client().update_invoice("any", body)


def test_an_update_of_one_invoice_takes_a_task_back_from_another(ninja):
    client, task, first = make_invoice(ninja)
    second = client.create_invoice(invoice_body(ninja, task.id, private_notes="bc-other;"))
    assert client.task(task.id).invoice_id == second.id
    client.update_invoice(first.id, invoice_body(ninja, task.id))
    assert client.task(task.id).invoice_id == first.id


def test_a_deleted_invoice_frees_its_tasks(ninja):
    client, task, made = make_invoice(ninja)
    deleted = client.delete_invoice(made.id)
    assert deleted.is_deleted
    assert client.task(task.id).invoice_id == ""


def test_a_cancel_of_a_draft_does_nothing_and_of_a_sent_one_cancels(ninja):
    client, task, made = make_invoice(ninja)
    client.cancel_invoice(made.id)
    assert client.invoice(made.id).status_id == DRAFT
    client.mark_invoice_sent(made.id)
    sent = client.invoice(made.id)
    assert (sent.status_id, sent.balance) == (SENT, Decimal("517.28"))
    time.sleep(1.1)  # the server refuses an equal request within a second
    client.cancel_invoice(made.id)
    cancelled = client.invoice(made.id)
    assert (cancelled.status_id, cancelled.balance) == (CANCELLED, 0)
    assert client.task(task.id).invoice_id == made.id


def test_an_equal_request_within_a_second_is_a_duplicate(ninja):
    client, _, made = make_invoice(ninja)
    client.mark_invoice_sent(made.id)
    with pytest.raises(errors.DuplicateRequest) as caught:
        client.mark_invoice_sent(made.id)
    assert not caught.value.is_outcome_unknown
    assert not caught.value.is_permanent


def test_a_mail_is_proved_by_its_message_id_only(ninja):
    client, _, made = make_invoice(ninja)
    client.send_email(made.id)
    (invitation,) = client.invoice(made.id).invitations
    assert invitation.message_id
    assert invitation.sent_at is not None
    assert invitation.contact_id == client.client(ninja.CLIENT).contacts[0].id


def test_a_mail_to_nobody_answers_as_if_it_was_sent(ninja):
    client = ninja.client()
    made = client.create_invoice(invoice_body(ninja, client_id=ninja.OTHER))
    client.send_email(made.id)
    read = client.invoice(made.id)
    assert read.status_id == SENT
    assert read.last_sent_on is not None
    assert [row.message_id for row in read.invitations] == [""]


def test_a_mail_with_an_unknown_template_is_rejected_by_field(ninja):
    client, _, made = make_invoice(ninja)
    with pytest.raises(errors.Rejected) as caught:
        client.send_email(made.id, "email_template_nonsense")
    assert list(caught.value.fields) == ["template"]


def test_a_locked_invoice_is_rejected_although_its_message_is_no_list(ninja):
    client, task, made = make_invoice(ninja)
    client.mark_invoice_sent(made.id)
    ninja.app.seed({"company": {"settings": {"lock_invoices": "when_sent"}}})
    with pytest.raises(errors.Rejected) as caught:
        client.update_invoice(made.id, invoice_body(ninja, task.id))
    assert caught.value.fields == {"number": ["This invoice is locked and unable to be modified"]}


def test_a_task_that_is_locked_is_forbidden_not_unauthorized(ninja):
    client, task, _ = make_invoice(ninja)
    ninja.app.seed({"company": {"invoice_task_lock": True}})
    with pytest.raises(errors.Forbidden) as caught:
        client.update_task(task.id, task_body(ninja))
    assert caught.value.status == 401


# --- Changes since ---


def test_changed_invoices_come_once_in_the_order_of_their_change(ninja, monkeypatch):
    monkeypatch.setattr(ninja_lists, "PAGE_SIZE", 2)
    start = datetime(2026, 1, 2, 9, tzinfo=UTC)
    client = ninja.client()
    made = []
    for minute in range(5):
        ninja.clock.set(start + timedelta(minutes=minute))
        made.append(client.create_invoice(invoice_body(ninja, private_notes=f"bc-{minute};")).id)
    assert [row.id for row in client.invoices_updated_since(None)] == made
    assert [row.id for row in client.invoices_updated_since(start + timedelta(minutes=2))] == made[2:]
    assert list(client.invoices_updated_since(start + timedelta(minutes=5))) == []
    ninja.clock.set(start + timedelta(minutes=9))
    client.mark_invoice_sent(made[0])
    assert [row.id for row in client.invoices_updated_since(start)] == [*made[1:], made[0]]


def test_many_changes_within_one_second_all_come(ninja, monkeypatch):
    monkeypatch.setattr(ninja_lists, "PAGE_SIZE", 2)
    ninja.clock.set(datetime(2026, 1, 2, 9, tzinfo=UTC))
    client = ninja.client()
    made = {client.create_invoice(invoice_body(ninja, private_notes=f"bc-{number};")).id for number in range(7)}
    ninja.clock.set(datetime(2026, 1, 2, 10, tzinfo=UTC))
    made.add(client.create_invoice(invoice_body(ninja, private_notes="bc-last;")).id)
    found = [row.id for row in client.invoices_updated_since(datetime(2026, 1, 2, 9, tzinfo=UTC))]
    assert set(found) == made
    assert len(found) == 8


def test_a_row_that_changes_while_it_is_listed_comes_again(ninja, monkeypatch):
    monkeypatch.setattr(ninja_lists, "PAGE_SIZE", 2)
    start = datetime(2026, 1, 2, 9, tzinfo=UTC)
    client = ninja.client()
    made = []
    for minute in range(4):
        ninja.clock.set(start + timedelta(minutes=minute))
        made.append(client.create_invoice(invoice_body(ninja, private_notes=f"bc-{minute};")).id)
    changes = client.invoices_updated_since(start)
    first = next(changes)
    ninja.clock.set(start + timedelta(minutes=30))
    ninja.client().mark_invoice_sent(first.id)
    assert [row.id for row in changes] == [*made[1:], first.id]


def test_a_time_without_a_zone_is_refused(ninja):
    with pytest.raises(ValueError, match="zone"):
        ninja.client().invoices_updated_since(datetime(2026, 1, 2))  # noqa: DTZ001


# --- Payments and credits ---


def test_a_payment_is_polled_with_what_it_paid(ninja):
    client, _, made = make_invoice(ninja)
    client.mark_invoice_sent(made.id)
    payment = client.create_payment(
        {
            "client_id": ninja.CLIENT,
            "amount": Decimal("300.00"),
            "date": "2026-01-10",
            "invoices": [{"invoice_id": made.id, "amount": Decimal("300.00")}],
        }
    )
    (polled,) = client.payments_updated_since(None)
    assert (polled.id, polled.amount, polled.applied, polled.refunded) == (payment.id, 300, 300, 0)
    assert [(row.invoice_id, row.credit_id, row.amount) for row in polled.allocations] == [(made.id, "", 300)]
    paid = client.invoice(made.id)
    assert (paid.status_id, paid.balance, paid.paid_to_date) == (PARTIAL, Decimal("217.28"), 300)


def test_a_credit_is_found_in_the_list_and_applied_once(ninja):
    client, _, made = make_invoice(ninja)
    client.mark_invoice_sent(made.id)
    credit = client.create_credit(
        {
            "client_id": ninja.CLIENT,
            "date": "2026-01-05",
            "private_notes": "bc-credit-1;",
            "line_items": [{"notes": "1.00 h less", "quantity": 1, "cost": Decimal("75.00")}],
        }
    )
    assert (credit.amount, credit.private_notes) == (75, "bc-credit-1;")
    assert [row.id for row in client.credits(ninja.CLIENT) if row.private_notes == "bc-credit-1;"] == [credit.id]
    assert client.credits(ninja.OTHER) == []
    applying = {
        "client_id": ninja.CLIENT,
        "amount": 0,
        "date": "2026-01-06",
        "credits": [{"credit_id": credit.id, "amount": Decimal("75.00")}],
        "invoices": [{"invoice_id": made.id, "amount": Decimal("75.00")}],
    }
    payment = client.create_payment(applying)
    assert {(row.invoice_id, row.credit_id, row.amount) for row in payment.allocations} == {
        (made.id, "", 75),
        ("", credit.id, 75),
    }
    (used,) = client.credits(ninja.CLIENT)
    assert (used.status_id, used.balance, used.paid_to_date) == ("4", 0, 75)
    time.sleep(1.1)  # the server refuses an equal request within a second
    with pytest.raises(errors.Rejected) as caught:
        client.create_payment(applying)
    assert caught.value.fields == {"credits.0.credit_id": ["Insufficient balance on credit."]}


def test_a_payment_in_full_pays_the_invoice(ninja):
    client, _, made = make_invoice(ninja)
    client.mark_invoice_sent(made.id)
    amount = client.invoice(made.id).amount
    client.create_payment(
        {
            "client_id": ninja.CLIENT,
            "amount": amount,
            "date": "2026-01-10",
            "invoices": [{"invoice_id": made.id, "amount": amount}],
        }
    )
    paid = client.invoice(made.id)
    assert (paid.status_id, paid.balance) == (PAID, 0)


def test_a_credit_or_payment_without_a_client_is_not_sent(ninja):
    with pytest.raises(ValueError, match="client_id"):
        ninja.client().create_credit({"line_items": []})
    with pytest.raises(ValueError, match="client_id"):
        ninja.client().create_payment({"amount": 1})


# --- PDFs ---


def test_a_pdf_comes_whole_and_its_key_is_in_no_error_and_no_journal(ninja):
    _client, _task, made = make_invoice(ninja)
    (invitation,) = made.invitations
    assert invitation.key not in repr(made)
    calls = []
    client = ninja.client(calls=calls)
    with pytest.raises(errors.NoPdfEngine) as caught:
        client.invoice_pdf(invitation.key)
    assert (caught.value.status, caught.value.is_read, caught.value.is_outcome_unknown) == (500, True, False)
    assert invitation.key not in f"{caught.value!r} {caught.value} {caught.value.path}"
    ninja.app.seed({"switches": {"pdf_engine": True}})

    assert client.invoice_pdf(invitation.key).startswith(b"%PDF-")

    assert [(call.path, call.error) for call in calls] == [
        ("/invoice/…/download", "NoPdfEngine"), ("/invoice/…/download", ""),
    ]  # fmt: skip
    assert client.invoice(made.id).status_id == DRAFT
    with pytest.raises(errors.NotFound):
        client.invoice_pdf("unknown")
    with pytest.raises(ValueError, match="missing"):
        client.invoice_pdf(" ")


def test_what_is_no_whole_pdf_is_no_pdf(ninja):
    client, _task, made = make_invoice(ninja)
    for body in ("<h1>It works</h1>", "%PDF-1.4 cut off"):
        ninja.app.faults.add({"kind": "html", "path": "/download", "body": body})
        with pytest.raises(errors.UnexpectedAnswer):
            client.invoice_pdf(made.invitations[0].key)


# --- Faults and wrong addresses ---


def test_a_wrong_address_is_not_taken_for_success(ninja):
    client = InvoiceNinjaClient(f"{ninja.app.url}/api/v2", NINJA_TOKEN, allow_http=True, deadline_seconds=5)
    with pytest.raises(errors.NotJson):
        client.task("VolejRejNm")


@pytest.mark.parametrize(
    ("fault", "kind", "is_outcome_unknown", "is_done"),
    [
        ({"kind": "status", "status": 500}, errors.ServerFault, True, False),
        ({"kind": "status", "status": 500, "after": True}, errors.ServerFault, True, True),
        ({"kind": "status", "status": 503}, errors.Maintenance, False, False),
        ({"kind": "status", "status": 429}, errors.Throttled, False, False),
        ({"kind": "status", "status": 404}, errors.UnexpectedAnswer, True, False),
        ({"kind": "lost_answer"}, errors.OutcomeUnknown, True, True),
        ({"kind": "refused"}, errors.OutcomeUnknown, True, False),
        ({"kind": "html"}, errors.NotJson, True, False),
        ({"kind": "redirect"}, errors.Redirected, True, False),
        ({"kind": "delay", "seconds": 0.8, "after": True}, errors.DeadlineExceeded, True, True),
    ],
    ids=lambda value: value.get("kind") if isinstance(value, dict) else None,
)
def test_each_fault_is_its_own_error(ninja, fault, kind, is_outcome_unknown, is_done):
    client = ninja.client(deadline_seconds=0.5)
    ninja.app.faults.add({"method": "POST", "path": "/tasks", **fault})
    with pytest.raises(errors.UpstreamError) as caught:
        client.create_task(task_body(ninja))
    assert type(caught.value) is kind
    assert caught.value.is_outcome_unknown is is_outcome_unknown
    if kind is errors.Throttled:
        assert caught.value.wait_seconds is None
    assert bool(client.find_tasks("TAIGA-T1-1")) is is_done
