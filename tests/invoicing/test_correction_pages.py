"""The pages of corrections: who may, what GET shows with its money, what only POST does, what a second click says."""

from __future__ import annotations

import html
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
from billing_console.states import RecordState
from invoicing.models import Credit, Invoice, InvoiceRun
from sync import entries
from sync.models import Difference, RemoteRecord, TimeEntry, WorkItem
from tests.invoicing.world import IN_JANUARY, built, change_hours, make_client, make_project, make_work
from tests.people import browser_of, hidden_fields, post

pytestmark = pytest.mark.django_db
NBSP = "\u00a0"
OTHERS = [("", 302), ("stranger", 403), ("viewer", 403), ("clerk", 403)]


@pytest.fixture(autouse=True)
def january() -> Iterator[None]:
    with clock.set_to(IN_JANUARY):
        yield


@pytest.fixture
def approver() -> Browser:
    return browser_of("approver")


def billed(name: str = "Acme Corp", *, state: str = "sent", count: int = 1) -> Invoice:
    """An invoice with `count` entries of 2.00 h at 95.00, 21 % VAT, as it is in Invoice Ninja by then."""
    project = make_project(make_client(name))
    for _number in range(count):
        make_work(project, "2")
    built()
    invoice = Invoice.objects.get(state="draft")
    remote = RemoteRecord.objects.create(
        server="invoice_ninja", kind="invoice", our_key=invoice.key, remote_id=f"r{invoice.pk}",
        state=RecordState.SYNCED, synced_revision=1, desired={"lines": []},
    )  # fmt: skip
    TimeEntry.objects.filter(lines__invoice=invoice).update(state="invoiced")
    columns = {"number": f"{invoice.pk:04}", "balance": invoice.gross if state == "sent" else 0}
    seal = {"seal": "a" * 64, "invoice_date": "2026-01-02", "due_date": "2026-02-01"}
    Invoice.objects.filter(pk=invoice.pk).update(state=state, remote=remote, **columns, **seal)
    return Invoice.objects.get(pk=invoice.pk)


def difference(hours: str, invoice: Invoice | None = None) -> Difference:
    """Somebody typed other hours after the billing."""
    entry = TimeEntry.objects.filter(lines__invoice=invoice or billed()).earliest("pk")
    WorkItem.objects.filter(pk=entry.item_id).update(closings=entry.closing)
    change_hours(entry, hours)
    return Difference.objects.get(item=entry.item, state="open")


def decide_url(row: Difference, verdict: str = "") -> str:
    if verdict:
        return reverse("admin:sync_difference_confirm", args=[row.pk, verdict])
    return reverse("admin:sync_difference_decide", args=[row.pk])


def words(answer: Any) -> str:
    return " ".join(html.unescape(answer.content.decode()).replace(NBSP, " ").split())


def snapshot() -> Any:
    models = (Invoice, Difference, RemoteRecord, TimeEntry, Credit, InvoiceRun)
    return [list(model.objects.order_by("pk").values()) for model in models]


def posted(browser: Browser, url: str, **fields: Any) -> str:
    """Confirm as the page of the question asks for it, with its own hidden fields; returns the page afterwards."""
    asked = browser.get(url)
    hidden = asked.context["confirmation"].fields if asked.status_code == 200 else {}
    return words(post(browser, url, {**hidden, "reason": "agreed", **fields}, follow=True))


# --- a difference ---------------------------------------------------------------------------------------------------


def test_the_page_says_then_now_and_delta_with_the_money_on_each_way(approver: Browser) -> None:
    text = words(approver.get(decide_url(difference("1"))))
    for part in (
        "2.00 h", "1.00 h", "−1.00 h", "190.00 EUR", "−95.00 EUR",
        "Credit 95.00 EUR and set it against", "Credit 95.00 EUR…", "Ignore −95.00 EUR…",
        "There are no more hours than were billed",
    ):  # fmt: skip
        assert part in text
    assert "Write off" not in text


def test_another_client_now_is_said_by_name_with_what_follows(approver: Browser) -> None:
    hotel, invoice = make_client("Hotel de Ville"), billed()
    item = WorkItem.objects.get(entries__lines__invoice=invoice)
    item.attributes = {**item.attributes, "client": hotel.ninja_id}
    item.save()
    entries.evaluate(item)
    text = words(approver.get(decide_url(Difference.objects.get(item=item))))
    for part in (
        "changed in Taiga: client Acme Corp → Hotel de Ville.",
        "What Acme Corp was billed for it is to be given back; only once it was credited can the hours be billed",
        "Now, for Acme Corp",
        "−190.00 EUR",
    ):
        assert part in text
    assert "Taiga says now" not in text


