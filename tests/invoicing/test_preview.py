"""The preview of a run promises what the click makes, no more and no less."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal as D
from typing import Any

import pytest

from billing_console import clock
from billing_console.states import InvoiceState
from invoicing import review
from invoicing.models import Invoice
from invoicing.preview import preview
from invoicing.run import find_run, rules_of
from mappings.models import Client, Grouping
from tests.invoicing.world import (
    DECEMBER,
    IN_JANUARY,
    ZONE,
    built,
    make_client,
    make_project,
    make_user,
    make_work,
)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _in_january() -> Iterator[None]:
    with clock.set_to(IN_JANUARY):
        yield


def promised() -> list[tuple[str, str, int, D, D]]:
    """Client, currency, drafts, net and what came later, of the December run asked (again)."""
    rows = preview(DECEMBER, rules_of(Client.objects.all()), find_run("monthly", DECEMBER, ZONE))
    return [(str(row.client), row.currency, row.drafts, row.net, row.came_later) for row in rows]


def made(run: Any) -> dict[tuple[str, str], D]:
    """The net of the run's drafts by client and currency; approved invoices are left out."""
    sums: dict[tuple[str, str], D] = {}
    for invoice in Invoice.objects.filter(run=run, state=InvoiceState.DRAFT).select_related("client"):
        key = (str(invoice.client), invoice.currency)
        sums[key] = sums.get(key, D(0)) + invoice.net
    return sums


def approve(run: Any) -> None:
    draft = run.invoices.get()
    review.approve(draft, revision=draft.revision, user=make_user())


def test_a_run_that_was_billed_offers_only_what_the_click_makes() -> None:
    acme, nippon = make_client(), make_client("Nippon KK", currency="JPY")
    project = make_project(acme, rate="100")
    make_work(project, "2.00")
    run = built()
    approve(run)
    make_work(project, "1.50")
    make_work(make_project(nippon, rate="9000"), "1.00")

    assert promised() == [("Acme Corp", "EUR", 0, D(0), D(150)), ("Nippon KK", "JPY", 1, D(9000), D(0))]

    assert made(built()) == {("Nippon KK", "JPY"): D(9000)}
    assert promised() == [("Acme Corp", "EUR", 0, D(0), D(150))]


def test_an_unapproved_draft_grows_by_what_is_offered() -> None:
    project = make_project(make_client(), rate="100")
    make_work(project, "2.00")
    built()
    make_work(project, "1.50")

    assert promised() == [("Acme Corp", "EUR", 1, D(150), D(0))]

    assert made(built()) == {("Acme Corp", "EUR"): D(350)}


def test_each_project_is_a_draft_of_its_own_where_the_rules_say_so() -> None:
    client = make_client(grouping=Grouping.PROJECT)
    first, second = make_project(client, "Webshop", rate="100"), make_project(client, "App", rate="100")
    make_work(first, "2.00")
    run = built()
    approve(run)
    make_work(first, "1.00")
    make_work(second, "3.00")

    assert promised() == [("Acme Corp", "EUR", 1, D(300), D(100))]

    assert made(built()) == {("Acme Corp", "EUR"): D(300)}


def test_a_rejected_invoice_is_made_again() -> None:
    project = make_project(make_client(), rate="100")
    make_work(project, "2.00")
    run = built()
    draft = run.invoices.get()
    review.reject_draft(draft, revision=draft.revision, user=make_user(), reason="wrong month")

    assert promised() == [("Acme Corp", "EUR", 1, D(200), D(0))]

    assert made(built()) == {("Acme Corp", "EUR"): D(200)}


def test_a_new_run_is_offered_everything() -> None:
    project = make_project(make_client(), rate="100")
    make_work(project, "2.00")
    make_work(project, "0.25")

    assert promised() == [("Acme Corp", "EUR", 1, D(225), D(0))]
