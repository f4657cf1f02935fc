"""The pages of reminders: what is planned, what went, one by hand; each of the four groups, a second click, GET."""

from __future__ import annotations

import datetime as dt
import html
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing_console import clock
from invoicing.models import Invoice, Reminder
from sync.models import Transition, UpstreamCall
from tests.invoicing.world import built, make_client, make_project, make_work
from tests.people import GROUPS, browser_of, hidden_fields, post, press

pytestmark = pytest.mark.django_db

PAGE = "/admin/invoicing/reminders/"
FEBRUARY_10 = dt.datetime(2026, 2, 10, 9, tzinfo=dt.UTC)
GROSS = Decimal("258.64")


@pytest.fixture(autouse=True)
def _business_time() -> Iterator[None]:
    with clock.set_to(FEBRUARY_10):
        yield


def make_owed(name: str = "Acme Corp", **changes: Any) -> Invoice:
    """2.25 h × 95 and 21 %, due on 1 February, mailed on 2 January."""
    client = make_client(name)
    make_work(make_project(client), "2.10")
    with clock.set_to(dt.datetime(2026, 1, 2, 9, tzinfo=dt.UTC)):
        built()
    invoice = Invoice.objects.get(client=client)
    facts = {
        "state": "sent", "seal": "x", "number": f"000{invoice.pk}", "balance": GROSS,
        "invoice_date": dt.date(2026, 1, 2), "due_date": dt.date(2026, 2, 1), "last_mail_on": dt.date(2026, 1, 2),
    }  # fmt: skip
    Invoice.objects.filter(pk=invoice.pk).update(**{**facts, **changes})
    return Invoice.objects.get(pk=invoice.pk)


@pytest.fixture
def owed() -> Invoice:
    return make_owed()


def remind_url(invoice: Invoice) -> str:
    return f"{PAGE}invoice/{invoice.pk}/"


def text_of(answer: Any) -> str:
    return str(answer.content.decode()).replace("\u00a0", " ")


def test_tonight_shows_what_the_schedule_sends_and_what_went(owed: Invoice) -> None:
    tonight = make_owed("Globex", next_reminder_at=FEBRUARY_10 + dt.timedelta(hours=8),
        reminded_on=["2026-02-02", None, None, "2026-02-02"])  # fmt: skip
    user = browser_of("approver").get(PAGE).wsgi_request.user
    Reminder.objects.create(
        invoice=tonight, text="reminder2", balance=GROSS, state="sent", by=user,
        reminded_at=FEBRUARY_10 - dt.timedelta(days=4), sentence="mailed to x, proven by message id",
    )  # fmt: skip

    answer = browser_of("viewer").get(PAGE)

    tabs = [(tab.key, tab.count) for tab in answer.context["tabs"]]
    assert tabs == [("tonight", 1), ("overdue", 2), ("open", 2), ("paused", 0)]
    (row,) = answer.context["rows"]
    assert row["invoice"] == tonight
    assert row["went"] == ["2 Feb 2026: Reminder 1 by schedule", "6 Feb 2026: Reminder 2 by approver"]
    assert "Invoice Ninja reminds of 258.64 EUR within a day." in text_of(answer)
    assert "10 Feb 2026 18:00" in text_of(answer)
    assert "mailed to x, proven by message id" in text_of(answer)
    assert [row["invoice"] for row in browser_of("viewer").get(PAGE, {"show": "open"}).context["rows"]] == [
        tonight,
        owed,
    ]


def test_a_button_stands_only_where_one_may_be_sent_and_by_whom(owed: Invoice) -> None:
    make_owed("Globex", last_mail_on=dt.date(2026, 2, 9))

    for group, buttons in (("viewer", 0), ("clerk", 0), ("approver", 1), ("administrator", 1)):
        body = text_of(browser_of(group).get(PAGE, {"show": "overdue"}))
        assert body.count("Remind…") == buttons
        assert body.count("Another one may leave from 16 Feb 2026 on.") == 1


def test_the_question_says_who_how_much_and_which_text(owed: Invoice) -> None:
    answer = browser_of("approver").get(remind_url(owed))

    assert "Remind Acme Corp of 258.64 EUR?" in text_of(answer)
    assert "Remind of 258.64 EUR</button>" in text_of(answer)
    facts = {str(label): str(value).replace("\u00a0", " ") for label, value in answer.context["confirmation"].facts}
    assert facts["Due"] == "1 Feb 2026, 9 days overdue"
    assert facts["To"] == owed.client.emails()[0]
    assert facts["Text"].startswith("Reminder 1 ")
    other = browser_of("approver").get(remind_url(owed), {"text": "reminder_endless"})
    to = owed.client.emails()[0]
    assert other.context["confirmation"].marks == {"text": "reminder_endless", "balance": "258.640", "to": to}


def test_get_changes_nothing_and_calls_nobody(owed: Invoice) -> None:
    browser = browser_of("approver")
    for url in (PAGE, remind_url(owed), f"{PAGE}987654/decide/arrived/"):
        browser.get(url)
    assert not Reminder.objects.exists()
    assert not UpstreamCall.objects.exists()
    assert Invoice.objects.get() == owed


