"""`manage.py prepare`: bring this installation up to date before its processes start."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management import BaseCommand, call_command
from django.db import connection

from billing_console.checks import TAG
from sync import field_key

# Any constant that nobody else uses: it names the lock in PostgreSQL.
LOCK_KEY = 8_312_025


class Command(BaseCommand):
    help = "Migrates the database, collects the static files and sets up the schedule; safe to repeat."
    # A configuration that is not safe migrates nothing; the other checks need the tables.
    requires_system_checks = [TAG]
    requires_migrations_checks = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--no-static", action="store_true", help="leave the static files as they are")
        parser.add_argument(
            "--new-field-key",
            action="store_true",
            help="make a FIELD_KEY although texts were encrypted with one that is lost: they are typed anew",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Take one lock for all hosts, so that two that start at once do not migrate at once."""
        with connection.cursor() as cursor:
            cursor.execute("SET statement_timeout = 0")
            cursor.execute("SET lock_timeout = 0")
            cursor.execute("SELECT pg_advisory_lock(%s)", [LOCK_KEY])
            try:
                call_command("migrate", interactive=False, verbosity=options["verbosity"])
                call_command("setup_schedule", verbosity=options["verbosity"])
                if why := field_key.make_missing(although_texts=options["new_field_key"]):
                    self.stderr.write(why)
            finally:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [LOCK_KEY])
        self.check(databases=["default"])
        connection.close()
        if not options["no_static"]:
            call_command("collectstatic", interactive=False, verbosity=0)
