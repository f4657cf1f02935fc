"""A closed month says the same for ever: by page and by command, for each of the four groups, and a year later."""

from __future__ import annotations

import datetime as dt
import html
import io
import json
from decimal import Decimal as D
from typing import Any

import pytest
from django.core.management import call_command

from billing_console import clock
from billing_console.errors import NotAllowed
from billing_console.states import DifferenceState, InvoiceState
from invoicing import credit_offer, crediting, ending, readings
from invoicing.books import closing as closings
from invoicing.books import figures, keeping
from invoicing.models import Closing, Fact, Invoice, Posting
from invoicing.reports import REPORTS
from invoicing.reports.filters import Wanted
from mappings.lookups import new_rule_set_version
from mappings.rules import ONE_DAY, month
from sync.models import Difference
from tests.invoicing.books.test_keeping import at, owed, pay, send
from tests.invoicing.test_credited import settle
from tests.invoicing.world import built, change_hours, make_client, make_project, make_user, make_work
from tests.outbound import created_invoice, drain_all, fresh
from tests.people import GROUPS, browser_of, hidden_fields, press
from tests.standins import World

pytestmark = pytest.mark.django_db

LIST = "/admin/invoicing/closings/"
CLOSE = "/admin/invoicing/closings/close/?month=2025-12"
IN_DECEMBER = dt.datetime(2025, 12, 20, 9, 0, tzinfo=dt.UTC)
IN_JANUARY = dt.datetime(2026, 1, 12, 9, 0, tzinfo=dt.UTC)
DECEMBER = month(2025, 12)


@pytest.fixture
def books() -> Any:
    """One ready entry of December, worth 190.00, now 12 January; no server was read."""
    with clock.set_to(IN_DECEMBER):
        make_work(make_project(make_client()), "2", ref=1)
        keeping.keep()
    with clock.set_to(IN_JANUARY):
        yield


def close() -> Closing:
    return closings.close(DECEMBER, user=make_user("Approver"), reason="Read tomorrow")


def credit_half(world: World, invoice: Invoice) -> None:
    """Of the second task half was enough after all: the difference is given back, and set against the invoice."""
    line = invoice.lines.order_by("position")[1]
    world.set_values(line.entry.item.taiga_id, hours=1)
    world.read(line.entry.item.taiga_id)
    difference = Difference.objects.get(state=DifferenceState.OPEN)
    found, _why = credit_offer.offer(difference)
    assert found is not None
    what: dict[str, Any] = {"mark": difference.mark, "gross": str(found.gross), "note": "agreed", "is_to_use": True}
    crediting.request_credit(difference, user=make_user("Approver"), **what)
    settle()


def seen(group: str = "approver") -> dict[str, str]:
    return {"shown": hidden_fields(browser_of(group), CLOSE)["shown"]}


# --- what a year says ---------------------------------------------------------------------------------------------


def lists(day: dt.date) -> dict[str, Any]:
    """What the three reports say as at `day`, whatever day it is."""
    today = clock.today("Europe/Brussels")
    start = day.replace(day=1)
    return {
        name: [
            [column.in_file(row) for column in REPORTS[name].columns if column.key not in ("stage", "reason")]
            for row in REPORTS[name].rows(Wanted(today, start=start, end=day, as_at=day))
        ]
        for name in figures.LISTS
    }


def test_the_figures_of_a_day_are_the_same_a_year_later(world: World) -> None:
    """Through a payment, late work, a change of rules, a credit and a cancellation."""
    said: dict[dt.date, Any] = {}

    def note(*day: int) -> None:
        when = at(world, *day)
        is_last = (when + ONE_DAY).day == 1
        said[when] = lists(when), figures.of_month(month(when.year, when.month)) if is_last else None, owed(when)

    world.go_to(dt.datetime(2025, 12, 30, 9, tzinfo=dt.UTC))
    late = world.add_task("Late", billable=True, hours=3)  # closed in December, and read in January
    note(2025, 12, 31)
    invoice = created_invoice(world, 4.5, 2.0)
    send(invoice)
    note(2026, 1, 2)
    pay(world, invoice, 100, "2026-01-05")
    note(2026, 1, 5)
    entry = world.read(late)
    note(2026, 1, 20)
    note(2026, 1, 31)
    new_rule_set_version(invoice.client, {"min_billable_hours": D(8)})
    change_hours(entry, "4")
    note(2026, 2, 3)
    world.go_to(dt.datetime(2026, 2, 10, 9, tzinfo=dt.UTC))
    credit_half(world, invoice)
    note(2026, 2, 10)
    again = dict(said)
    at(world, 2027, 2, 3)

    for day, (reports, month_then, then) in again.items():
        assert (lists(day), owed(day)) == (reports, then), day
        assert month_then in (None, figures.of_month(month(day.year, day.month))), day


