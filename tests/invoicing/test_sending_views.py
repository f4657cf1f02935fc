"""Select → confirm → progress, dating anew, and the decision: who may, what GET shows, what only POST does, once."""

from __future__ import annotations

import datetime as dt
import html
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from billing_console import clock
from billing_console.states import InvoiceState, RecordState
from invoicing.models import ContactMail, Invoice, Selection, Sending
from sync.models import RemoteRecord
from tests.invoicing.world import IN_JANUARY, built, make_client, make_project, make_work
from tests.people import browser_of, hidden_fields, on_page, post, press

pytestmark = pytest.mark.django_db
NBSP = "\u00a0"
SEALS = {"seal": "a" * 64, "invoice_date": dt.date(2026, 1, 2), "due_date": dt.date(2026, 2, 1)}


@pytest.fixture(autouse=True)
def january() -> Iterator[None]:
    with clock.set_to(IN_JANUARY):
        yield


@pytest.fixture
def approver() -> Browser:
    return browser_of("approver")


def make_invoices(count: int = 1) -> list[Invoice]:
    """Invoices as they are after their creation, one client each, 2.25 h at 95 = 213.75, 258.64 with 21 %."""
    for number in range(count):
        make_work(make_project(make_client(f"Client {number:02}")), "2.10")
    built()
    for invoice in Invoice.objects.filter(state="draft"):
        remote = RemoteRecord.objects.create(
            server="invoice_ninja", kind="invoice", our_key=invoice.key, remote_id=f"r{invoice.pk}",
            state=RecordState.SYNCED, synced_revision=1, desired={"date": "2026-01-02", "due_date": "2026-02-01",
                                                                  "terms": invoice.terms},
        )  # fmt: skip
        columns = {"state": "created", "number": f"{invoice.pk:04}", "remote": remote, **SEALS}
        Invoice.objects.filter(pk=invoice.pk).update(**columns)
    return list(Invoice.objects.select_related("client").order_by("client__name"))


def select(browser: Browser, invoices: list[Invoice]) -> str:
    """Choose invoices; returns the address of the question."""
    answer = post(browser, reverse("admin:invoicing_invoice_send_select"), {"invoice": [row.pk for row in invoices]})
    assert answer.status_code == 302
    return str(answer.headers["Location"])


def page_url(name: str) -> str:
    return reverse(f"admin:invoicing_invoice_{name}", args=[Selection.objects.get().uuid])


def words(answer: Any) -> str:
    return " ".join(html.unescape(answer.content.decode()).replace(NBSP, " ").split())


def snapshot() -> Any:
    return list(Invoice.objects.values()), list(Sending.objects.values()), list(RemoteRecord.objects.values())


# --- who may --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("who", "status"),
    [("", 302), ("stranger", 403), ("viewer", 403), ("clerk", 403), ("approver", 302), ("administrator", 302)],
)
def test_only_approvers_may_select_to_send(who: str, status: int) -> None:
    (invoice,) = make_invoices()
    answer = post(browser_of(who), reverse("admin:invoicing_invoice_send_select"), {"invoice": invoice.pk})
    assert answer.status_code == status
    assert Selection.objects.count() == (1 if who in ("approver", "administrator") else 0)


@pytest.mark.parametrize("who", ["", "stranger", "viewer", "clerk"])
@pytest.mark.parametrize("name", ["send", "redate"])
@pytest.mark.parametrize("method", ["get", "post"])
def test_others_neither_see_nor_do_it_by_address(approver: Browser, who: str, name: str, method: str) -> None:
    (invoice,) = make_invoices()
    select(approver, [invoice])
    before = snapshot()

    answer = getattr(browser_of(who), method)(page_url(name))

    assert answer.status_code == (403 if who else 302)
    assert snapshot() == before


@pytest.mark.parametrize("who", ["", "stranger", "viewer", "clerk"])
def test_others_decide_nothing(who: str) -> None:
    (invoice,) = make_invoices()
    Invoice.objects.update(state="attention")
    address = reverse("admin:invoicing_invoice_decide", args=[invoice.pk, "again"])
    assert post(browser_of(who), address, {"reason": "x"}).status_code == (403 if who else 302)
    assert Invoice.objects.get().state == "attention"


