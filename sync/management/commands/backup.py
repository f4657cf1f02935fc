"""`manage.py backup FILE`: the whole database in one file, while the console runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext as _

from billing_console import backup


class Command(BaseCommand):
    """Exit code 0: the file is whole; 1: one sentence says why not."""

    help = "Write the whole database to a file, as of one moment; the console may go on running."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, help="Where to write it, e.g. billing-2025-12-31.backup.")
        parser.add_argument("--json", action="store_true", help="Print one JSON object.")

    def handle(self, *args: Any, **options: Any) -> None:
        path = options["file"]

        def tell(table: str, rows: int) -> None:
            if rows and not options["json"]:
                self.stdout.write(f"{table}: {rows}")

        try:
            summary = backup.save(path, tell)
        except backup.BackupError as error:
            raise CommandError(error.sentence) from error
        if options["json"]:
            facts = {"file": str(path), "made_at": summary.made_at.isoformat(), "rows": summary.rows}
            self.stdout.write(json.dumps(facts, indent=2))
            return
        words = {"count": summary.total, "path": path}
        self.stdout.write(_("%(count)d rows in %(path)s. Keep FIELD_KEY apart from it: without it the") % words)
        self.stdout.write(_("webhook keys in this file cannot be read."))