def test_a_cancellation_and_a_credit_leave_the_closed_month_as_it_was(world: World) -> None:
    invoice = created_invoice(world, 4.5, 2.0)
    send(invoice)
    readings.read_now()
    at(world, 2026, 1, 31)
    for period in (month(2025, 12), month(2026, 1)):
        world.go_to(dt.datetime(2026, 2, 1, 9, tzinfo=dt.UTC))
        closings.close(period, user=None, reason="as agreed")
    closed = Closing.objects.latest("period_start")
    at(world, 2026, 2, 10)
    ending.request_end(fresh(invoice), seal=fresh(invoice).seal, user=make_user("Approver"), note="Wrong address")
    drain_all()
    at(world, 2026, 2, 10)

    assert fresh(invoice).state == InvoiceState.CANCELLED
    assert closings.changed_lists(closed) == []
    assert figures.of_month(month(2026, 1))["revenue"][0]["net_sum"] == D("487.500")
    after = REPORTS["after-closing"].rows(Wanted(dt.date(2026, 2, 10)))
    assert sorted((row["fact"], row["day"].isoformat(), row["gross"]) for row in after) == [
        ("asked", "2026-02-10", D("-589.880")), ("invoiced", "2026-02-10", D("-487.500")),
        ("tax", "2026-02-10", D("-102.380")),
    ]  # fmt: skip


def test_money_dated_into_a_closed_month_counts_today_and_is_listed(world: World) -> None:
    invoice = created_invoice(world)
    send(invoice)
    at(world, 2026, 2, 1)
    closings.close(month(2026, 1), user=None, reason="as agreed")
    before = owed(dt.date(2026, 1, 31))
    pay(world, invoice, 100, "2026-01-28")
    day = at(world, 2026, 2, 3)

    assert owed(dt.date(2026, 1, 31)) == before
    (paid,) = Posting.objects.filter(fact=Fact.PAID)
    assert (paid.day, paid.fact_day, paid.gross) == (day, dt.date(2026, 1, 28), D("-100.000"))
    assert [row["fact"] for row in REPORTS["after-closing"].rows(Wanted(day))] == ["paid"]


def test_late_work_of_a_closed_month_is_listed_and_changes_nothing_in_it(books: None) -> None:
    closed = close()
    make_work(make_project(make_client("Late Ltd")), "1", ref=9)
    keeping.keep()

    assert closings.changed_lists(closed) == []
    (row,) = REPORTS["late-work"].rows(Wanted(dt.date(2026, 1, 12)))
    assert (row["item__ref"], row["amount"], row["work_date"]) == (9, D("95.000"), dt.date(2025, 12, 9))


# --- rules of closing ---------------------------------------------------------------------------------------------


def test_a_month_that_is_not_proven_needs_a_reason(books: None) -> None:
    with pytest.raises(NotAllowed, match="December 2025 is not proven: Ours balances; the servers were never read"):
        closings.close(DECEMBER, user=make_user("Approver"))
    assert not Closing.objects.exists()

    closing = close()
    assert (closing.verdict, closing.reason) == ("ours_balances", "Read tomorrow")
    assert sorted(closing.files.values_list("name", flat=True)) == [
        "ageing.csv", "certificate.csv", "revenue.csv", "unbilled.csv",
    ]  # fmt: skip
    unbilled = bytes(closing.files.get(name="unbilled.csv").content).decode("utf-8-sig").splitlines()
    assert unbilled[1].startswith("#1 Implement payment gateway,Acme Corp,")
    assert unbilled[1].endswith(",2,EUR,190.00")


@pytest.mark.parametrize(
    ("period", "sentence"),
    [
        (month(2026, 1), "January 2026 is not over yet."),
        (month(2025, 12), "December 2025 is closed already."),
        (month(2025, 11), "November 2025 is closed already."),
    ],
)
def test_months_are_closed_in_a_row_and_once(period: Any, sentence: str, books: None) -> None:
    close()
    with pytest.raises(NotAllowed, match=sentence):
        closings.close(period, user=None, reason="again")


def test_a_gap_is_refused(books: None) -> None:
    closings.close(month(2025, 10), user=None, reason="as agreed")
    with pytest.raises(NotAllowed, match="Months are closed in a row: November 2025 comes first."):
        closings.close(DECEMBER, user=None, reason="as agreed")


def test_reopening_keeps_the_certificate_and_a_second_closing_is_another(books: None) -> None:
    first, boss = close(), make_user()
    with pytest.raises(NotAllowed, match="Say why"):
        closings.reopen(first, user=boss, reason=" ")
    closings.reopen(first, user=boss, reason="Invoice forgotten")
    with pytest.raises(NotAllowed, match="December 2025 was reopened already."):
        closings.reopen(first, user=boss, reason="again")
    second = close()

    assert second.pk != first.pk
    assert Closing.objects.get(pk=first.pk).files.count() == 4


def test_only_the_last_month_is_reopened(books: None) -> None:
    first = closings.close(month(2025, 11), user=None, reason="as agreed")
    close()
    with pytest.raises(NotAllowed, match="A later month is closed."):
        closings.reopen(first, user=make_user(), reason="forgotten")


# --- pages --------------------------------------------------------------------------------------------------------