def test_everybody_of_the_four_groups_sees_the_progress(approver: Browser) -> None:
    (invoice,) = make_invoices()
    press(approver, select(approver, [invoice]))
    address = reverse("admin:invoicing_sending_progress", args=[Selection.objects.get().uuid])
    for who in ("viewer", "clerk", "administrator"):
        assert browser_of(who).get(address).status_code == 200
    assert browser_of("stranger").get(address).status_code == 403


def test_somebody_elses_selection_is_not_mine(approver: Browser) -> None:
    (invoice,) = make_invoices()
    address = select(approver, [invoice])

    form = on_page(approver, address)
    other = browser_of("administrator")

    for answer in (other.get(address, follow=True), other.post(address, form, follow=True)):
        assert "This selection is not yours or is gone." in words(answer)
    assert Invoice.objects.get().state == InvoiceState.CREATED


# --- the question ---------------------------------------------------------------------------------------------------


def test_the_question_names_count_money_and_who_gets_it(approver: Browser) -> None:
    invoices = make_invoices(2)
    page = words(approver.get(select(approver, invoices)))

    assert "Send 2 invoices, 517.28 EUR?" in page
    assert "A mail that left cannot be called back." in page
    for invoice in invoices:
        assert invoice.client.contacts[0]["email"] in page
    assert "427.50 EUR" in page  # before tax
    assert "89.78 EUR" in page  # tax


def test_get_changes_nothing(approver: Browser) -> None:
    invoices = make_invoices(2)
    address = select(approver, invoices)
    before = snapshot()
    for _again in range(2):
        approver.get(address)
        approver.get(page_url("redate"))
    assert snapshot() == before


def test_nothing_selected_is_said(approver: Browser) -> None:
    answer = post(approver, reverse("admin:invoicing_invoice_send_select"), {}, follow=True)
    assert "Nothing was selected." in words(answer)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        ({"state": "sent"}, "it is “Sent”, not ready to be sent"),
        ({"seal": "b" * 64}, "it was changed since you selected it"),
    ],
)
def test_what_stays_behind_is_named_with_its_reason(approver: Browser, spoil: dict[str, str], why: str) -> None:
    first, second = make_invoices(2)
    address = select(approver, [first, second])
    Invoice.objects.filter(pk=second.pk).update(**spoil)

    page = words(approver.get(address))

    assert "Send 1 invoice, 258.64 EUR?" in page
    assert "1 stays behind" in page
    assert why in page


def test_a_client_without_an_address_and_one_being_written_stay_behind(approver: Browser) -> None:
    first, second, third = make_invoices(3)
    type(second.client).objects.filter(pk=second.client_id).update(contacts=[])
    RemoteRecord.objects.filter(invoice=third).update(state="pending")

    page = words(approver.get(select(approver, [first, second, third])))

    assert "No contact of client Client 01 gets invoices by mail." in page
    assert "it is just being changed in Invoice Ninja" in page
    assert "2 stay behind" in page


def test_none_that_can_be_sent_leads_back_with_the_reason(approver: Browser) -> None:
    (invoice,) = make_invoices()
    address = select(approver, [invoice])
    Invoice.objects.update(state="sent")

    page = words(approver.get(address, follow=True))

    assert "None of the selected invoices can be sent: it is “Sent”, not ready to be sent." in page


# --- the act --------------------------------------------------------------------------------------------------------


def test_confirming_asks_for_each_mail_once(approver: Browser) -> None:
    invoices = make_invoices(3)
    address = select(approver, invoices)

    answer = press(approver, address)

    selection = Selection.objects.get()
    assert answer.headers["Location"] == reverse("admin:invoicing_sending_progress", args=[selection.uuid])
    assert set(Invoice.objects.values_list("state", flat=True)) == {"sending"}
    assert Sending.objects.filter(selection=selection, is_called=False).count() == 3
    assert {sending.by.username for sending in Sending.objects.all() if sending.by} == {"approver"}
    shown = Sending.objects.order_by("invoice__client__name").values_list("shown_to", flat=True)
    assert list(shown) == [invoice.client.emails() for invoice in invoices]


