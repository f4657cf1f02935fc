"""Which date an invoice may bear, by the setting and by hand; on the page of the draft and for many at once."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import pytest

from billing_console import clock
from billing_console.errors import NotAllowed
from invoicing import invoice_dates, review
from invoicing.books import closing
from invoicing.models import Invoice
from mappings.models import Company, InvoiceDate
from mappings.rules import month
from tests.invoicing.world import built, make_client, make_project, make_user, make_work
from tests.people import browser_of, fields_in, on_page

pytestmark = pytest.mark.django_db

TODAY = dt.datetime(2026, 1, 12, 9, 0, tzinfo=dt.UTC)
RUN_DAY = dt.datetime(2026, 1, 2, 9, 0, tzinfo=dt.UTC)


@pytest.fixture(autouse=True)
def _business_time() -> Iterator[None]:
    with clock.set_to(TODAY):
        yield


@pytest.fixture
def drafts() -> list[Invoice]:
    """December's drafts of two clients, asked for on 2 January; it is the 12th."""
    for name in ("Acme Corp", "Beacon"):
        make_work(make_project(make_client(name)), "2")
    with clock.set_to(RUN_DAY):
        run = built()
    return list(run.invoices.order_by("client__name"))


def propose(rule: str) -> None:
    Company.objects.update_or_create(pk=1, defaults={"invoice_date": rule})


def approve(draft: Invoice, day: dt.date | None = None) -> Invoice:
    return review.approve(draft, revision=draft.revision, user=make_user("Approver"), day=day)


@pytest.mark.parametrize(
    ("rule", "day"),
    [
        (InvoiceDate.APPROVAL, dt.date(2026, 1, 12)),
        (InvoiceDate.RUN, dt.date(2026, 1, 2)),
        (InvoiceDate.PERIOD_END, dt.date(2025, 12, 31)),
    ],
)
def test_the_setting_proposes_a_date(rule: str, day: dt.date, drafts: list[Invoice]) -> None:
    propose(rule)
    approved = approve(drafts[0])

    assert (approved.invoice_date, approved.due_date) == (day, approved.payment_terms.due_date(day))


def test_no_date_before_the_last_one(drafts: list[Invoice]) -> None:
    propose(InvoiceDate.PERIOD_END)
    approve(drafts[0], dt.date(2026, 1, 9))
    found = invoice_dates.bounds(drafts[1])

    assert (found.first, found.last, found.proposed) == (
        dt.date(2026, 1, 9), dt.date(2026, 1, 12), dt.date(2026, 1, 9),
    )  # fmt: skip
    for day in (dt.date(2026, 1, 8), dt.date(2026, 1, 13)):
        with pytest.raises(NotAllowed, match="it must lie between 9 Jan 2026"):
            approve(drafts[1], day)
    assert approve(drafts[1]).invoice_date == dt.date(2026, 1, 9)


def test_no_date_in_a_closed_month(drafts: list[Invoice]) -> None:
    propose(InvoiceDate.PERIOD_END)
    closing.close(month(2025, 12), user=None, reason="as agreed")

    assert invoice_dates.bounds(drafts[0]).first == dt.date(2026, 1, 1)
    with pytest.raises(NotAllowed, match="31 Dec 2025 cannot be the invoice date"):
        approve(drafts[0], dt.date(2025, 12, 31))
    assert approve(drafts[0]).invoice_date == dt.date(2026, 1, 1)


def test_an_approval_taken_back_binds_nobody(drafts: list[Invoice]) -> None:
    approved = approve(drafts[0])
    review.withdraw_approval(approved, user=make_user("Approver"), reason="too early")

    assert approve(drafts[1], dt.date(2026, 1, 3)).invoice_date == dt.date(2026, 1, 3)


def test_a_month_with_an_approved_invoice_on_its_way_is_not_closed(drafts: list[Invoice]) -> None:
    approve(drafts[0], dt.date(2025, 12, 31))

    with pytest.raises(NotAllowed, match="1 approved invoices dated up to that month are not in Invoice Ninja yet"):
        closing.close(month(2025, 12), user=None, reason="as agreed")


def test_the_page_of_a_draft_takes_a_date(drafts: list[Invoice]) -> None:
    address = f"/admin/invoicing/invoice/{drafts[0].pk}/"
    browser = browser_of("approver")
    body = browser.get(f"{address}review/").content.decode()
    assert 'name="day" value="2026-01-12"' in body
    form = on_page(browser, f"{address}approve/")

    for day, sentence in (("2026-01-13", "cannot be the invoice date"), ("x", "“x” is no date.")):
        assert sentence in browser.post(f"{address}approve/", {**form, "day": day}, follow=True).content.decode()
    browser.post(f"{address}approve/", {**form, "day": "2026-01-07"})

    assert Invoice.objects.get(pk=drafts[0].pk).invoice_date == dt.date(2026, 1, 7)


def test_many_are_approved_with_one_date(drafts: list[Invoice]) -> None:
    browser = browser_of("approver")
    question = browser.post(f"/admin/invoicing/invoicerun/{drafts[0].run_id}/approve/", follow=True)
    (entry,) = question.context["confirmation"].inputs
    assert (entry.value, entry.days) == ("2026-01-12", ("0001-01-01", "2026-01-12"))

    address = question.redirect_chain[-1][0]
    form = {**fields_in(question), "day": "2026-01-05"}
    browser.post(address, form)

    assert set(Invoice.objects.values_list("invoice_date", flat=True)) == {dt.date(2026, 1, 5)}
