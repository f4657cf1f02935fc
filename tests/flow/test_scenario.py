"""The whole scenario of `sandbox.scenario` in process, in both of Taiga's modes, with every answer it must give."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from billing_console import clock
from invoicing import payments, reconcile, schedule
from invoicing import tasks as invoicing_tasks
from invoicing.models import Invoice, InvoiceRun
from sandbox import scenario
from sandbox.player import Player, Progress
from sandbox.scenario import API, INVOICED, MOBILE, PROJECTS, PUSHED, WEBSITE, WORK, Work
from sandbox.server import Running
from sync.models import FoundBy, TimeEntry, UpstreamCall
from tests.flow.steps import DECEMBER, JANUARY, Flow, amount_of

GROSS = {WEBSITE: Decimal("744.15"), MOBILE: Decimal("762.30"), API: Decimal("660.96")}


@pytest.fixture(params=["inline", "async"])
def mode(request: pytest.FixtureRequest, standins: Running) -> Any:
    """Taiga's two ways to send its webhooks."""
    standins.taiga.mode = request.param
    yield request.param
    standins.taiga.drain()
    standins.taiga.mode = "inline"


@pytest.fixture
def player(standins: Running, tmp_path: Path) -> Player:
    """The people of the scenario."""
    return Player(standins.taiga.url, standins.ninja.url, Progress(tmp_path / "progress.json"), lambda line: None)


def play_december(office: Flow, player: Player) -> None:
    """Everything that the team does; the console works whenever the people wait for it, and at the end."""

    def wait_until(what: str, is_true: Any) -> None:
        office.sweep()
        assert is_true(), what

    player.play_december(wait_until)
    office.sweep()


def entry_of(player: Player, work: Work) -> TimeEntry:
    return TimeEntry.objects.get(item__taiga_id=player.task_of(work)["id"])


def test_december_from_closed_tasks_to_overdue_invoices(office: Flow, mode: str, player: Player) -> None:
    play_december(office, player)

    check_entries(player)
    check_tasks(office, player)
    check_values(player)

    player.set_clock(scenario.APPROVAL)
    office.work()
    invoicing_tasks.build_runs()
    office.work()
    invoicing_tasks.build_runs()
    (run,) = InvoiceRun.objects.all()
    assert (run.state, run.trigger, run.frequency) == ("in_review", "schedule", "monthly")
    assert (run.period_start, run.period_end) == (DECEMBER.start, DECEMBER.end)
    drafts = {draft.client.ninja_id: draft for draft in Invoice.objects.select_related("client")}
    assert {project: drafts[project.client_id].gross for project in PROJECTS} == GROSS
    assert {project: drafts[project.client_id].net for project in PROJECTS} == {p: p.net for p in PROJECTS}
    assert {project: drafts[project.client_id].tax for project in PROJECTS} == {p: p.tax for p in PROJECTS}
    assert office.invoices() == []

    for draft in drafts.values():
        office.approve(draft)
    check_invoices(office, player)
    assert office.mails() == []

    for draft in drafts.values():
        office.send(draft)
    assert sorted(office.mails()) == sorted(project.email for project in PROJECTS)
    assert {invoice.state for invoice in Invoice.objects.all()} == {"sent"}
    run.refresh_from_db()
    assert run.state == "done"

    player.set_clock(scenario.PAYMENT)
    for project, amount in ((scenario.PAID_IN_FULL, WEBSITE.gross), (scenario.PAID_PARTLY, scenario.PARTLY)):
        player.pay(project, amount)
    office.poll()
    paid = {invoice.client.ninja_id: (invoice.state, invoice.balance) for invoice in Invoice.objects.all()}
    assert paid == {
        WEBSITE.client_id: ("paid", Decimal("0.00")),
        MOBILE.client_id: ("partly_paid", Decimal("462.30")),
        API.client_id: ("sent", Decimal("660.96")),
    }

    check_overdue()
    check_identities()
    check_untouched_values(player)
    assert schedule.tick() == []
    assert standins_are_whole(office)


def check_entries(player: Player) -> None:
    """Each task of the table with its expected amount and outcome, in the console's own rows."""
    states = {"invoiced": "ready", "unbilled": "ready", "held": "held", "not billable": "void"}
    entries = {work.number: entry_of(player, work) for work in WORK}
    assert TimeEntry.objects.count() == len(WORK)
    assert {n: entry.state for n, entry in entries.items()} == {w.number: states[w.outcome] for w in WORK}
    assert {w.number: entries[w.number].amount for w in PUSHED} == {w.number: w.expected for w in PUSHED}
    assert [(entry.reason, entry.raw_value) for entry in (entries[5],)] == [("unreadable_hours", '"two hours"')]
    by_sweep = TimeEntry.objects.filter(item__found_by=FoundBy.SWEEP).values_list("item__subject", flat=True)
    assert list(by_sweep) == ["Store listing"]
    assert (entries[11].work_date, entries[12].work_date) == (DECEMBER.last_day, JANUARY.start)
    assert entries[13].work_date.isoformat() == "2025-12-16"
    assert (entries[7].person, entries[8].person.full_name) == (None, "Alice Adams")


