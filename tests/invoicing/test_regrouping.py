"""Standing drafts under a rule that groups otherwise: nothing is lost, nothing doubles, what was written stays."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal as D
from typing import Any

import pytest

from billing_console import clock
from billing_console.states import EntryState
from invoicing import adjusting, build, review
from invoicing.models import Invoice, InvoiceRun
from invoicing.preview import preview
from invoicing.run import refresh_run
from mappings.lookups import new_rule_set_version
from mappings.models import Client
from sync.models import TimeEntry
from tests.invoicing.world import (
    DECEMBER,
    IN_JANUARY,
    built,
    make_client,
    make_project,
    make_user,
    make_work,
    on_screen,
)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _in_january() -> Iterator[None]:
    with clock.set_to(IN_JANUARY):
        yield


def group_by(client: Client, grouping: str, run: InvoiceRun) -> InvoiceRun:
    new_rule_set_version(client, {"grouping": grouping})
    refresh_run(run)
    build.build_due()
    return InvoiceRun.objects.get(pk=run.pk)


def living(run: InvoiceRun) -> list[tuple[str, str, D, int]]:
    rows = run.invoices.exclude(state="rejected").order_by("-net")
    return [(row.group_key, row.state, row.net, row.lines.filter(is_voided=False).count()) for row in rows]


def office(grouping: str = "client") -> tuple[Client, Any, Any]:
    client = make_client(grouping=grouping)
    web, api = make_project(client, "Webshop"), make_project(client, "Api")
    make_work(web, "2", ref=1)
    make_work(web, "1", ref=2)
    make_work(api, "1", ref=3)
    return client, web, api


def test_one_draft_becomes_one_for_each_project_and_keeps_what_was_written() -> None:
    client, web, api = office()
    run, clerk = built(), make_user("Billing clerk")
    draft = run.invoices.get()
    edited = draft.lines.get(ref=3)
    draft = review.edit_text(edited, text="API work as agreed", user=clerk, reason="asked", seen=on_screen(edited))
    adjusting.add_line(
        draft,
        text="Licence",
        quantity=D(1),
        price=D(40),
        reason="agreed",
        user=clerk,
    )
    run = group_by(client, "project", run)
    assert living(run) == [(str(web.pk), "draft", D("325"), 3), (str(api.pk), "draft", D("95"), 1)]
    assert "a draft became 2 drafts" in run.clients.get().sentence
    kept = Invoice.objects.get(pk=draft.pk)
    assert (kept.group_key, kept.lines.filter(entry=None).get().notes) == (str(web.pk), "Licence")
    moved = run.invoices.exclude(pk=draft.pk).get()
    line = moved.lines.get()
    assert (line.pk, line.notes, line.edited_by) == (edited.pk, "API work as agreed", clerk)
    assert (moved.tax, moved.gross) == (D("19.95"), D("114.95"))
    assert set(TimeEntry.objects.values_list("state", flat=True)) == {EntryState.CLAIMED}
    again = group_by(client, "project", run)
    assert living(again) == living(run)
    assert again.clients.get().sentence == ""


def test_drafts_of_projects_become_one() -> None:
    client, _web, _api = office("project")
    run = built()
    assert len(living(run)) == 2
    run = group_by(client, "client", run)
    assert living(run) == [("", "draft", D("380"), 3)]
    assert "2 drafts, one for each project, became one" in run.clients.get().sentence
    assert run.invoices.filter(state="rejected").count() == 1
    assert set(TimeEntry.objects.values_list("state", flat=True)) == {EntryState.CLAIMED}


@pytest.mark.parametrize(("before", "after"), [("client", "project"), ("project", "client")])
def test_what_a_person_held_stays_held(before: str, after: str) -> None:
    client, _web, _api = office(before)
    run = built()
    clerk = make_user("Billing clerk")
    for draft in run.invoices.all():
        review.hold_draft(draft, user=clerk, note="wait for the PO number", revision=draft.revision)
    run = group_by(client, after, run)
    assert {(row.state, row.note) for row in run.invoices.exclude(state="rejected")} == {
        ("held", "wait for the PO number")
    }


def test_an_approved_invoice_stays_and_nothing_joins_it() -> None:
    client, web, api = office("project")
    run = built()
    approved = run.invoices.get(group_key=str(web.pk))
    review.approve(approved, user=make_user("Approver"), revision=approved.revision)
    run = group_by(client, "client", run)
    assert living(run) == [(str(web.pk), "approved", D("285"), 2), ("", "draft", D("95"), 1)]
    run = group_by(client, "project", run)
    assert living(run) == [(str(web.pk), "approved", D("285"), 2), (str(api.pk), "draft", D("95"), 1)]


def test_after_the_approval_of_a_clients_invoice_no_project_gets_one_of_its_own() -> None:
    client, web, _api = office()
    run = built()
    draft = run.invoices.get()
    review.approve(draft, user=make_user("Approver"), revision=draft.revision)
    make_work(web, "1", ref=9)
    run = group_by(client, "project", run)
    assert living(run) == [("", "approved", D("380"), 3)]
    assert "95.00\xa0EUR that came later waits for the next run" in run.clients.get().sentence
    (row,) = preview(DECEMBER, {client: client.rule_sets.get(is_current=True)}, run)
    assert (row.drafts, row.came_later) == (0, D("95"))


def test_a_line_that_a_person_took_off_makes_no_draft_of_its_own() -> None:
    client, web, _api = office()
    run = built()
    draft, clerk = run.invoices.get(), make_user("Billing clerk")
    review.exclude_line(draft.lines.get(ref=3), user=clerk, reason="later", seen=on_screen(draft.lines.get(ref=3)))
    run = group_by(client, "project", run)
    assert living(run) == [(str(web.pk), "draft", D("285"), 2)]