def test_the_second_click_asks_for_nothing(approver: Browser) -> None:
    address = select(approver, make_invoices(2))
    form = hidden_fields(approver, address)
    post(approver, address, form)
    before = snapshot()

    answer = post(approver, address, form, follow=True)

    assert "This was confirmed already; here is how it went." in words(answer)
    assert snapshot() == before


def test_what_changed_after_the_question_is_not_sent_and_said(approver: Browser) -> None:
    first, second = make_invoices(2)
    address = select(approver, [first, second])
    form = hidden_fields(approver, address)
    Invoice.objects.filter(pk=second.pk).update(seal="b" * 64)

    page = words(post(approver, address, form, follow=True))

    assert "1 invoice is being sent." in page
    assert "It was changed since you opened the page. Nothing was done" in page
    assert dict(Invoice.objects.values_list("pk", "state")) == {first.pk: "sending", second.pk: "created"}


def test_what_stayed_behind_on_screen_is_not_asked_for_even_if_it_could_go_by_then(approver: Browser) -> None:
    first, second = make_invoices(2)
    contacts = second.client.contacts
    type(second.client).objects.filter(pk=second.client_id).update(contacts=[])
    address = select(approver, [first, second])
    form = hidden_fields(approver, address)
    type(second.client).objects.filter(pk=second.client_id).update(contacts=contacts)

    page = words(post(approver, address, form, follow=True))

    assert "1 invoice is being sent." in page
    assert dict(Invoice.objects.values_list("pk", "state")) == {first.pk: "sending", second.pk: "created"}


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        ({"contacts": []}, "No contact of client Client 01 gets invoices by mail."),
        ({"currency": "USD"}, "Client Client 01 is in USD by now, but the invoice in EUR."),
        (
            {"contacts": [{"name": "Bea", "email": "bea@client.example", "send_email": True}]},
            "and is “bea@client.example” now",
        ),
    ],
)
def test_what_can_no_longer_go_as_it_was_shown_stays_behind(approver: Browser, spoil: Any, why: str) -> None:
    first, second = make_invoices(2)
    address = select(approver, [first, second])
    form = hidden_fields(approver, address)
    type(second.client).objects.filter(pk=second.client_id).update(**spoil)

    page = words(post(approver, address, form, follow=True))

    assert why in page
    assert dict(Invoice.objects.values_list("pk", "state")) == {first.pk: "sending", second.pk: "created"}


def test_a_form_that_does_not_say_what_was_on_screen_sends_nothing(approver: Browser) -> None:
    address = select(approver, make_invoices(2))
    before = snapshot()
    assert "The form came without what you saw" in words(approver.post(address, follow=True))
    assert snapshot() == before


def test_the_progress_shows_proof_per_contact(approver: Browser) -> None:
    invoices = make_invoices(2)
    press(approver, select(approver, invoices))
    first, second = Sending.objects.order_by("pk")
    ContactMail.objects.create(
        sending=first, invitation_id="i1", email="ann@client.example", message_id_before="", message_id_after="m1"
    )
    ContactMail.objects.create(sending=second, invitation_id="i2", email="bea@client.example")
    Sending.objects.filter(pk=first.pk).update(proven_at=IN_JANUARY, finished_at=IN_JANUARY)

    page = words(approver.get(reverse("admin:invoicing_sending_progress", args=[Selection.objects.get().uuid])))

    assert "1 of 2 sent with proof, 0 need a decision." in page
    assert page.index("ann@client.example") < page.index("Proven") < page.index("bea@client.example")
    assert "No proof yet" in page


# --- dating anew ----------------------------------------------------------------------------------------------------