def test_a_credit_without_a_number_yet_is_not_called_by_the_number_of_its_invoice(approver: Browser) -> None:
    invoice = billed()
    row = difference("1", invoice)
    posted(approver, decide_url(row, "credit"))
    assert f"No number yet, for {invoice.number}: 114.95 EUR with tax" in re.sub(
        r"<[^>]+>", "", words(approver.get(decide_url(row)))
    )


def test_more_hours_offer_the_next_cycle_at_once_or_as_a_gift(approver: Browser) -> None:
    text = words(approver.get(decide_url(difference("3"))))
    for part in ("Bill 95.00 EUR with the next run…", "Bill 95.00 EUR at once…", "Write off 95.00 EUR…", "+95.00 EUR"):
        assert part in text
    assert "Nothing is to be given back" in text


def test_the_list_leads_to_the_page_and_adds_up(approver: Browser) -> None:
    row = difference("1")
    answer = approver.get(reverse("admin:sync_difference_changelist"))
    assert decide_url(row) in answer.content.decode()
    assert list(answer.context["list_totals"]) == [("Open, to give back", f"−95.00{NBSP}EUR")]
    moved = approver.get(reverse("admin:sync_difference_change", args=[row.pk]))
    assert moved.headers["Location"] == decide_url(row)


@pytest.mark.parametrize(
    ("query", "heading"),
    [
        ("", "No open differences"),
        ("?show=settled", "No settled differences"),
        ("?show=all", "No differences yet"),
        ("?show=all&q=x", "Nothing fits"),
    ],
)
def test_an_empty_list_says_what_would_be_here(approver: Browser, query: str, heading: str) -> None:
    text = words(approver.get(reverse("admin:sync_difference_changelist") + query))
    assert heading in text
    assert ("What somebody changes in Taiga after it was billed appears here" in text) is (heading != "Nothing fits")


def test_the_list_shows_the_open_ones_and_sums_only_them(approver: Browser) -> None:
    row = difference("1")
    for state, amount in (("credited", Decimal("-321.75")), ("supplemented", Decimal("60"))):
        other = Difference.objects.get(pk=row.pk)
        other.pk, other.state, other.amount = None, state, amount
        other.save(force_insert=True)
    url = reverse("admin:sync_difference_changelist")
    sums = [("Open, to give back", f"−95.00{NBSP}EUR")]

    def listed(query: str) -> tuple[list[str], list[Any]]:
        context = approver.get(f"{url}{query}").context
        return sorted(row.state for row in context["cl"].queryset), list(context["list_totals"])

    assert listed("") == (["open"], sums)
    assert listed("?show=settled") == (["credited", "supplemented"], [])
    assert listed("?show=all") == (["credited", "open", "supplemented"], sums)
    assert listed("?show=credited") == (["credited"], [])
    assert listed("?show=nonsense") == (["credited", "open", "supplemented"], sums)
    assert f"q=x&amp;show={'settled'}" in approver.get(f"{url}?q=x").content.decode()


def test_the_project_stands_beside_each_reference(approver: Browser) -> None:
    row = difference("3")
    place = row.item.place
    assert place == str(row.item.project)

    assert place in words(approver.get(reverse("admin:sync_difference_changelist")))
    assert f"{place} · " in words(approver.get(decide_url(row)))
    asked = words(approver.get(decide_url(row, "supplement")))
    assert f"of #{row.item.ref}, {place}, with the next run?" in asked


@pytest.mark.parametrize(
    ("hours", "verdict", "state", "said"),
    [
        ("3", "supplement", "supplemented", "95.00 EUR is billed by the next run, as cycle 2."),
        ("3", "at-once", "supplemented", "95.00 EUR is billed by a supplement"),
        ("3", "write-off", "written_off", "95.00 EUR written off."),
        ("1", "credit", "credited", "114.95 EUR is being credited"),
        ("1", "credit-and-use", "credited", "114.95 EUR is being credited"),
        ("1", "ignore", "ignored", "Ignored, with your reason."),
    ],
)
def test_each_way_asks_first_and_acts_once(approver: Browser, hours: str, verdict: str, state: str, said: str) -> None:
    row = difference(hours)
    url = decide_url(row, verdict)
    before = snapshot()
    asked = approver.get(url)
    assert asked.status_code == 200
    assert ("114.95 EUR" if "credit" in verdict else "95.00 EUR") in str(
        asked.context["confirmation"].submit_label
    ).replace(NBSP, " ")
    assert snapshot() == before
    fields = {"shown": hidden_fields(approver, url)["shown"]}

    assert "Say why" in words(post(approver, url, {**fields, "reason": " "}, follow=True))
    assert snapshot() == before
    rows = Difference.objects.filter(pk=row.pk)
    rows.update(sentence="−9.00 h")
    refused = words(post(approver, url, {**fields, "reason": "x"}, follow=True))
    assert f"What changed was “{row.sentence}” and is “−9.00 h” now" in refused
    rows.update(sentence=row.sentence)
    assert snapshot() == before
    assert said in words(post(approver, url, {**fields, "reason": "agreed"}, follow=True))
    after = snapshot()
    assert Difference.objects.get(pk=row.pk).state == state
    assert "decided already" in words(post(approver, url, {**fields, "reason": "agreed"}, follow=True))
    assert "decided already" in words(approver.get(url, follow=True))
    assert snapshot() == after
    assert "Decided: agreed" in words(approver.get(decide_url(row)))


