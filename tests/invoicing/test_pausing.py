"""Reminders paused until a day: of an invoice or a client, with a reason, lifted by a person or over by itself."""

from __future__ import annotations

import datetime as dt
import html
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from billing_console import clock
from billing_console.errors import NotAllowed
from invoicing import pausing, reminding
from invoicing.models import Invoice, Reminder, ReminderPause
from tests.invoicing.test_reminding_views import FEBRUARY_10, PAGE, make_owed, remind_url, text_of
from tests.people import GROUPS, browser_of, hidden_fields, make_user, post, press

pytestmark = pytest.mark.django_db

UNTIL = dt.date(2026, 2, 24)
WHY = "Reminders of this invoice are paused until 24 Feb 2026, by clerk: they asked for time."


@pytest.fixture(autouse=True)
def _business_time() -> Iterator[None]:
    with clock.set_to(FEBRUARY_10):
        yield


@pytest.fixture
def owed() -> Invoice:
    return make_owed()


def pause_url(invoice: Invoice) -> str:
    return f"{PAGE}invoice/{invoice.pk}/pause/"


def lift_url(pause: ReminderPause) -> str:
    return f"{PAGE}pauses/{pause.pk}/lift/"


def paused(invoice: Invoice, **changes: Any) -> ReminderPause:
    form = {"of": "invoice", "until": UNTIL.isoformat(), "reason": "they asked for time", **changes}
    press(browser_of("clerk"), pause_url(invoice), form)
    return ReminderPause.objects.get(lifted_at__isnull=True)


def test_a_paused_invoice_is_not_reminded_until_the_pause_is_lifted(owed: Invoice) -> None:
    pause = paused(owed)
    approver = browser_of("approver")

    assert f"{WHY} Lift the pause first." in text_of(approver.get(remind_url(owed), follow=True))
    answer = post(approver, remind_url(owed), {"text": "reminder1", "balance": "258.640"}, follow=True)
    assert f"{WHY} Lift the pause first." in text_of(answer)
    with pytest.raises(NotAllowed, match="paused until 24 Feb 2026"):
        reminding.request_reminder(owed, text="reminder1", balance=Decimal("258.64"), user=None)
    assert not Reminder.objects.exists()

    answer = press(browser_of("clerk"), lift_url(pause), {"reason": "they did not pay"}, follow=True)
    assert "The pause of Acme Corp, December 2025 is lifted." in text_of(answer)
    assert "Remind Acme Corp of 258.64 EUR?" in text_of(approver.get(remind_url(owed)))
    page = text_of(browser_of("viewer").get(f"/admin/invoicing/invoice/{owed.pk}/change/"))
    assert "Reminders paused until 24 Feb 2026 by clerk: they asked for time" in page
    assert "lifted by clerk: they did not pay" in page


def test_it_is_over_by_itself_after_its_last_day(owed: Invoice) -> None:
    pause = paused(owed)
    with clock.set_to(dt.datetime(2026, 2, 24, 22, 59, tzinfo=dt.UTC)):  # 23:59 in Brussels
        assert pausing.of(owed) == pause
    with clock.set_to(dt.datetime(2026, 2, 24, 23, 0, tzinfo=dt.UTC)):
        assert pausing.of(owed) is None
        assert "Remind Acme Corp" in text_of(browser_of("approver").get(remind_url(owed)))
        answer = post(browser_of("clerk"), lift_url(pause), {"reason": "late"}, follow=True)
        assert "This pause ended by itself on 24 Feb 2026." in text_of(answer)
        assert "This pause ended by itself on 24 Feb 2026." in text_of(
            browser_of("clerk").get(lift_url(pause), follow=True)
        )


def test_a_client_is_paused_with_all_its_invoices_and_nobody_else(owed: Invoice) -> None:
    other = make_owed("Globex")
    second = Invoice.objects.get(pk=owed.pk)
    second.pk, second.uuid, second.sequence = None, "1" * 32, 2
    second.save()
    question = text_of(browser_of("clerk").get(pause_url(owed)))
    assert "all of Acme Corp, 2 open invoices now" in question

    pause = paused(owed, of="client")

    assert pausing.of_many([owed, second, other]) == {owed.pk: pause, second.pk: pause}
    assert pausing.sentence(pause).startswith("Reminders of Acme Corp are paused until 24 Feb 2026, by clerk")
    answer = browser_of("viewer").get(PAGE, {"show": "paused"})
    assert {row["invoice"].pk for row in answer.context["rows"]} == {owed.pk, second.pk}
    assert [(tab.key, tab.count) for tab in answer.context["tabs"]][-1] == ("paused", 2)


def test_of_two_pauses_the_longer_one_counts(owed: Invoice) -> None:
    paused(owed)
    press(browser_of("clerk"), pause_url(owed), {"of": "client", "until": "2026-03-31", "reason": "talks"})
    assert ReminderPause.objects.filter(lifted_at__isnull=True).count() == 2
    found = pausing.of(owed)
    assert found is not None
    assert (found.invoice, found.until) == (None, dt.date(2026, 3, 31))


