"""`python -m billing_console.demo --until seed|review|end [--json]`: plays the scenario against a running console.

Everything goes over HTTP or through `manage.py`, as a team, an office and an operator would do it. Progress is printed
on stderr, the summary on stdout. Exits with 1, and names each difference, when anything is not as the scenario says.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from billing_console.demo.browser import PageError
from billing_console.demo.compare import Report, compare_drafts, compare_end, summary_lines
from billing_console.demo.visitor import PASSWORD, USERNAME, Visitor
from sandbox import scenario
from sandbox.player import Player, PlayError, Progress, wait_for

CONFIG = Path(__file__).resolve().parents[2] / "sandbox" / "config"
GUIDE = ("project_mappings.json", "user_rates.json", "billing_rules.yaml")
OURS = ("more_project_mappings.json", "tax.yaml")


def say(line: str) -> None:
    """Tell a person, on stderr."""
    print(f"  {line}", file=sys.stderr, flush=True)


def main() -> int:
    """Play, compare, print; returns the exit code."""
    parser = argparse.ArgumentParser(prog="billing_console.demo")
    parser.add_argument("--until", choices=("seed", "review", "end"), required=True)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    clock_file = Path(os.environ["SANDBOX_CLOCK_FILE"])
    player = Player(
        _root(os.environ["TAIGA_API"]),
        _root(os.environ["INVOICE_NINJA_API"]),
        Progress(clock_file.parent.parent / "scenario.json"),
        say,
    )
    visitor = Visitor(os.environ["PUBLIC_URL"])
    try:
        player.seed(f"{os.environ['PUBLIC_URL']}/webhooks/taiga", os.environ["WEBHOOK_SECRET"])
        if options.until == "seed":
            return 0
        report = play(player, visitor, until=options.until)
    except (PlayError, PageError) as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps(_as_json(report, options.until), indent=2) if options.json else "\n".join(summary_lines(report)))
    if options.until == "review" and not report.differences:
        _print_next_steps()
    return 1 if report.differences else 0


def play(player: Player, visitor: Visitor, *, until: str) -> Report:
    """The scenario from where an earlier life of it stopped. Raises PlayError or PageError."""
    say("Signing in at the console …")
    visitor.arrive()
    player.once("import", lambda: _import_config(visitor))
    say("December 2025 in Taiga …")
    player.play_december(lambda what, is_true: wait_for(what, is_true))
    wait_for("eleven tasks in Invoice Ninja, marked in Taiga", lambda: _all_pushed(player))
    say("2 January 2026: the run of December …")
    player.once("january", lambda: player.set_clock(scenario.APPROVAL, frozen=False))
    player.once("drafts", lambda: wait_for("three drafts", lambda: len(visitor.drafts()) == len(scenario.PROJECTS)))
    report = Report()
    if not player.progress.is_done("approved"):
        report = compare_drafts(player, visitor)
    if until == "review" or report.differences:
        return report
    say("Reviewing, approving and sending three invoices …")
    player.once("approved", lambda: _approve(visitor))
    player.once("sent", lambda: _send(visitor))
    say("The clients pay; then it is 15 February …")
    player.once("paying", lambda: player.set_clock(scenario.PAYMENT))
    player.pay(scenario.PAID_IN_FULL, scenario.PAID_IN_FULL.gross)
    player.pay(scenario.PAID_PARTLY, scenario.PARTLY)
    wait_for(
        "the payments", lambda: _are(visitor, {scenario.PAID_IN_FULL: "Paid", scenario.PAID_PARTLY: "Partly paid"})
    )
    player.once("february", lambda: player.set_clock(scenario.LATE))
    wait_for("the run of January", lambda: not visitor.entries("unbilled"))
    end = compare_end(player, visitor)
    return Report(report.checks + end.checks, report.differences + end.differences)


def _root(api: str) -> str:
    return api.rstrip("/").removesuffix("/api/v1")


def _import_config(visitor: Visitor) -> None:
    say("Importing the guide's configuration files …")
    for names in (GUIDE, OURS):
        visitor.manage("import_config", *(str(CONFIG / name) for name in names))


def _all_pushed(player: Player) -> bool:
    return all(player.status_of(work) == "Invoiced" for work in scenario.PUSHED)


def _approve(visitor: Visitor) -> None:
    visitor.approve_all()
    wait_for("three invoices in Invoice Ninja", lambda: not _any(visitor, "Approved", "Draft"))


def _send(visitor: Visitor) -> None:
    visitor.send_all()
    wait_for("the proof of three mails", lambda: not _any(visitor, "Created", "Sending"))


def _any(visitor: Visitor, *states: str) -> bool:
    return any(words.startswith(states) for words in visitor.states().values())


def _are(visitor: Visitor, wanted: dict[scenario.Project, str]) -> bool:
    states = visitor.states()
    return all(states.get(project.client_name, "").startswith(words) for project, words in wanted.items())


def _as_json(report: Report, until: str) -> dict[str, object]:
    return {
        "until": until,
        "comparisons": len(report.checks),
        "differences": report.differences,
        "is_as_expected": not report.differences,
        "checks": report.checks,
    }


def _print_next_steps() -> None:
    url = os.environ["PUBLIC_URL"]
    taiga, ninja = _root(os.environ["TAIGA_API"]), _root(os.environ["INVOICE_NINJA_API"])
    print(
        f"""
Three drafts of December 2025 wait for you.

  Console        {url}/admin/
  Sign in as     {USERNAME} / {PASSWORD}
  What to click  "Drafts to review", look at each line's why, then "Approve … and next";
                 when they are created in Invoice Ninja: "Approved, not sent", select all, "Send…"
  Stand-ins      Taiga {taiga}/sandbox/   Invoice Ninja {ninja}/sandbox/
""",
        file=sys.stderr,
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
