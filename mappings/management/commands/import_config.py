"""`import_config FILE…`: bring project mappings, rates and billing rules in from files."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import IntegrityError
from django.utils.translation import gettext as _

from mappings.import_report import ADDED, CHANGED, FLAGGED, UNCHANGED, ImportReport
from mappings.importer import import_config


class Command(BaseCommand):
    """Imports all files or, with a single fault, nothing; exits with 1 and every fault's line then."""

    help = "Import project_mappings, user_rates and billing_rules from JSON, YAML or Markdown files."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The files, and how to look before or read the result."""
        parser.add_argument("files", nargs="+", metavar="FILE", help="JSON, YAML, or Markdown with fenced blocks")
        parser.add_argument("--dry-run", action="store_true", help="say what would change, store nothing")
        parser.add_argument("--json", action="store_true", help="print the report as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        """Read, import, report."""
        files = [(name, _read(name)) for name in options["files"]]
        try:
            report = import_config(files, is_dry_run=options["dry_run"])
        except IntegrityError as error:
            raise CommandError(
                _("Somebody changed the same rates meanwhile, so nothing was imported. Run it again.")
            ) from error
        if options["json"]:
            self.stdout.write(json.dumps(report.as_dict(), indent=2, ensure_ascii=False))
        else:
            self._print(report)
        if report.faults:
            raise CommandError(
                _("Nothing was imported: %(count)s mistakes.") % {"count": len(report.faults)}
                if options["json"]
                else "\n".join([*map(str, report.faults), _("Nothing was imported.")])
            )

    def _print(self, report: ImportReport) -> None:
        for change in report.changes:
            if change.action != UNCHANGED:
                self.stdout.write(f"{change.place}: {change.action}: {change.sentence}")
        if not report.faults:
            counts = {action: report.count(action) for action in (ADDED, CHANGED, UNCHANGED, FLAGGED)}
            sentence = (
                _("Would add %(added)s, change %(changed)s, leave %(unchanged)s as they are; %(flagged)s to look at.")
                if report.is_dry_run
                else _("Added %(added)s, changed %(changed)s, %(unchanged)s as they were; %(flagged)s to look at.")
            )
            self.stdout.write(sentence % counts)


def _read(name: str) -> str:
    try:
        return Path(name).read_text(encoding="utf-8")
    except OSError as error:
        raise CommandError(_("%(file)s cannot be read: %(why)s.") % {"file": name, "why": error.strerror}) from error
    except UnicodeDecodeError as error:
        raise CommandError(_("%(file)s is no UTF-8 text file.") % {"file": name}) from error