@pytest.mark.parametrize(("who", "status"), OTHERS)
def test_others_decide_no_difference(who: str, status: int) -> None:
    row = difference("1")
    before = snapshot()
    for verdict in ("supplement", "at-once", "write-off", "credit", "credit-and-use", "ignore"):
        assert post(browser_of(who), decide_url(row, verdict), {"reason": "x"}).status_code == status
    assert snapshot() == before


def test_a_viewer_sees_it_and_is_told_who_decides() -> None:
    text = words(browser_of("viewer").get(decide_url(difference("1"))))
    assert "An approver decides." in text
    assert 'class="bc-button' not in text.split("Settle it")[1].split("History")[0]


def test_what_cannot_be_is_refused_in_a_sentence(approver: Browser) -> None:
    row = difference("1")
    assert "no more hours than were billed" in words(approver.get(decide_url(row, "supplement"), follow=True))
    assert "Choose one of the ways" in words(approver.get(decide_url(row, "else"), follow=True))
    assert approver.get(reverse("admin:sync_difference_decide", args=[987])).status_code == 404


def test_the_list_costs_the_same_for_one_and_thirty(approver: Browser) -> None:
    url = reverse("admin:sync_difference_changelist")
    difference("1")

    def cost() -> int:
        with CaptureQueriesContext(
            connection,
        ) as queries:
            approver.get(url)
        return len(queries)

    approver.get(url)
    one = cost()
    first = Difference.objects.get()
    for _number in range(29):
        first.pk = None
        first.state = "ignored"
        first.save(force_insert=True)
    assert Difference.objects.count() == 30
    assert cost() == one


# --- an invoice -----------------------------------------------------------------------------------------------------


def invoice_url(name: str, *args: Any) -> str:
    return reverse(f"admin:invoicing_invoice_{name}", args=args)


@pytest.mark.parametrize(("state", "says"), [("created", "Nobody has it yet"), ("sent", "The client has it")])
def test_cancelling_asks_first_and_acts_once(approver: Browser, state: str, says: str) -> None:
    invoice = billed(state=state, count=2)
    url = invoice_url("cancel", invoice.pk)
    assert url in approver.get(invoice_url("change", invoice.pk)).content.decode()
    before = snapshot()
    text = words(approver.get(url))
    assert says in text
    assert f"Cancel {invoice.number}, 459.80 EUR" in text
    assert snapshot() == before
    for part in ("Bill it again as it was: a draft of 380.00 EUR", "Price it anew", "380.00 EUR → 380.00 EUR"):
        assert part in text
    assert "Choose what becomes of the hours" in posted(approver, url)
    assert snapshot() == before
    assert "is being cancelled" in posted(approver, url, again="copy")
    after = snapshot()
    again = words(post(approver, url, {"seal": invoice.seal, "reason": "agreed", "again": "copy"}, follow=True))
    assert "just being cancelled. Nothing was done again" in again
    assert snapshot() == after
    assert "Being cancelled" in words(approver.get(invoice_url("change", invoice.pk)))
    RemoteRecord.objects.filter(invoice=invoice).update(state="attention", sentence="Money came in.")
    assert invoice_url("keep", invoice.pk) in approver.get(invoice_url("change", invoice.pk)).content.decode()
    assert "is kept" in posted(approver, invoice_url("keep", invoice.pk))
    assert "does not wait" in posted(approver, invoice_url("keep", invoice.pk))


def test_a_paid_invoice_is_not_cancelled_here(approver: Browser) -> None:
    invoice = billed()
    Invoice.objects.update(state="paid", paid_to_date=invoice.gross, balance=0)
    url = invoice_url("cancel", invoice.pk)
    assert url not in approver.get(invoice_url("change", invoice.pk)).content.decode()
    before = snapshot()
    assert "Money came in" in posted(approver, url, seal=invoice.seal)
    assert snapshot() == before


