"""`manage.py generate_invoices --month 2025-12`: the guide's script, making the same runs as schedule and pages."""

from __future__ import annotations

import json
import re
import sys
import time
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from billing_console import clock
from billing_console.errors import ConsoleError
from billing_console.formats import hours, money, period
from billing_console.money import quantize
from invoicing import build
from invoicing.models import Invoice, RunClient, RunClientState, RunTrigger
from invoicing.preview import PreviewRow, preview
from invoicing.run import DEAD, find_run, start_run
from invoicing.schedule import RunKey, plan_month
from mappings.models import Client, RuleSet
from mappings.rules import Period, month
from sync import push, work_items
from sync.fit_command import FitCommand

Plan = dict[RunKey, dict[Client, RuleSet]]


class Command(FitCommand):
    """Builds the drafts of a month and waits until they stand. Exit code 0: all built; 1: one sentence says why not."""

    help = "Build the draft invoices of a month; they then wait for review."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--month", required=True, help="The month to bill, for example 2025-12.")
        parser.add_argument("--client", help="Only this client: its id in Invoice Ninja, or its exact name.")
        parser.add_argument("--dry-run", action="store_true", help="Write nothing; print what would be billed.")
        parser.add_argument("--yes", action="store_true", help="Bill a month that is not over without asking.")
        parser.add_argument(
            "--supplement", metavar="REASON", help="An extra invoice for what came after the run; say why."
        )
        parser.add_argument("--json", action="store_true", help="Print one JSON object.")
        parser.add_argument("--timeout", type=float, default=settings.RUN_WAIT_SECONDS * 2, help="Seconds to wait.")

    def handle(self, *args: Any, **options: Any) -> None:
        plan = plan_month(_read_month(options["month"]), _find_clients(options["client"]))
        if not plan:
            raise CommandError(_("There is no client to bill yet. Map a Taiga project to a client first."))
        if options["supplement"] is not None:
            plan = _waiting_only(plan)
        if options["dry_run"]:
            self._print_preview(plan, is_supplement=options["supplement"] is not None, as_json=options["json"])
            return
        is_early = [key for key in plan if clock.today(key[2]) < key[1].end]
        if is_early and not options["yes"]:
            _ask(is_early)
        try:
            with transaction.atomic():  # all of them or none
                runs = [
                    start_run(
                        frequency,
                        span,
                        timezone=zone,
                        trigger=RunTrigger.COMMAND,
                        is_early=(frequency, span, zone) in is_early,
                        clients=chosen,
                        reason=options["supplement"] or "",
                        is_supplement=options["supplement"] is not None,
                    )
                    for (frequency, span, zone), chosen in plan.items()
                ]
        except ConsoleError as error:
            raise CommandError(error.sentence) from error
        # A run that stood already may have more clients than those that were asked for.
        asked = RunClient.objects.filter(run__in=runs, client__in={one for chosen in plan.values() for one in chosen})
        rows = self._wait(asked, options["timeout"], is_quiet=options["json"])
        self._print_result(rows, as_json=options["json"])

    # --- building ---

    def _wait(self, asked: QuerySet[RunClient], timeout: float, *, is_quiet: bool) -> list[RunClient]:
        """Build until none of `asked` waits, or for `timeout` seconds; does the worker's part, in case none runs."""
        until = time.monotonic() + timeout
        told = ""
        while True:
            build.build_due()
            rows = list(asked.select_related("client", "run").order_by("run_id", "pk"))
            waiting = [row for row in rows if row.state == RunClientState.WAITING]
            words = _("%(done)d of %(all)d clients built.") % {"done": len(rows) - len(waiting), "all": len(rows)}
            if waiting and waiting[0].sentence:
                words += f" {waiting[0].client}: {waiting[0].sentence}"
            if not is_quiet and words != told:
                self.stdout.write(words)
                told = words
            if not waiting or time.monotonic() > until:
                return rows
            work_items.read_due()
            push.push_due()
            time.sleep(min(settings.TICK_SECONDS, 1.0))

    # --- printing ---

    def _print_preview(self, plan: Plan, *, is_supplement: bool, as_json: bool) -> None:
        found = [
            (key, row)
            for key, chosen in plan.items()
            for row in preview(key[1], chosen, None if is_supplement else find_run(*key))
        ]
        if as_json:
            rows = [_preview_json(key, row) for key, row in found]
            self.stdout.write(json.dumps({"dry_run": True, "drafts": rows}, indent=2))
            return
        self.stdout.write(_("Nothing is written. This would be billed now, before tax:"))
        for (_frequency, span, _zone), row in found:
            self.stdout.write(
                f"  {row.client}, {period(span.start, span.end)}: {row.lines} lines, "
                f"{hours(row.raw_hours)} → {hours(row.billed_hours)}, {money(row.net, row.currency)}"
                + (f"; {row.late} late" if row.late else "")
                + (f"; {row.unsynced} not in Invoice Ninja yet" if row.unsynced else "")
                + (f"; {row.held} held" if row.held else "")
                + (f"; {money(row.came_later, row.currency)} came after the approval" if row.came_later else "")
            )
        if not found:
            self.stdout.write(_("  Nothing: no entry is ready."))

    def _print_result(self, rows: list[RunClient], *, as_json: bool) -> None:
        pairs = {(row.run_id, row.client_id) for row in rows}
        living = Invoice.objects.exclude(state__in=DEAD).filter(run__in={row.run_id for row in rows})
        found = living.select_related("client").order_by("run_id", "client__name", "pk")
        invoices = [invoice for invoice in found if (invoice.run_id, invoice.client_id) in pairs]
        waiting = [row for row in rows if row.state == RunClientState.WAITING]
        failed = [row for row in rows if row.state == RunClientState.FAILED]
        if as_json:
            self.stdout.write(json.dumps(_result_json(invoices, rows), indent=2))
        else:
            for invoice in invoices:
                self.stdout.write(
                    f"  {invoice.client}: {hours(invoice.billed_hours)}, {money(invoice.net, invoice.currency)} "
                    f"+ {money(invoice.tax, invoice.currency)} = {money(invoice.gross, invoice.currency)} "
                    f"({invoice.get_state_display()})"
                )
            for row in rows:
                if row.sentence:
                    self.stdout.write(f"  {row.client}: {row.sentence}")
            self.stdout.write(
                ngettext(
                    "%(count)d invoice stands. Review it in the console.",
                    "%(count)d invoices stand. Review them in the console.",
                    len(invoices),
                )
                % {"count": len(invoices)}
            )
        if waiting:
            raise CommandError(
                ngettext(
                    "%(count)d client is still being built; that goes on by itself. Ask again later.",
                    "%(count)d clients are still being built; that goes on by itself. Ask again later.",
                    len(waiting),
                )
                % {"count": len(waiting)}
            )
        if failed:
            raise CommandError(
                ngettext(
                    "%(count)d client could not be built; the others stand. %(why)s",
                    "%(count)d clients could not be built; the others stand. %(why)s",
                    len(failed),
                )
                % {"count": len(failed), "why": failed[0].sentence}
            )


