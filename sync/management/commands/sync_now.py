"""`manage.py sync_now [--since 2025-11-01] [--dry-run]`: compare every project with Taiga now and read what differs."""

from __future__ import annotations

import datetime as dt
import json
import sys
import time
from argparse import ArgumentTypeError
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from django.utils.translation import gettext as _

from billing_console.errors import ConsoleError
from billing_console.formats import hours, money
from billing_console.states import Reason
from mappings.models import ProjectMapping
from sync import backfill, gate, reevaluate, unpaid, work_items
from sync.backfill import ProjectResult
from sync.fit_command import FitCommand
from sync.models import Server


def day(text: str) -> dt.date:
    """A day written as 2025-11-01. Raises ArgumentTypeError with one sentence."""
    try:
        return dt.date.fromisoformat(text)
    except ValueError as error:
        raise ArgumentTypeError(f"{text!r} is no day; write it as 2025-11-01.") from error


class Command(FitCommand):
    """Exit code 0: every project was looked at and everything read; 1: one sentence says what was not."""

    help = "Sweep all billed projects now, compare them as a whole with Taiga, and read what differs."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--since", type=day, help="Also read everything closed since this day, e.g. 2025-11-01.")
        parser.add_argument("--dry-run", action="store_true", help="With --since: write nothing, say what would come.")
        parser.add_argument("--json", action="store_true", help="Print one JSON object.")
        parser.add_argument("--timeout", type=float, default=settings.RUN_WAIT_SECONDS, help="Seconds to wait.")

    def handle(self, *args: Any, **options: Any) -> None:
        projects = backfill.active_projects()
        if not projects:
            raise CommandError(_("No Taiga project is mapped to a client yet. Map one first."))
        if options["dry_run"]:
            if options["since"] is None:
                raise CommandError(_("--dry-run needs --since: say from which day on."))
            self._preview(projects, options["since"], as_json=options["json"])
        else:
            self._sync(projects, options["since"], options["timeout"], as_json=options["json"])

    def _preview(self, projects: list[ProjectMapping], since: dt.date, *, as_json: bool) -> None:
        results = [backfill.preview(mapping, since) for mapping in projects]
        if as_json:
            self.stdout.write(json.dumps([_as_json(result) for result in results], indent=2))
        else:
            for result in results:
                self.stdout.write(_as_text(result))
        self._fail_for([result.error for result in results if result.error])

    def _sync(self, projects: list[ProjectMapping], since: dt.date | None, timeout: float, *, as_json: bool) -> None:
        if not gate.may_call(Server.TAIGA):
            raise CommandError(_("Taiga does not answer at the moment; what is missing is read when it does."))
        found, errors = {}, []
        for number, mapping in enumerate(projects, 1):
            result = backfill.run(mapping, since)
            sentence = result.error or (_("it is being swept by another worker") if result.is_busy else "")
            if sentence:
                errors.append(f"{mapping}: {sentence}")
            found[str(mapping)] = result.marked
            if not as_json:
                words = {"number": number, "all": len(projects), "project": mapping, "count": result.marked}
                self.stdout.write(_("%(number)d of %(all)d %(project)s: %(count)d to read") % words)
        try:
            unpaid.compare()
        except ConsoleError as error:
            errors.append(_("Projects that nobody pays for: %(why)s") % {"why": error.sentence})
        left = self._read(timeout, is_quiet=as_json)
        if left:
            errors.append(_("%(count)d items could not be read yet; the worker goes on.") % {"count": left})
        if as_json:
            self.stdout.write(json.dumps({"to_read": found, "unread": left, "errors": errors}, indent=2))
        self._fail_for(errors)

    def _read(self, timeout: float, *, is_quiet: bool) -> int:
        """Do the worker's part as well, in case none runs; returns how many items are still unread."""
        until, left = time.monotonic() + timeout, backfill.unread()
        while left and time.monotonic() < until:
            if not reevaluate.evaluate_marked() + work_items.read_due(50):
                time.sleep(0.2)  # a worker has the rest, or they wait after a failure
            if (now := backfill.unread()) != left and not is_quiet:
                self.stdout.write(_("%(count)d left to read") % {"count": now})
            left = now
        return left

    def _fail_for(self, errors: list[str]) -> None:
        for error in errors:
            self.stderr.write(error)
        if errors:
            sys.exit(1)


def _as_text(result: ProjectResult) -> str:
    if result.error:
        return f"{result.project}: {result.error}"
    held = ", ".join(f"{Reason(reason).label} {count}" for reason, count in result.held.most_common())
    amounts = " + ".join(money(amount, code) for code, amount in sorted(result.amounts.items())) or "0"
    return _(
        "%(project)s: %(items)d closed, %(known)d of them known; new: %(hours)s, %(amounts)s ready, "
        "%(held_count)d held%(held)s, %(not_billable)d not billable"
    ) % {
        "project": result.project,
        "items": result.items,
        "known": result.known,
        "hours": hours(result.hours),
        "amounts": amounts,
        "held_count": sum(result.held.values()),
        "held": f" ({held})" if held else "",
        "not_billable": result.not_billable,
    }


def _as_json(result: ProjectResult) -> dict[str, Any]:
    return {
        "project": result.project,
        "items": result.items,
        "known": result.known,
        "hours": str(result.hours),
        "amounts": {code: str(amount) for code, amount in sorted(result.amounts.items())},
        "held": dict(result.held),
        "not_billable": result.not_billable,
        "error": result.error,
    }
