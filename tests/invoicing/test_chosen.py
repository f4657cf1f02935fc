"""Two clerks on one draft: each line clashes by itself, and what was typed stays; acts on chosen lines of a draft."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from billing_console import clock
from billing_console.errors import NotAllowed
from invoicing import adjusting, chosen, review
from invoicing.chosen import Act
from invoicing.models import Invoice, InvoiceLine
from mappings.models import Person
from sync.models import TimeEntry, Transition
from tests.invoicing.world import IN_JANUARY, built, make_client, make_project, make_user, make_work, on_screen
from tests.people import GROUPS, browser_of, hidden_fields, post

pytestmark = pytest.mark.django_db
D = Decimal


@pytest.fixture(autouse=True)
def january() -> Iterator[None]:
    with clock.set_to(IN_JANUARY):
        yield


def draft(count: int = 3) -> Invoice:
    """`count` lines of 2.00 h × 95.00 = 190.00, #1 and so on."""
    project = make_project(make_client())
    for ref in range(1, count + 1):
        make_work(project, "2", ref=ref, subject=f"Part {ref}")
    return built().invoices.get()


def url(name: str, *args: Any) -> str:
    return reverse(f"admin:invoicing_invoice_{name}", args=args)


def words(answer: Any) -> str:
    text = re.sub(r"<[^>]+>", " ", answer.content.decode())
    return " ".join(html.unescape(text).replace("\u00a0", " ").split())


def asking(invoice: Invoice, act: str, value: str = "", refs: tuple[int, ...] = (1, 2), **more: str) -> str:
    lines = "".join(f"&line={invoice.lines.get(ref=ref).pk}" for ref in refs)
    extra = "".join(f"&{name}={text}" for name, text in more.items())
    return f"{url('chosen_lines', invoice.pk)}?act={act}&value={value}{lines}{extra}"


def lines_of(invoice: Invoice) -> dict[int, tuple[Any, ...]]:
    rows = invoice.lines.order_by("ref")
    return {row.ref or 0: (row.billed_hours, row.rate, row.amount, row.is_voided) for row in rows}


def by_hand(invoice: Invoice, count: int, **values: Any) -> None:
    """Lines of 1 × 10.00 that people added."""
    facts = {"notes": "Fee", "raw_hours": 0, "billed_hours": 1, "rate": 10, "amount": 10, **values}
    InvoiceLine.objects.bulk_create([InvoiceLine(invoice=invoice, **facts) for _number in range(count)])


def seen(invoice: Invoice, *refs: int) -> dict[str, Any]:
    rows = [invoice.lines.get(ref=ref) for ref in refs]
    return {str(row.pk): on_screen(row) for row in rows}


AS_IT_WAS = (D("2.00"), D("95.000"), D("190.000"), False)


# --- two clerks ---------------------------------------------------------------------------------------------------


def filled(browser: Browser, invoice: Invoice, address: str) -> dict[str, str]:
    """What the open page puts into the dialog of a line."""
    page = browser.get(url("review", invoice.pk)).content.decode()
    (fill, *_rest) = re.findall(rf'data-bc-action="{re.escape(address)}" data-bc-fill="([^"]*)"', page)
    return dict(json.loads(html.unescape(fill)))


def test_two_clerks_write_on_different_lines_of_one_draft() -> None:
    invoice = draft()
    first, second = invoice.lines.get(ref=1), invoice.lines.get(ref=2)
    ann, bob = browser_of("clerk"), browser_of("approver")
    forms = [
        (who, url("adjust_line", invoice.pk, line.pk), filled(who, invoice, url("adjust_line", invoice.pk, line.pk)))
        for who, line in ((ann, first), (bob, second))
    ]
    for who, address, form in forms:
        typed = {"shown": form["shown"], "hours": "1", "rate": "95", "reason": "agreed", "meaning": "purpose"}
        assert "is now 1.00 × 95.00 = 95.00 EUR" in words(who.post(address, typed, follow=True))

    assert {ref: row[2] for ref, row in lines_of(invoice).items()} == {1: D(95), 2: D(95), 3: D(190)}
    invoice.refresh_from_db()
    assert invoice.net == D(380)


