"""Each report against a small month whose every figure is known; the files hold exactly what the page shows."""

from __future__ import annotations

import csv
import datetime as dt
import io
from collections.abc import Iterator
from decimal import Decimal as D
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from openpyxl import load_workbook

from billing_console import clock
from billing_console.states import EntryState, InvoiceState
from invoicing import adjusting
from invoicing.books import keeping
from invoicing.models import Invoice
from invoicing.reports import REPORTS
from mappings.models import Person, ProjectMapping
from sync import attention
from sync.attributes import parse_estimate
from sync.models import TimeEntry, WorkItem
from tests.invoicing.world import IN_JANUARY, built, make_client, make_project, make_user, make_work, on_screen
from tests.people import GROUPS, browser_of

pytestmark = pytest.mark.django_db

JANUARY_12 = dt.datetime(2026, 1, 12, 9, 0, tzinfo=dt.UTC)
NBSP = "\u00a0"


@pytest.fixture(autouse=True)
def _business_time() -> Iterator[None]:
    with clock.set_to(JANUARY_12):
        yield


@pytest.fixture
def month_end() -> Invoice:
    """Acme: 2.10 → 2.25 h invoiced (213.75), 1.00 h in January ready (95.00), 3.00 h held (285.00).

    The invoice, number 0007 of 2 January, has 213.75 + 44.89 = 258.64, of which 100.00 are paid; due that day.
    """
    mapping = make_project(make_client())
    clerk = make_user("Billing clerk")
    make_work(mapping, "2.10", ref=45, subject='=HYPERLINK("http://bad.example")')
    with clock.set_to(IN_JANUARY):
        run = built()
    invoice = Invoice.objects.get(run=run)
    invoice.state, invoice.seal, invoice.number = InvoiceState.PARTLY_PAID, "x", "0007"
    invoice.invoice_date, invoice.due_date = dt.date(2026, 1, 2), dt.date(2026, 1, 2)
    invoice.balance, invoice.paid_to_date = D("158.64"), D("100.00")
    invoice.save()
    TimeEntry.objects.filter(lines__invoice=invoice).update(state=EntryState.INVOICED)
    make_work(mapping, "1", ref=46, subject="Ready", closed=dt.datetime(2026, 1, 7, 9, tzinfo=dt.UTC))
    held = make_work(mapping, "3", ref=47, subject="Held", closed=dt.datetime(2025, 12, 1, 9, tzinfo=dt.UTC))
    attention.hold_entry(held, user=clerk, note="ask the client")
    return invoice


def page(name: str, **query: Any) -> Any:
    return browser_of("viewer").get(reverse("admin:invoicing_report", args=[name]), query)


def rows(name: str, **query: Any) -> list[list[str]]:
    return [[cell["text"].replace(NBSP, " ") for cell in row] for row in page(name, **query).context["rows"]]


def totals(name: str, **query: Any) -> dict[str, str]:
    return {
        label.replace(NBSP, " "): value.replace(NBSP, " ")
        for label, value in page(name, **query).context["list_totals"]
    }


def file_of(name: str, kind: str, **query: Any) -> list[list[Any]]:
    answer = page(name, file=kind, **query)
    body = b"".join(answer.streaming_content)
    if kind == "csv":
        return list(csv.reader(io.StringIO(body.decode("utf-8-sig"))))
    sheet = load_workbook(io.BytesIO(body)).active
    return [[cell.value for cell in row] for row in sheet.iter_rows()]


def test_unbilled_time_with_its_age(month_end: Invoice) -> None:
    assert rows("unbilled") == [
        ["#47 Held", "Acme Corp", "Alice Adams", "1 Dec 2025", "42", "Held", "3.00 h", "285.00 EUR"],
        ["#46 Ready", "Acme Corp", "Alice Adams", "7 Jan 2026", "5", "Ready", "1.00 h", "95.00 EUR"],
    ]  # fmt: skip
    assert totals("unbilled") == {"Entries": "2", "Hours": "4.00 h", "Before tax": "380.00 EUR"}
    (plotted,) = page("unbilled").context["plots"]
    assert [row[-1].replace(NBSP, " ") for row in plotted.numbers.rows] == [
        "95.00 EUR", "0.00 EUR", "285.00 EUR", "0.00 EUR", "0.00 EUR",
    ]  # fmt: skip


def test_hours_per_person(month_end: Invoice) -> None:
    assert rows("hours") == [
        ["Alice Adams", "Webshop", "Acme Corp", "3", "6.10 h", "4.00 h", "2.10 h", "0.00 h", "593.75 EUR"]
    ]
    assert totals("hours") == {"Entries": "3", "Hours typed": "6.10 h", "Before tax": "593.75 EUR"}
    assert rows("hours", start="2026-01-01", end="2026-01-31") == [
        ["Alice Adams", "Webshop", "Acme Corp", "1", "1.00 h", "1.00 h", "0.00 h", "0.00 h", "95.00 EUR"]
    ]


