"""A person credits an invoice: by lines, per cent or an amount; hours that were wrong, a price, or goodwill."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal as D
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing_console import clock
from billing_console.errors import NotAllowed
from billing_console.states import EntryState, InvoiceState
from invoicing import adjusting, credit_offer, crediting, invoice_credit, review
from invoicing.credit_asked import Asked, Typed, sums_of
from invoicing.credit_left import CreditLine, Left, left_of, sum_up
from invoicing.models import Credit, CreditProposal, CreditUse, Invoice, InvoiceLine
from mappings.models import Company
from sync import entries
from sync.models import Difference, RemoteRecord, TimeEntry, Transition, WorkItem
from tests.invoicing.world import IN_JANUARY, built, change_hours, make_client, make_project, make_user, make_work
from tests.people import browser_of, fields_in

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _in_january() -> Iterator[None]:
    with clock.set_to(IN_JANUARY):
        yield


@pytest.fixture
def sent() -> Invoice:
    """4.00 h and 2.25 h at 95.00, and 4,000.00 by hand: 4,593.75, with 21 % 5,558.44; all of it is owed."""
    project = make_project(make_client())
    make_work(project, "4", ref=5)
    make_work(project, "2.1", ref=6)
    draft = built().invoices.get()
    said: dict[str, Any] = {"text": "Instalment", "quantity": D(1), "price": D(4000), "reason": "Contract"}
    draft = adjusting.add_line(draft, user=make_user("Billing clerk"), **said)
    return issued(draft)


def issued(draft: Invoice, number: str = "0001") -> Invoice:
    draft.refresh_from_db()
    row = review.approve(draft, revision=draft.revision, user=None)
    RemoteRecord.objects.filter(pk=row.remote_id).update(state="synced", remote_id=f"there{number}")
    Invoice.objects.filter(pk=row.pk).update(state=InvoiceState.SENT, number=number, balance=row.gross)
    TimeEntry.objects.filter(lines__invoice=row).update(state=EntryState.INVOICED)
    return Invoice.objects.get(pk=row.pk)


def asked_of(invoice: Invoice, meaning: str = "price", way: str = "lines", **other: Any) -> Asked:
    """`lines` by the reference of the item, 0 for the one by hand, with (hours, amount) as typed."""
    typed = other.pop("lines", {})
    by_ref = {line.ref or 0: line.pk for line in invoice.lines.filter(is_voided=False)}
    lines = {by_ref[ref]: Typed(*some) for ref, some in typed.items()}
    return Asked(way=way, meaning=meaning, lines=lines, **other)


def give(invoice: Invoice, meaning: str = "price", user: Any = None, note: str = "agreed", **other: Any) -> Any:
    """What a person does who looks at the question and confirms it."""
    asked, left = asked_of(invoice, meaning, **other), left_of(invoice)
    mark = invoice_credit.mark_of(asked, left, sums_of(asked, left))
    return invoice_credit.request_credit(invoice, asked, mark=mark, user=user or make_user("Approver"), note=note)


def close_again(ref: int, hours: str) -> None:
    item = WorkItem.objects.get(ref=ref)
    item.closings += 1
    item.attributes = {**item.attributes, "hours": D(hours)}
    item.save(update_fields=["closings", "attributes"])
    entries.evaluate(item)


# --- what it comes to -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ask", "lines", "sums"),
    [
        ({"lines": {0: ()}}, [("1", "4000", "4000")], ("4000", "840", "4840")),
        ({"lines": {0: ("", "1500")}}, [("1", "1500", "1500")], ("1500", "315", "1815")),
        ({"lines": {5: ("1", "")}, "meaning": "hours"}, [("1", "95", "95")], ("95", "19.95", "114.95")),
        ({"lines": {5: ("1,5", ""), 6: ()}, "meaning": "hours"},
         [("1.5", "95", "142.50"), ("2.25", "95", "213.75")], ("356.25", "74.81", "431.06")),
        ({"lines": {5: ("", "50.55")}}, [("1", "50.55", "50.55")], ("50.55", "10.62", "61.17")),
        ({"way": "per_cent", "per_cent": "10", "meaning": "goodwill"},
         [("1", "38", "38"), ("1", "21.38", "21.38"), ("1", "400", "400")], ("459.38", "96.47", "555.85")),
        ({"way": "per_cent", "per_cent": "50", "meaning": "hours", "lines": {5: ()}},
         [("2", "95", "190")], ("190", "39.90", "229.90")),
        ({"way": "per_cent", "per_cent": "100"},
         [("1", "380", "380"), ("1", "213.75", "213.75"), ("1", "4000", "4000")], ("4593.75", "964.69", "5558.44")),
        ({"way": "amount", "amount": "100", "meaning": "goodwill"}, [("1", "100", "100")], ("100", "21", "121")),
        ({"way": "amount", "amount": "100", "lines": {6: ()}}, [("1", "100", "100")], ("100", "21", "121")),
    ],
)  # fmt: skip
def test_what_is_asked_comes_to_lines_tax_and_total(sent: Invoice, ask: Any, lines: Any, sums: Any) -> None:
    found = sums_of(asked_of(sent, **ask), left_of(sent))
    assert [(row.hours, row.rate, row.amount) for row in found.lines] == [tuple(map(D, row)) for row in lines]
    assert (found.net, found.tax, found.gross) == tuple(map(D, sums))


@pytest.mark.parametrize(
    ("ask", "sentence"),
    [
        ({"lines": {0: ()}, "meaning": ""}, "Say what it means"),
        ({"lines": {0: ()}, "way": "all"}, "Choose how"),
        ({}, "Choose at least one line"),
        ({"lines": {5: ("4.01", "")}}, "of it 4.00 h are left to credit, not 4.01 h"),
        ({"lines": {5: ("0", "")}}, "not 0.00 h"),
        ({"lines": {5: ("1", "10")}}, "not both"),
        ({"lines": {0: ("1", "")}}, "added by hand: write its amount"),
        ({"lines": {5: ("", "380.01")}}, "at most what is left, 380.00 EUR"),
        ({"lines": {5: ("", "-1")}}, "more than nothing"),
        ({"lines": {5: ("", "10")}, "meaning": "hours"}, "does not say which hours were wrong"),
        ({"lines": {5: ("x", "")}}, "“x” is no amount"),
        ({"lines": {5: ("", "1.005")}}, "at most 2 decimals"),
        ({"way": "per_cent", "per_cent": "0"}, "above 0 and up to 100"),
        ({"way": "per_cent", "per_cent": "100.1"}, "above 0 and up to 100"),
        ({"way": "per_cent", "per_cent": ""}, "is no amount"),
        ({"way": "amount", "amount": "4593.76"}, "at most what is left, 4,593.75 EUR"),
        ({"way": "amount", "amount": "10", "meaning": "hours"}, "does not say which hours"),
        ({"way": "amount", "amount": "10", "lines": {5: (), 6: ()}}, "Write an amount beside each line"),
    ],
)
def test_what_cannot_be_credited_is_refused_with_a_sentence(sent: Invoice, ask: Any, sentence: str) -> None:
    with pytest.raises(NotAllowed) as refused:
        sums_of(asked_of(sent, **ask), left_of(sent))
    assert sentence in refused.value.sentence.replace("\u00a0", " ")


def test_earlier_credits_count_and_no_cent_more_than_the_invoice_is_given_back(sent: Invoice) -> None:
    give(sent, lines={0: ("", "1333.33")})
    give(sent, "goodwill", lines={6: ("1", "")})
    assert give(sent, "goodwill", way="per_cent", per_cent="50").net == D("190") + D("106.88") + D("2000")
    with pytest.raises(NotAllowed, match="of it 1.25"):
        give(sent, lines={6: ("1.5", "")})
    with pytest.raises(NotAllowed, match="at most what is left"):
        give(sent, lines={0: ("", "666.68")})
    give(sent, way="per_cent", per_cent="100")
    left = left_of(sent)
    assert (left.net, left.gross, {one.amount for one in left.lines.values()}) == (0, D("0.01"), {0})
    with pytest.raises(NotAllowed, match="nothing left to credit"):
        give(sent, way="amount", amount="0.01")


def test_tax_that_is_rounded_up_twice_gives_back_no_cent_that_was_not_asked_for(sent: Invoice) -> None:
    """150.00 and 21 % is 181.50; 37.50 gave 45.38 back, and 112.50 would be 136.13, a cent too much."""
    left = Left(sent, D("112.50"), D("136.12"))
    found = sum_up(left, [CreditLine("Work", D("1.5"), D(75), D("112.50"))])
    assert [(row.notes, row.hours, row.amount) for row in found.lines][1:] == [("Rounding", -1, D("-0.01"))]
    assert (found.net, found.tax, found.gross) == (D("112.49"), D("23.62"), D("136.11"))


def test_a_rest_that_is_written_off_is_not_given_back_too(sent: Invoice) -> None:
    Invoice.objects.filter(pk=sent.pk).update(cancelled_rest=D("58.44"))
    with pytest.raises(NotAllowed, match=r"more than the 5,500.00"):
        give(Invoice.objects.get(), way="per_cent", per_cent="100")


def test_a_difference_gives_back_at_most_what_goodwill_left_of_its_line(sent: Invoice) -> None:
    give(sent, "goodwill", lines={5: ("", "300")})
    change_hours(TimeEntry.objects.get(item__ref=5), "2")
    difference = Difference.objects.get(state="open")
    assert difference.amount == D("-190.00")
    found, _why = credit_offer.offer(difference)
    assert found is not None
    assert [(row.hours, row.rate, row.amount) for row in found.lines] == [(1, D("80.00"), D("80.00"))]


# --- what it means for the work -------------------------------------------------------------------------------------


def test_goodwill_leaves_the_work_billed_and_nothing_is_billed_again(sent: Invoice) -> None:
    give(sent, "goodwill", lines={5: ()})
    close_again(5, "4")
    assert not Difference.objects.exists()
    assert TimeEntry.objects.filter(item__ref=5).count() == 1
    close_again(5, "5")
    assert TimeEntry.objects.get(item__ref=5, cycle=2).billed_hours == 1


def test_hours_that_were_wrong_are_asked_about_while_taiga_says_them(sent: Invoice) -> None:
    give(sent, "hours", lines={5: ("1", "")}, note="It was three.")
    taken = Difference.objects.get(state="credited")
    assert (taken.taken_hours, taken.hours_now, taken.amount) == (1, 3, D("-95.00"))
    asked = Difference.objects.get(state="open")
    assert (asked.billed_hours, asked.hours_now, asked.amount) == (3, 4, D("95.00"))
    assert "still" in asked.sentence or "credited" in asked.sentence

    change_hours(TimeEntry.objects.get(item__ref=5), "3")

    assert not Difference.objects.filter(state="open").exists()
    close_again(5, "3")
    assert TimeEntry.objects.filter(item__ref=5).count() == 1


def test_closed_again_unchanged_they_are_held_and_never_billed_by_themselves(sent: Invoice) -> None:
    give(sent, "hours", lines={5: ("1", "")}, note="It was three.")
    close_again(5, "4")
    cycle = TimeEntry.objects.get(item__ref=5, cycle=2)
    assert (cycle.state, cycle.reason, cycle.billed_hours) == ("held", "said_otherwise", 1)
    assert "It was three" in cycle.reason_sentence


def test_an_older_cycle_is_credited_alone(sent: Invoice) -> None:
    close_again(5, "6")
    second = TimeEntry.objects.get(item__ref=5, cycle=2)
    assert second.billed_hours == 2
    give(sent, "hours", lines={5: ("4", "")})
    asked = TimeEntry.objects.get(pk=second.pk)
    assert (asked.state, asked.reason, asked.billed_hours) == ("held", "said_otherwise", 6)


def test_a_credit_of_taigas_hours_and_one_of_a_person_count_in_their_order(sent: Invoice) -> None:
    entry = TimeEntry.objects.get(item__ref=5)
    change_hours(entry, "3")
    difference = Difference.objects.get(state="open")
    found, _why = credit_offer.offer(difference)
    assert found is not None
    what: dict[str, Any] = {"mark": difference.mark, "gross": str(found.gross), "note": "less"}
    crediting.request_credit(difference, user=make_user("Approver"), **what)
    give(sent, "hours", lines={5: ("1", "")})
    assert entries.evaluate(entry.item)
    asked = Difference.objects.get(state="open")
    assert (asked.billed_hours, asked.hours_now, asked.amount) == (2, 3, D("95.00"))


def test_hours_credited_while_a_difference_is_open_are_taken_off_it(sent: Invoice) -> None:
    change_hours(TimeEntry.objects.get(item__ref=5), "3")
    question = Difference.objects.get(state="open")
    assert (question.billed_hours, question.hours_now, question.amount) == (4, 3, -95)

    give(sent, "hours", lines={5: ("0.5", "")})

    rows = list(Difference.objects.order_by("pk").values_list("pk", "state", "billed_hours", "hours_now", "amount"))
    assert rows[0] == (question.pk, "open", D("3.5"), 3, D("-47.50"))
    assert [row[1] for row in rows] == ["open", "credited"]

    change_hours(TimeEntry.objects.get(item__ref=5), "3.5")
    assert [row.state for row in Difference.objects.order_by("pk")] == ["closed", "credited"]


def test_a_credit_that_is_given_up_takes_nothing_off_the_work(sent: Invoice) -> None:
    credit = give(sent, "hours", lines={5: ("1", "")}, against=str(sent.pk))
    RemoteRecord.objects.filter(pk=credit.remote_id).update(state="attention")
    crediting.give_up(credit, user=make_user("Approver"), note="by mistake")
    assert sorted(Difference.objects.values_list("state", flat=True)) == ["closed", "closed"]
    assert left_of(sent).lines[sent.lines.get(ref=5).pk].hours == 4
    assert CreditUse.objects.get().is_dropped


# --- the act --------------------------------------------------------------------------------------------------------


def page_of(invoice: Invoice, name: str = "credit") -> str:
    return f"/admin/invoicing/invoice/{invoice.pk}/{name}/"


def typed(invoice: Invoice) -> dict[str, str]:
    line = InvoiceLine.objects.get(invoice=invoice, ref=5)
    return {"way": "lines", "meaning": "goodwill", f"line-{line.pk}-hours": "1", "against": str(invoice.pk)}


def test_the_wish_is_a_credit_with_the_tax_of_the_invoice_and_a_use(sent: Invoice) -> None:
    user = make_user("Approver")
    credit = give(sent, lines={0: ("", "100")}, against=str(sent.pk), user=user)
    wanted = credit.remote.desired
    assert (wanted["net"], wanted["tax_name1"], wanted["tax_rate1"], wanted["gross"]) == (
        "100.00", "VAT", "21.000", "121.00",
    )  # fmt: skip
    (use,) = CreditUse.objects.all()
    assert (use.credit, use.invoice, use.amount, use.remote, use.chosen_by) == (credit, sent, D("121.00"), None, user)
    why = Transition.objects.filter(model="invoicing.invoice", row_id=sent.pk).values_list("why", flat=True)
    assert any("121.00\u00a0EUR with tax to be credited" in row and row.endswith("agreed") for row in why)


@pytest.mark.parametrize("group", ["approver", "administrator"])
def test_the_question_shows_each_line_and_only_its_post_acts(sent: Invoice, group: str) -> None:
    browser = browser_of(group)
    assert "Credit…" in browser.get(page_of(sent, "change")).content.decode()
    assert browser.get(page_of(sent)).status_code == 200
    asked = browser.post(page_of(sent), typed(sent))
    confirmation = asked.context["confirmation"]
    assert "Credit 114.95\u00a0EUR with tax of 0001" in confirmation.question
    assert [[str(cell).replace("\u00a0", " ") for cell in row][1:] for row in confirmation.rows] == [
        ["1.00 h", "1 × 95.00 EUR", "95.00 EUR"]
    ]
    assert not Credit.objects.exists()
    posted = {**fields_in(asked), "reason": "client agreed"}

    first = browser.post(page_of(sent), posted)
    again = browser.post(page_of(sent), posted, follow=True)

    assert (first.status_code, Credit.objects.count()) == (302, 1)
    assert "This is not what you saw" in again.content.decode()


@pytest.mark.parametrize(("group", "status"), [("", 302), ("stranger", 403), ("viewer", 403), ("clerk", 403)])
def test_only_who_may_approve_may_credit(sent: Invoice, group: str, status: int) -> None:
    browser = browser_of(group)
    posted = {**typed(sent), "confirmed": "1", "reason": "x"}
    assert (browser.get(page_of(sent)).status_code, browser.post(page_of(sent), posted).status_code) == (status, status)
    assert not Credit.objects.exists()


def test_what_was_typed_stays_on_the_form_when_it_is_refused(sent: Invoice) -> None:
    posted = {**typed(sent), "per_cent": "7"}
    name = next(name for name in posted if name.endswith("-hours"))
    page = browser_of("approver").post(page_of(sent), {**posted, name: "9"}).content.decode()
    assert f'name="{name}" value="9"' in page
    assert 'name="per_cent" value="7"' in page
    assert "are left to credit, not 9.00" in page


def test_what_was_shown_and_is_another_by_now_is_refused_with_both(sent: Invoice) -> None:
    asked = asked_of(sent, "goodwill", way="per_cent", per_cent="100", lines={5: ()})
    left = left_of(sent)
    mark = invoice_credit.mark_of(asked, left, sums_of(asked, left))
    give(sent, "goodwill", lines={5: ("", "80")})
    with pytest.raises(NotAllowed) as refused:
        invoice_credit.request_credit(sent, asked, mark=mark, user=make_user("Approver"), note="x")
    assert refused.value.sentence.replace("\u00a0", " ").startswith(
        "459.80 EUR was to be credited when you looked, 363.00"
    )
    assert Credit.objects.count() == 1


@pytest.mark.parametrize("mark", ["", "x", "114.95"])
def test_an_empty_or_torn_mark_is_refused(sent: Invoice, mark: str) -> None:
    asked = asked_of(sent, "goodwill", lines={5: ("1", "")})
    with pytest.raises(NotAllowed):
        invoice_credit.request_credit(sent, asked, mark=mark, user=make_user("Approver"), note="x")
    assert not Credit.objects.exists()


def test_four_eyes_keep_who_wrote_a_line_from_crediting_it(sent: Invoice) -> None:
    Company.current()
    Company.objects.update(needs_four_eyes=True)
    author = sent.lines.get(entry__isnull=True).adjusted_by
    assert give(sent, lines={0: ()}, user=make_user("Approver")) is None
    with pytest.raises(NotAllowed, match="another approver"):
        give(sent, lines={0: ()}, user=author)
    assert give(sent, lines={0: ()}).gross == D("4840.00")


def test_with_four_eyes_one_proposes_and_another_confirms_the_very_same(sent: Invoice) -> None:
    Company.current()
    Company.objects.update(needs_four_eyes=True)
    first, second = browser_of("approver"), browser_of("administrator")
    question = first.post(page_of(sent), typed(sent))
    assert question.context["confirmation"].submit_label == "Propose to credit 114.95\u00a0EUR"
    posted = {**fields_in(question), "reason": "client agreed"}
    first.post(page_of(sent), posted)
    assert "changed since you opened the page" in first.post(page_of(sent), posted, follow=True).content.decode()
    anew = fields_in(first.post(page_of(sent), typed(sent)))
    again = first.post(page_of(sent), {**anew, "reason": "client agreed"}, follow=True).content.decode()
    assert "another approver must confirm it" in again
    assert "a credit, client agreed" in again
    assert not Credit.objects.exists()

    form = second.get(page_of(sent))
    assert form.context["asked"].meaning == "goodwill"
    asked = {**form.context["asked"].fields, "per_cent": "1", "way": "per_cent"}
    other = second.post(page_of(sent), asked).context["confirmation"]
    assert other.submit_label.startswith("Propose")
    same = second.post(page_of(sent), form.context["asked"].fields)
    assert same.context["confirmation"].submit_label == "Credit 114.95\u00a0EUR"
    second.post(page_of(sent), {**fields_in(same), "reason": "seen"})

    assert (Credit.objects.get().gross, CreditProposal.objects.count()) == (D("114.95"), 0)


@pytest.mark.parametrize("state", ["draft", "approved", "cancelled", "attention"])
def test_what_is_not_in_invoice_ninja_or_not_settled_there_is_not_credited(sent: Invoice, state: str) -> None:
    Invoice.objects.filter(pk=sent.pk).update(state=state)
    row = Invoice.objects.get()
    with pytest.raises(NotAllowed, match="can be credited once"):
        give(row, lines={0: ()})
    assert browser_of("approver").get(page_of(row)).status_code == 302


def test_ten_credits_cost_the_pages_as_many_queries_as_one(sent: Invoice) -> None:
    browser = browser_of("approver")

    def count(path: str) -> int:
        browser.get(path)
        with CaptureQueriesContext(connection) as queries:
            assert browser.get(path).status_code == 200
        return len(queries)

    give(sent, lines={0: ("", "1")}, against=str(sent.pk))
    paths = [page_of(sent), page_of(sent, "change"), "/admin/invoicing/credit/"]
    one = [count(path) for path in paths]
    for _more in range(4):
        give(sent, lines={0: ("", "1")}, against=str(sent.pk))
    assert [count(path) for path in paths] == one


def test_a_day_of_its_own_is_the_credits_date(sent: Invoice) -> None:
    with clock.set_to(dt.datetime(2026, 2, 28, 23, 30, tzinfo=dt.UTC)):
        assert give(sent, lines={0: ("", "1")}).credit_date == dt.date(2026, 3, 1)