@pytest.mark.parametrize("group", GROUPS)
def test_only_who_may_send_may_remind(group: str, owed: Invoice) -> None:
    may = group in ("approver", "administrator")
    browser = browser_of(group)
    assert browser.get(PAGE).status_code == 200
    assert browser.get(remind_url(owed)).status_code == (200 if may else 403)

    answer = post(browser, remind_url(owed), {})

    assert answer.status_code == (302 if may else 403)
    assert Reminder.objects.count() == may
    assert browser_of("stranger").get(PAGE).status_code == 403


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        ({}, "Open was “100.00 EUR” and is “258.64 EUR” now"),
        ({"shown": ""}, "The form came without what you saw"),
    ],
)
def test_what_was_not_on_screen_is_not_sent(owed: Invoice, form: dict[str, str], sentence: str) -> None:
    browser = browser_of("approver")
    rows = Invoice.objects.filter(pk=owed.pk)
    rows.update(balance=100)
    asked = hidden_fields(browser, remind_url(owed))
    rows.update(balance=owed.balance)

    answer = browser.post(remind_url(owed), {**asked, **form}, follow=True)

    assert sentence in html.unescape(text_of(answer))
    assert not Reminder.objects.exists()


def test_the_addresses_that_were_shown_are_kept_for_the_worker(owed: Invoice) -> None:
    press(browser_of("approver"), remind_url(owed))
    assert Reminder.objects.get().shown_to == owed.client.emails()


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        ({"currency": "USD"}, "Client Acme Corp is in USD by now, but the invoice in EUR."),
        ({"contacts": []}, "No contact of client Acme Corp gets invoices by mail."),
    ],
)
def test_what_would_reach_others_or_be_in_another_currency_is_not_asked_for(
    owed: Invoice, spoil: dict[str, object], why: str
) -> None:
    type(owed.client).objects.update(**spoil)
    assert why in text_of(browser_of("approver").get(remind_url(owed), follow=True))


def test_a_second_click_says_so(owed: Invoice) -> None:
    browser = browser_of("approver")
    form: dict[str, str] = {}
    assert "is being reminded of" in text_of(post(browser, remind_url(owed), form, follow=True))
    assert "is on its way, or waits for a decision" in text_of(post(browser, remind_url(owed), form, follow=True))
    assert Reminder.objects.count() == 1
    assert "is on its way" in text_of(browser.get(remind_url(owed), follow=True))


def test_an_invoice_that_is_not_there_is_a_sentence(owed: Invoice) -> None:
    assert "This invoice is not there" in text_of(browser_of("approver").get(f"{PAGE}invoice/987654/", follow=True))


def test_a_person_decides_about_an_unknown_outcome(owed: Invoice) -> None:
    mails = [{"invitation": "a", "name": "Billing", "email": "b@x.example", "before": "1", "after": "1", "error": ""}]
    facts: dict[str, Any] = {"text": "reminder1", "balance": GROSS, "state": "attention", "mails": mails}
    reminder = Reminder.objects.create(invoice=owed, sentence="There is no proof.", **facts)
    browser = browser_of("approver")
    assert "1 reminder needs your decision" in text_of(browser.get(PAGE))
    assert browser_of("viewer").get(f"{PAGE}{reminder.pk}/decide/arrived/").status_code == 403
    question = text_of(browser.get(f"{PAGE}{reminder.pk}/decide/arrived/"))
    assert "No proof for" in question
    assert "b@x.example" in question

    assert "Say how you know" in text_of(post(browser, f"{PAGE}{reminder.pk}/decide/arrived/", follow=True))
    said = post(browser, f"{PAGE}{reminder.pk}/decide/not-sent/", {"reason": "asked them"}, follow=True)
    assert "Invoice Ninja is read once more first" in text_of(said)
    assert Reminder.objects.get().state == "attention"
    assert "It did not leave…" not in text_of(browser.get(PAGE))
    twice = post(browser, f"{PAGE}{reminder.pk}/decide/not-sent/", {"reason": "asked them"}, follow=True)
    assert "That was said already" in text_of(twice)
    post(browser, f"{PAGE}{reminder.pk}/decide/arrived/", {"reason": "they found it"})
    again = post(browser, f"{PAGE}{reminder.pk}/decide/arrived/", {"reason": "asked them"}, follow=True)

    assert Reminder.objects.get().state == "sent"
    assert "does not wait for a decision any more: it is “Sent” by now." in text_of(again)
    assert Transition.objects.filter(model="invoicing.reminder").count() == 1
    assert "either that it arrived" not in text_of(again)


def test_30_invoices_cost_as_many_queries_as_one(owed: Invoice) -> None:
    browser = browser_of("approver")

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            browser.get(PAGE, {"show": "open"})
        return len(captured)

    queries()
    one = queries()
    for number in range(2, 30):
        owed.pk, owed.uuid, owed.sequence = None, f"{number:032}", number + 10
        owed.save()
        Reminder.objects.create(invoice=owed, text="reminder1", balance=GROSS, state="sent", reminded_at=FEBRUARY_10)
    assert queries() == one