def test_revenue_by_client_and_month(month_end: Invoice) -> None:
    keeping.keep()

    assert rows("revenue") == [
        ["Jan 2026", "Acme Corp", "Invoices", "1", "2.25 h", "213.75 EUR", "44.89 EUR", "258.64 EUR", "0.00 EUR",
         "0.00 EUR", "100.00 EUR"]
    ]  # fmt: skip
    assert totals("revenue") == {"Invoices": "1", "Hours billed": "2.25 h", "Before tax": "213.75 EUR"}


def test_revenue_is_drawn_from_the_third_month_on(month_end: Invoice) -> None:
    line = month_end.lines.get()
    for number, day in enumerate((dt.date(2025, 10, 1), dt.date(2025, 12, 1)), 2):
        month_end.pk, month_end.uuid, month_end.sequence, month_end.remote = None, f"{number:032}", number, None
        month_end.invoice_date, month_end.due_date = day, day
        month_end.save()
        line.pk, line.entry, line.invoice = None, None, month_end
        line.save()
    keeping.keep()

    (together,) = page("revenue").context["plots"]

    assert [[cell.replace(NBSP, " ") for cell in row] for row in together.numbers.rows] == [
        ["Oct 2025", "213.75 EUR"], ["Nov 2025", "0.00 EUR"], ["Dec 2025", "213.75 EUR"], ["Jan 2026", "213.75 EUR"],
    ]  # fmt: skip


def test_ageing_of_receivables(month_end: Invoice) -> None:
    assert rows("ageing") == [
        ["0007", "Acme Corp", "2 Jan 2026", "2 Jan 2026", "10", "Partly paid", "258.64 EUR", "0.00 EUR", "0.00 EUR",
         "100.00 EUR", "158.64 EUR"]
    ]  # fmt: skip
    assert totals("ageing") == {"Invoices": "1", "Open, with tax": "158.64 EUR"}
    (plotted,) = page("ageing").context["plots"]
    assert [(row[0], row[1].replace(NBSP, " ")) for row in plotted.numbers.rows] == [
        ("not due", "0.00 EUR"),
        ("1–30", "158.64 EUR"),
        ("31–60", "0.00 EUR"),
        ("61–90", "0.00 EUR"),
        ("over 90", "0.00 EUR"),
    ]


def test_a_report_draws_the_companys_currency_and_another_when_it_is_asked_for(month_end: Invoice) -> None:
    month_end.pk, month_end.uuid, month_end.sequence, month_end.remote = None, f"{2:032}", 2, None
    month_end.currency, month_end.balance = "JPY", D("96000")
    month_end.save()

    shown = page("ageing")
    asked = page("ageing", draw="JPY")

    assert shown.context["plots"][0].plot.title == "Open by days overdue, EUR"
    assert "?draw=JPY" in shown.content.decode()
    assert asked.context["plots"][0].plot.title == "Open by days overdue, JPY"
    assert "?draw=EUR" in asked.content.decode()


def test_what_is_on_which_invoice(month_end: Invoice) -> None:
    (row,) = rows("on-invoice")

    assert row[:3] == ["0007", "Partly paid", "Acme Corp"]
    assert row[4:] == ["Alice Adams", "9 Dec 2025", "2.25 h", "213.75 EUR"]
    assert "#45" in row[3]
    assert rows("on-invoice", invoice="0007") == [row]
    assert rows("on-invoice", start="2026-01-01") == []


def test_the_annex_has_the_numbers_of_its_invoice(month_end: Invoice) -> None:
    (row,) = rows("annex", invoice="0007")

    assert [row[0], row[1], *row[3:]] == [
        "9 Dec 2025", "Webshop", "Alice Adams", "2.25 h", "95.00 EUR", "213.75 EUR",
    ]  # fmt: skip
    assert totals("annex", invoice="0007") == {
        "Hours": "2.25 h",
        "Before tax": "213.75 EUR",
        "VAT 21.0 %": "44.89 EUR",
        "With tax": "258.64 EUR",
    }
    assert totals("annex", invoice=f"id:{month_end.pk}") == totals("annex", invoice="0007")


