"""`auto_send`: approves and asks for the mail by itself, but only what has no warning and nobody touched."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from billing_console import clock
from billing_console.states import RecordState
from invoicing import build, by_rule, review
from invoicing.models import Deviation, Invoice, Sending
from invoicing.run import refresh_run
from mappings.models import Company
from sync.models import RemoteRecord, Transition
from tests.invoicing.world import IN_JANUARY, built, make_client, make_project, make_user, make_work

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _in_january() -> Iterator[None]:
    with clock.set_to(IN_JANUARY):
        yield


def create_remotely(invoice: Invoice) -> None:
    """As if Invoice Ninja had been proven to hold it."""
    RemoteRecord.objects.filter(invoice=invoice).update(state=RecordState.SYNCED, synced_revision=1, remote_id="i1")
    Invoice.objects.filter(pk=invoice.pk).update(state="created", number="0001")


def test_a_clean_draft_is_approved_and_sent_by_rule() -> None:
    make_work(make_project(make_client(auto_send=True)))
    run = built()
    invoice = run.invoices.get()
    assert (invoice.state, invoice.approved_by, run.state) == ("approved", None, "done")
    assert Transition.objects.get(model="invoicing.invoice", to_state="approved").why == "approved by rule: no warning"
    assert by_rule.send_created() == 0
    create_remotely(invoice)
    assert by_rule.send_created() == 1
    assert by_rule.send_created() == 0
    assert (Sending.objects.get().by, Sending.objects.get().seal) == (None, invoice.seal)


def test_without_the_rule_nothing_happens_by_itself() -> None:
    make_work(make_project(make_client()))
    invoice = built().invoices.get()
    assert invoice.state == "draft"
    review.approve(invoice, revision=2, user=make_user())
    create_remotely(invoice)
    assert by_rule.send_created() == 0


@pytest.mark.parametrize("rules", [{"tax_decision": "undecided", "tax_name": "", "tax_rate": 0}, {}])
def test_a_warning_leaves_it_to_a_person(rules: dict[str, object]) -> None:
    make_work(make_project(make_client(auto_send=True, **rules)), "2.1" if rules else "0.10")
    assert built().invoices.get().state == "draft"


def test_a_week_with_more_hours_than_plausible_leaves_it_to_a_person() -> None:
    Company.objects.update_or_create(pk=1, defaults={"week_hours": 40})
    project = make_project(make_client(auto_send=True))
    for hours in ("20", "20.25"):
        make_work(project, hours)
    assert built().invoices.get().state == "draft"


def test_what_a_person_took_back_stays_with_people() -> None:
    make_work(make_project(make_client(auto_send=True)))
    run = built()
    review.withdraw_approval(run.invoices.get(), user=make_user(), reason="Let me look")
    refresh_run(run)
    build.build_due()
    assert run.invoices.get().state == "draft"


def test_a_client_without_an_address_is_not_mailed() -> None:
    client = make_client(auto_send=True)
    client.contacts = []
    client.save()
    make_work(make_project(client))
    create_remotely(built().invoices.get())
    assert by_rule.send_created() == 0


@pytest.mark.parametrize("decision", ["", "overwritten", "adopted"])
def test_what_was_changed_in_invoice_ninja_stays_with_people(decision: str) -> None:
    make_work(make_project(make_client(auto_send=True)))
    invoice = built().invoices.get()
    create_remotely(invoice)
    row = Deviation.objects.create(
        invoice=invoice, found_at=IN_JANUARY, seal=invoice.seal, ours={}, theirs={}, decision=decision
    )
    assert by_rule.send_created() == 0
    Deviation.objects.filter(pk=row.pk).update(decision="gone")  # somebody put it right there before anybody decided
    assert by_rule.send_created() == 1
