"""What a credit does in Invoice Ninja: set against its invoice, another one, or the next, also one made there by hand.

Recordings 1199 to 1264 (credits), 1291 and 1292 (what is settled on a draft makes it "paid").
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal as D
from typing import Any

import pytest

from billing_console import clock
from billing_console.errors import NotAllowed
from invoicing import (
    credit_reserving,
    credit_use,
    crediting,
    invoice_credit,
    payments,
    readings,
    review,
    sending,
    writing_off,
)
from invoicing.credit_asked import Asked, sums_of
from invoicing.credit_left import left_of
from invoicing.models import Credit, CreditedPart, CreditUse, Invoice, OpenCredit
from invoicing.verdict import Verdict, prove
from sync.models import Difference, TimeEntry
from tests.invoicing.world import DECEMBER, built, make_user, month, sweep_project
from tests.outbound import created_invoice, drain_all
from tests.people import browser_of, hidden_fields, press
from tests.standins import World

pytestmark = pytest.mark.django_db
GROSS = D("408.38")  # 4.5 h × 75 and 21 %
FEBRUARY = dt.datetime(2026, 2, 2, 9, tzinfo=dt.UTC)


@pytest.fixture
def sent(world: World) -> Invoice:
    """4.5 h at 75.00: 337.50, with 21 % 408.38, mailed."""
    return mailed(created_invoice(world))


def mailed(invoice: Invoice) -> Invoice:
    invoice.refresh_from_db()
    sending.request_sending(invoice, seal=invoice.seal, user=None)
    drain_all()
    payments.poll()
    return Invoice.objects.get(pk=invoice.pk)


def give(invoice: Invoice, **asked: Any) -> Any:
    wish = Asked(**{"way": "amount", "meaning": "goodwill", "amount": "100", **asked})
    left = left_of(invoice)
    mark = invoice_credit.mark_of(wish, left, sums_of(wish, left))
    return invoice_credit.request_credit(invoice, wish, mark=mark, user=make_user("Approver"), note="sorry")


def settle(world: World) -> None:
    """What workers do until nothing is due; a second passes between two payments."""
    for _round in range(2):
        world.ninja.store.guard.clear()
        crediting.write_due()
    drain_all()
    payments.poll()


def draft_of_january(world: World) -> Invoice:
    """8 h in January, not approved: 600.00, with 21 % 726.00; it is 2 February."""
    world.go_to(dt.datetime(2026, 1, 20, 9, tzinfo=dt.UTC))
    world.read(world.add_task("In January", billable=True, hours=8))
    drain_all()
    world.go_to(FEBRUARY)
    sweep_project(world.mapping, FEBRUARY)
    return Invoice.objects.get(run=built(month(2026, 1)))


def approved_and_created(draft: Invoice) -> Invoice:
    review.approve(draft, revision=draft.revision, user=make_user("Approver"))
    drain_all()
    return Invoice.objects.get(pk=draft.pk)


def by_hand(world: World, cost: float, *, is_sent: bool = True) -> dict[str, Any]:
    """A credit that somebody makes in Invoice Ninja itself."""
    line = {"quantity": 1, "cost": cost, "notes": "by hand", "type_id": "1"}
    body = {"client_id": "client_abc123", "date": "2026-01-12", "line_items": [line]}
    made = dict(world.api_ninja("POST", "/credits", body)["data"])
    if is_sent:
        world.api_ninja("POST", "/credits/bulk", {"action": "mark_sent", "ids": [made["id"]]})
    payments.poll()
    return made


def proven() -> dict[str, Any]:
    assert readings.read_now().sentence == ""
    proof = prove(DECEMBER)
    fourth = proof.identities[3]
    return {
        "verdict": proof.verdict,
        "rows": [row.sentence.replace("\u00a0", " ") for one in proof.identities for row in one.leftovers],
        "ours": {term.name: term.amounts.get("EUR", D(0)) for term in fourth.right[1:]},
    }


def text_of(path: str, group: str = "approver") -> str:
    answer = browser_of(group).get(path)
    assert answer.status_code == 200
    return " ".join(answer.content.decode().replace("\u00a0", " ").split())


# --- set against the invoice itself, and the books ------------------------------------------------------------------


def test_goodwill_is_made_with_tax_set_against_the_invoice_and_nobody_is_mailed(world: World, sent: Invoice) -> None:
    mails = len(world.mails())
    credit = give(sent, against=str(sent.pk))
    settle(world)

    row = Invoice.objects.get()
    assert (row.state, row.balance, row.settled, row.paid_by_money) == ("partly_paid", D("287.38"), D("121.00"), 0)
    (there,) = world.api_ninja("GET", "/credits")["data"]
    assert (there["private_notes"], there["amount"], there["balance"], there["total_taxes"]) == (credit.key, 121, 0, 21)
    assert there["line_items"][0]["notes"] == f"Goodwill on invoice {row.number}"
    assert len(world.mails()) == mails
    credit.refresh_from_db()
    assert (credit.used, credit.rest) == (D("121.00"), 0)
    assert not Difference.objects.exists()


def test_a_use_that_was_dated_while_our_clock_was_ahead_is_found_all_the_same(world: World, sent: Invoice) -> None:
    give(sent, against=str(sent.pk))
    settle(world)
    record = CreditUse.objects.select_related("remote").get().remote
    assert record is not None
    record.desired = {**record.desired, "date": "2031-01-01"}

    assert credit_use.look_up_use(record).remote_id == record.remote_id


def test_goodwill_is_a_class_of_its_own_and_the_books_balance(world: World, sent: Invoice) -> None:
    give(sent, against=str(sent.pk))
    settle(world)
    assert proven() == {
        "verdict": Verdict.BALANCES,
        "rows": [],
        "ours": {
            "of it paid, gross": 0,
            "of it settled by credits, gross": D("121.00"),
            "of it open, gross": D("287.38"),
            "credited as goodwill, before tax": D("100.00"),
        },
    }


def test_the_classes_of_a_credit_stand_apart(world: World, sent: Invoice) -> None:
    line = sent.lines.get().pk
    give(sent)
    give(sent, meaning="price", amount="10")
    give(sent, meaning="hours", way="lines", amount="", lines=Asked.read({f"line-{line}-hours": "1"}).lines)
    settle(world)
    found = proven()
    assert (found["verdict"], found["rows"]) == (Verdict.BALANCES, [])
    assert {name: amount for name, amount in found["ours"].items() if name.startswith(("credited", "beside"))} == {
        "beside it open credits, gross": D("223.85"),
        "credited because of hours, before tax": D("75.00"),
        "credited because of a price, before tax": D("10.00"),
        "credited as goodwill, before tax": D("100.00"),
    }


def _says_goodwill() -> None:
    Credit.objects.update(meaning="goodwill")


def _forgets_the_hours() -> None:
    CreditedPart.objects.update(difference=None)


def _takes_other_hours() -> None:
    Difference.objects.filter(state="credited").update(taken_hours=2)


def _loses_a_part() -> None:
    CreditedPart.objects.update(amount=D("74.99"))


def _is_another_amount() -> None:
    Credit.objects.update(net=D("74.00"))
    CreditedPart.objects.update(amount=D("74.00"))


@pytest.mark.parametrize(
    ("mutate", "sentence"),
    [
        (_says_goodwill, "Task 1” are taken off the work, but it says: Goodwill"),
        (_forgets_the_hours, "Task 1” were wrong, but the work gives back"),
        (_takes_other_hours, "were wrong, but the work gives back 2.00 h"),
        (_loses_a_part, "its lines do not come to its 75.00 EUR"),
        (_is_another_amount, "74.00 EUR before tax here, 75.00 EUR in Invoice Ninja"),
    ],
)
def test_a_credit_in_the_wrong_class_is_a_red_verdict(world: World, sent: Invoice, mutate: Any, sentence: str) -> None:
    lines = Asked.read({f"line-{sent.lines.get().pk}-hours": "1"}).lines
    give(sent, meaning="hours", way="lines", amount="", lines=lines)
    settle(world)
    assert proven()["verdict"] is Verdict.BALANCES

    mutate()

    found = proven()
    assert found["verdict"] is Verdict.DIFFERS
    assert any(sentence in row for row in found["rows"]), found["rows"]


def test_goodwill_that_takes_hours_off_the_work_is_a_red_verdict(world: World, sent: Invoice) -> None:
    give(sent)
    settle(world)
    entry = TimeEntry.objects.get()
    row = Difference.objects.create(
        item=entry.item, entry=entry, state="credited", billed_hours=4.5, hours_now=3.5, taken_hours=1, amount=-75,
        currency="EUR", noticed_at=FEBRUARY, credited_at=FEBRUARY,
    )  # fmt: skip
    assert "Task 1 are taken off the work, but no credit gives them back" in " ".join(proven()["rows"])
    CreditedPart.objects.update(difference=row)
    found = proven()
    assert found["verdict"] is Verdict.DIFFERS
    assert any("but it says: Goodwill" in one for one in found["rows"])


def test_while_a_use_is_on_its_way_no_rest_is_written_off(world: World, sent: Invoice) -> None:
    give(sent, against=str(sent.pk))
    assert "on its way" in writing_off.why_not(Invoice.objects.get())
    settle(world)
    assert not writing_off.why_not(Invoice.objects.get())


# --- another invoice of the client ----------------------------------------------------------------------------------


def test_a_paid_invoice_is_credited_against_another_open_one(world: World, sent: Invoice) -> None:
    part = {"invoice_id": sent.remote.remote_id, "amount": 408.38}  # type: ignore[union-attr]
    body = {"client_id": "client_abc123", "amount": 408.38, "invoices": [part]}
    world.api_ninja("POST", "/payments", body)
    other = mailed(approved_and_created(draft_of_january(world)))
    paid = Invoice.objects.get(pk=sent.pk)
    assert (paid.state, [row.pk for row in invoice_credit.invoices_to_set_against(paid)]) == ("paid", [other.pk])

    give(paid, against=str(other.pk))
    settle(world)

    other.refresh_from_db()
    assert (other.balance, other.settled) == (D("605.00"), D("121.00"))
    assert "Credit" in text_of(f"/admin/invoicing/invoice/{other.pk}/change/")
    with pytest.raises(NotAllowed, match="Nothing is owed any more on the invoice that you chose"):
        give(paid, against=str(paid.pk))


# --- offered on the next draft --------------------------------------------------------------------------------------


def test_an_open_credit_is_offered_on_the_next_draft_and_used_when_that_is_sent(world: World, sent: Invoice) -> None:
    credit = give(sent)
    settle(world)
    draft = draft_of_january(world)
    review_page = f"/admin/invoicing/invoice/{draft.pk}/review/"
    assert "121.00 EUR open credit of" in text_of(review_page, "viewer")
    assert "Set it against this invoice when it is sent…" not in text_of(review_page, "viewer")
    browser = browser_of("approver")
    url = f"/admin/invoicing/invoice/{draft.pk}/open-credits/ours/{credit.pk}/"
    fields = hidden_fields(browser, url)
    assert not CreditUse.objects.exists()

    browser.post(url, fields)
    again = browser.post(url, fields, follow=True)

    assert CreditUse.objects.count() == 1
    assert "chosen for this invoice already" in again.content.decode()
    assert "set against this invoice when it is sent" in text_of(review_page)
    made = approved_and_created(draft)
    settle(world)
    assert (made.state, CreditUse.objects.get().remote) == ("created", None)
    assert world.api_ninja("GET", "/payments")["data"] == []

    made = mailed(made)
    settle(world)

    made.refresh_from_db()
    assert (made.state, made.balance, made.settled) == ("partly_paid", D("605.00"), D("121.00"))
    assert Credit.objects.get().rest == 0
    assert proven()["verdict"] is Verdict.BALANCES


def test_a_choice_is_taken_back_and_one_for_a_rejected_draft_binds_nothing(world: World, sent: Invoice) -> None:
    credit = give(sent)
    settle(world)
    draft = draft_of_january(world)
    user = make_user("Approver")
    use = credit_reserving.reserve(draft, "ours", credit.pk, shown="121.00", user=user)
    assert credit_reserving.offered(draft) == []
    press(browser_of("approver"), f"/admin/invoicing/invoice/{draft.pk}/open-credits/uses/{use.pk}/free/")
    use.refresh_from_db()
    assert use.is_dropped
    with pytest.raises(NotAllowed, match="was taken back"):
        credit_reserving.free(use, user=user)
    (found,) = credit_reserving.offered(draft)
    assert (found.left, found.about) == (D("121.00"), "sorry")

    credit_reserving.reserve(draft, "ours", credit.pk, shown=str(found.left), user=user)
    review.reject_draft(draft, revision=draft.revision, user=user, reason="anew")
    again = built(month(2026, 1)).invoices.exclude(state="rejected").get()
    assert [one.left for one in credit_reserving.offered(again)] == [D("121.00")]


@pytest.mark.parametrize("shown", ["", "120.00", "x"])
def test_another_rest_than_was_shown_is_refused(world: World, sent: Invoice, shown: str) -> None:
    credit = give(sent)
    settle(world)
    draft = draft_of_january(world)
    with pytest.raises(NotAllowed, match="is left by now"):
        credit_reserving.reserve(draft, "ours", credit.pk, shown=shown, user=make_user("Approver"))


@pytest.mark.parametrize(("group", "status"), [("", 302), ("stranger", 403), ("viewer", 403), ("clerk", 403)])
def test_only_who_may_approve_sets_a_credit_against_an_invoice(
    world: World, sent: Invoice, group: str, status: int
) -> None:
    by_hand(world, 127.05)
    url = f"/admin/invoicing/invoice/{sent.pk}/open-credits/theirs/{OpenCredit.objects.get().pk}/"
    browser = browser_of(group)
    assert (browser.get(url).status_code, browser.post(url, {"left": "127.05"}).status_code) == (status, status)
    assert not CreditUse.objects.exists()


# --- made by hand in Invoice Ninja ----------------------------------------------------------------------------------


def test_a_credit_made_by_hand_there_is_offered_and_set_against_a_sent_invoice(world: World, sent: Invoice) -> None:
    made = by_hand(world, 127.05)
    by_hand(world, 10, is_sent=False)  # a draft there is not finished
    row = OpenCredit.objects.get()
    assert (row.number, row.balance, row.is_ours) == (made["number"], D("127.05"), False)
    page = text_of(f"/admin/invoicing/invoice/{sent.pk}/change/")
    assert f"127.05 EUR open credit of 12 Jan 2026 {made['number']}: made by hand in Invoice Ninja" in page

    credit_reserving.reserve(sent, "theirs", row.pk, shown="127.05", user=make_user("Approver"))
    settle(world)

    invoice = Invoice.objects.get()
    assert (invoice.balance, invoice.settled) == (D("281.33"), D("127.05"))
    assert not OpenCredit.objects.exists()
    assert CreditUse.objects.get().used == D("127.05")
    assert proven()["verdict"] is Verdict.BALANCES


def test_more_than_is_owed_stays_open_for_the_next_invoice(world: World, sent: Invoice) -> None:
    by_hand(world, 500)
    row = OpenCredit.objects.get()
    credit_reserving.reserve(sent, "theirs", row.pk, shown="500.00", user=make_user("Approver"))
    settle(world)
    assert Invoice.objects.get().get_state_display() == "Settled by credits"
    assert OpenCredit.objects.get().balance == D("91.62")
    draft = draft_of_january(world)
    assert [one.left for one in credit_reserving.offered(draft)] == [D("91.62")]


def test_used_by_hand_meanwhile_it_asks_a_person_and_nothing_is_used_twice(world: World, sent: Invoice) -> None:
    made = by_hand(world, 100)
    row = OpenCredit.objects.get()
    credit_reserving.reserve(sent, "theirs", row.pk, shown="100.00", user=make_user("Approver"))
    part = {"invoice_id": sent.remote.remote_id, "amount": 40}  # type: ignore[union-attr]
    body = {"client_id": "client_abc123", "amount": 0, "credits": [{"credit_id": made["id"], "amount": 40}]}
    world.api_ninja("POST", "/payments", {**body, "date": "2026-01-03", "invoices": [part]})
    settle(world)
    use = CreditUse.objects.get()
    assert use.remote is not None
    assert (use.remote.state, use.remote.reason) == ("attention", "differs_there")
    assert len(world.api_ninja("GET", "/payments")["data"]) == 1


def test_a_rest_of_an_own_credit_is_not_offered_twice_though_it_is_listed_there(world: World, sent: Invoice) -> None:
    give(sent, way="per_cent", per_cent="100", amount="", against=str(sent.pk))
    part = {"invoice_id": sent.remote.remote_id, "amount": 308.38}  # type: ignore[union-attr]
    world.api_ninja("POST", "/payments", {"client_id": "client_abc123", "amount": 308.38, "invoices": [part]})
    payments.poll()
    settle(world)
    assert OpenCredit.objects.get().is_ours
    with clock.set_to(FEBRUARY):
        draft = draft_of_january(world)
    assert [(one.kind, one.left) for one in credit_reserving.offered(draft)] == [("ours", D("308.38"))]


def test_the_old_way_still_sets_a_credit_against_its_own_invoice(world: World, sent: Invoice) -> None:
    credit = give(sent)
    settle(world)
    browser = browser_of("approver")
    press(browser, f"/admin/invoicing/invoice/{sent.pk}/credits/{credit.pk}/use/")
    settle(world)
    assert Invoice.objects.get().settled == D("121.00")
    with pytest.raises(NotAllowed, match="set against the invoice already"):
        credit_use.request_use(Credit.objects.get())
