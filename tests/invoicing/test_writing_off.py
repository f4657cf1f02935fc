"""A rest that will not be paid is written off by a credit of ours, and a rest that was cancelled there has a way out.

Recordings 1341 to 1402: what Invoice Ninja makes of rests, cancellations and refunds.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from billing_console import clock
from billing_console.errors import NotAllowed
from invoicing import credit_use, crediting, owed, payments, readings, releasing, sending, writing_off
from invoicing.books import keeping
from invoicing.models import Credit, Invoice, Payment
from invoicing.verdict import Verdict, prove
from sync.models import RemoteRecord, TimeEntry, Transition
from tests.invoicing.world import DECEMBER, make_user
from tests.outbound import created_invoice, drain_all, pass_by_all_changes
from tests.people import browser_of, post
from tests.standins import World

pytestmark = pytest.mark.django_db
GROSS = Decimal("408.38")  # 4.5 h × 75 and 21 %
FEBRUARY = dt.datetime(2026, 2, 10, 9, tzinfo=dt.UTC)


@pytest.fixture
def sent(world: World) -> Invoice:
    """Mailed, due on 1 February; 400.00 of 408.38 came in; it is 10 February."""
    invoice = created_invoice(world)
    sending.request_sending(invoice, seal=invoice.seal, user=None)
    drain_all()
    payments.poll()
    world.go_to(FEBRUARY)
    pay(world, invoice, 400)
    return polled()


def there_id(invoice: Invoice) -> str:
    return str(invoice.remote.remote_id)  # type: ignore[union-attr]


def pay(world: World, invoice: Invoice, amount: float) -> str:
    part = {"invoice_id": there_id(invoice), "amount": amount}
    body = {"client_id": "client_abc123", "amount": amount, "invoices": [part]}
    return str(world.api_ninja("POST", "/payments", body)["data"]["id"])


def polled() -> Invoice:
    payments.poll()
    return Invoice.objects.get()


def settle(world: World | None = None) -> Invoice:
    if world is not None:
        world.ninja.store.guard.clear()  # as if a second had passed since the use before
    crediting.write_due()
    credit_use.write_due()
    drain_all()
    return polled()


def ask(invoice: Invoice, **other: Any) -> Credit:
    facts: dict[str, Any] = {"amount": "8.38", "cause": "bank_costs", "balance": str(invoice.balance), "note": "fee"}
    return writing_off.request_write_off(invoice, user=make_user("Approver"), **{**facts, **other})


def proven() -> dict[str, Any]:
    assert readings.read_now().sentence == ""
    proof = prove(DECEMBER)
    fourth, last = proof.identities[3], proof.identities[-1]
    return {
        "verdict": proof.verdict,
        "rows": [row.sentence.replace("\u00a0", " ") for one in proof.identities for row in one.leftovers],
        "ours": {term.name: term.amounts.get("EUR", Decimal(0)) for term in fourth.right[1:]},
        "theirs": {term.name: term.amounts.get("EUR", Decimal(0)) for term in last.right},
    }


def text_of(path: str, group: str = "viewer", **query: Any) -> str:
    answer = browser_of(group).get(path, query)
    assert answer.status_code == 200
    return " ".join(answer.content.decode().replace("\u00a0", " ").split())


def page_of(invoice: Invoice, name: str = "") -> str:
    end = f"{name}/" if name else "change/"
    return f"/admin/invoicing/invoice/{invoice.pk}/{end}"


# --- by a credit of ours ------------------------------------------------------------------------------------------


def test_the_rest_is_written_off_by_a_credit_of_ours_and_nobody_is_mailed(world: World, sent: Invoice) -> None:
    mails = len(world.mails())
    credit = ask(sent)
    row = settle()

    assert (row.state, row.balance, row.paid_to_date) == ("paid", 0, GROSS)
    assert (row.paid_by_money, row.credited, row.written_off) == (Decimal(400), Decimal("8.38"), Decimal("8.38"))
    assert row.get_state_display() == "Paid, rest written off"
    (there,) = world.api_ninja("GET", "/credits")["data"]
    assert (there["private_notes"], there["amount"], there["balance"], there["total_taxes"]) == (
        credit.key, Decimal("8.38"), 0, 0,
    )  # fmt: skip
    assert len(world.mails()) == mails
    why = Transition.objects.filter(model="invoicing.invoice", row_id=row.pk).values_list("why", flat=True)
    assert "8.38\u00a0EUR to be written off, bank costs: fee" in why


def test_it_is_a_class_of_its_own_on_both_sides(world: World, sent: Invoice) -> None:
    ask(sent)
    settle()

    assert proven() == {
        "verdict": Verdict.BALANCES,
        "rows": [],
        "ours": {
            "of it paid, gross": Decimal(400),
            "of it written off, gross": Decimal("8.38"),
            "of it open, gross": 0,
        },
        "theirs": {"paid": Decimal(400), "settled by credits": 0, "written off": Decimal("8.38"), "open": 0},
    }


def test_a_write_off_that_one_side_lacks_is_a_red_verdict(world: World, sent: Invoice) -> None:
    ask(sent)
    settle()
    Payment.objects.update(by_write_off=0)
    Invoice.objects.update(written_off=0)
    pass_by_all_changes(world)

    found = proven()

    assert found["verdict"] is Verdict.DIFFERS
    sentence = "8.38 EUR written off in Invoice Ninja, 0.00 EUR here"
    assert [row.rpartition(": ")[2] for row in found["rows"]] == [sentence]


def test_a_part_is_written_off_and_the_ageing_has_a_column_for_it(world: World, sent: Invoice) -> None:
    ask(sent, amount="5,00", cause="goodwill")
    row = settle()

    assert (row.state, row.balance, row.written_off) == ("partly_paid", Decimal("3.38"), Decimal(5))
    answer = browser_of("viewer").get(reverse("admin:invoicing_report", args=["ageing"]))
    cells = [[cell["text"].replace("\u00a0", " ") for cell in row] for row in answer.context["rows"]]
    assert [row[-5:] for row in cells] == [["408.38 EUR", "0.00 EUR", "5.00 EUR", "400.00 EUR", "3.38 EUR"]]
    assert [row.lost.replace("\u00a0", " ") for row in owed.buckets() if row.count] == ["5.00 EUR"]
    assert "written off 5.00 EUR" in text_of("/admin/invoicing/invoice/")
    assert "written off 5.00 EUR" in text_of("/admin/invoicing/payment/")
    assert "Rest written off: goodwill, fee" in text_of(page_of(row))
    assert "Rest written off: goodwill, fee" in text_of("/admin/invoicing/credit/")


def test_revenue_is_not_lowered_by_what_is_lost(world: World, sent: Invoice) -> None:
    ask(sent)
    settle()
    with clock.set_to(FEBRUARY):
        keeping.keep()
        answer = browser_of("viewer").get(reverse("admin:invoicing_report", args=["revenue"]), {"start": "2025-12-01"})
    cells = [[cell["text"].replace("\u00a0", " ") for cell in row] for row in answer.context["rows"]]
    assert [row[2:3] + row[5:] for row in cells] == [
        ["Invoices", "337.50 EUR", "70.88 EUR", "408.38 EUR", "0.00 EUR", "8.38 EUR", "400.00 EUR"],
    ]  # fmt: skip


def test_a_bad_debt_of_which_nothing_was_paid_is_written_off_whole(world: World, sent: Invoice) -> None:
    world.api_ninja("DELETE", f"/payments/{Payment.objects.get().ninja_id}")
    row = polled()
    ask(row, amount="408.38", cause="bad_debt", note="insolvent")
    row = settle()
    assert (row.state, row.paid_by_money, row.get_state_display()) == ("paid", 0, "Written off")
    assert proven()["verdict"] is Verdict.BALANCES


def test_a_deleted_use_is_owed_again(world: World, sent: Invoice) -> None:
    ask(sent)
    settle()
    use = Payment.objects.get(by_write_off__gt=0)
    world.api_ninja("DELETE", f"/payments/{use.ninja_id}")
    row = polled()
    assert (row.balance, row.written_off, row.credited) == (Decimal("8.38"), 0, 0)


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        ({"amount": "0"}, "more than nothing and at most what is open, 8.38 EUR"),
        ({"amount": "-1"}, "more than nothing"),
        ({"amount": "8.39"}, "at most what is open"),
        ({"amount": "8.385"}, "no amount with at most 2 decimals"),
        ({"amount": "all"}, "“all” is no amount"),
        ({"amount": "NaN"}, "is no amount"),
        ({"cause": ""}, "Say what it is"),
        ({"cause": "gift"}, "Say what it is"),
        ({"note": " "}, "Say why"),
        ({"balance": "108.380"}, "108.38 EUR was open when you looked, 8.38 EUR is now"),
        ({"balance": ""}, "was open when you looked, 8.38 EUR is now"),
    ],
)
def test_what_is_not_right_is_refused_and_nothing_is_made(
    world: World, sent: Invoice, other: dict[str, str], sentence: str
) -> None:
    with pytest.raises(NotAllowed) as refused:
        ask(sent, **other)
    assert sentence in refused.value.sentence.replace("\u00a0", " ")
    assert not Credit.objects.exists()


def test_a_second_click_makes_nothing_until_the_first_was_read_back(world: World, sent: Invoice) -> None:
    ask(sent, amount="5")
    for moment in (None, crediting.write_due, credit_use.write_due):
        if moment:
            moment()
        with pytest.raises(NotAllowed, match="on its way to Invoice Ninja"):
            ask(Invoice.objects.get(), amount="3")
    row = settle()
    ask(row, amount="3.38")
    assert settle(world).balance == 0
    assert Credit.objects.count() == 2


def test_paid_meanwhile_it_writes_nothing_off(world: World, sent: Invoice) -> None:
    shown = str(sent.balance)
    pay(world, sent, 8.38)
    row = polled()
    with pytest.raises(NotAllowed, match="Nothing is owed"):
        ask(row, balance=shown)


def test_a_write_off_that_invoice_ninja_does_not_take_can_be_given_up(world: World, sent: Invoice) -> None:
    credit = ask(sent)
    body = {"message": "This action is unauthorized."}
    world.fail("ninja", kind="status", status=401, body=body, method="POST", path="/api/v1/credits$")
    crediting.write_due()
    record = RemoteRecord.objects.get(pk=credit.remote_id)
    assert record.state == "attention"

    answer = post(browser_of("approver"), page_of(sent, f"credits/{credit.pk}/give-up"), {"reason": "later"})

    assert answer.status_code == 302
    assert Credit.objects.get().is_given_up
    assert not writing_off.why_not(Invoice.objects.get())


@pytest.mark.parametrize(("group", "status"), [("", 302), ("stranger", 403), ("viewer", 403), ("clerk", 403)])
@pytest.mark.parametrize("name", ["write-off-rest", "cancelled-rest"])
def test_only_who_may_credit_may_write_off(world: World, sent: Invoice, group: str, status: int, name: str) -> None:
    browser = browser_of(group)
    url = page_of(sent, name)
    posted = {"amount": "8.38", "cause": "goodwill", "balance": str(sent.balance), "reason": "x"}
    assert (browser.get(url).status_code, post(browser, url, posted).status_code) == (status, status)
    assert not Credit.objects.exists()


@pytest.mark.parametrize("group", ["approver", "administrator"])
def test_the_question_shows_what_is_open_and_only_the_post_acts(world: World, sent: Invoice, group: str) -> None:
    browser = browser_of(group)
    assert "Write off the rest…" in text_of(page_of(sent), group)
    asked = browser.get(page_of(sent, "write-off-rest"))
    assert "Write off 8.38\u00a0EUR of" in asked.content.decode()
    assert not Credit.objects.exists()
    fields = dict(asked.context["confirmation"].fields)
    posted = {**fields, "amount": "8.38", "cause": "bad_debt", "reason": "insolvent"}

    post(browser, page_of(sent, "write-off-rest"), posted)
    again = post(browser, page_of(sent, "write-off-rest"), posted, follow=True)

    assert [row.cause for row in Credit.objects.all()] == ["bad_debt"]
    assert "on its way to Invoice Ninja" in again.content.decode()
    assert "Write off the rest…" not in text_of(page_of(sent), group)


def test_five_write_offs_cost_the_page_as_many_queries_as_one(world: World, sent: Invoice) -> None:
    ask(sent, amount="1")
    row = settle()
    browser = browser_of("approver")
    browser.get(page_of(row))
    with CaptureQueriesContext(connection) as one:
        browser.get(page_of(row))
    for _more in range(2):
        ask(row, amount="1")
        row = settle(world)
    with CaptureQueriesContext(connection) as many:
        browser.get(page_of(row))
    assert len(many) == len(one)


# --- cancelled in Invoice Ninja after money came in ---------------------------------------------------------------


def cancel(world: World, invoice: Invoice) -> Invoice:
    world.api_ninja("POST", "/invoices/bulk", {"action": "cancel", "ids": [there_id(invoice)]})
    return polled()


def accept(invoice: Invoice, **other: Any) -> Invoice:
    facts = {"cause": "bad_debt", "rest": str(invoice.cancelled_rest), "note": "insolvent"}
    return writing_off.accept_cancelled(invoice, user=make_user("Approver"), **{**facts, **other})


def test_a_rest_that_was_cancelled_there_asks_once_and_the_identities_hold(world: World, sent: Invoice) -> None:
    row = cancel(world, sent)

    assert (row.state, row.balance, row.cancelled_rest) == ("partly_paid", 0, Decimal("8.38"))
    assert row.attention_sentence.replace("\u00a0", " ") == (
        f"Invoice {row.number} was cancelled in Invoice Ninja after 400.00 EUR came in: 8.38 EUR of it is owed by "
        "nobody any more, and nothing there undoes that. Say here that the rest is written off. Or, to bill it anew: "
        "give the money back there, then cancel it there once more."
    )
    found = proven()
    assert (found["verdict"], found["rows"]) == (Verdict.BALANCES, [])
    assert found["ours"]["of it written off, gross"] == found["theirs"]["written off"] == Decimal("8.38")
    assert "Say that the rest is written off…" in text_of(page_of(row), "approver")

    accept(row)

    for _again in range(2):
        row = polled()
        assert (row.state, row.attention_sentence, row.rest_cause) == ("paid", "", "bad_debt")
        Invoice.objects.update(remote_updated_at=None)
    assert row.get_state_display() == "Paid, rest written off"
    assert proven()["verdict"] is Verdict.BALANCES


def test_a_later_change_there_calls_it_paid_and_changes_nothing_here(world: World, sent: Invoice) -> None:
    cancel(world, sent)
    world.api_ninja("PUT", f"/invoices/{there_id(sent)}", {"public_notes": "after"})
    assert world.invoices()[0]["status_id"] == "4"

    row = polled()

    assert (row.state, row.cancelled_rest) == ("partly_paid", Decimal("8.38"))
    assert "owed by nobody" in row.attention_sentence
    assert proven()["verdict"] is Verdict.BALANCES


def test_called_paid_though_nobody_paid_it_is_still_cancelled(world: World, sent: Invoice) -> None:
    world.api_ninja("DELETE", f"/payments/{Payment.objects.get().ninja_id}")
    polled()
    assert cancel(world, sent).state == "cancelled"
    world.api_ninja("PUT", f"/invoices/{there_id(sent)}", {"public_notes": "after"})
    assert (world.invoices()[0]["status_id"], world.invoices()[0]["paid_to_date"]) == ("4", 0)

    row = polled()

    assert (row.state, row.attention_sentence) == ("cancelled", "")
    assert not releasing.why_not(row)


def test_money_given_back_opens_it_and_a_second_cancellation_ends_it(world: World, sent: Invoice) -> None:
    cancel(world, sent)
    payment = Payment.objects.get().ninja_id
    part = {"invoice_id": there_id(sent), "amount": 400}
    world.api_ninja("POST", "/payments/refund", {"id": payment, "amount": 400, "invoices": [part]})
    row = polled()
    assert (row.state, row.balance, row.cancelled_rest) == ("partly_paid", Decimal(400), Decimal("8.38"))
    found = proven()
    assert (found["verdict"], found["rows"]) == (Verdict.BALANCES, [])

    row = cancel(world, sent)

    assert (row.state, row.cancelled_rest, row.attention_sentence) == ("cancelled", 0, "")
    assert not releasing.why_not(row)
    assert TimeEntry.objects.get().state == "invoiced"


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        ({"rest": "5"}, "5.00 EUR was cancelled when you looked, 8.38 EUR is now"),
        ({"cause": ""}, "Say what it is"),
        ({"note": ""}, "Say why"),
    ],
)
def test_a_rest_is_accepted_as_it_was_shown(world: World, sent: Invoice, other: dict[str, str], sentence: str) -> None:
    row = cancel(world, sent)
    with pytest.raises(NotAllowed) as refused:
        accept(row, **other)
    assert sentence in refused.value.sentence.replace("\u00a0", " ")


def test_the_second_click_on_a_cancelled_rest_finds_it_decided(world: World, sent: Invoice) -> None:
    row = cancel(world, sent)
    browser, url = browser_of("approver"), page_of(row, "cancelled-rest")
    asked = browser.get(url)
    assert polled().rest_cause == ""
    posted = {**asked.context["confirmation"].fields, "cause": "goodwill", "reason": "enough"}

    post(browser, url, posted)
    again = post(browser, url, posted, follow=True)

    assert Invoice.objects.get().rest_cause == "goodwill"
    assert "waits for this decision any more" in again.content.decode()


# --- a credit made by hand ----------------------------------------------------------------------------------------


def test_a_credit_made_by_hand_is_never_a_payment(world: World, sent: Invoice) -> None:
    world.api_ninja("DELETE", f"/payments/{Payment.objects.get().ninja_id}")
    line = {"quantity": 1, "cost": 408.38, "notes": "goodwill"}
    credit = world.api_ninja("POST", "/credits", {"client_id": "client_abc123", "line_items": [line]})["data"]["id"]
    parts = [{"invoice_id": there_id(sent), "amount": 408.38}]
    used = {"client_id": "client_abc123", "amount": 0, "invoices": parts}
    world.api_ninja("POST", "/payments", {**used, "credits": [{"credit_id": credit, "amount": 408.38}]})

    row = polled()

    assert (row.state, row.get_state_display(), row.paid_by_money) == ("paid", "Settled by credits", 0)
    listed = text_of("/admin/invoicing/invoice/")
    assert "Settled by credits" in listed
    assert "settled by credits 408.38 EUR" in listed
    assert "settled by credits 408.38 EUR" in text_of(page_of(row))
    assert "paid 408.38" not in listed
    of_payments = text_of("/admin/invoicing/payment/")
    assert "settled by credits 408.38 EUR" in of_payments
    found = proven()
    assert found["verdict"] is Verdict.BALANCES
    assert found["theirs"] == {"paid": 0, "settled by credits": GROSS, "open": 0}
    assert found["ours"]["of it open, gross"] == found["theirs"]["open"]
