"""What the commands that work on money, or write at a server, have in common."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from billing_console import fitness
from sync import presence


class FitCommand(BaseCommand):
    """A command that does nothing, with exit code 1 and the reason, where this machine's clock or version is wrong."""

    def run_from_argv(self, argv: list[str]) -> None:
        """Run it in a process of its own, which tells how it is: whoever changes the tables waits for it, too."""
        presence.tell_of(fitness.COMMAND)
        super().run_from_argv(argv)

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Run it. Raises CommandError where it may not, DatabaseError where that cannot be asked."""
        if why := fitness.begin():
            raise CommandError(why)
        try:
            return super().execute(*args, **options)
        finally:
            fitness.end()