def test_the_second_on_the_same_line_is_refused_and_keeps_what_was_typed() -> None:
    invoice = draft()
    line = invoice.lines.get(ref=1)
    address = url("adjust_line", invoice.pk, line.pk)
    bob = browser_of("approver")
    form = filled(bob, invoice, address)
    figures: dict[str, Any] = {"hours": D("1.5"), "rate": D(95), "reason": "said Ann", "meaning": "purpose"}
    adjusting.adjust_line(line, seen=on_screen(line), user=make_user("Billing clerk"), **figures)
    typed = {"hours": "1,25", "rate": "90", "reason": "as agreed by phone", "meaning": "purpose"}

    answer = bob.post(address, {"shown": form["shown"], **typed}, follow=True)

    page = words(answer)
    assert "Hours was “2.00” and is “1.50” now" in page
    assert "Not saved" in page
    assert "Hours 1,25 1.50" in page
    assert "Reason as agreed by phone –" in page
    assert lines_of(invoice)[1] == (D("1.50"), D(95), D("142.500"), False)
    again = json.loads(
        html.unescape(re.findall(r'data-bc-fill="([^"]*)"[^>]*>Open it again', answer.content.decode())[0])
    )
    assert {name: again[name] for name in typed} == typed
    assert "Not saved" not in words(bob.get(url("review", invoice.pk)))  # once
    bob.post(address, {"shown": again["shown"], **typed})
    assert lines_of(invoice)[1] == (D("1.25"), D(90), D("112.500"), False)


def test_a_line_of_ones_own_that_is_refused_keeps_what_was_typed() -> None:
    invoice = draft()
    typed = {"text": "Hosting", "hours": "1.234", "rate": "10", "reason": "agreed"}
    page = words(post(browser_of("clerk"), url("add_line", invoice.pk), typed, follow=True))
    assert "can mean 1234 or 1.234" in page
    assert "Text on the invoice Hosting –" in page
    assert Invoice.objects.get().revision == 2


# --- finding ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "refs"),
    [
        ("part 2", [2]), ("#3", [3]), ("3", [3, 13]), ("alice", [1, 2, 3, 13]), ("webshop", [1, 2, 3, 13]),
        ("nobody", []), ("", [1, 2, 3, 13]), ("9" * 40, []), ("٣", []),
    ],
)  # fmt: skip
def test_lines_are_found_by_text_reference_person_and_project(text: str, refs: list[int]) -> None:
    project = make_project(make_client())
    for ref in (1, 2, 3, 13):
        make_work(project, "2", ref=ref, subject=f"Part {ref}")
    invoice = built().invoices.get()
    assert [line.ref for line in chosen.found(invoice.lines.order_by("ref"), text)] == refs
    page = browser_of("viewer").get(url("review", invoice.pk), {"q": text})
    assert [shown.row.ref for shown in page.context["lines"]] == refs


def test_what_is_found_stays_on_the_further_pages() -> None:
    invoice = draft(1)
    line = invoice.lines.get()
    rows = [
        InvoiceLine(invoice=invoice, notes=f"Fee {n}", raw_hours=0, billed_hours=1, rate=1, amount=1)
        for n in range(150)
    ]
    InvoiceLine.objects.bulk_create(rows)
    page = browser_of("clerk").get(url("review", invoice.pk), {"q": "Fee"})
    assert "150 lines found" in words(page)
    assert 'href="?q=Fee&amp;page=2"' in page.content.decode()
    assert line.notes not in words(page)
    assert "all 150 lines that were found" in words(page)


# --- chosen lines -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("act", "value", "after"),
    [
        ("rate", "90", (D(2), D(90), D(180), False)),
        ("percent", "-10", (D(2), D("85.5"), D(171), False)),
        ("percent", "3.33", (D(2), D("98.16"), D("196.32"), False)),
    ],
)
def test_chosen_lines_get_another_rate_and_keep_their_first_figures(act: str, value: str, after: Any) -> None:
    invoice = draft()
    clerk = browser_of("clerk")
    address = asking(invoice, act, value)
    before = lines_of(invoice)
    page = words(clerk.get(address))
    assert "2 lines of Acme Corp, 380.00 EUR → " in page
    assert lines_of(invoice) == before  # GET changes nothing
    form = hidden_fields(clerk, address)

    said = words(clerk.post(address, {**form, "reason": "agreed"}, follow=True))

    assert "2 lines are written. The draft is now" in said
    assert lines_of(invoice) == {1: after, 2: after, 3: AS_IT_WAS}
    row = invoice.lines.get(ref=1)
    assert (row.original_rate, row.original_amount, row.adjust_reason, str(row.adjusted_by)) == (
        D(95), D(190), "agreed", "clerk",
    )  # fmt: skip
    invoice.refresh_from_db()
    assert (invoice.net, invoice.revision) == (2 * after[2] + 190, 3)
    trail = Transition.objects.filter(model="invoicing.invoice").latest("id")
    assert "(#1, #2)" in trail.why
    assert trail.why.endswith(": agreed")
    # A second click: the lines are other ones by now.
    twice = words(clerk.post(address, {**form, "reason": "agreed"}, follow=True))
    assert "This is not what you saw: Rate was “95.00”" in twice
    assert Invoice.objects.get().revision == 3


