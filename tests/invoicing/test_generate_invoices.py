"""`generate_invoices`: the same runs as the pages, nothing on --dry-run, one sentence and exit code 1 when it can't."""

from __future__ import annotations

import datetime as dt
import io
import json
from collections.abc import Iterator
from decimal import Decimal as D
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from billing_console import clock
from invoicing import review, schedule
from invoicing.models import Invoice, InvoiceRun
from sync.models import Transition
from tests.invoicing.world import (
    DECEMBER,
    IN_JANUARY,
    built,
    make_client,
    make_project,
    make_user,
    make_work,
    sweep_project,
)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _in_january() -> Iterator[None]:
    with clock.set_to(IN_JANUARY):
        yield


def generate(*args: str) -> str:
    out = io.StringIO()
    call_command("generate_invoices", *args, stdout=out)
    return out.getvalue()


def test_it_builds_the_month_and_says_so_as_json() -> None:
    client = make_client("Acme Corp")
    make_work(make_project(client), "2.1")
    answer = json.loads(generate("--month", "2025-12", "--json"))
    invoice = Invoice.objects.get()
    assert answer["invoices"] == [
        {
            "id": invoice.pk,
            "client": client.ninja_id,
            "name": "Acme Corp",
            "state": "draft",
            "currency": "EUR",
            "billed_hours": "2.25",
            "net": "213.75",
            "tax": "44.89",
            "gross": "258.64",
        }
    ]
    assert answer["clients"] == [{"client": client.ninja_id, "state": "built", "sentence": ""}]


def test_twice_is_once() -> None:
    make_work(make_project(make_client()), "2.1")
    generate("--month", "2025-12")
    text = generate("--month", "2025-12")
    assert "213.75\xa0EUR + 44.89\xa0EUR = 258.64\xa0EUR (Draft)" in text
    assert "1 invoice stands." in text
    assert (InvoiceRun.objects.count(), Invoice.objects.count()) == (1, 1)
    assert built().pk == InvoiceRun.objects.get().pk


def test_a_dry_run_writes_nothing() -> None:
    project = make_project(make_client())
    make_work(project, "2.1")
    make_work(project, "1", closed=dt.datetime(2025, 11, 3, tzinfo=dt.UTC))
    before = Transition.objects.count()
    text = generate("--month", "2025-12", "--dry-run")
    assert "Acme Corp, 1–31 Dec 2025: 2 lines" in text
    assert "308.75\xa0EUR; 1 late" in text
    answer = json.loads(generate("--month", "2025-12", "--dry-run", "--json"))
    assert (answer["drafts"][0]["net"], answer["drafts"][0]["late"], answer["drafts"][0]["to"]) == (
        "308.75",
        1,
        "2025-12-31",
    )
    assert (InvoiceRun.objects.count(), Transition.objects.count()) == (0, before)


def test_only_one_client() -> None:
    acme, brio = make_client("Acme"), make_client("Brio")
    make_work(make_project(acme))
    make_work(make_project(brio))
    generate("--month", "2025-12", "--client", acme.ninja_id)
    assert [str(invoice.client) for invoice in Invoice.objects.all()] == ["Acme"]
    answer = json.loads(generate("--month", "2025-12", "--client", "Brio", "--json"))
    assert [row["name"] for row in answer["invoices"]] == ["Brio"]
    assert [row["client"] for row in answer["clients"]] == [brio.ninja_id]
    text = generate("--month", "2025-12", "--client", "Brio")
    assert ("Brio: 2.25" in text, "Acme" in text, "1 invoice stands" in text) == (True, False, True)
    assert Invoice.objects.count() == 2
    assert InvoiceRun.objects.count() == 1


def test_what_another_client_waits_for_does_not_concern_the_one_that_was_asked_for() -> None:
    acme, brio = make_client("Acme"), make_client("Brio")
    unswept = make_project(acme)
    make_work(unswept)
    make_work(make_project(brio))
    sweep_project(unswept, IN_JANUARY - dt.timedelta(days=90), error="Taiga does not answer")
    with pytest.raises(CommandError, match="1 client could not be built"):
        generate("--month", "2025-12")
    assert "1 invoice stands" in generate("--month", "2025-12", "--client", "Brio")


@pytest.mark.parametrize("text", ["2025", "2025-13", "2025-1", "25-12", "2025-12-01", "0000-01", "x"])
def test_a_month_that_is_none(text: str) -> None:
    with pytest.raises(CommandError, match="is no month"):
        generate("--month", text)


def test_an_unknown_client() -> None:
    with pytest.raises(CommandError, match="No client “Nobody” is known"):
        generate("--month", "2025-12", "--client", "Nobody")


def test_an_unfinished_month_needs_yes() -> None:
    project = make_project(make_client())
    make_work(project, closed=dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC))
    with pytest.raises(CommandError, match="1–31 Jan 2026 is not over. Add --yes"):
        generate("--month", "2026-01")
    assert not InvoiceRun.objects.exists()
    sweep_project(project, IN_JANUARY)
    generate("--month", "2026-01", "--yes")
    assert InvoiceRun.objects.get().is_early
    assert Invoice.objects.get().net == D("213.75")


def test_a_failed_client_is_an_exit_code_with_the_reason(settings: Any) -> None:
    settings.TAIGA_API, settings.TAIGA_TOKEN = "http://127.0.0.1:9/api/v1", "sandbox-taiga-token"  # nobody listens
    project = make_project(make_client())
    make_work(project)
    sweep_project(project, dt.datetime(2025, 12, 5, tzinfo=dt.UTC))
    with pytest.raises(CommandError, match="1 client could not be built; .*Taiga cannot be reached"):
        generate("--month", "2025-12")


def test_weekly_and_biweekly_clients_get_their_periods_that_end_in_the_month() -> None:
    weekly = make_client("Weekly", frequency="weekly")
    biweekly = make_client("Biweekly", frequency="biweekly", anchor_date=dt.date(2025, 12, 1))
    plan = schedule.plan_month(DECEMBER, [weekly, biweekly])
    found = [(frequency, period.start.isoformat()) for frequency, period, _zone in plan]
    assert found == [
        ("weekly", "2025-12-01"),
        ("biweekly", "2025-12-01"),
        ("weekly", "2025-12-08"),
        ("weekly", "2025-12-15"),
        ("biweekly", "2025-12-15"),
        ("weekly", "2025-12-22"),
    ]


def test_a_supplement_needs_a_reason_and_something_to_bill() -> None:
    project = make_project(make_client("Acme Corp"))
    make_work(project, "2.1")
    generate("--month", "2025-12", "--json")
    with pytest.raises(CommandError, match="no supplement is needed"):
        generate("--month", "2025-12", "--supplement", "Forgotten")
    first = Invoice.objects.get()
    review.approve(first, revision=first.revision, user=make_user())
    make_work(project, "1.0")
    before = Transition.objects.count()
    dry = json.loads(generate("--month", "2025-12", "--supplement", "Forgotten", "--dry-run", "--json"))
    assert [(row["net"], row["lines"]) for row in dry["drafts"]] == [("95.00", 1)]
    with pytest.raises(CommandError, match="say why"):
        generate("--month", "2025-12", "--supplement", " ")
    assert Transition.objects.count() == before
    answer = json.loads(generate("--month", "2025-12", "--supplement", "Forgotten", "--json"))
    assert [row["net"] for row in answer["invoices"]] == ["95.00"]
    assert sorted(InvoiceRun.objects.values_list("sequence", "reason")) == [(1, ""), (2, "Forgotten")]
