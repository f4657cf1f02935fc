"""What invoicing answers when a step before it asks where an entry stands."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from billing_console import clock
from invoicing import review
from invoicing.models import Invoice
from sync import hooks
from sync.models import Difference, TimeEntry
from tests.invoicing.world import IN_JANUARY, built, change_hours, make_client, make_project, make_user, make_work

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _in_january() -> Iterator[None]:
    with clock.set_to(IN_JANUARY):
        yield


def test_the_stage_follows_the_invoice() -> None:
    entry = make_work(make_project(make_client()))
    assert hooks.invoice_stage(entry) == ""
    invoice = built().invoices.get()
    assert hooks.invoice_stage(entry) == "draft"
    review.approve(invoice, revision=2, user=make_user())
    assert hooks.invoice_stage(entry) == "approved"
    for state, stage in (("created", "approved"), ("sending", "approved"), ("sent", "sent"), ("paid", "sent")):
        Invoice.objects.update(state=state)
        assert hooks.invoice_stage(entry) == stage
    Invoice.objects.update(state="cancelled")
    assert hooks.invoice_stage(entry) == ""


def test_a_change_under_a_draft_marks_it_and_makes_no_difference() -> None:
    entry = make_work(make_project(make_client()), "2.1", ref=45)
    invoice = built().invoices.get()
    change_hours(entry, "3.1")
    invoice.refresh_from_db()
    entry.refresh_from_db()
    assert (invoice.is_stale, invoice.revision, entry.state) == (True, 2, "claimed")
    assert invoice.stale_sentence.startswith("Taiga changed since this draft was built: #45 ")
    assert Difference.objects.count() == 0


def test_a_change_after_approval_is_a_difference() -> None:
    entry = make_work(make_project(make_client()), "2.1")
    invoice = review.approve(built().invoices.get(), revision=2, user=make_user())
    change_hours(entry, "3.1")
    invoice.refresh_from_db()
    assert (invoice.is_stale, invoice.state) == (False, "approved")
    assert Difference.objects.get().entry_id == TimeEntry.objects.get().pk
