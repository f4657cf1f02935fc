"""The stand-in's invoices: whose the tasks are, what a status change does, what comes back after a deletion."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.ninja.totals import calculate
from tests.sandbox.ninja_api import Api


@pytest.fixture
def api() -> Api:
    api = Api()
    api.seed()
    return api


def owner(api: Api, task_id: str) -> str:
    return str(api.get(f"/tasks/{task_id}")["invoice_id"])


def test_the_last_saved_invoice_owns_the_task_and_an_empty_put_steals_it_back(api: Api) -> None:
    task = api.task()["id"]
    older, newer = api.invoice(task)["id"], api.invoice(task)["id"]

    assert owner(api, task) == newer
    api.put(f"/invoices/{older}", {})
    assert owner(api, task) == older


def test_deleting_the_newer_of_two_frees_the_task_that_the_older_still_lists(api: Api) -> None:
    task = api.task()["id"]
    older, newer = api.invoice(task)["id"], api.invoice(task)["id"]

    api.bulk("delete", newer)

    assert owner(api, task) == ""
    assert api.get(f"/invoices/{older}")["line_items"][0]["task_id"] == task


def test_a_restored_invoice_links_its_tasks_only_at_the_next_put(api: Api) -> None:
    task = api.task()["id"]
    invoice = api.invoice(task, number="A-1")["id"]
    assert api.bulk("delete", invoice)[0]["number"] == "A-1_Deleted"

    assert api.bulk("restore", invoice)[0]["number"] == "A-1"

    assert owner(api, task) == ""
    api.put(f"/invoices/{invoice}", {})
    assert owner(api, task) == invoice


def test_a_removed_line_frees_its_task(api: Api) -> None:
    first, second = api.task("A")["id"], api.task("B")["id"]
    invoice = api.invoice(first, second)["id"]

    api.put(f"/invoices/{invoice}", {"line_items": [{"task_id": second, "quantity": 1, "cost": 1}]})

    assert (owner(api, first), owner(api, second)) == ("", invoice)


def test_cancelling_keeps_the_tasks_and_a_put_of_the_cancelled_one_takes_them_back(api: Api) -> None:
    task = api.task()
    invoice = api.invoice(task["id"], mark_sent=True)["id"]
    cancelled = api.bulk("cancel", invoice)[0]
    assert (cancelled["status_id"], cancelled["balance"]) == ("5", 0)
    assert owner(api, task["id"]) == invoice

    body = {"invoice_id": "", "time_log": task["time_log"], "number": task["number"]}
    api.put(f"/tasks/{task['id']}", body)
    assert [row["id"] for row in api.get("/tasks?client_status=uninvoiced")] == [task["id"]]

    assert api.put(f"/invoices/{invoice}", {"po_number": "1"})["balance"] == 0
    assert owner(api, task["id"]) == invoice


def test_a_draft_owes_nothing_until_it_is_sent_and_then_by_its_terms(api: Api) -> None:
    api.seed({"company": {"settings": {"payment_terms": "30"}}})
    draft = api.invoice()
    assert (draft["status_id"], draft["amount"], draft["balance"], draft["due_date"]) == ("1", 100, 0, "")

    sent = api.bulk("mark_sent", draft["id"])[0]

    assert (sent["status_id"], sent["balance"], sent["due_date"]) == ("2", 100, "2026-02-01")
    assert sent["last_sent_date"] == ""
    assert api.get("/clients/client_abc123")["balance"] == 100


def test_cancel_does_nothing_to_a_draft_and_says_200(api: Api) -> None:
    draft = api.invoice()["id"]

    assert api.bulk("cancel", draft)[0]["status_id"] == "1"


def test_without_a_date_it_is_today_in_the_companys_zone(api: Api) -> None:
    api.at("2025-12-31T23:30:00Z")

    assert api.invoice()["date"] == "2026-01-01"


def test_a_company_with_a_default_tax_still_taxes_nothing_by_itself(api: Api) -> None:
    api.seed({"company": {"settings": {"tax_name1": "VAT", "tax_rate1": 21}}})

    assert api.invoice()["total_taxes"] == 0


def test_a_locked_invoice_refuses_a_put_with_a_text_and_allows_its_deletion(api: Api) -> None:
    api.seed({"company": {"settings": {"lock_invoices": "when_sent"}}})
    invoice = api.invoice(mark_sent=True)["id"]

    answer = api.json("PUT", f"/invoices/{invoice}", {"po_number": "x"})

    assert (api.status, answer["errors"]) == (422, {"number": "This invoice is locked and unable to be modified"})
    assert api.bulk("delete", invoice)[0]["is_deleted"] is True


def test_the_same_bulk_action_within_a_second_is_refused(api: Api) -> None:
    invoice = api.invoice()["id"]
    body = {"action": "mark_sent", "ids": [invoice]}
    api.post("/invoices/bulk", body)

    answer = api.json("POST", "/invoices/bulk", body)

    assert (api.status, answer) == (400, {"message": "Duplicate request"})
    api.json("POST", "/invoices/bulk", {"action": "email", "ids": [invoice]})
    assert api.status == 200


def test_a_private_notes_key_is_found_by_its_beginning_too(api: Api) -> None:
    api.invoice(private_notes="bc-11;")
    api.invoice(private_notes="bc-111;")

    assert len(api.get("/invoices?private_notes=bc-11;")) == 1
    assert len(api.get("/invoices?private_notes=bc-11")) == 2
    assert len(api.get("/invoices?private_notes=bc_1%25;")) == 2
    assert len(api.get("/invoices?private_notes=")) == 2


def test_only_the_filters_the_server_has_filter(api: Api) -> None:
    api.at("2026-02-15T09:00:00Z")
    api.invoice(mark_sent=True, date="2026-01-02", due_date="2026-02-01", number="late")
    api.invoice(mark_sent=True, date="2026-02-10", due_date="2026-03-01", number="open")
    api.invoice(number="draft")

    def numbers(query: str) -> list[str]:
        return [row["number"] for row in api.get(f"/invoices?sort=id|asc&{query}")]

    assert numbers("client_status=overdue") == ["late"]
    assert numbers("overdue=true") == ["late"]
    assert numbers("client_status=unpaid") == ["late", "open"]
    assert numbers("status_id=1,3") == ["draft"]
    assert numbers("client_status=sent") == ["late", "open", "draft"]
    assert numbers("balance=gt:0") == ["late", "open", "draft"]


LINES = st.lists(
    st.tuples(st.integers(1, 4000), st.integers(0, 50_000)),  # hundredths of an hour, cents
    min_size=1,
    max_size=12,
)


@given(lines=LINES, rate=st.sampled_from([0, 6, 19, 21]))
def test_totals_are_sums_of_lines_rounded_half_up(lines: list[tuple[int, int]], rate: int) -> None:
    sent = [{"quantity": quantity / 100, "cost": cost / 100} for quantity, cost in lines]

    totals = calculate({"is_amount_discount": True, "tax_name1": "VAT", "tax_rate1": rate}, sent, 2)

    cent = Decimal("0.01")
    net = sum(((Decimal(q) * Decimal(c) / 10_000).quantize(cent, ROUND_HALF_UP) for q, c in lines), start=Decimal(0))
    tax = (net * rate / 100).quantize(cent, ROUND_HALF_UP)
    assert (Decimal(str(totals.total_taxes)), Decimal(str(totals.amount))) == (tax, net + tax)