def test_a_text_for_chosen_lines_may_hold_their_own() -> None:
    invoice = draft()
    clerk = browser_of("clerk")
    address = asking(invoice, "text", "Phase 2: {text}")
    assert "Task #1: Part 1 → Phase 2: Task #1: Part 1" in words(clerk.get(address))
    clerk.post(address, {**hidden_fields(clerk, address), "reason": "clearer"})
    assert list(invoice.lines.order_by("ref").values_list("notes", "original_notes")) == [
        ("Phase 2: Task #1: Part 1", "Task #1: Part 1"),
        ("Phase 2: Task #2: Part 2", "Task #2: Part 2"),
        ("Task #3: Part 3", ""),
    ]
    assert Invoice.objects.get().net == D(570)


def test_chosen_lines_are_put_off_to_the_next_run() -> None:
    invoice = draft()
    clerk = browser_of("clerk")
    address = asking(invoice, "put-off")
    assert "Put off 2 lines, 380.00 EUR" in words(clerk.get(address))
    clerk.post(address, {**hidden_fields(clerk, address), "reason": "next month"})
    assert {ref: row[3] for ref, row in lines_of(invoice).items()} == {1: True, 2: True, 3: False}
    rows = TimeEntry.objects.filter(item__ref__in=(1, 2)).order_by("item__ref")
    assert list(rows.values_list("state", "reason", "reason_note", "reason_sentence")) == [
        ("held", "next_run", "next month", f"#{ref} was taken off a draft. It joins the next run by itself.")
        for ref in (1, 2)
    ]
    assert Invoice.objects.get().net == D(190)


def test_only_the_lines_that_clash_are_left_and_asked_again_with_what_was_typed() -> None:
    invoice = draft()
    clerk = browser_of("clerk")
    address = asking(invoice, "rate", "90", (1, 2, 3))
    form = hidden_fields(clerk, address)
    second = invoice.lines.get(ref=2)
    figures: dict[str, Any] = {"hours": D(30), "rate": D(95), "reason": "said Bob", "meaning": "purpose"}
    adjusting.adjust_line(second, seen=on_screen(second), user=make_user(), **figures)
    third = invoice.lines.get(ref=3)
    review.exclude_line(third, seen=on_screen(third), user=make_user(), reason="later")

    answer = clerk.post(address, {**form, "reason": "agreed"}, follow=True)

    page = words(answer)
    assert "1 line is written." in page
    assert "Hours was “2.00” and is “30.00” now" in page
    assert "This line is not on the draft any more." in page
    assert {ref: row[1] for ref, row in lines_of(invoice).items()} == {1: D(90), 2: D(95), 3: D(95)}
    query = answer.request["QUERY_STRING"]
    assert query == f"act=rate&value=90&line={second.pk}"  # the same question, with what was typed, about what is left
    assert "1 line of Acme Corp, 2,850.00 EUR → 2,700.00 EUR?" in page


@pytest.mark.parametrize(
    ("act", "value", "refs", "sentence"),
    [
        ("rate", "", (1,), "Rate:"),
        ("rate", "1.234", (1,), "can mean 1234 or 1.234"),
        ("rate", "-5", (1,), "Write a number of 0 or more."),
        ("percent", "-101", (1,), "Write a number of -100 or more."),
        ("text", " ", (1,), "A line needs a text."),
        ("burn", "1", (1,), "Choose what becomes of the lines."),
        ("rate", "90", (), "Choose at least one line first."),
    ],
)
def test_what_cannot_be_is_said_and_keeps_what_was_chosen(act: str, value: str, refs: Any, sentence: str) -> None:
    invoice = draft()
    answer = browser_of("clerk").get(asking(invoice, act, value, refs), follow=True)
    assert sentence in words(answer)
    assert answer.request["PATH_INFO"] == url("review", invoice.pk)
    checked = re.findall(r'name="line" value="(\d+)"[^>]* checked', answer.content.decode())
    assert checked == [str(invoice.lines.get(ref=ref).pk) for ref in refs]
    assert (f'name="value" value="{value.strip()}"' in answer.content.decode()) or not value.strip()


