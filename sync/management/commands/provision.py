"""`manage.py provision --project 9`: say who pays for a Taiga project, and make what it needs in Taiga."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from django.utils.translation import gettext as _

from billing_console.errors import ConsoleError
from billing_console.states import ItemKind, RecordState
from mappings.matching import suggest_each
from mappings.models import ProjectMapping, TaigaProject
from sync import discovery, provision_calls, provision_preview, provisioning, taiga_projects
from sync.fit_command import FitCommand
from sync.provision_preview import MAKE, THERE, Thing
from sync.provisioning import Target


class Command(FitCommand):
    """Exit code 0: everything is there and the test arrived; 1: one sentence for each thing that is not."""

    help = "List Taiga's projects, or connect one: who pays, its attributes, its webhook, and a test of it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--project", type=int, help="Taiga's id of the project; without it all are listed.")
        parser.add_argument("--client", default="", help="Invoice Ninja's id of the client who pays.")
        parser.add_argument("--ninja-project", default="", help="Invoice Ninja's id of the project; its client pays.")
        parser.add_argument("--stories", action="store_true", help="User stories are billed too.")
        parser.add_argument("--issues", action="store_true", help="Issues are billed too.")
        parser.add_argument("--dry-run", action="store_true", help="Look at Taiga, write nothing, say what would be.")
        parser.add_argument("--yes", action="store_true", help="Do not ask.")
        parser.add_argument("--json", action="store_true", help="Print one JSON object; needs --yes or --dry-run.")
        parser.add_argument("--timeout", type=float, default=settings.RUN_WAIT_SECONDS, help="Seconds to wait.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            taiga_projects.refresh()
            discovery.refresh_invoice_ninja()
            if options["project"] is None:
                self._list(as_json=options["json"])
            else:
                self._connect(options)
        except ConsoleError as error:
            raise CommandError(error.sentence) from error

    def _list(self, *, as_json: bool) -> None:
        projects = list(TaigaProject.objects.filter(is_known=True))
        mapped = {row.taiga_project_id: row for row in ProjectMapping.objects.select_related("client", "ninja_project")}
        found = suggest_each([row.name for row in projects], provisioning.candidates(provisioning.targets()))
        rows = []
        for project, meant in zip(projects, found, strict=True):
            mapping = mapped.get(project.taiga_id)
            rows.append(
                {
                    "project": project.taiga_id,
                    "name": project.name,
                    "is_admin": project.is_admin,
                    "target": str(provisioning.target_of(mapping)) if mapping else None,
                    "suggestion": str(meant.value) if meant and not mapping else None,
                }
            )
        if as_json:
            self.stdout.write(json.dumps({"projects": rows}, indent=2))
            return
        for row in rows:
            who = row["target"] or (
                _("nobody yet, perhaps %(target)s") % {"target": row["suggestion"]}
                if row["suggestion"]
                else _("nobody yet")
            )
            note = "" if row["is_admin"] else " " + _("(our user does not administer it)")
            self.stdout.write(f"{row['project']:>6}  {row['name']}: {who}{note}")

    def _connect(self, options: dict[str, Any]) -> None:
        project = provision_preview.project_of(options["project"])
        mapping = ProjectMapping.objects.filter(taiga_project_id=project.taiga_id).first()
        target = provision_preview.target_for(project, mapping, options["client"], options["ninja_project"])
        kinds = [ItemKind.STORY] * options["stories"] + [ItemKind.ISSUE] * options["issues"]
        plan = provision_preview.preview(project, mapping, kinds)
        if not options["json"]:
            self.stdout.write(_("%(project)s is paid by %(target)s.") % {"project": project, "target": target})
            self._print(plan)
        if options["dry_run"]:
            if options["json"]:
                self.stdout.write(json.dumps(_as_json(project, target, plan), indent=2))
            return
        self._ask(project, options)
        done = self._do(project, target, kinds, options["timeout"])
        if options["json"]:
            self.stdout.write(json.dumps(_as_json(project, target, done), indent=2))
        else:
            self._print(done)
        failed = [thing for thing in done if thing.state != RecordState.SYNCED]
        for thing in failed:
            self.stderr.write(f"{thing.name}: {' '.join(thing.wrong) or _('not done yet; the worker goes on.')}")
        if failed:
            sys.exit(1)

    def _ask(self, project: TaigaProject, options: dict[str, Any]) -> None:
        if options["yes"]:
            return
        if options["json"] or not sys.stdin.isatty():
            raise CommandError(
                _("Nothing was written. Add --yes to connect without being asked, or --dry-run to look.")
            )
        answer = input(_("Connect %(project)s and make what is missing? [y/N] ") % {"project": project})
        if answer.strip().casefold() not in ("y", "yes"):
            raise CommandError(_("Nothing was written."))

    def _do(self, project: TaigaProject, target: Target, kinds: list[ItemKind], timeout: float) -> list[Thing]:
        """Want it, and do the worker's part as well, in case none runs."""
        number = project.taiga_id
        provisioning.connect(number, project.name, project.slug, target, kinds)
        until = time.monotonic() + timeout
        while provisioning.is_running(provisioning.things_of(number)) and time.monotonic() < until:
            if not provision_calls.provision_due():
                time.sleep(0.2)  # a worker has the rest, or it waits after a failure
        return [provision_preview.outcome(row) for row in provisioning.things_of(number)]

    def _print(self, things: list[Thing]) -> None:
        words = {MAKE: _("to be made"), THERE: _("is there"), RecordState.SYNCED: _("is there")}
        for thing in things:
            state = words.get(thing.state) or RecordState(thing.state).label
            self.stdout.write(f"  {thing.name}: {state}")
            if thing.state in (THERE, RecordState.SYNCED):
                for sentence in thing.wrong:
                    self.stdout.write(f"    ! {sentence}")


def _as_json(project: TaigaProject, target: Target, things: list[Thing]) -> dict[str, Any]:
    return {
        "project": project.taiga_id,
        "client": target.client.ninja_id,
        "ninja_project": target.project.ninja_id if target.project else None,
        "things": [
            {"name": thing.name, "state": str(thing.state), "id": thing.id, "wrong": list(thing.wrong)}
            for thing in things
        ],
    }