def test_on_a_later_day_a_new_date_is_offered_and_on_the_same_day_not(approver: Browser) -> None:
    address = select(approver, make_invoices(2))
    assert "the date of an earlier day" not in words(approver.get(address))
    with clock.set_to(dt.datetime(2026, 1, 22, 9, 0, tzinfo=dt.UTC)):
        page = words(approver.get(address))
        assert "2 have the date of an earlier day" in page
        assert page_url("redate") in page
        question = words(approver.get(page_url("redate")))
    assert "Date 2 invoices anew?" in question
    assert "22 Jan" in question
    assert "21 Feb" in question


def test_dating_anew_is_its_own_confirmed_act_and_sends_nothing(approver: Browser) -> None:
    invoices = make_invoices(2)
    select(approver, invoices)
    with clock.set_to(dt.datetime(2026, 1, 22, 9, 0, tzinfo=dt.UTC)):
        form = hidden_fields(approver, page_url("redate"))
        first = words(post(approver, page_url("redate"), form, follow=True))
        before = snapshot()
        second = words(post(approver, page_url("redate"), form, follow=True))

    assert "2 invoices have today's date now." in first
    assert "No date was changed" in second
    assert snapshot() == before
    for invoice in Invoice.objects.all():
        assert (invoice.state, invoice.invoice_date, invoice.due_date) == (
            "created", dt.date(2026, 1, 22), dt.date(2026, 2, 21),
        )  # fmt: skip
    assert set(RemoteRecord.objects.filter(kind="invoice").values_list("state", "revision")) == {("pending", 2)}
    assert Sending.objects.count() == 0


# --- the decision ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("answer", "state"), [("arrived", "sent"), ("again", "created")])
def test_a_person_decides_with_a_reason_once(approver: Browser, answer: str, state: str) -> None:
    (invoice,) = make_invoices()
    Invoice.objects.update(state="attention", attention_sentence="There is no proof.")
    address = reverse("admin:invoicing_invoice_decide", args=[invoice.pk, answer])
    page = words(approver.get(address))
    assert "There is no proof." in page
    assert Invoice.objects.get().state == "attention"

    assert "Say how you know" in words(post(approver, address, {"reason": " "}, follow=True))
    post(approver, address, {"reason": "they called"})
    assert Invoice.objects.get().state == state

    too_late = post(approver, address, {"reason": "x"}, follow=True)
    said = f"does not wait for a decision any more: it is “{Invoice.objects.get().get_state_display()}” by now."
    assert said in words(too_late)
    assert too_late.request["PATH_INFO"] == reverse("admin:invoicing_invoice_change", args=[invoice.pk])
    assert Invoice.objects.get().state == state


def test_there_are_only_two_answers(approver: Browser) -> None:
    (invoice,) = make_invoices()
    Invoice.objects.update(state="attention")
    address = reverse("admin:invoicing_invoice_decide", args=[invoice.pk, "perhaps"])
    post(approver, address, {"reason": "x"})
    assert Invoice.objects.get().state == "attention"


# --- queries --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["send", "redate", "progress"])
def test_thirty_cost_as_many_queries_as_one(approver: Browser, name: str) -> None:
    invoices = make_invoices(30)
    counts = []
    for some in (invoices[:1], invoices):
        Selection.objects.all().delete()
        select(approver, some)
        selection = Selection.objects.get()
        if name == "progress":
            Sending.objects.all().delete()
            for invoice in some:
                row = Sending.objects.create(invoice=invoice, selection=selection, seal=invoice.seal)
                ContactMail.objects.create(sending=row, invitation_id="i", email="a@client.example")
            address = reverse("admin:invoicing_sending_progress", args=[selection.uuid])
        else:
            address = page_url(name)
        with clock.set_to(dt.datetime(2026, 1, 22, 9, 0, tzinfo=dt.UTC)):
            approver.get(address)
            with CaptureQueriesContext(
                connection,
            ) as queries:
                assert approver.get(address).status_code == 200
        counts.append(len(queries))
    assert counts[0] == counts[1]
    assert counts[1] <= 25