def test_nothing_is_done_without_a_reason_without_work_or_below_zero() -> None:
    invoice = draft(2)
    user = make_user()
    both = seen(invoice, 1, 2)
    with pytest.raises(NotAllowed, match="Say why"):
        chosen.carry_out(invoice, Act.RATE, D(90), seen=both, user=user, reason=" ")
    with pytest.raises(NotAllowed, match="These are all its lines"):
        chosen.carry_out(invoice, Act.PUT_OFF, None, seen=both, user=user, reason="x")
    with pytest.raises(NotAllowed, match="must stay above zero"):
        chosen.carry_out(invoice, Act.PERCENT, D(-100), seen=both, user=user, reason="x")
    assert lines_of(invoice) == {1: AS_IT_WAS, 2: AS_IT_WAS}
    assert Invoice.objects.get().revision == 2
    review.hold_draft(invoice, revision=2, user=user, note="x")
    review.unhold_draft(invoice, revision=2, user=user)
    review.approve(invoice, revision=2, user=user)
    with pytest.raises(NotAllowed, match="is approved already"):
        chosen.carry_out(invoice, Act.RATE, D(90), seen=both, user=user, reason="x")


def test_lines_by_hand_and_lines_that_taiga_changed_are_named_and_left() -> None:
    invoice = draft()
    user = make_user()
    adjusting.add_line(invoice, user=user, text="Fee", quantity=D(1), price=D(10), reason="x")
    InvoiceLine.objects.filter(ref=2).update(change_sentence="+1.00 h")
    rows = list(invoice.lines.order_by("pk"))
    on_page = {str(row.pk): on_screen(row) for row in rows}
    done = chosen.carry_out(invoice, Act.RATE, D(90), seen=on_page, user=user, reason="x")
    assert [one.line.ref for one in done.saved] == [1, 3]
    assert [sentence for _line, sentence in done.left] == [
        "Taiga changed this line. Refresh the draft first.",
        "It was added by hand and has a price of its own.",
    ]
    fee = invoice.lines.get(notes="Fee")
    done = chosen.carry_out(invoice, Act.PUT_OFF, None, seen={str(fee.pk): on_screen(fee)}, user=user, reason="x")
    assert done.left[0][1] == "It was added by hand; remove it by itself."
    dearer = chosen.carry_out(invoice, Act.PERCENT, D(10), seen={str(fee.pk): on_screen(fee)}, user=user, reason="x")
    assert dearer.saved[0].amount == D("11.00")


@pytest.mark.parametrize("group", sorted(GROUPS))
def test_clerks_act_on_chosen_lines_and_viewers_do_not(group: str) -> None:
    invoice = draft()
    browser, may = browser_of(group), group != "viewer"
    page = browser.get(url("review", invoice.pk)).content.decode()
    assert ("With the chosen lines" in page) == may
    address = asking(invoice, "rate", "90")
    assert browser.get(address).status_code == (200 if may else 403)
    assert post(browser, address, {"reason": "x"}).status_code == (302 if may else 403)
    assert (Invoice.objects.get().net == D(550)) == may


def test_all_that_was_found_is_written_though_it_is_on_several_pages() -> None:
    invoice = draft(1)
    make = InvoiceLine
    rows = [
        make(invoice=invoice, notes=f"Fee {n}", raw_hours=0, billed_hours=1, rate=10, amount=10) for n in range(150)
    ]
    make.objects.bulk_create(rows)
    clerk = browser_of("clerk")
    address = f"{url('chosen_lines', invoice.pk)}?act=percent&value=-50&all=1&q=Fee"
    assert "150 lines of Acme Corp, 1,500.00 EUR → 750.00 EUR?" in words(clerk.get(address))
    clerk.post(address, {**hidden_fields(clerk, address), "reason": "half"})
    assert set(invoice.lines.filter(entry=None).values_list("amount", flat=True)) == {D(5)}
    assert Invoice.objects.get().net == D(190 + 750)


def test_page_question_and_act_cost_the_same_for_three_and_three_hundred_lines() -> None:
    invoice = draft(3)
    clerk = browser_of("clerk")

    def costs() -> list[int]:
        found = []
        address = f"{url('chosen_lines', invoice.pk)}?act=text&value=x+{{text}}&all=1&q="
        form = hidden_fields(clerk, address)
        for ask in (
            lambda: clerk.get(url("review", invoice.pk), {"q": "task"}),
            lambda: clerk.get(address),
            lambda: clerk.post(address, {**form, "reason": "x"}),
        ):
            with CaptureQueriesContext(connection) as queries:
                assert ask().status_code in (200, 302)
            found.append(len(queries))
        return found

    clerk.get(url("review", invoice.pk))
    few = costs()
    by_hand(invoice, 297, person_name=str(Person.objects.get()), notes="Task")
    assert costs() == few