def test_what_was_adjusted_or_added_by_hand_is_on_the_annex_and_counts_as_no_hours() -> None:
    client = make_client("Beacon")
    make_work(make_project(client, "App"), "2.1", ref=7)
    with clock.set_to(IN_JANUARY):
        invoice = built().invoices.get(client=client)
    clerk = make_user("Billing clerk")
    line = invoice.lines.get()
    adjusting.adjust_line(
        line, seen=on_screen(line), user=clerk, hours=D(1), rate=D(90), reason="Agreed", meaning="purpose"
    )
    adjusting.add_line(invoice, user=clerk, text="Hosting", quantity=D(3), price=D("19.99"), reason="Agreed")
    texts = rows("annex", invoice=f"id:{invoice.pk}")
    assert [row[-3:] for row in texts] == [["1.00 h", "90.00 EUR", "90.00 EUR"], ["–", "19.99 EUR", "59.97 EUR"]]
    assert "3.00 × 19.99" in page("annex", invoice=f"id:{invoice.pk}").content.decode()
    assert totals("annex", invoice=f"id:{invoice.pk}")["Before tax"] == "149.97 EUR"
    found = totals("on-invoice", client=client.pk, start="2025-12-01", end="2025-12-31")
    assert found == {"Lines": "2", "Hours billed": "1.00 h", "Before tax": "149.97 EUR"}


def test_rounding(month_end: Invoice) -> None:
    assert rows("rounding") == [["Acme Corp", "Webshop", "2", "3.10 h", "3.25 h", "+0.15 h", "+4.8 %", "+14.25 EUR"]]
    assert totals("rounding") == {"Entries": "2", "Hours added": "0.15 h", "Worth": "14.25 EUR"}


def estimated(mapping: ProjectMapping, hours: str, estimate: Any, ref: int, **details: Any) -> None:
    entry = make_work(mapping, hours, ref=ref, subject="Estimated", **details)
    changes = {"attributes": {**entry.item.attributes, "estimate": estimate}}
    WorkItem.objects.filter(pk=entry.item_id).update(**changes, estimate_hours=parse_estimate(estimate))


def test_estimate_against_actual(month_end: Invoice) -> None:
    mapping = make_project(make_client("Globex"))
    for ref, (hours, estimate) in enumerate([("3", D(2)), ("1", "2h30"), ("4", D(4)), ("2", "a lot")], 1):
        estimated(mapping, hours, estimate, ref)
    WorkItem.objects.filter(ref=4).update(points=D("5.50"))

    assert rows("estimates") == [
        ["#1 Estimated", "Globex", "Alice Adams", "2.00 h", "3.00 h", "+1.00 h", "+50.0 %", "–"],
        ["#3 Estimated", "Globex", "Alice Adams", "4.00 h", "4.00 h", "0.00 h", "0.0 %", "–"],
        ["#2 Estimated", "Globex", "Alice Adams", "2.50 h", "1.00 h", "−1.50 h", "−60.0 %", "–"],
        ["#4 Estimated", "Globex", "Alice Adams", "–", "2.00 h", "–", "–", "5.50"],
    ]
    assert totals("estimates") == {
        "Items": "4", "Estimated": "8.50 h", "Typed on these": "8.00 h", "Difference": "−0.50 h", "Cannot be read": "1",
    }  # fmt: skip
    answer = page("estimates")
    assert "cannot be read: &quot;a lot&quot;" in answer.content.decode()
    (plotted,) = answer.context["plots"]
    assert [(dot.x, dot.y, dot.is_above) for dot in plotted.plot.dots] == [
        ("100.00", "12.00", False), ("50.00", "69.00", True), ("62.50", "183.00", False),
    ]  # fmt: skip
    assert [row[1:3] for row in plotted.numbers.rows] == [
        ("4.00\u00a0h", "4.00\u00a0h"), ("2.00\u00a0h", "3.00\u00a0h"), ("2.50\u00a0h", "1.00\u00a0h"),
    ]  # fmt: skip
    assert rows("estimates", start="2026-01-01", end="2026-01-31") == []
    assert not TimeEntry.objects.filter(item__ref=4, state="held").exists()  # an unreadable estimate holds nothing


def test_an_estimate_is_compared_with_all_cycles_of_its_item(month_end: Invoice) -> None:
    mapping = make_project(make_client("Globex"))
    estimated(mapping, "3", D(2), 1)
    entry = TimeEntry.objects.get(item__ref=1)
    TimeEntry.objects.filter(pk=entry.pk).update(state=EntryState.INVOICED)
    second = {"cycle": 2, "raw_hours": D(2), "work_date": dt.date(2026, 1, 5), "reason": "by_person"}
    TimeEntry.objects.create(item=entry.item, project=mapping, client=mapping.client, **second)

    (row,) = rows("estimates", start="2026-01-01", end="2026-01-31")

    assert row[3:6] == ["2.00 h", "5.00 h", "+3.00 h"]