def test_a_second_pause_of_the_same_replaces_the_first(owed: Invoice) -> None:
    first = paused(owed)
    press(browser_of("clerk"), pause_url(owed), {"of": "invoice", "until": "2026-03-01", "reason": "more time"})
    first.refresh_from_db()
    assert (first.lifted_reason, str(pausing.of(owed).until)) == ("replaced by another pause", "2026-03-01")


def test_what_the_schedule_mails_all_the_same_is_said_everywhere(owed: Invoice) -> None:
    Invoice.objects.update(next_reminder_at=FEBRUARY_10 + dt.timedelta(hours=8))
    planned = "Invoice Ninja's own schedule does not know of the pause and mails it 10 Feb 2026 18:00."
    escaped = planned.replace("'", "&#x27;")
    assert escaped in text_of(browser_of("clerk").get(pause_url(owed)))
    paused(owed)
    assert escaped in text_of(browser_of("viewer").get(f"/admin/invoicing/invoice/{owed.pk}/change/"))
    body = text_of(browser_of("viewer").get(PAGE))
    assert "1 paused invoice is reminded all the same" in body
    assert WHY in body


def test_the_worker_reminds_nobody_who_was_paused_after_the_question(owed: Invoice) -> None:
    from invoicing import reminding_rules

    reminder = reminding.request_reminder(owed, text="reminder1", balance=Decimal("258.64"), user=None)
    pausing.pause(owed, until=UNTIL, is_for_client=False, reason="they called", seen="", user=make_user("ann"))
    there: Any = type("There", (), {"is_deleted": False, "status_id": "2", "balance": Decimal("258.64"), "number": "1"})
    why = reminding_rules.refusal(reminder, there, there, currency="EUR")
    assert why.endswith("they called. Nobody was reminded.")


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        ({"until": "2026-02-09"}, "Choose a day from 10 Feb 2026 to 11 Feb 2027"),
        ({"until": "2027-02-12"}, "Choose a day from 10 Feb 2026 to 11 Feb 2027"),
        ({"until": "soon"}, "Choose the last day of the pause."),
        ({"reason": " "}, "Say why, in a few words"),
    ],
)
def test_what_cannot_be_paused_is_said(owed: Invoice, form: dict[str, str], sentence: str) -> None:
    whole = {"of": "invoice", "until": "2026-02-24", "reason": "time", **form}
    assert sentence in text_of(press(browser_of("clerk"), pause_url(owed), whole, follow=True))
    assert not ReminderPause.objects.exists()


def test_somebody_was_faster(owed: Invoice) -> None:
    form = {"of": "invoice", "until": "2026-02-20", "reason": "time"}
    form |= hidden_fields(browser_of("approver"), pause_url(owed))
    paused(owed)
    answer = browser_of("approver").post(pause_url(owed), form, follow=True)
    assert f"Pause was “–” and is “{WHY}” now" in html.unescape(text_of(answer))
    assert ReminderPause.objects.get().until == UNTIL


def test_a_second_click_on_lift_says_so(owed: Invoice) -> None:
    pause = paused(owed)
    clerk = browser_of("clerk")
    post(clerk, lift_url(pause), {"reason": "paid soon"})
    answer = post(clerk, lift_url(pause), {"reason": "again"}, follow=True)
    assert "clerk lifted this pause already: paid soon" in text_of(answer)


@pytest.mark.parametrize("group", GROUPS)
def test_clerks_pause_and_lift_and_get_changes_nothing(group: str, owed: Invoice) -> None:
    may, browser = group != "viewer", browser_of(group)
    form = {"of": "invoice", "until": "2026-02-24", "reason": "time"}
    assert browser.get(pause_url(owed)).status_code == (200 if may else 403)
    assert not ReminderPause.objects.exists()
    assert post(browser, pause_url(owed), form).status_code == (302 if may else 403)
    pause = ReminderPause.objects.first() or pausing.pause(
        owed, until=UNTIL, is_for_client=False, reason="x", seen="", user=make_user("ann")
    )
    assert browser.get(lift_url(pause)).status_code == (200 if may else 403)
    assert pausing.of(owed) == pause
    assert post(browser, lift_url(pause), {"reason": "over"}).status_code == (302 if may else 403)
    assert (pausing.of(owed) is None) == may
    body = text_of(browser.get(PAGE, {"show": "open"}))
    assert ("Pause…" in body or "Lift…" in body) == may


def test_the_database_keeps_one_pause_of_an_invoice(owed: Invoice) -> None:
    user = make_user("ann")
    for target in ({"invoice": owed}, {}):
        row = {"client": owed.client, "until": UNTIL, "reason": "x", "by": user, **target}
        ReminderPause.objects.create(**row)
        with pytest.raises(IntegrityError), transaction.atomic():
            ReminderPause.objects.create(**row)