@pytest.mark.parametrize(
    ("again", "state", "says"),
    [
        ("copy", "claimed", "2 lines are on a draft again."),
        ("anew", "ready", "2 lines are free."),
        ("write-off", "written_off", "2 lines are written off."),
    ],
)
def test_hours_of_an_ended_invoice_wait_for_a_decision(approver: Browser, again: str, state: str, says: str) -> None:
    invoice = billed(count=2)
    Invoice.objects.update(state="cancelled")
    url = invoice_url("set_free", invoice.pk)
    attention = reverse("admin:sync_attention")
    assert "still holds 2 entries" in words(approver.get(attention))
    assert url in approver.get(invoice_url("change", invoice.pk)).content.decode()
    before = snapshot()
    assert "380.00 EUR" in words(approver.get(url))
    assert snapshot() == before
    assert "Choose what becomes of the hours" in posted(approver, url)
    assert "came without what you saw" in posted(approver, url, again=again, shown="")
    assert snapshot() == before
    assert says in posted(approver, url, again=again)
    assert set(TimeEntry.objects.values_list("state", flat=True)) == {state}
    after = snapshot()
    assert "set free already" in posted(approver, url, again=again)
    assert snapshot() == after
    assert "still holds" not in words(approver.get(attention))
    # What it held stays on its page.
    assert words(approver.get(invoice_url("change", invoice.pk))).count("Implement payment gateway") == 2


def make_credit(invoice: Invoice, *, state: str = "synced") -> Credit:
    row = difference("1", invoice)
    remote = RemoteRecord.objects.create(
        server="invoice_ninja", kind="credit", our_key=f"k{row.pk}", state=state, desired={},
        remote_id="c1" if state == "synced" else None, sentence="" if state == "synced" else "May not make credits.",
    )  # fmt: skip
    Difference.objects.filter(pk=row.pk).update(state="credited")
    by = invoice.client and browser_user()
    money = {"net": Decimal(95), "tax": Decimal("19.95"), "gross": Decimal("114.95")}
    facts = {"currency": "EUR", "credit_date": "2026-01-05", "reason": "agreed", "made_by": by, "number": "0001"}
    return Credit.objects.create(invoice=invoice, difference=row, remote=remote, **money, **facts)


def browser_user() -> Any:
    from accounts.models import User

    return User.objects.get(username="approver")


def test_a_credit_is_set_against_its_invoice_once(approver: Browser) -> None:
    invoice = billed()
    credit = make_credit(invoice)
    url = invoice_url("use_credit", invoice.pk, credit.pk)
    page = approver.get(invoice_url("change", invoice.pk))
    assert url in page.content.decode()
    assert "114.95 EUR with tax" in words(page)
    before = snapshot()
    assert "Set 114.95 EUR against" in words(approver.get(url))
    assert snapshot() == before
    assert "is being set against" in posted(approver, url)
    after = snapshot()
    assert "already" in posted(approver, url)
    assert snapshot() == after
    assert RemoteRecord.objects.get(kind="credit_use").desired["amount"] == "114.950"
    listed = approver.get(reverse("admin:invoicing_credit_changelist"))
    assert list(listed.context["list_totals"]) == [("Credited, with tax", f"114.95{NBSP}EUR")]


def test_a_credit_that_was_refused_is_given_up_once(approver: Browser) -> None:
    invoice = billed()
    credit = make_credit(invoice, state="attention")
    url = invoice_url("give_up_credit", invoice.pk, credit.pk)
    assert url in approver.get(invoice_url("change", invoice.pk)).content.decode()
    assert "its difference is open again" in posted(approver, url)
    assert Difference.objects.get().state == "open"
    after = snapshot()
    assert "does not wait" in posted(approver, url)
    assert snapshot() == after


@pytest.mark.parametrize(("who", "status"), OTHERS)
def test_others_neither_cancel_nor_free_nor_use(approver: Browser, who: str, status: int) -> None:
    invoice = billed()
    credit = make_credit(invoice)
    before = snapshot()
    urls = [invoice_url(name, invoice.pk) for name in ("cancel", "keep", "set_free")]
    urls += [invoice_url(name, invoice.pk, credit.pk) for name in ("use_credit", "give_up_credit")]
    for url in urls:
        for method in ("get", "post"):
            assert getattr(browser_of(who), method)(url, {"reason": "x"}).status_code == status
    assert snapshot() == before
