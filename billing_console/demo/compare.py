"""The scenario's answers against what the stand-ins and the console's pages say. Each difference is one sentence."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from billing_console import money
from billing_console.demo.visitor import Visitor
from sandbox import scenario
from sandbox.player import Player
from sandbox.scenario import PROJECTS, Project, Work

NUMBER = "TAIGA-T{id}-1"
SENT, PARTIAL, PAID = "2", "3", "4"


@dataclass
class Report:
    """What was compared, in order, and where it was not as expected."""

    checks: list[str] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)

    def expect(self, what: str, wanted: Any, found: Any) -> None:
        """Note one comparison."""
        self.checks.append(what)
        if wanted != found:
            self.differences.append(f"{what}: expected {wanted}, found {found}")


def compare_drafts(player: Player, visitor: Visitor) -> Report:
    """December pushed and drafted: tasks there, values in Taiga, drafts, what is held and what stays unbilled."""
    report = Report()
    _compare_tasks(report, player, is_invoiced=False)
    _compare_values(report, player)
    drafts = visitor.drafts()
    for project in PROJECTS:
        report.expect(f"draft of {project.client_name}", project.net, drafts.get(project.client_name))
    _compare_pages(report, player, visitor)
    return report


def compare_end(player: Player, visitor: Visitor) -> Report:
    """Everything sent and partly paid: both stand-ins' whole memory, and the console's own pages."""
    report = Report()
    _compare_tasks(report, player, is_invoiced=True)
    _compare_values(report, player)
    _compare_invoices(report, player)
    _compare_mails(report, player)
    _compare_pages(report, player, visitor, unbilled_on="in a draft")
    overdue = visitor.overdue()
    wanted = {scenario.MOBILE.client_name: Decimal("462.30"), scenario.API.client_name: Decimal("660.96")}
    report.expect("overdue on 15 February", wanted, overdue)
    identities = visitor.identities()
    # Four over our own rows, four against what both servers list.
    report.expect("identities that hold", 8, sum(identity["is_true"] for identity in identities))
    for identity in identities:
        report.expect(f"identity “{identity['name']}”", [], identity["residue"])
    return report


def _taiga_id(player: Player, work: Work) -> int:
    return int(player.task_of(work)["id"])


def _compare_tasks(report: Report, player: Player, *, is_invoiced: bool) -> None:
    """Exactly the tasks of the scenario, each with its hours, rate, client and project."""
    tasks = player.ninja.get("/tasks?per_page=5000&sort=id|asc")["data"]
    found = {task["number"]: task for task in tasks}
    wanted = {NUMBER.format(id=_taiga_id(player, work)): work for work in scenario.PUSHED}
    on_invoice = [task for task in tasks if task["invoice_id"]]
    report.expect("tasks on invoices in Invoice Ninja", len(scenario.INVOICED) if is_invoiced else 0, len(on_invoice))
    report.expect("numbers of all tasks in Invoice Ninja", sorted(wanted), sorted(found))
    for number, work in wanted.items():
        task = found.get(number)
        if task is None:
            continue
        amount = _hours(task) * Decimal(str(task["rate"]))
        report.expect(f"amount of “{work.subject}” in Invoice Ninja", work.expected, money.quantize(amount, "EUR"))
        place = (task["client_id"], task["project_id"], task["is_deleted"], task["archived_at"])
        report.expect(f"place of “{work.subject}”", (work.project.client_id, work.project.ninja_id, False, 0), place)
        words = f"Task #{player.task_of(work)['ref']}: {work.subject}"
        report.expect(f"words of “{work.subject}”", words, task["description"])


def _hours(task: dict[str, Any]) -> Decimal:
    return sum((Decimal(row[1] - row[0]) / 3600 for row in json.loads(task["time_log"])), Decimal(0))


def _compare_values(report: Report, player: Player) -> None:
    """In Taiga nothing but the invoice status differs from what the people typed."""
    said = 0
    for work in scenario.WORK:
        wanted = dict(work.typed)
        if work in scenario.PUSHED:
            wanted[scenario.STATUS] = "Invoiced"
        values = player.values_of(work)
        said += values.get(scenario.STATUS) == "Invoiced"
        report.expect(f"values of “{work.subject}” in Taiga", _comparable(wanted), _comparable(values))
    report.expect("tasks that say “Invoiced” in Taiga", len(scenario.PUSHED), said)


def _comparable(values: dict[str, Any]) -> dict[str, str]:
    return {name: repr(_number(value)) for name, value in sorted(values.items())}


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return value
    return Decimal(str(value)).normalize()


def _invoices(player: Player) -> list[dict[str, Any]]:
    return list(player.ninja.get("/invoices?per_page=5000&sort=id|asc")["data"])


def _compare_invoices(report: Report, player: Player) -> None:
    invoices = _invoices(player)
    report.expect("invoices in Invoice Ninja", 3, len(invoices))
    by_client = {invoice["client_id"]: invoice for invoice in invoices}
    tasks = {task["id"]: task for task in player.ninja.get("/tasks?per_page=5000&sort=id|asc")["data"]}
    for project in PROJECTS:
        invoice = by_client.get(project.client_id)
        if invoice is not None:
            _compare_invoice(report, project, invoice, tasks)


def _compare_invoice(
    report: Report, project: Project, invoice: dict[str, Any], tasks: dict[str, dict[str, Any]]
) -> None:
    name = project.client_name
    paid = {scenario.PAID_IN_FULL: project.gross, scenario.PAID_PARTLY: scenario.PARTLY}.get(project, Decimal(0))
    status = {scenario.PAID_IN_FULL: PAID, scenario.PAID_PARTLY: PARTIAL}.get(project, SENT)
    figures = {
        "total with tax": (project.gross, invoice["amount"]),
        "tax": (project.tax, invoice["total_taxes"]),
        "paid": (paid, invoice["paid_to_date"]),
        "open": (project.gross - paid, invoice["balance"]),
    }
    for what, (wanted, found) in figures.items():
        report.expect(f"{what} of {name}", wanted, _cents(found))
    report.expect(f"status of {name}", status, invoice["status_id"])
    report.expect(f"date of {name}", "2026-01-02", invoice["date"])
    report.expect(f"due date of {name}", "2026-02-01", invoice["due_date"])
    report.expect(f"own key of {name}", True, invoice["private_notes"].startswith("bc-"))
    works = [work for work in scenario.INVOICED if work.project is project]
    wanted_lines = sorted((work.subject, work.expected) for work in works)
    lines = [
        (line["notes"].split(": ", 1)[-1], _cents(Decimal(str(line["quantity"])) * Decimal(str(line["cost"]))))
        for line in invoice["line_items"]
    ]
    report.expect(f"lines of {name}", wanted_lines, sorted(lines))
    linked = sorted(line["task_id"] for line in invoice["line_items"])
    owned = sorted(task_id for task_id, task in tasks.items() if task["invoice_id"] == invoice["id"])
    report.expect(f"tasks linked to the invoice of {name}", owned, linked)


def _compare_mails(report: Report, player: Player) -> None:
    """One mail of its invoice per client, whatever was killed meanwhile; receipts of payments are the server's own."""
    state = player.ninja_control.get("/sandbox/state.json")
    mails = sorted(mail["to"] for mail in state["mails"] if mail["template"] == "invoice")
    report.expect("mails that left", sorted(project.email for project in PROJECTS), mails)


