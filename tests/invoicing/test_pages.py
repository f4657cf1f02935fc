"""The pages of runs and drafts: who may do what, nothing on GET, once, and constant queries."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from decimal import Decimal as D
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from billing_console import clock
from billing_console.states import InvoiceState
from invoicing import adjusting, build, review
from invoicing.models import Invoice, InvoiceLine, InvoiceRun, Selection
from mappings.models import Company, ProjectMapping
from sync.models import TimeEntry, Transition
from tests.invoicing.world import (
    IN_JANUARY,
    built,
    change_hours,
    make_client,
    make_project,
    make_user,
    make_work,
    on_screen,
)
from tests.people import hidden_fields, on_page, post

pytestmark = pytest.mark.django_db

GROUPS = ("Viewer", "Billing clerk", "Approver", "Administrator")
CLERKS, APPROVERS = GROUPS[1:], GROUPS[2:]


@pytest.fixture(autouse=True)
def _in_january() -> Iterator[None]:
    with clock.set_to(IN_JANUARY):
        yield


def browser(group: str = "Administrator") -> Client:
    client = Client()
    client.force_login(make_user(group))
    return client


def drafts(count: int = 1, lines: int = 2) -> InvoiceRun:
    for number in range(count):
        project = make_project(make_client(f"Client {number:02}"))
        for ref in range(1, lines + 1):
            make_work(project, "2.1", ref=ref)
    return built()


def url(name: str, *args: Any) -> str:
    return reverse(f"admin:invoicing_{name}", args=args)


def messages_of(response: Any) -> str:
    return " ".join(str(message) for message in response.context["messages"])


# --- who may see and do what --------------------------------------------------------------------------------------


def get_pages(run: InvoiceRun, invoice: Invoice) -> list[str]:
    return [
        url("invoicerun_changelist"),
        url("invoicerun_review", run.pk),
        url("invoicerun_preview"),
        url("invoicerun_supplement", run.pk),
        url("invoice_changelist"),
        url("invoice_review", invoice.pk),
        url("invoice_change", invoice.pk),
        url("payment_changelist"),
        url("sending_changelist"),
    ]


def test_every_page_is_for_the_four_groups_only() -> None:
    run = drafts()
    pages = get_pages(run, run.invoices.get())
    for page in pages:
        response = Client().get(page)
        assert response.status_code == 302
        assert "/login/" in response["Location"]
        for group in GROUPS:
            assert browser(group).get(page).status_code == 200, (group, page)
        nobody = Client()
        nobody.force_login(make_user(""))
        assert nobody.get(page).status_code == 403, page


def acts(run: InvoiceRun, invoice: Invoice) -> list[tuple[str, dict[str, str], tuple[str, ...]]]:
    line = invoice.lines.order_by("position").first()
    assert line is not None
    seen = {"reason": "Because"}
    return [
        (url("invoice_hold", invoice.pk), seen, CLERKS),
        (url("invoice_free", invoice.pk), seen, CLERKS),
        (url("invoice_refresh", invoice.pk), seen, CLERKS),
        (url("invoice_exclude_line", invoice.pk, line.pk), seen, CLERKS),
        (url("invoice_edit_line", invoice.pk, line.pk), {**seen, "text": "x"}, CLERKS),
        (url("invoice_hold_line", invoice.pk, line.pk), seen, CLERKS),
        (
            url("invoice_adjust_line", invoice.pk, line.pk),
            {**seen, "hours": "1", "rate": "90", "meaning": "purpose"},
            CLERKS,
        ),
        (url("invoice_add_line", invoice.pk), {**seen, "text": "x", "hours": "1", "rate": "9"}, CLERKS),
        (url("invoicerun_supplement", run.pk), {"reason": "x"}, CLERKS),
        (url("invoice_approve", invoice.pk), seen, APPROVERS),
        (url("invoice_reject", invoice.pk), seen, APPROVERS),
        (url("invoice_withdraw", invoice.pk), seen, APPROVERS),
        (url("invoicerun_refresh", run.pk), {}, CLERKS),
        (url("invoicerun_build_again", run.pk, run.clients.get().pk), {}, CLERKS),
        (url("invoicerun_approve", run.pk), {}, APPROVERS),
        (url("invoicerun_preview"), {"month": "2025-12"}, CLERKS),
    ]


def fingerprint() -> tuple[Any, ...]:
    return (
        list(Invoice.objects.order_by("pk").values_list("pk", "state", "revision", "net")),
        list(InvoiceLine.objects.order_by("pk").values_list("pk", "is_voided", "notes", "amount")),
        list(TimeEntry.objects.order_by("pk").values_list("pk", "state")),
        list(InvoiceRun.objects.order_by("pk").values_list("pk", "state")),
        Transition.objects.count(),
        Selection.objects.count(),
    )


def test_no_act_on_get_nor_for_who_may_not() -> None:
    run = drafts()
    invoice = run.invoices.get()
    before = fingerprint()
    browsers = {group: browser(group) for group in GROUPS}
    for address, data, allowed in acts(run, invoice):
        assert browsers["Administrator"].get(address).status_code in (200, 405), address
        assert "/login/" in Client().post(address, data)["Location"]
        for group in set(GROUPS) - set(allowed):
            assert post(browsers[group], address, data).status_code == 403, (group, address)
    assert fingerprint() == before


@pytest.mark.parametrize("group", GROUPS)
def test_who_may_act_acts(group: str) -> None:
    run = drafts()
    invoice = run.invoices.get()
    client = browser(group)
    for address, data, allowed in acts(run, invoice):
        if group in allowed:
            assert post(client, address, data).status_code == 302, (group, address)


def test_buttons_are_drawn_by_right_and_state() -> None:
    run = drafts()
    invoice = run.invoices.get()
    page = url("invoice_review", invoice.pk)
    viewer = browser("Viewer").get(page).content.decode()
    assert "Hold…" not in viewer
    assert "Exclude to next run…" not in viewer
    clerk = browser("Billing clerk").get(page).content.decode()
    assert "Hold…" in clerk
    assert "Reject…" not in clerk
    assert "An approver must approve this draft." in clerk
    approver = browser("Approver").get(page).content.decode()
    assert "Approve 427.50\xa0EUR and next" in approver
    assert "Reject…" in approver


# --- one draft ----------------------------------------------------------------------------------------------------


def test_the_draft_page_says_who_how_much_and_why() -> None:
    project = make_project(make_client())
    make_work(project, "0.10", ref=68, subject="Fix header")
    make_work(project, "2.10", ref=45, closed=dt.datetime(2025, 11, 28, 9, tzinfo=dt.UTC))
    invoice = built().invoices.get()
    text = browser().get(url("invoice_review", invoice.pk)).content.decode()
    assert "237.50\xa0EUR" in text
    assert "VAT 21\xa0% 49.88" in text
    assert "gross 287.38" in text
    assert "2 lines to look at" in text
    assert "late: worked on 28 Nov 2025" in text
    assert "uplift 150\xa0%" in text
    assert "due 1 Feb 2026 if approved today" in text
    assert "quarter hour" in text
    assert "project default" in text


def test_the_yellow_box_counts_all_odd_lines_and_names_the_written_late_and_dear_ones_first() -> None:
    project = make_project(make_client())
    for ref in range(1, 42):
        make_work(project, "0.05", ref=ref)  # uplift of 400 %, 23.75
    make_work(project, "2.10", ref=90, closed=dt.datetime(2025, 11, 28, 9, tzinfo=dt.UTC))  # late, 213.75
    make_work(project, "1.10", ref=91)  # 118.75, nothing odd until its hours are written
    make_work(project, "0.10", ref=92, rate=D(130))  # uplift, 32.50
    invoice = built().invoices.get()
    clerk = make_user("Billing clerk")
    line = invoice.lines.get(ref=91)
    adjusting.adjust_line(
        line, hours=D(1), rate=D(95), seen=on_screen(line), user=clerk, reason="agreed", meaning="purpose"
    )
    page = browser().get(url("invoice_review", invoice.pk))
    text = page.content.decode().replace("\xa0", " ")
    assert (page.context["odd"].count, page.context["odd"].net) == (44, D("1315.00"))
    assert "44 lines to look at, 1,315.00 EUR" in text
    named = [row.ref for row, _page, _words in page.context["odd_named"]]
    assert (len(named), named[:4], named[-1]) == (12, [90, 91, 92, 1], 9)
    assert 'href="?look=1#lines">and 32 more, 760.00 EUR</a>' in text
    looking = browser().get(url("invoice_review", invoice.pk), {"look": "1"})
    assert [shown.row.ref for shown in looking.context["lines"]][:5] == [90, 91, 92, 1, 2]
    assert len(looking.context["lines"]) == 44
    assert "Only the 44 lines to look at are shown." in looking.content.decode()
    # A line that is written from there comes back there.
    invoice.refresh_from_db()
    typed = {"hours": "1", "rate": "90", "reason": "agreed", "page": "look"}
    answer = post(browser(), url("invoice_adjust_line", invoice.pk, line.pk), typed)
    assert answer["Location"].endswith(f"?look=1#line-{line.pk}")


def test_a_line_says_why_for_good_on_the_draft_and_on_the_invoice() -> None:
    invoice = drafts(lines=1).invoices.get()
    line = invoice.lines.get()
    words = '2.10 h typed → 2.25 h (quarter hour, up; rule "Standard" v1) × 95.00 EUR (project default) = 213.75 EUR.'
    pages = [url("invoice_review", invoice.pk), url("invoice_change", invoice.pk)]
    assert line.why == words
    # The entry may be released and priced otherwise: the line stays with what it was.
    TimeEntry.objects.update(facts={}, typed_by="somebody")
    for page in pages:
        assert words.replace('"', "&quot;") in browser().get(page).content.decode()
    InvoiceLine.objects.update(facts={}, entry=None)
    assert invoice.lines.get().why == ""
    assert [browser().get(page).status_code for page in pages] == [200, 200]


def test_approve_and_next_walks_through_the_run() -> None:
    run = drafts(3)
    ids = list(run.invoices.order_by("client__name").values_list("pk", flat=True))
    client = browser("Approver")
    form = {"next": "1"}
    assert post(client, url("invoice_approve", ids[1]), form)["Location"] == url("invoice_review", ids[2])
    assert post(client, url("invoice_approve", ids[2]), form)["Location"] == url("invoice_review", ids[0])
    assert post(client, url("invoice_approve", ids[0]), form)["Location"] == url("invoicerun_review", run.pk)
    assert set(Invoice.objects.values_list("state", flat=True)) == {"approved"}
    run.refresh_from_db()
    assert run.state == "done"


def test_a_second_click_says_what_happened_and_changes_nothing() -> None:
    invoice = drafts().invoices.get()
    client = browser("Approver")
    post(client, url("invoice_approve", invoice.pk))
    before = fingerprint()
    response = post(client, url("invoice_approve", invoice.pk), follow=True)
    assert "is approved already" in messages_of(response)
    assert fingerprint() == before


@pytest.mark.parametrize("given", ["", "x", "of another draft"])
def test_a_form_that_does_not_say_what_was_shown_is_refused(given: str) -> None:
    first, second = drafts(2).invoices.all()
    other = on_page(browser(), url("invoice_approve", second.pk))["shown"]
    shown = other if given == "of another draft" else given
    for form in ({"shown": shown}, {}):
        response = browser().post(url("invoice_approve", first.pk), form, follow=True)
        assert "The form came without what you saw, so nothing was done." in messages_of(response)
    assert set(Invoice.objects.values_list("state", flat=True)) == {"draft"}


def test_a_draft_that_is_another_by_now_is_refused_with_old_and_new() -> None:
    invoice = drafts(lines=2).invoices.get()
    form = on_page(browser(), url("invoice_approve", invoice.pk))
    line = invoice.lines.get(ref=2)
    figures: dict[str, Any] = {"hours": D(30), "rate": D(95), "reason": "x", "meaning": "purpose"}
    adjusting.adjust_line(line, seen=on_screen(line), user=make_user(), **figures)
    response = browser().post(url("invoice_approve", invoice.pk), form, follow=True)
    assert "Before tax was “427.50\xa0EUR” and is “3,063.75\xa0EUR” now" in messages_of(response)
    assert Invoice.objects.get().state == "draft"


def test_excluding_a_line_from_the_page() -> None:
    invoice = drafts(lines=3).invoices.get()
    line = invoice.lines.get(ref=2)
    form = {"reason": "Wait for Acme", "page": "1"}
    response = post(browser("Billing clerk"), url("invoice_exclude_line", invoice.pk, line.pk), form, follow=True)
    assert "The draft is now 427.50\xa0EUR before tax" in messages_of(response)
    text = response.content.decode()
    assert "Wait for Acme" in text
    assert "Excluded" in text


def test_writing_hours_and_adding_a_line_from_the_page() -> None:
    invoice = drafts(lines=2).invoices.get()
    line = invoice.lines.get(ref=2)
    clerk = browser("Billing clerk")
    form = {"reason": "Agreed", "hours": "2", "rate": "90,5"}
    refused = post(clerk, url("invoice_adjust_line", invoice.pk, line.pk), form, follow=True)
    assert "Say whether the hours in Taiga are wrong" in messages_of(refused)
    form["meaning"] = "purpose"
    response = post(clerk, url("invoice_adjust_line", invoice.pk, line.pk), form, follow=True)
    assert "is now 2.00 × 90.50 = 181.00\xa0EUR. The draft is now 394.75\xa0EUR" in messages_of(response)
    text = response.content.decode()
    assert "adjusted −32.75\xa0EUR" in text
    assert '2.10 → <span class="bc-struck">2.25</span> <strong>2.00\xa0h</strong>' in text
    assert '<span class="bc-struck">95.00</span>' in text
    form = {"reason": "Agreed", "text": "Discount", "hours": "1", "rate": "-50"}
    response = post(clerk, url("invoice_add_line", invoice.pk), form, follow=True)
    assert "The draft is now 344.75\xa0EUR before tax." in messages_of(response)
    assert "added by hand −50.00\xa0EUR" in response.content.decode()
    assert "Remove…" in response.content.decode()


@pytest.mark.parametrize(
    ("hours", "rate", "sentence"),
    [("1.234", "90", "can mean 1234 or 1.234"), ("x", "90", "no number that we can read"), ("", "90", "Hours: ")],
)
def test_figures_that_could_mean_two_things_are_asked_back(hours: str, rate: str, sentence: str) -> None:
    invoice = drafts(lines=1).invoices.get()
    form = {"reason": "Agreed", "hours": hours, "rate": rate}
    address = url("invoice_adjust_line", invoice.pk, invoice.lines.get().pk)
    assert sentence in messages_of(post(browser("Billing clerk"), address, form, follow=True))
    assert Invoice.objects.get().revision == 2


def test_who_edited_a_draft_is_told_why_not_to_approve_it() -> None:
    Company.objects.update_or_create(pk=1, defaults={"needs_four_eyes": True})
    run = drafts(2)
    first, second = run.invoices.order_by("client__name")
    own = browser("Approver")
    form = {"reason": "Agreed", "hours": "2", "rate": "95", "meaning": "purpose"}
    post(own, url("invoice_adjust_line", first.pk, first.lines.get(ref=1).pk), form)
    post(own, url("invoice_exclude_line", second.pk, second.lines.get(ref=2).pk), {"reason": "x"})
    page = own.get(url("invoice_review", first.pk)).content.decode()
    assert re.search(r"You edited line #1 at \d\d:\d\d; another approver must approve\.", page)
    assert "and next <kbd>" not in page
    response = post(own, url("invoice_approve", first.pk), follow=True)
    assert "another approver must approve" in messages_of(response)
    # The second has no line to look at any more, but it is this person's work all the same.
    assert "without a warning" not in own.get(url("invoicerun_review", run.pk)).content.decode()
    assert "Nothing was selected" in messages_of(post(own, url("invoicerun_approve", run.pk), follow=True))
    data = {"action": "approve_selected", "_selected_action": [first.pk, second.pk]}
    address = post(own, url("invoice_changelist"), data)["Location"]
    assert "None of these drafts can be approved" in messages_of(own.get(address, follow=True))
    post(own, address)
    assert set(Invoice.objects.values_list("state", flat=True)) == {"draft"}
    other = browser("Approver")
    assert "and next <kbd>" in other.get(url("invoice_review", first.pk)).content.decode()
    assert "Approve 1 without a warning" in other.get(url("invoicerun_review", run.pk)).content.decode()
    post(other, url("invoice_approve", first.pk))
    assert Invoice.objects.get(pk=first.pk).state == "approved"


def test_a_supplement_is_started_once_with_a_reason() -> None:
    run = drafts(1, lines=1)
    review.approve(run.invoices.get(), revision=2, user=make_user())
    project = ProjectMapping.objects.get()
    client = browser("Billing clerk")
    page = url("invoicerun_supplement", run.pk)
    assert "There is nothing to supplement" in client.get(page).content.decode()
    make_work(project, "1.0", ref=9)
    before = fingerprint()
    text = client.get(page).content.decode()
    assert "Start the supplement, up to 95.00\xa0EUR" in text
    assert fingerprint() == before
    form = {"client": str(project.client_id), "reason": "", **on_page(client, page)}
    assert "say why" in messages_of(post(client, page, form, follow=True))
    assert "Tick at least one client" in messages_of(post(client, page, {**form, "client": ""}, follow=True))
    response = post(client, page, {**form, "reason": "Forgotten"})
    extra = InvoiceRun.objects.get(sequence=2)
    assert (response["Location"], extra.reason) == (url("invoicerun_review", extra.pk), "Forgotten")
    again = post(client, page, {**form, "reason": "Forgotten"}, follow=True)
    assert "Supplement 2 was started already" in messages_of(again)
    assert InvoiceRun.objects.count() == 2
    build.build_due()
    assert (extra.invoices.get().net, extra.invoices.get().sequence) == (D("95.00"), 2)


def test_a_client_with_a_draft_is_not_ticked_for_a_supplement() -> None:
    run = drafts(1, lines=1)
    make_work(ProjectMapping.objects.get(), "1.0", ref=9)
    text = browser().get(url("invoicerun_supplement", run.pk)).content.decode()
    assert "Has a draft of this period" in text
    assert " checked>" not in text


def test_a_stale_draft_offers_the_refresh_and_no_approval() -> None:
    invoice = drafts().invoices.get()
    change_hours(TimeEntry.objects.get(item__ref=1), "3.1")
    text = browser().get(url("invoice_review", invoice.pk)).content.decode()
    assert "Cannot be approved yet" in text
    assert "Taiga changed since this draft was built: #1" in text
    assert "Refresh draft" in text
    assert "and next <kbd>" not in text


def test_an_undecided_tax_is_said_where_it_is_mended() -> None:
    project = make_project(make_client(tax_decision="undecided", tax_name="", tax_rate=D(0)))
    make_work(project)
    invoice = built().invoices.get()
    text = browser().get(url("invoice_review", invoice.pk)).content.decode()
    assert "Choose the tax for Acme Corp" in text
    assert "Tax not decided" in text


def test_earlier_periods_are_compared_and_drawn() -> None:
    project = make_project(make_client())
    for month, hours in ((9, "1"), (10, "2"), (11, "3")):
        from mappings.rules import month as month_of

        make_work(project, hours, closed=dt.datetime(2025, month, 10, tzinfo=dt.UTC))
        invoice = built(month_of(2025, month)).invoices.get()
        review.approve(invoice, revision=2, user=make_user())
    make_work(project, "4")
    invoice = built().invoices.get()
    text = browser().get(url("invoice_review", invoice.pk)).content.decode()
    assert "+190.00\xa0EUR" in text
    assert "+100.0\xa0%" in text
    for label in ("Sep", "Oct", "Nov", "Dec"):
        assert f">{label}</text>" in text
    assert "+100.0\xa0% against the average" in browser().get(url("invoicerun_review", invoice.run_id)).content.decode()


def test_a_week_with_more_hours_than_plausible_is_a_line_to_look_at() -> None:
    Company.objects.update_or_create(pk=1, defaults={"week_hours": 40})
    project = make_project(make_client())
    make_work(project, "20.25", ref=68)
    make_work(project, "20.25", ref=69)
    make_work(project, "1", ref=70, closed=dt.datetime(2025, 12, 2, 9, tzinfo=dt.UTC))
    run = built()
    text = browser().get(url("invoice_review", run.invoices.get().pk)).content.decode().replace("\xa0", " ")
    assert "2 lines to look at" in text
    sentence = "Alice Adams has 40.50 h in the week of 8 Dec 2025, more than the plausible 40.00 h."
    assert text.count(sentence) >= 2
    assert "long week 2" in browser().get(url("invoicerun_review", run.pk)).content.decode()


# --- the run ------------------------------------------------------------------------------------------------------


def test_the_run_page_lists_drafts_odd_ones_first() -> None:
    plain = make_project(make_client("Plain"), rate="200")
    make_work(plain, "4.5")
    odd = make_project(make_client("Odd"))
    make_work(odd, "0.10")
    run = built()
    text = browser().get(url("invoicerun_review", run.pk)).content.decode()
    assert text.index(">Odd</a>") < text.index(">Plain</a>")
    assert "923.75\xa0EUR" in text
    assert "uplift 1" in text
    assert "Approve 1 without a warning, 900.00\xa0EUR…" in text


def test_a_building_run_refreshes_itself_and_a_failed_client_can_be_built_again() -> None:
    project = make_project(make_client())
    make_work(project)
    run = built()
    run.clients.update(state="failed", sentence="Webshop could not be swept: Taiga cannot be reached.")
    run.invoices.all().update(state="rejected")
    client = browser("Billing clerk")
    text = client.get(url("invoicerun_review", run.pk)).content.decode()
    assert "Taiga cannot be reached." in text
    assert "Build again" in text
    assert "every 3s" not in text
    post(client, url("invoicerun_build_again", run.pk, run.clients.get().pk))
    text = client.get(url("invoicerun_review", run.pk)).content.decode()
    assert "every 3s" in text
    assert "0 of 1 client built" in text


def test_bulk_approval_asks_first_then_skips_what_moved_on() -> None:
    run = drafts(3, lines=1)
    first, second, third = run.invoices.order_by("client__name")
    client = browser("Approver")
    response = post(client, url("invoicerun_approve", run.pk))
    assert set(Invoice.objects.values_list("state", flat=True)) == {"draft"}
    form = hidden_fields(client, response["Location"])
    page = client.get(response["Location"]).content.decode()
    assert "Approve 3 drafts, 641.25\xa0EUR?" in page
    assert "SANDBOX" in page
    review.hold_draft(second, revision=2, user=make_user(), note="Ask")
    review.edit_text(third.lines.get(), seen=on_screen(third.lines.get()), user=make_user(), text="y", reason="z")
    page = client.get(response["Location"]).content.decode()
    assert "Approve 1 draft, 213.75\xa0EUR?" in page
    assert "it was changed since you selected it" in page
    after = post(client, response["Location"], form, follow=True)
    assert "1 draft approved." in messages_of(after)
    assert "Client 01" in messages_of(after)
    states = {invoice.client.name: invoice.state for invoice in Invoice.objects.select_related("client")}
    assert states == {"Client 00": "approved", "Client 01": "held", "Client 02": "draft"}
    again = post(client, response["Location"], form, follow=True)
    assert "This was confirmed already" in messages_of(again)


def test_what_stayed_behind_on_screen_is_not_approved_even_if_it_could_be_by_then() -> None:
    run = drafts(2, lines=1)
    first, second = run.invoices.order_by("client__name")
    client = browser("Approver")
    address = post(client, url("invoicerun_approve", run.pk))["Location"]
    review.hold_draft(second, revision=2, user=make_user(), note="Ask")
    form = hidden_fields(client, address)
    Invoice.objects.filter(pk=second.pk).update(state="draft", revision=2)
    assert "1 draft approved." in messages_of(post(client, address, form, follow=True))
    assert dict(Invoice.objects.values_list("pk", "state")) == {first.pk: "approved", second.pk: "draft"}


def test_somebody_elses_selection_is_refused() -> None:
    run = drafts(1, lines=1)
    address = post(browser("Approver"), url("invoicerun_approve", run.pk))["Location"]
    other = browser("Approver")
    assert "This selection is not yours" in messages_of(other.get(address, follow=True))
    post(other, address)
    assert Invoice.objects.get().state == "draft"


def test_the_list_action_only_asks() -> None:
    run = drafts(2, lines=1)
    data = {"action": "approve_selected", "_selected_action": list(run.invoices.values_list("pk", flat=True))}
    response = post(browser("Approver"), url("invoice_changelist"), data)
    assert "/approve/" in response["Location"]
    assert set(Invoice.objects.values_list("state", flat=True)) == {"draft"}
    post(browser("Viewer"), url("invoice_changelist"), data)
    assert Selection.objects.count() == 1


def test_the_preview_writes_nothing_and_starts_on_post() -> None:
    project = make_project(make_client())
    make_work(project)
    make_work(project, "1", is_synced=False)
    before = fingerprint()
    client = browser("Billing clerk")
    text = client.get(url("invoicerun_preview"), {"month": "2025-12"}).content.decode()
    assert "213.75\xa0EUR" in text
    assert "1 not in Invoice Ninja yet" in text
    assert fingerprint() == before
    response = post(client, url("invoicerun_preview"), {"month": "2025-12"})
    run = InvoiceRun.objects.get()
    assert (response["Location"], run.trigger) == (url("invoicerun_review", run.pk), "person")


def test_a_preview_of_what_is_billed_already_says_so_and_offers_no_main_button() -> None:
    project = make_project(make_client())
    make_work(project)
    draft = built().invoices.get()
    review.approve(draft, revision=draft.revision, user=make_user())
    make_work(project, "1")
    text = " ".join(
        browser("Billing clerk").get(url("invoicerun_preview"), {"month": "2025-12"}).content.decode().split()
    )
    assert "95.00 EUR came after the approval: a supplement or the next run bills it." in text
    assert ">exact<" not in text  # no hours, so nothing is exact
    assert '<button class="bc-button" type="submit">Start the run all the same</button>' in text


def test_an_unfinished_month_needs_the_tick() -> None:
    make_work(make_project(make_client()))
    client = browser("Billing clerk")
    assert "The month is not over" in client.get(url("invoicerun_preview"), {"month": "2026-01"}).content.decode()
    refused = post(client, url("invoicerun_preview"), {"month": "2026-01"}, follow=True)
    assert "is not over" in messages_of(refused)
    assert not InvoiceRun.objects.exists()
    post(client, url("invoicerun_preview"), {"month": "2026-01", "is_early": "yes"})
    assert InvoiceRun.objects.get().is_early


@pytest.mark.parametrize("month", ["", "2025-13", "x", "0000-01", "２０２５-12"])
def test_a_strange_month_falls_back_to_the_last_one(month: str) -> None:
    make_project(make_client())
    text = browser().get(url("invoicerun_preview"), {"month": month}).content.decode()
    assert "1–31 Dec 2025" in text


# --- lists and weight ---------------------------------------------------------------------------------------------


def test_the_invoice_list_shows_overdue_by_the_business_clock() -> None:
    invoice = drafts().invoices.get()
    review.approve(invoice, revision=2, user=make_user())
    Invoice.objects.update(state=InvoiceState.SENT, balance=D("517.28"), number="0001")
    client = browser()
    page = url("invoice_changelist")
    with clock.set_to(dt.datetime(2026, 2, 1, 12, tzinfo=dt.UTC)):
        assert "Overdue, " not in client.get(page).content.decode()
        assert "0001" not in client.get(page, {"owed": "overdue"}).content.decode()
    with clock.set_to(dt.datetime(2026, 2, 15, 12, tzinfo=dt.UTC)):
        assert "Overdue, 14 days" in client.get(page).content.decode()
        assert "0001" in client.get(page, {"owed": "overdue"}).content.decode()


def count_queries(client: Client, page: str) -> int:
    client.get(page)  # whatever is read once per process
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert client.get(page).status_code == 200
    return len(queries)


def test_lists_cost_the_same_for_one_and_for_many() -> None:
    client = browser()
    pages = [url("invoicerun_changelist"), url("invoice_changelist"), url("invoicerun_preview") + "?month=2025-12"]
    Company.objects.update_or_create(pk=1, defaults={"needs_four_eyes": True})
    run = drafts(1, lines=1)
    make_work(ProjectMapping.objects.get(), "1", ref=2)
    pages += [url("invoicerun_supplement", run.pk)]
    few = [count_queries(client, page) for page in (*pages, url("invoicerun_review", run.pk))]
    for number in range(12):
        make_work(make_project(make_client(f"More {number}")))
    review_page = url("invoicerun_review", run.pk)
    built()
    for number in range(12):
        make_work(make_project(make_client(f"Still {number}")))
    assert [count_queries(client, page) for page in (*pages, review_page)] == few


def test_a_draft_costs_the_same_for_one_line_and_for_many_and_shows_a_hundred() -> None:
    client = browser()
    project = make_project(make_client())
    entry = make_work(project, ref=1)
    invoice = built().invoices.get()
    few = count_queries(client, url("invoice_review", invoice.pk))
    line = InvoiceLine.objects.get(entry=entry)
    copies = []
    for number in range(149):
        copies.append(InvoiceLine.objects.get(pk=line.pk))
        copies[-1].pk, copies[-1].entry, copies[-1].ref, copies[-1].position = None, None, number + 2, number + 2
    InvoiceLine.objects.bulk_create(copies)
    page = url("invoice_review", invoice.pk)
    assert count_queries(client, page) == few
    first = client.get(page).content.decode()
    second = client.get(page + "?page=2").content.decode()
    assert (first.count('class="bc-line"'), second.count('class="bc-line"')) == (100, 50)


def test_an_invoice_page_shows_both_sides() -> None:
    invoice = drafts().invoices.get()
    review.approve(invoice, revision=2, user=make_user())
    invoice.refresh_from_db()
    remote = invoice.remote
    remote.seen = {"number": "0001", "amount": "500.00", "total_taxes": "89.78", "balance": "500.00"}
    remote.save()
    text = browser("Viewer").get(url("invoice_change", invoice.pk)).content.decode()
    assert "517.28\xa0EUR" in text
    assert "500.00\xa0EUR" in text
