"""The books against the rows they are kept of: what is said of a day stays, whatever happens later."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal as D

import pytest

from billing_console import clock
from billing_console.states import InvoiceState
from invoicing import ending, payments, redating, sending
from invoicing.books import figures, keeping, receivable, unbilled
from invoicing.models import Fact, Invoice, Posting, UnbilledWork
from mappings.rules import ONE_DAY, month
from sync import work_items
from sync.marks import mark_dirty
from sync.models import FoundBy
from tests.invoicing.world import change_hours, make_client, make_project, make_user, make_work
from tests.outbound import approved_invoice, created_invoice, drain_all, fresh
from tests.standins import World

pytestmark = pytest.mark.django_db

DECEMBER_31 = dt.datetime(2025, 12, 31, 9, 0, tzinfo=dt.UTC)


def at(world: World, *day: int) -> dt.date:
    """It is nine o'clock UTC of that day; the books are kept, as of that moment."""
    instant = dt.datetime(*day, 9, 0, tzinfo=dt.UTC)  # type: ignore[misc]
    world.go_to(instant)
    payments.poll()
    keeping.keep()
    return instant.date()


def owed(day: dt.date) -> list[tuple[str, D, dt.date]]:
    rows = receivable.owed_at(day).order_by("number")
    return [(row.number, row.open, row.due) for row in rows]


def postings(invoice: Invoice) -> list[tuple[str, str, D]]:
    rows = Posting.objects.filter(invoice=invoice).order_by("id")
    return [(row.fact, f"{row.day:%m-%d}", row.gross) for row in rows]


def send(invoice: Invoice) -> None:
    sending.request_sending(fresh(invoice), seal=fresh(invoice).seal, user=None)
    drain_all()
    assert fresh(invoice).state == InvoiceState.SENT
    keeping.keep()


def pay(world: World, invoice: Invoice, amount: float, day: str) -> None:
    body = {
        "client_id": invoice.client.ninja_id,
        "amount": amount,
        "date": day,
        "invoices": [{"invoice_id": fresh(invoice).remote.remote_id, "amount": amount}],
    }
    world.api_ninja("POST", "/payments", body)


def test_an_invoice_counts_from_its_dates_on(world: World) -> None:
    invoice = created_invoice(world)
    first = at(world, 2026, 1, 2)
    assert owed(first) == []  # nobody was asked yet
    send(invoice)
    at(world, 2026, 1, 5)
    pay(world, invoice, 100, "2026-01-08")
    last = at(world, 2026, 1, 10)

    number, due = fresh(invoice).number, fresh(invoice).due_date
    assert owed(dt.date(2026, 1, 7)) == [(number, D("408.38"), due)]
    assert owed(dt.date(2026, 1, 8)) == owed(last) == [(number, D("308.38"), due)]
    assert postings(invoice) == [
        ("invoiced", "01-02", D("337.500")), ("tax", "01-02", D("70.880")), ("asked", "01-02", D("408.380")),
        ("paid", "01-08", D("-100.000")),
    ]  # fmt: skip
    (asked,) = Posting.objects.filter(fact=Fact.INVOICED)
    assert (asked.key, asked.hours, asked.net) == ("2025-12", D("4.50"), D("337.500"))


def test_kept_twice_nothing_is_added(world: World) -> None:
    send(created_invoice(world))
    at(world, 2026, 1, 2)
    before = Posting.objects.count(), UnbilledWork.objects.count()

    assert keeping.keep() == 0
    assert (Posting.objects.count(), UnbilledWork.objects.count()) == before


def test_a_cancellation_has_a_minus_on_its_own_day(world: World) -> None:
    invoice = created_invoice(world)
    at(world, 2026, 1, 2)
    send(invoice)
    january = at(world, 2026, 1, 31)
    before = owed(january), figures.of_month(month(2026, 1))
    ending.request_end(fresh(invoice), seal=fresh(invoice).seal, user=make_user("Approver"), note="Wrong address")
    at(world, 2026, 2, 3)
    drain_all()
    february = at(world, 2026, 2, 3)

    assert fresh(invoice).state == InvoiceState.CANCELLED
    assert (owed(january), figures.of_month(month(2026, 1))) == before
    assert owed(february) == []
    (revenue,) = figures.of_month(month(2026, 2))["revenue"]
    assert (revenue["net_sum"], revenue["gross_sum"]) == (D("-337.500"), D("-408.380"))
    # Its hours are unbilled again from that day on.
    assert [row.amount for row in unbilled.as_at(february)] == [D("337.500")]
    assert not unbilled.as_at(january).exists()