def check_tasks(office: Flow, player: Player) -> None:
    """Invoice Ninja holds exactly the 11 tasks, each with its number, amount, client, project and words."""
    found = {
        task["number"]: (amount_of(task), task["client_id"], task["project_id"], task["description"])
        for task in office.tasks()
    }
    wanted = {}
    for work in PUSHED:
        task = player.task_of(work)
        words = f"Task #{task['ref']}: {work.subject}"
        wanted[f"TAIGA-T{task['id']}-1"] = (work.expected, work.project.client_id, work.project.ninja_id, words)
    assert found == wanted
    assert len(found) == 11
    assert {(task["invoice_id"], task["is_deleted"], task["archived_at"]) for task in office.tasks()} == {
        ("", False, 0)
    }


def check_values(player: Player) -> None:
    """In Taiga 11 tasks say "Invoiced", and no other value differs from what was typed."""
    check_untouched_values(player)
    assert [player.status_of(work) for work in WORK].count("Invoiced") == 11


def check_untouched_values(player: Player) -> None:
    for work in WORK:
        wanted = {**work.typed, **({scenario.STATUS: "Invoiced"} if work in PUSHED else {})}
        found = {
            name: float(value) if isinstance(value, Decimal) else value
            for name, value in player.values_of(work).items()
        }
        assert found == wanted, work.subject


def check_invoices(office: Flow, player: Player) -> None:
    """Invoice Ninja holds exactly the three invoices, compared to the cent, with their tasks linked."""
    invoices = {row["client_id"]: row for row in office.invoices()}
    assert len(office.invoices()) == len(invoices) == 3
    numbers = {task["id"]: task for task in office.tasks()}
    for project in PROJECTS:
        there = invoices[project.client_id]
        assert (there["amount"], there["total_taxes"]) == (GROSS[project], project.tax)
        assert (there["date"], there["due_date"], there["status_id"]) == ("2026-01-02", "2026-02-01", "1")
        assert there["terms"] == "Payment due within 30 days"
        works = sorted((w.subject, w.expected) for w in INVOICED if w.project is project)
        lines = [
            (line["notes"].split(": ")[1], (line["quantity"] * line["cost"]).quantize(Decimal("0.01")))
            for line in [
                {**row, "quantity": Decimal(str(row["quantity"])), "cost": Decimal(str(row["cost"]))}
                for row in there["line_items"]
            ]
        ]
        assert sorted(lines) == works
        assert {numbers[line["task_id"]]["invoice_id"] for line in there["line_items"]} == {there["id"]}
    assert len([task for task in numbers.values() if task["invoice_id"]]) == len(INVOICED) == 10


def check_overdue() -> None:
    """Late is who still owes on the day after the due date in Brussels, and nobody on the due date itself."""
    for instant, late in (("2026-02-01T22:59:59+00:00", set()), ("2026-02-01T23:00:00+00:00", {MOBILE, API})):
        with clock.set_to(scenario.datetime.fromisoformat(instant)):
            found = {row.client.ninja_id for row in payments.overdue().select_related("client")}
            assert found == {project.client_id for project in late}
    with clock.set_to(scenario.LATE):
        open_then = {row.client.ninja_id: row.balance for row in payments.overdue().select_related("client")}
    assert open_then == {MOBILE.client_id: Decimal("462.30"), API.client_id: Decimal("660.96")}


def check_identities() -> None:
    """Worked = billed, for December and for January."""
    for period in (DECEMBER, JANUARY):
        identities = reconcile.check(period)
        assert [(identity.name, identity.residue) for identity in identities if not identity.is_true] == []
        assert len(identities) == 4
    items, hours, amounts, invoiced = reconcile.check(DECEMBER)
    assert items.left.count == 12
    assert {term.name: term.count for term in items.right if term.count} == {
        "not billable": 1,
        "unreadable": 1,
        "invoiced": 10,
    }
    assert hours.left.hours == sum(Decimal(str(w.hours).replace(",", ".")) for w in (*INVOICED, WORK[3]))
    assert amounts.left.amounts == {"EUR": Decimal("1791.25")}
    assert invoiced.left.amounts == {"EUR": Decimal("1791.25")}


def standins_are_whole(office: Flow) -> bool:
    """No stand-in broke on the way, and no call of ours was refused for good."""
    assert (office.running.taiga.broken, office.running.ninja.broken) == ("", "")
    refused = UpstreamCall.objects.filter(status__gte=400).exclude(status__in=(401, 500))
    assert [f"{call.method} {call.path} {call.status}" for call in refused] == []
    return True