def _read_month(text: str) -> Period:
    found = re.fullmatch(r"(\d{4})-(0[1-9]|1[0-2])", text, re.ASCII)
    if found is None or found[1] == "0000":
        raise CommandError(_("“%(text)s” is no month. Write year and month, for example 2025-12.") % {"text": text})
    return month(int(found[1]), int(found[2]))


def _find_clients(wanted: str | None) -> list[Client] | None:
    if wanted is None:
        return None
    found = list(Client.objects.filter(ninja_id=wanted)) or list(Client.objects.filter(name=wanted))
    if len(found) != 1:
        raise CommandError(
            _("No client “%(text)s” is known. Give its id in Invoice Ninja.") % {"text": wanted}
            if not found
            else _("Several clients are called “%(text)s”. Give the id in Invoice Ninja.") % {"text": wanted}
        )
    return found


def _waiting_only(plan: Plan) -> Plan:
    """The clients of a plan that a supplement would bill something for. Raises CommandError when there is none."""
    found: Plan = {}
    for key, chosen in plan.items():
        if clients := {row.client: chosen[row.client] for row in preview(key[1], chosen) if row.net}:
            found[key] = clients
    if not found:
        raise CommandError(_("Nothing waits to be billed for this month, so no supplement is needed."))
    return found


def _ask(keys: list[RunKey]) -> None:
    spans = ", ".join(sorted({period(span.start, span.end) for _frequency, span, _zone in keys}))
    if not sys.stdin.isatty():
        raise CommandError(_("%(spans)s is not over. Add --yes to bill it all the same.") % {"spans": spans})
    answer = input(_("%(spans)s is not over. Bill it all the same? [y/N] ") % {"spans": spans})
    if answer.strip().casefold() not in ("y", "yes"):
        raise CommandError(_("Nothing was started."))


def _preview_json(key: RunKey, row: PreviewRow) -> dict[str, Any]:
    frequency, span, zone = key
    return {
        "client": row.client.ninja_id,
        "name": str(row.client),
        "frequency": frequency,
        "from": span.start.isoformat(),
        "to": span.last_day.isoformat(),
        "timezone": zone,
        "currency": row.currency,
        "lines": row.lines,
        "raw_hours": f"{row.raw_hours.normalize():f}",
        "billed_hours": f"{row.billed_hours:f}",
        "net": _amount(row.net, row.currency),
        "late": row.late,
        "unsynced": row.unsynced,
        "held": row.held,
        "came_later": _amount(row.came_later, row.currency),
    }


def _result_json(invoices: list[Any], rows: list[RunClient]) -> dict[str, Any]:
    return {
        "dry_run": False,
        "invoices": [
            {
                "id": invoice.pk,
                "client": invoice.client.ninja_id,
                "name": str(invoice.client),
                "state": invoice.state,
                "currency": invoice.currency,
                "billed_hours": f"{invoice.billed_hours:f}",
                "net": _amount(invoice.net, invoice.currency),
                "tax": _amount(invoice.tax, invoice.currency),
                "gross": _amount(invoice.gross, invoice.currency),
            }
            for invoice in invoices
        ],
        "clients": [{"client": row.client.ninja_id, "state": row.state, "sentence": row.sentence} for row in rows],
    }


def _amount(value: Any, currency: str) -> str:
    return f"{quantize(value, currency):f}"