def test_a_workbook_of_estimates_holds_numbers_and_what_was_typed(month_end: Invoice) -> None:
    estimated(make_project(make_client("Globex")), "3", "=2+2", 1)
    estimated(make_project(make_client("Initech")), "3", D("2.5"), 2)

    found = file_of("estimates", "xlsx")

    assert found[1] == ["#2 Estimated", "Initech", "Webshop", "Alice Adams", 2.5, "2.5", 3, 0.5, 20, None]
    assert found[2][4:7] == [None, "'=2+2", 3]
    assert file_of("estimates", "csv")[2][5] == "'=2+2"


# --- files --------------------------------------------------------------------------------------------------------


def test_a_csv_file_holds_what_the_filter_shows_and_no_formula(month_end: Invoice) -> None:
    found = file_of("on-invoice", "csv", client=month_end.client_id)

    assert found[0] == [
        "Invoice", "State", "Client", "Line", "Project", "Person", "Work date",
        "Hours typed", "Hours billed", "Currency", "Rate", "Amount",
    ]  # fmt: skip
    assert found[1][4:] == ["Webshop", "Alice Adams", "2025-12-09", "2.1", "2.25", "EUR", "95", "213.75"]
    assert len(found) == 2
    assert len(file_of("on-invoice", "csv", end="2025-11-30")) == 1


def test_a_workbook_holds_numbers_dates_and_texts(month_end: Invoice) -> None:
    found = file_of("unbilled", "xlsx")

    assert found[2][4].date() == dt.date(2026, 1, 7)
    assert found[2][:4] + found[2][5:] == [
        "#46 Ready", "Acme Corp", "Webshop", "Alice Adams", 5, "Ready", None, 1, "EUR", 95,
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_a_formula_typed_as_a_name_stays_text(month_end: Invoice, kind: str) -> None:
    Person.objects.update(full_name="=1+1\x07")

    assert file_of("unbilled", kind)[1][3] == ("'=1+1\x07" if kind == "csv" else "'=1+1")


def test_the_name_of_a_file_says_its_days(month_end: Invoice) -> None:
    answer = page("hours", file="csv", start="2025-12-01", end="2025-12-31")

    assert answer["Content-Disposition"] == 'attachment; filename="hours-2025-12-01-2025-12-31.csv"'


# --- pages --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", REPORTS)
def test_every_group_may_look_and_a_stranger_may_not(name: str, month_end: Invoice) -> None:
    address = reverse("admin:invoicing_report", args=[name])

    assert {group: browser_of(group).get(address).status_code for group in GROUPS} == dict.fromkeys(GROUPS, 200)
    assert browser_of("stranger").get(address).status_code == 403
    assert browser_of("administrator").post(address).status_code == 405


def test_the_list_of_reports_leads_to_each() -> None:
    body = browser_of("viewer").get(reverse("admin:invoicing_reports")).content.decode()

    assert all(reverse("admin:invoicing_report", args=[name]) in body for name in REPORTS)


def test_an_unknown_report_is_not_there() -> None:
    assert page("nonsense").status_code == 404


@pytest.mark.parametrize("name", [name for name, report in REPORTS.items() if not report.needs])
def test_a_page_makes_as_many_queries_for_30_rows_as_for_1(name: str) -> None:
    mapping = make_project(make_client())
    browser = browser_of("viewer")
    address = reverse("admin:invoicing_report", args=[name])

    def queries(browser: Client) -> int:
        with CaptureQueriesContext(connection) as captured:
            browser.get(address)
        return len(captured)

    make_work(mapping, "1")
    browser.get(address)
    one = queries(browser)
    for number in range(29):
        make_work(make_project(make_client(f"Client {number}")) if number % 10 == 0 else mapping, "1")

    assert queries(browser) == one


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ({"start": "yesterday"}, "Enter a valid date."),
        ({"start": "2026-01-02", "end": "2026-01-01"}, "The last day lies before the first. Change one of them."),
        ({"client": "999999"}, "Select a valid choice."),
        ({"invoice": "nonsense"}, "There is no invoice “nonsense”. Copy the number from the list of invoices."),
    ],
)
def test_a_wrong_filter_is_a_sentence_and_no_row(query: dict[str, str], sentence: str) -> None:
    answer = page("on-invoice", **query)

    assert sentence in answer.content.decode()
    assert "rows" not in answer.context
    assert page("on-invoice", file="csv", **query)["Content-Type"].startswith("text/html")


def test_the_annex_asks_for_an_invoice() -> None:
    assert "Type the number of an invoice" in page("annex").content.decode()
