"""`manage.py migrate`: Django's, which first waits until no process of an older version works any more."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.core.management.commands import migrate
from django.db import DEFAULT_DB_ALIAS

from billing_console import tables
from sync import presence


class Command(migrate.Command):
    """Exit code 1, and nothing was changed, where a process does not stop working in time."""

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--while-running",
            action="store_true",
            help="do not wait for processes of the console that work; they may write rows of the older form",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with nullcontext() if self._changes_nothing(options) else presence.nobody_works(self.stderr.write):
                super().handle(*args, **options)
        except presence.StillAtWork as error:
            raise CommandError(str(error)) from error

    def _changes_nothing(self, options: dict[str, Any]) -> bool:
        if options.get("while_running") or options["plan"] or options["check_unapplied"]:
            return True
        is_ours = options["database"] == DEFAULT_DB_ALIAS and not tables.is_empty()
        return not is_ours or not (options["app_label"] or tables.missing_migrations())