def test_who_may_look_close_and_reopen(books: None) -> None:
    looks = {group: browser_of(group).get(LIST).status_code for group in GROUPS}
    asks = {group: browser_of(group).get(CLOSE).status_code for group in GROUPS}
    closing = close()
    reopen = f"{LIST}{closing.pk}/reopen/"
    opens = {group: browser_of(group).get(reopen).status_code for group in GROUPS}

    assert looks == dict.fromkeys(GROUPS, 200)
    assert asks == {"viewer": 403, "clerk": 403, "approver": 200, "administrator": 200}
    assert opens == {"viewer": 403, "clerk": 403, "approver": 403, "administrator": 200}
    assert browser_of("clerk").post(CLOSE, {"reason": "x"}).status_code == 403
    assert browser_of("approver").post(reopen, {"reason": "x"}).status_code == 403
    assert {group: browser_of(group).get(f"{LIST}{closing.pk}/").status_code for group in GROUPS} == dict.fromkeys(
        GROUPS, 200
    )
    assert Closing.objects.get().reopened_at is None


def test_asking_closes_nothing_and_confirming_closes_what_was_shown(books: None) -> None:
    shown = browser_of("approver").get(CLOSE).context["confirmation"]
    assert ("Unbilled at its end, before tax", "190.00\u00a0EUR") in shown.facts
    assert not Closing.objects.exists()

    answer = browser_of("approver").post(CLOSE, {**seen(), "reason": "Read tomorrow"}, follow=True)

    assert "December 2025 is closed." in answer.content.decode()
    assert "The books say the same today" in answer.content.decode()
    again = browser_of("approver").post(CLOSE, {"shown": "", "reason": "x"}, follow=True)
    assert "December 2025 is closed already." in again.content.decode()
    assert Closing.objects.count() == 1


@pytest.mark.parametrize("form", [{}, {"shown": ""}, {"shown": "other"}, None])
def test_what_was_not_shown_is_not_closed(form: dict[str, str] | None, books: None) -> None:
    posted = seen() if form is None else form
    if form is None:  # somebody's work comes in between
        make_work(make_project(make_client("Other")), "1", ref=7)

    answer = browser_of("approver").post(CLOSE, {**posted, "reason": "x"}, follow=True)

    page = html.unescape(answer.content.decode())
    assert ("changed since you opened the page" if form is None else "The form came without what you saw") in page
    assert not Closing.objects.exists()


def test_the_page_keeps_the_file_as_it_was_and_reopens(books: None) -> None:
    closing = close()
    browser = browser_of("administrator")
    file = browser.get(f"{LIST}{closing.pk}/", {"file": "certificate.csv"})
    assert file.content == bytes(closing.files.get(name="certificate.csv").content)
    assert closing.hash in file.content.decode()
    assert browser.get(f"{LIST}{closing.pk}/", {"file": "other"}).status_code == 404

    answer = press(browser, f"{LIST}{closing.pk}/reopen/", {"reason": "Invoice forgotten"}, follow=True)

    assert "December 2025 is open again." in answer.content.decode()
    assert Closing.objects.get().reopen_reason == "Invoice forgotten"
    again = browser.post(f"{LIST}{closing.pk}/reopen/", {"reason": "x"}, follow=True).content.decode()
    assert "December 2025 was reopened already." in again


def test_books_that_say_otherwise_are_shown_red(books: None) -> None:
    closing = close()
    Posting.objects.create(invoice=_any_invoice(), fact=Fact.INVOICED, day=dt.date(2025, 12, 31), net=D(1), gross=D(1))

    assert closings.changed_lists(closing) == ["revenue"]
    assert "The books say otherwise now" in browser_of("viewer").get(f"{LIST}{closing.pk}/").content.decode()


def _any_invoice() -> Invoice:
    return built().invoices.get()


# --- the command --------------------------------------------------------------------------------------------------


def run(*args: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    try:
        call_command("close_month", "--month", "2025-12", *args, stdout=out, stderr=err)
    except SystemExit as stop:
        return int(stop.code or 0), out.getvalue(), err.getvalue()
    return 0, out.getvalue(), err.getvalue()


def test_the_command_closes_a_proven_month(world: World) -> None:
    created_invoice(world)
    code, out, _err = run("--json")

    found = json.loads(out)
    assert (code, found["month"], found["verdict"], found["reason"]) == (0, "2025-12", "balances", "")
    assert sorted(found["files"]) == ["ageing.csv", "certificate.csv", "revenue.csv", "unbilled.csv"]
    assert run()[0] == 1
    assert Closing.objects.count() == 1


def test_the_command_refuses_in_a_sentence(books: None) -> None:
    sentence = (
        "December 2025 is not proven: Ours balances; the servers were never read. Put that right first, or say why it "
        "is closed all the same.\n"
    )
    assert run("--last-reading") == (1, "", sentence)
    assert run("--last-reading", "--user", "nobody")[2] == "There is no active user “nobody” who may close a month.\n"
    who = make_user("Approver", "ada")
    assert run("--last-reading", "--user", "ada", "--reason", "as agreed")[0] == 0
    assert Closing.objects.get().closed_by == who