def test_another_invoice_date_moves_the_revenue_until_it_is_sent(world: World) -> None:
    invoice = created_invoice(world)
    at(world, 2026, 1, 30)
    at(world, 2026, 2, 3)
    redating.redate(fresh(invoice), seal=fresh(invoice).seal, user=make_user("Approver"))
    at(world, 2026, 2, 3)

    assert figures.of_month(month(2026, 1))["revenue"][0]["net_sum"] == 0
    assert figures.of_month(month(2026, 2))["revenue"][0]["net_sum"] == D("337.500")
    assert sum(row.documents for row in Posting.objects.filter(fact=Fact.TAX)) == 1


def test_work_stands_at_the_price_of_each_days_end() -> None:
    mapping = make_project(make_client())
    with clock.set_to(DECEMBER_31):
        entry = make_work(mapping, "2", ref=1)
        keeping.keep()
    with clock.set_to(DECEMBER_31 + ONE_DAY):
        keeping.keep()
        change_hours(entry, "5")
        keeping.keep()
        late = make_work(mapping, "1", ref=2)  # of December, but typed in January
        keeping.keep()
    day = DECEMBER_31.date()

    assert [(row.entry_id, row.amount) for row in unbilled.as_at(day)] == [(entry.pk, D("190.000"))]
    assert [(row.entry_id, row.amount) for row in unbilled.as_at(day + ONE_DAY).order_by("entry_id")] == [
        (entry.pk, D("475.000")), (late.pk, D("95.000")),
    ]  # fmt: skip
    assert not unbilled.as_at(day - ONE_DAY).exists()


def test_what_changes_twice_a_day_is_kept_as_it_is_at_its_end() -> None:
    mapping = make_project(make_client())
    with clock.set_to(DECEMBER_31):
        entry = make_work(mapping, "2", ref=1)
        keeping.keep()
        change_hours(entry, "5")
        keeping.keep()

    (row,) = UnbilledWork.objects.all()
    assert (row.amount, row.starts_on, row.ends_on) == (D("475.000"), DECEMBER_31.date(), None)


def test_in_a_draft_work_is_worth_what_is_printed_and_it_leaves_on_the_date_of_its_invoice(world: World) -> None:
    invoice = approved_invoice(world)
    day = at(world, 2026, 1, 2)
    assert [(row.stage, row.amount) for row in unbilled.as_at(day)] == [("draft", D("337.500"))]
    at(world, 2026, 1, 4)
    drain_all()
    at(world, 2026, 1, 4)

    assert fresh(invoice).state == InvoiceState.CREATED
    assert fresh(invoice).invoice_date == day
    assert not unbilled.as_at(day).exists()  # its invoice bears that date


def test_an_open_item_with_hours_typed_stands_apart(world: World) -> None:
    task = world.add_task("Still going", billable=True, hours=3)
    world.set_status(task, "In progress")
    mark_dirty("T", task, found_by=FoundBy.WEBHOOK, project_id=world.mapping.taiga_project_id)
    work_items.read_due()
    day = at(world, 2026, 1, 2)

    (row,) = unbilled.as_at(day)
    assert (row.stage, row.typed, row.entry_id, row.amount) == ("open", "3", None, None)


@pytest.mark.parametrize("amount", [100, 408.38])
def test_what_the_books_say_of_today_is_what_stands(world: World, amount: float) -> None:
    invoice = created_invoice(world)
    send(invoice)
    pay(world, invoice, amount, "2026-01-02")
    day = at(world, 2026, 1, 2)

    now = [(row.number, row.asked, row.money_paid, row.open, row.due) for row in receivable.owed_now()]
    assert now == [(row.number, row.asked, row.money_paid, row.open, row.due) for row in receivable.owed_at(day)]
    assert len(now) == (amount == 100)
