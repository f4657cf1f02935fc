"""Pages beside sending: side by side and its two answers, mark as sent, the PDF, tasks on two invoices."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from billing_console import clock
from invoicing import content, creating, snapshots
from invoicing.models import Deviation, DoubleBilling, Invoice, InvoiceLine, InvoicePdf, Selection
from sync.models import RemoteRecord
from tests.invoicing.test_sending_views import make_invoices, words
from tests.invoicing.world import IN_JANUARY
from tests.people import browser_of, hidden_fields, post

pytestmark = pytest.mark.django_db
SENDERS = ("approver", "administrator")
OTHERS = ("", "stranger", "viewer", "clerk")
HOSTING = {"task_id": "", "notes": "Hosting", "quantity": "1", "cost": "50", "amount": "50"}


@pytest.fixture(autouse=True)
def january() -> Iterator[None]:
    with clock.set_to(IN_JANUARY):
        yield


@pytest.fixture
def approver() -> Browser:
    return browser_of("approver")


def sealed(count: int = 1) -> list[Invoice]:
    """Created invoices whose records and seals are as the services make them."""
    for invoice in make_invoices(count):
        invoice.seal = content.seal_of(invoice)
        invoice.save(update_fields=["seal"])
        RemoteRecord.objects.filter(invoice=invoice).update(desired=creating.desired_invoice(invoice))
    return list(Invoice.objects.select_related("client", "remote").order_by("client__name"))


def deviating(**changes: Any) -> Deviation:
    """An invoice that somebody gave a line of 50.00 in Invoice Ninja (213.75 → 263.75), and `changes`."""
    (invoice,) = sealed()
    assert invoice.remote is not None
    ours = snapshots.ours_of(invoice.remote.desired)
    theirs = {**ours, "net": "263.75", "tax": "55.39", "gross": "319.14", "lines": [*ours["lines"], HOSTING], **changes}
    return Deviation.objects.create(
        invoice=invoice, found_at=timezone.now(), seal=invoice.seal, ours=ours, theirs=theirs
    )


def differences(deviation: Deviation) -> str:
    return reverse("admin:invoicing_invoice_differences", args=[deviation.invoice_id])


def settle(deviation: Deviation, answer: str) -> str:
    return reverse("admin:invoicing_invoice_settle", args=[deviation.invoice_id, deviation.pk, answer])


def snapshot() -> Any:
    models = (Invoice, InvoiceLine, RemoteRecord, Deviation, Selection, InvoicePdf)
    return [list(model.objects.order_by("pk").values()) for model in models]


# --- side by side ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["viewer", "clerk", "approver", "administrator"])
def test_everybody_sees_both_sides_and_only_approvers_the_answers(who: str) -> None:
    deviation = deviating(due_date="2026-03-01")
    before = snapshot()

    page = words(browser_of(who).get(differences(deviation)))

    assert snapshot() == before
    for text in ("1 Feb 2026", "1 Mar 2026", "213.75 EUR", "263.75 EUR", "Line 2: Hosting", "not there"):
        assert text in page, text
    assert ("Take theirs over…" in page) is (who in SENDERS)
    assert ("Write ours again…" in page) is (who in SENDERS)


@pytest.mark.parametrize("who", OTHERS)
@pytest.mark.parametrize("answer", ["adopt", "overwrite"])
@pytest.mark.parametrize("method", ["get", "post"])
def test_others_neither_see_nor_give_an_answer(who: str, answer: str, method: str) -> None:
    deviation = deviating()
    before = snapshot()
    status = getattr(browser_of(who), method)(settle(deviation, answer), {"reason": "x"}).status_code
    assert status == (403 if who else 302)
    assert snapshot() == before


@pytest.mark.parametrize(
    ("answer", "question", "button"),
    [("adopt", "Take over what Invoice Ninja holds for", "Take over 319.14 EUR"),
     ("overwrite", "to Invoice Ninja again, 258.64 EUR?", "Write again, 258.64 EUR")],
)  # fmt: skip
def test_the_question_names_the_money_and_changes_nothing(
    approver: Browser, answer: str, question: str, button: str
) -> None:
    deviation = deviating()
    before = snapshot()
    page = words(approver.get(settle(deviation, answer)))
    assert question in page
    assert button in page
    assert "Back, change nothing" in page
    assert snapshot() == before


@pytest.mark.parametrize(("answer", "decision"), [("adopt", "adopted"), ("overwrite", "overwritten")])
def test_an_answer_is_given_once_with_its_reason(approver: Browser, answer: str, decision: str) -> None:
    deviation = deviating()
    assert "Say why" in words(post(approver, settle(deviation, answer), {"reason": " "}, follow=True))
    assert Deviation.objects.get().decision == ""

    post(approver, settle(deviation, answer), {"reason": "agreed"})

    row = Deviation.objects.get()
    assert (row.decision, row.reason, row.decided_by.username) == (decision, "agreed", "approver")
    assert RemoteRecord.objects.get(kind="invoice").state == "pending"
    before = snapshot()
    again = words(post(approver, settle(deviation, "adopt"), {"reason": "again"}, follow=True))
    assert "This was settled already" in again
    assert words(approver.get(settle(deviation, "overwrite"), follow=True)).count("This was settled already") == 1
    assert snapshot() == before


def test_what_was_sealed_anew_since_is_not_answered(approver: Browser) -> None:
    deviation = deviating()
    Invoice.objects.update(seal="b" * 64)
    before = snapshot()
    page = words(post(approver, settle(deviation, "adopt"), {"reason": "x"}, follow=True))
    assert "was changed here since. Compare again." in page
    assert snapshot() == before


def test_there_are_only_two_answers(approver: Browser) -> None:
    deviation = deviating()
    before = snapshot()
    assert "Say either" in words(post(approver, settle(deviation, "perhaps"), {"reason": "x"}, follow=True))
    assert snapshot() == before


def test_why_it_cannot_be_taken_over_stands_where_the_button_was(approver: Browser) -> None:
    page = words(approver.get(differences(deviating(gross="300"))))
    assert "Its total does not follow from its lines" in page
    assert "Take theirs over…" not in page
    assert "Write ours again…" in page


@pytest.mark.parametrize("who", ["viewer", "clerk", "approver"])
def test_only_who_sends_has_it_compared_again(who: str) -> None:
    status = post(browser_of(who), differences(deviating())).status_code
    assert status == (302 if who in SENDERS else 403)


def test_an_equal_invoice_says_so(approver: Browser) -> None:
    (invoice,) = sealed()
    page = words(approver.get(reverse("admin:invoicing_invoice_differences", args=[invoice.pk])))
    assert "Nothing differs" in page


def test_the_invoice_and_the_question_before_sending_link_there(approver: Browser) -> None:
    deviation = deviating()
    link = differences(deviation)
    assert link in words(approver.get(reverse("admin:invoicing_invoice_change", args=[deviation.invoice_id])))
    answer = post(approver, reverse("admin:invoicing_invoice_send_select"), {"invoice": deviation.invoice_id})
    page = words(approver.get(answer.headers["Location"], follow=True))
    assert "it was changed in Invoice Ninja; open it and say whose words count" in page


def test_thirty_lines_cost_as_many_queries_as_one(approver: Browser) -> None:
    deviation = deviating()
    counts = []
    for count in (1, 30):
        lines = [{**HOSTING, "notes": f"Hosting {number}"} for number in range(count)]
        Deviation.objects.update(theirs={**deviation.theirs, "lines": [*deviation.ours["lines"], *lines]})
        approver.get(differences(deviation))
        with CaptureQueriesContext(connection) as queries:
            assert approver.get(differences(deviation)).status_code == 200
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 20


# --- mark as sent ---------------------------------------------------------------------------------------------------


def select_to_mark(browser: Browser, invoices: list[Invoice]) -> str:
    answer = post(browser, reverse("admin:invoicing_invoice_mark_select"), {"invoice": [row.pk for row in invoices]})
    return str(answer.headers["Location"])


@pytest.mark.parametrize(
    ("who", "status"), [(who, 403 if who else 302) for who in OTHERS] + [(w, 302) for w in SENDERS]
)
def test_only_approvers_select_to_mark(who: str, status: int) -> None:
    (invoice,) = sealed()
    answer = post(browser_of(who), reverse("admin:invoicing_invoice_mark_select"), {"invoice": invoice.pk})
    assert answer.status_code == status
    assert Selection.objects.filter(verb="mark").count() == (who in SENDERS)


@pytest.mark.parametrize("who", OTHERS)
@pytest.mark.parametrize("method", ["get", "post"])
def test_others_mark_nothing_by_address(approver: Browser, who: str, method: str) -> None:
    address = select_to_mark(approver, sealed())
    before = snapshot()
    answer = getattr(browser_of(who), method)(address, {"reason": "x"})
    assert answer.status_code == (403 if who else 302)
    assert snapshot() == before


def test_the_question_of_a_mark_says_that_no_mail_leaves_and_changes_nothing(approver: Browser) -> None:
    address = select_to_mark(approver, sealed(2))
    before = snapshot()
    page = words(approver.get(address))
    assert "Mark 2 invoices as sent without a mail, 517.28 EUR?" in page
    assert "No mail leaves" in page
    assert "Mark 2 as sent, 517.28 EUR" in page
    assert snapshot() == before


def test_a_mark_needs_a_reason_and_is_asked_for_once(approver: Browser) -> None:
    address = select_to_mark(approver, sealed(2))
    assert "Say how it reaches the client" in words(post(approver, address, {"reason": ""}, follow=True))
    assert RemoteRecord.objects.filter(kind="mark_sent").count() == 0

    form = {**hidden_fields(approver, address), "reason": "on paper"}
    page = words(post(approver, address, form, follow=True))

    assert "2 invoices are being marked." in page
    assert "0 of 2 are marked, 0 need a decision." in page
    assert set(Invoice.objects.values_list("state", flat=True)) == {"sending"}
    assert RemoteRecord.objects.filter(kind="mark_sent", state="pending").count() == 2
    before = snapshot()
    assert "This was confirmed already" in words(post(approver, address, form, follow=True))
    assert snapshot() == before


def test_what_changed_after_the_question_is_not_marked_and_said(approver: Browser) -> None:
    first, second = sealed(2)
    address = select_to_mark(approver, [first, second])
    form = {**hidden_fields(approver, address), "reason": "on paper"}
    Invoice.objects.filter(pk=second.pk).update(seal="b" * 64)
    page = words(post(approver, address, form, follow=True))
    assert "1 invoice is being marked." in page
    assert "It was changed since you opened the page. Nothing was done" in page
    assert dict(Invoice.objects.values_list("pk", "state")) == {first.pk: "sending", second.pk: "created"}


def test_what_stayed_behind_on_screen_is_not_marked(approver: Browser) -> None:
    first, second = sealed(2)
    RemoteRecord.objects.filter(invoice=second).update(state="pending")
    address = select_to_mark(approver, [first, second])
    form = {**hidden_fields(approver, address), "reason": "on paper"}
    RemoteRecord.objects.filter(invoice=second).update(state="synced")
    assert "1 invoice is being marked." in words(post(approver, address, form, follow=True))
    assert dict(Invoice.objects.values_list("pk", "state")) == {first.pk: "sending", second.pk: "created"}


def test_a_client_without_an_address_can_be_marked_and_not_mailed(approver: Browser) -> None:
    (invoice,) = sealed()
    invoice.client.contacts = []
    invoice.client.save()
    assert "Mark 1 invoice as sent" in words(approver.get(select_to_mark(approver, [invoice])))


def test_somebody_elses_selection_to_mark_is_not_mine(approver: Browser) -> None:
    address = select_to_mark(approver, sealed())
    other = browser_of("administrator")
    for path in (address, f"{address}progress/"):
        assert "is not yours or is gone" in words(other.get(path, follow=True))


@pytest.mark.parametrize("name", ["question", "progress"])
def test_thirty_marks_cost_as_many_queries_as_one(approver: Browser, name: str) -> None:
    invoices = sealed(30)
    counts = []
    for some in (invoices[:1], invoices):
        address = select_to_mark(approver, some) + ("progress/" if name == "progress" else "")
        approver.get(address)
        with CaptureQueriesContext(connection) as queries:
            assert approver.get(address).status_code == 200
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 20


# --- the PDF --------------------------------------------------------------------------------------------------------


def kept(content: bytes = b"%PDF-1.4 x %%EOF") -> InvoicePdf:
    (invoice,) = sealed()
    Invoice.objects.update(state="sent", sent_at=dt.datetime(2026, 1, 2, 9, 0, tzinfo=dt.UTC))
    digest = hashlib.sha256(content).hexdigest()
    columns = {"content": content, "sha256": digest, "size": len(content), "fetched_at": timezone.now()}
    return InvoicePdf.objects.create(invoice=invoice, number="RM/0 1", **columns)


@pytest.mark.parametrize(("who", "status"), [("", 302), ("stranger", 403), ("viewer", 200), ("clerk", 200),
                                             ("approver", 200), ("administrator", 200)])  # fmt: skip
def test_everybody_who_sees_the_invoice_downloads_its_pdf(who: str, status: int) -> None:
    row = kept()
    answer = browser_of(who).get(reverse("admin:invoicing_invoice_pdf", args=[row.invoice_id]))
    assert answer.status_code == status
    if status == 200:
        assert answer.content == b"%PDF-1.4 x %%EOF"
        assert answer.headers["Content-Type"] == "application/pdf"
        assert answer.headers["Content-Disposition"] == 'attachment; filename="invoice-RM-0-1.pdf"'


def test_the_page_shows_the_hash_or_why_it_is_not_here(approver: Browser) -> None:
    row = kept()
    address = reverse("admin:invoicing_invoice_change", args=[row.invoice_id])
    page = words(approver.get(address))
    assert f"sha256 {row.sha256}" in page
    assert "Fetch it now" not in page
    InvoicePdf.objects.update(content=None, sha256="", sentence="Invoice Ninja could not make the PDF.")
    page = words(approver.get(address))
    assert "Invoice Ninja could not make the PDF." in page
    assert "Fetch it now" in page
    assert "Fetch it now" not in words(browser_of("clerk").get(address))


@pytest.mark.parametrize(
    ("who", "status"), [(who, 403 if who else 302) for who in OTHERS] + [(w, 302) for w in SENDERS]
)
def test_only_who_sends_has_it_fetched_now(who: str, status: int) -> None:
    row = kept()
    later = timezone.now() + dt.timedelta(hours=5)
    InvoicePdf.objects.update(content=None, sha256="", not_before=later)
    answer = post(browser_of(who), reverse("admin:invoicing_invoice_pdf", args=[row.invoice_id]))
    assert answer.status_code == status
    assert (InvoicePdf.objects.get().not_before is None) is (who in SENDERS)


def test_a_missing_or_forged_pdf_is_a_sentence(approver: Browser) -> None:
    row = kept()
    address = reverse("admin:invoicing_invoice_pdf", args=[row.invoice_id])
    InvoicePdf.objects.update(content=b"%PDF-forged")
    assert "The kept PDF is damaged" in words(approver.get(address, follow=True))
    InvoicePdf.objects.update(content=None)
    assert "is not kept here (any more)" in words(approver.get(address, follow=True))
    assert "There is no PDF to fetch" in words(post(approver, address, follow=True))
    InvoicePdf.objects.all().delete()
    assert approver.get(address).status_code == 404


# --- tasks on two invoices ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("who", "status"), [("", 302), ("stranger", 403), ("viewer", 200), ("approver", 200)])
def test_the_list_of_double_billings_is_open_to_all_groups(who: str, status: int) -> None:
    record = RemoteRecord.objects.create(server="invoice_ninja", kind="task", our_key="TAIGA-T1-1")
    now = timezone.now()
    sentence = "TAIGA-T1-1 is on 2 invoices in Invoice Ninja: 0001 (ours), 0002 (by hand)."
    DoubleBilling.objects.create(record=record, sentence=sentence, found_at=now, seen_at=now)
    answer = browser_of(who).get(reverse("admin:invoicing_doublebilling_changelist"))
    assert answer.status_code == status
    if status == 200:
        assert sentence in words(answer)
