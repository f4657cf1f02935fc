"""`manage.py restore FILE`: the database as it was; nothing is written outward until `reconcile` passes."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext as _

from billing_console import backup, tables
from billing_console.spawn import AlreadyRunning, hold_lock
from sync import restoring
from sync.models import WorkItem


class Command(BaseCommand):
    """Exit code 0: restored; 1: one sentence says why not, and nothing was changed."""

    help = "Replace the database by a backup. Writing to both servers then pauses until `reconcile` passes."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, help="A file that `backup` wrote.")
        parser.add_argument("--yes", action="store_true", help="Replace what is in the database without asking.")
        parser.add_argument("--force", action="store_true", help="Also while the console runs: its connections end.")
        parser.add_argument("--json", action="store_true", help="Print one JSON object.")

    def handle(self, *args: Any, **options: Any) -> None:
        path = options["file"]

        def tell(table: str, rows: int) -> None:
            if rows and not options["json"]:
                self.stdout.write(f"{table}: {rows}")

        try:
            with nullcontext() if options["force"] else hold_lock(settings.VAR_DIR / "console.lock"):
                self._make_tables(tell=not options["json"])
                found = backup.inspect(path)
                if WorkItem.objects.exists() and not options["yes"]:
                    self._ask(f"{found.made_at:%Y-%m-%d %H:%M} UTC")
                summary = backup.load(path, restoring.after_restore, tell, ends_sessions=options["force"])
        except backup.BackupError as error:
            raise CommandError(error.sentence) from error
        except AlreadyRunning as error:
            raise CommandError(_("The console still runs here. Stop it, then restore again.")) from error
        if options["json"]:
            facts = {"file": str(path), "made_at": summary.made_at.isoformat(), "rows": summary.rows}
            self.stdout.write(json.dumps(facts, indent=2))
            return
        self.stdout.write(
            _(
                "%(count)d rows restored. Nothing is written to Taiga or Invoice Ninja now. Start the console, let it "
                "read what happened since %(made)s UTC, then run `reconcile --month` for each open month: when one "
                "balances, writing goes on."
            )
            % {"count": summary.total, "made": f"{summary.made_at:%Y-%m-%d %H:%M}"}
        )

    def _make_tables(self, *, tell: bool) -> None:
        """An empty database gets its tables first, as `prepare` makes them."""
        if not tables.is_empty():
            return
        if tell:
            self.stdout.write(_("The database is empty: its tables are made first."))
        call_command("migrate", interactive=False, verbosity=0)

    def _ask(self, made: str) -> None:
        question = _("Replace everything in the database by the backup of %(made)s? [y/N] ") % {"made": made}
        try:
            answer = input(question)
        except EOFError:
            answer = ""
        if answer.strip().lower() not in ("y", "yes"):
            raise CommandError(_("Nothing was changed. Say --yes to replace without asking."))