def _compare_pages(report: Report, player: Player, visitor: Visitor, *, unbilled_on: str = "unbilled") -> None:
    """`unbilled_on`: the list where January's work stands; from 1 February on it is in January's draft."""
    for outcome, page in (("held", "held"), ("unbilled", unbilled_on)):
        wanted = sorted(work.subject for work in scenario.WORK if work.outcome == outcome)
        report.expect(f"{outcome} in December, on the console's list “{page}”", wanted, visitor.entries(page))
    found = visitor.found_by_sweep()
    lost = _lost_deliveries(player)
    wanted = [work.subject for work in scenario.WORK if not work.has_story or work.subject in lost & set(found)]
    report.expect("found by the sweep, on the console's page", sorted(wanted), found)


def _lost_deliveries(player: Player) -> set[str]:
    """Tasks of which Taiga could not deliver something, because the console was down just then."""
    deliveries = player.control.get("/sandbox/state.json")["deliveries"]
    return {row["subject"] for row in deliveries if row["type"] == "task" and not 200 <= row["status"] < 300}


def _cents(value: Any) -> Decimal:
    return money.quantize(money.from_binary(Decimal(str(value))), "EUR")


def summary_lines(report: Report) -> Iterator[str]:
    """The report for a person."""
    yield f"{len(report.checks)} comparisons, {len(report.differences)} differences."
    yield from (f"✗ {difference}" for difference in report.differences)
